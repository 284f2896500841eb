/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_TIME_H__
#define __KVM_XEN_TIME_H__

#include <linux/hrtimer.h>

#include "state.h"

u64 xen_clock_note(struct kvm_vcpu *vcpu, struct xen_clock *clock, ktime_t *mono);
u64 xen_guest_time(struct kvm_vcpu *vcpu);
bool xen_guest_time_to_ktime(struct kvm_vcpu *vcpu, struct xen_clock *clock,
			     u64 time, ktime_t *expires);
ktime_t xen_time_ahead(ktime_t now, u64 ns);
bool xen_clock_tell(struct kvm *kvm, const struct xen_clock *clock, u64 *now);
u64 xen_clock_read(struct kvm *kvm, const struct xen_clock *clock);
bool xen_timer_too_early(struct hrtimer *timer, struct kvm *kvm,
			 const struct xen_clock *clock, u64 time);
void xen_wall_clock_set(struct kvm *kvm);
bool xen_wall_clock_flush(struct kvm *kvm);

#endif
