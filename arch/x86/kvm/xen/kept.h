/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ports that the VMM keeps, and what it has told of them.
 *
 * A port is one word, so whoever reads it has all of it, of one moment. Zero: nothing
 * is known.
 */
#ifndef __KVM_XEN_KEPT_H__
#define __KVM_XEN_KEPT_H__

#include <linux/bitfield.h>

#include "events.h"

#define XEN_KEPT_DETAIL		GENMASK_ULL(27, 0)	/* remote port, PIRQ, VIRQ */
#define XEN_KEPT_DOM		GENMASK_ULL(43, 28)	/* remote domain */
#define XEN_KEPT_VCPU		GENMASK_ULL(59, 44)	/* KVM's id of its vCPU */
#define XEN_KEPT_TYPE		GENMASK_ULL(62, 60)	/* EVTCHNSTAT_* */

static_assert(KVM_MAX_VCPU_IDS - 1 <= 0xffff);

/*
 * Any context; @port is below EVTCHN_FIFO_NR_CHANNELS. On the way of every event: for
 * VMs that keep no port one load and a branch.
 */
static inline u64 xen_kept(struct xen_events *ev, u32 port)
{
	/* Pairs with smp_store_release() in xen_kept_make(). */
	u64 *kept = smp_load_acquire(&ev->kept[port / XEN_PORTS]);

	return kept ? READ_ONCE(kept[port % XEN_PORTS]) : 0;
}

static inline struct kvm_vcpu *xen_kept_vcpu(struct kvm *kvm, u64 kept)
{
	return kvm_get_vcpu_by_id(kvm, FIELD_GET(XEN_KEPT_VCPU, kept));
}

int xen_kept_set(struct kvm *kvm, struct kvm_xen_hvm_attr *data);
int xen_kept_get(struct kvm *kvm, struct kvm_xen_hvm_attr *data);
u64 xen_kept_lookup(struct kvm *kvm, u32 port);
bool xen_kept_bind(struct kvm *kvm, u32 port, u32 vcpu_id, bool probe);
void xen_kept_reset(struct kvm *kvm);
void xen_kept_free(struct xen_events *ev);

#endif
