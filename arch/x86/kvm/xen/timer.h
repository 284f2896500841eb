/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_TIMER_H__
#define __KVM_XEN_TIMER_H__

#include "state.h"

int xen_timers_make(struct kvm_vcpu *vcpu);
void xen_timers_stop(struct kvm_vcpu *vcpu);
void xen_timers_destroy(struct kvm_vcpu *vcpu);
void xen_timer_start(struct kvm_vcpu *vcpu, u64 expires);
void xen_timer_stop(struct kvm_vcpu *vcpu);
void xen_timers_hold(struct kvm_vcpu *vcpu);
u64 xen_timer_get(struct kvm_vcpu *vcpu);
int xen_periodic_start(struct kvm_vcpu *vcpu, u64 period);
void xen_periodic_stop(struct kvm_vcpu *vcpu);
u64 xen_periodic_get(struct kvm_vcpu *vcpu);
int xen_periodic_set_tick(struct kvm_vcpu *vcpu, u64 tick);
u64 xen_periodic_get_tick(struct kvm_vcpu *vcpu);
void xen_timers_move(struct kvm_vcpu *vcpu);
void xen_clock_was_set(struct kvm *kvm);

#endif
