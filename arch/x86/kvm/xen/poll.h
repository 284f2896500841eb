/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_POLL_H__
#define __KVM_XEN_POLL_H__

#include "state.h"

void __xen_poll_wake(struct kvm *kvm, u32 port);
void xen_poll_wake_all(struct kvm *kvm);

/**
 * xen_poll_wake - wake who sleeps in SCHEDOP_poll for a port
 * @kvm: the VM
 * @port: its pending bit has just been set, by a locked operation
 *
 * Costs a load if nobody sleeps so.
 *
 * Context: any, hard interrupts included.
 */
static inline void xen_poll_wake(struct kvm *kvm, u32 port)
{
	/* Pairs with atomic_inc() in xen_poll_begin(). */
	if (unlikely(atomic_read(&xen_vm(kvm)->pollers)))
		__xen_poll_wake(kvm, port);
}

#endif
