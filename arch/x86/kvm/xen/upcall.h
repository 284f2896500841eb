/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_UPCALL_H__
#define __KVM_XEN_UPCALL_H__

#include <pfncache/gpc_live.h>

#include "events.h"

int xen_upcall_set_vector(struct kvm *kvm, u8 vector);
u8 xen_upcall_vector(struct kvm *kvm);
bool xen_tell_parked(struct kvm_vcpu *vcpu);

/**
 * xen_wait_for_tellers - wait for others who are telling a guest of what was parked
 * @ev: the VM's
 *
 * For who has found nothing parked, and says that all is in the guest's memory: it may
 * have been taken, and be on its way.
 *
 * Context: interrupts on. Does not sleep.
 */
static inline void xen_wait_for_tellers(struct xen_events *ev)
{
	/* Pairs with smp_mb__after_atomic() in xen_tell_parked(): parked, then telling. */
	smp_rmb();
	/* Who takes something reads caches until it is there. */
	if (unlikely(atomic_read_acquire(&ev->telling)))
		kvm_gpc_quiesce(ev->kvm);
}

#endif
