/* SPDX-License-Identifier: GPL-2.0 */
/* custom: as much of arch/x86/kvm/x86.h as Xen's files need; see rig/vcpu.c */
#ifndef _UNIT_SHIM_X86_H
#define _UNIT_SHIM_X86_H

#include <linux/kvm_host.h>

extern bool eager_page_split;
extern u64 unit_tsc;
#define rdtsc()				READ_ONCE(unit_tsc)
/* Ratios are whole numbers here, and 0 is one. */
#define kvm_scale_tsc(tsc, ratio)	((tsc) * ((ratio) ?: 1))
#define kvm_read_l1_tsc(vcpu, tsc) \
	(kvm_scale_tsc(tsc, (vcpu)->arch.l1_tsc_scaling_ratio) + \
	 (vcpu)->arch.l1_tsc_offset)

static inline bool kvm_check_has_quirk(struct kvm *kvm, u64 quirk)
{
	return !(READ_ONCE(kvm->arch.disabled_quirks) & quirk);
}

u64 get_kvmclock_ns(struct kvm *kvm);
u64 kvm_get_wall_clock_epoch(struct kvm *kvm);
bool kvm_get_monotonic_and_clockread(s64 *ns, u64 *tsc);

#endif
