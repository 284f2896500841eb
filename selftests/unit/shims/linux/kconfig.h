/* SPDX-License-Identifier: GPL-2.0 */
/* custom: the configuration this user-space kernel is built with */
#ifndef _UNIT_SHIM_LINUX_KCONFIG_H
#define _UNIT_SHIM_LINUX_KCONFIG_H

#define CONFIG_64BIT 1
#define CONFIG_X86_64 1
#define CONFIG_KVM_PROVE_MMU 1
#define CONFIG_SMP 1
#define CONFIG_MMU 1
#define CONFIG_HAS_IOMEM 1
#define CONFIG_HAVE_KVM_PFNCACHE 1
#define CONFIG_KVM_XEN 1
#define CONFIG_PREEMPT_COUNT 1
#define CONFIG_PROVE_LOCKING 1
#define CONFIG_LOCKDEP 1

/* IS_ENABLED(): 1 for an option defined as 1, else 0; also outside #if. */
#define __unit_sel_1 unit,
#define __unit_second(skip, val, ...) val
#define __unit_pick(maybe) __unit_second(maybe 1, 0)
#define __unit_paste(val) __unit_pick(__unit_sel_##val)
#define __unit_defined(val) __unit_paste(val)
#define IS_ENABLED(opt) __unit_defined(opt)
#define IS_BUILTIN(opt) IS_ENABLED(opt)
#define IS_REACHABLE(opt) IS_ENABLED(opt)

#endif
