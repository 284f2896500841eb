/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_PORTS_H__
#define __KVM_XEN_PORTS_H__

#include "state.h"

int xen_ports_set(struct kvm *kvm, struct kvm_xen_hvm_attr *data);
int xen_ports_get(struct kvm *kvm, struct kvm_xen_hvm_attr *data);
void xen_ports_destroy(struct kvm *kvm);
int xen_ports_send(struct kvm_vcpu *vcpu, u32 port);
bool xen_ports_known(struct kvm *kvm, u32 port);
struct kvm_vcpu *xen_ports_bound(struct kvm *kvm, u32 port);

#endif
