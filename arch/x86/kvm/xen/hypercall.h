/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_HYPERCALL_H__
#define __KVM_XEN_HYPERCALL_H__

#include "state.h"

/* poll.c */
long xen_sched_poll(struct kvm_vcpu *vcpu, bool wide, u64 arg);
long xen_sched_block(struct kvm_vcpu *vcpu);

#endif
