/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_TIME_H__
#define __KVM_XEN_TIME_H__

#include "state.h"

u64 xen_guest_time(struct kvm_vcpu *vcpu, ktime_t *mono);
bool xen_guest_time_to_ktime(struct kvm_vcpu *vcpu, u64 time, ktime_t *expires);
void xen_clock_note(struct kvm_vcpu *vcpu);
u64 xen_clock_read(struct kvm_vcpu *vcpu);
void xen_wall_clock_set(struct kvm *kvm);
bool xen_wall_clock_flush(struct kvm *kvm);

#endif
