/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hypercalls: one that is being answered, and who answers it.
 *
 * A handler returns whether it has answered, with the result in the call. If not it
 * has changed nothing, and the VMM gets the call.
 */
#ifndef __KVM_XEN_HYPERCALL_H__
#define __KVM_XEN_HYPERCALL_H__

#include "state.h"

#define XEN_HCALL_ARGS		6

/**
 * struct xen_hcall - a hypercall
 * @nr: __HYPERVISOR_*
 * @arg: its arguments
 * @wide: from 64-bit code
 * @probe: only find out whether it would be answered here
 * @result: what the guest gets
 */
struct xen_hcall {
	u64 nr;
	u64 arg[XEN_HCALL_ARGS];
	bool wide;
	bool probe;
	long result;
};

/* Has the VMM left these calls to us? */
static inline bool xen_accel(struct kvm_vcpu *vcpu, u32 what)
{
	return READ_ONCE(xen_vm(vcpu->kvm)->accel) & what;
}

int xen_read_arg(struct kvm_vcpu *vcpu, u64 gva, void *data, u32 len);
int xen_write_arg(struct kvm_vcpu *vcpu, u64 gva, void *data, u32 len);
struct kvm_vcpu *xen_vcpu_by_xen_id(struct kvm *kvm, u32 id);

/* evtchn_ops.c */
bool xen_evtchn_op(struct kvm_vcpu *vcpu, struct xen_hcall *h);

/* version.c */
bool xen_version_op(struct kvm_vcpu *vcpu, struct xen_hcall *h);

/* poll.c */
long xen_sched_poll(struct kvm_vcpu *vcpu, bool wide, u64 arg);
long xen_sched_block(struct kvm_vcpu *vcpu);

#endif
