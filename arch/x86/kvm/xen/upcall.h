/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_UPCALL_H__
#define __KVM_XEN_UPCALL_H__

#include "state.h"

int xen_upcall_set_vector(struct kvm *kvm, u8 vector);
u8 xen_upcall_vector(struct kvm *kvm);
bool xen_tell_parked(struct kvm_vcpu *vcpu);
void xen_wait_for_tellers(struct kvm *kvm);

#endif
