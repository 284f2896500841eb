/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The FIFO event channel ABI, which a VMM turns on for a guest that asks for it.
 */
#ifndef __KVM_XEN_FIFO_H__
#define __KVM_XEN_FIFO_H__

#include "state.h"

struct xen_port;

/**
 * struct xen_fifo_sent - what is left to do for an event, with interrupts on
 * @fresh: it was not pending before: who polls the port is to be woken
 * @tell: the vCPU does not know of the queue that it is in
 * @latch: it is unmasked and in no queue, and for xen_fifo_relatch()
 */
struct xen_fifo_sent {
	bool fresh;
	bool tell;
	bool latch;
};

/* Ports of the FIFO ABI, 0 while the guest uses the 2-level one. */
static inline u32 xen_fifo_ports(struct kvm *kvm)
{
	/* Pairs with smp_store_release() in xen_fifo_begin(). */
	return smp_load_acquire(&xen_vm(kvm)->fifo_ports);
}

/* Called within kvm_gpc_read_begin(). */
int xen_fifo_raise(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 port,
		   u32 priority, struct xen_fifo_sent *sent);
int xen_fifo_unmask(struct kvm *kvm, struct kvm_vcpu **vcpu, u32 port,
		    struct xen_fifo_sent *sent);
int xen_fifo_pending(struct kvm *kvm, u32 port);

bool xen_fifo_knows(struct kvm *kvm, u32 port);

/* fifo_latch.c */
bool xen_fifo_latch(struct kvm *kvm, u32 vcpu_id, u32 port, u32 priority);
void xen_fifo_relatch(struct kvm *kvm, u32 port);
void xen_fifo_forget(struct kvm *kvm, u32 port);
void xen_fifo_announce(struct kvm *kvm);
void xen_fifo_flush(struct kvm *kvm);
bool xen_fifo_waiting(struct kvm *kvm);
int xen_fifo_refresh_word(struct kvm *kvm, u32 port);
int xen_fifo_refresh(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 port,
		     u32 priority);

/* fifo_attr.c */
struct xen_port __rcu **xen_fifo_route(struct kvm *kvm, u32 port);
u32 xen_fifo_max_port(struct kvm *kvm);

int xen_fifo_set_attr(struct kvm *kvm, struct kvm_xen_hvm_attr *data);
int xen_fifo_get_attr(struct kvm *kvm, struct kvm_xen_hvm_attr *data);
int xen_fifo_set_vcpu_attr(struct kvm_vcpu *vcpu,
			   struct kvm_xen_vcpu_attr *data);
int xen_fifo_get_vcpu_attr(struct kvm_vcpu *vcpu,
			   struct kvm_xen_vcpu_attr *data);
void xen_fifo_end(struct kvm *kvm);
void xen_fifo_free(struct kvm *kvm);

#endif
