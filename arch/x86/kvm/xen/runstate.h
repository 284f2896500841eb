/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_RUNSTATE_H__
#define __KVM_XEN_RUNSTATE_H__

#include "state.h"

int xen_runstate_set_area(struct kvm_vcpu *vcpu, gpa_t gpa);
int xen_runstate_set(struct kvm_vcpu *vcpu, u64 state, u64 entry,
		     const u64 times[4]);
int xen_runstate_adjust(struct kvm_vcpu *vcpu, u64 state, u64 entry,
			const u64 times[4]);
void xen_runstate_get(struct kvm_vcpu *vcpu, u64 *state, u64 *entry,
		      u64 times[4]);

#endif
