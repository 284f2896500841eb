/* SPDX-License-Identifier: GPL-2.0 */
/* custom: a kernel thread borrows an address space */
#ifndef _UNIT_SHIM_LINUX_MMU_CONTEXT_H
#define _UNIT_SHIM_LINUX_MMU_CONTEXT_H

#include <linux/bug.h>
#include <linux/sched.h>
#define kthread_use_mm(m) \
	do { WARN_ON(!(current->flags & PF_KTHREAD) || current->mm); \
	     current->mm = (m); } while (0)
#define kthread_unuse_mm(m) \
	do { WARN_ON(current->mm != (m)); current->mm = NULL; } while (0)

#endif
