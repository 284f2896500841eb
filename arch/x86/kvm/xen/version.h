/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_VERSION_H__
#define __KVM_XEN_VERSION_H__

#include "state.h"

struct xen_answers;

void xen_version_init(struct xen_answers *answers);
int xen_version_set(struct kvm *kvm, struct kvm_xen_hvm_attr *data);
int xen_version_get(struct kvm *kvm, struct kvm_xen_hvm_attr *data);
void xen_version_destroy(struct kvm *kvm);

#endif
