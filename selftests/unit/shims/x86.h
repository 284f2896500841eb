/* SPDX-License-Identifier: GPL-2.0 */
/* custom: as much of arch/x86/kvm/x86.h as Xen's files need; see rig/vcpu.c */
#ifndef _UNIT_SHIM_X86_H
#define _UNIT_SHIM_X86_H

#include <linux/kvm_host.h>

extern bool eager_page_split;
extern u64 unit_tsc;
#define rdtsc()				unit_tsc
#define kvm_read_l1_tsc(vcpu, tsc)	(tsc)

u64 get_kvmclock_ns(struct kvm *kvm);
bool kvm_get_monotonic_and_clockread(s64 *ns, u64 *tsc);

#endif
