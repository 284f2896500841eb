// SPDX-License-Identifier: GPL-2.0
/*
 * Ports that the VMM keeps: bound to other domains, to PIRQs and VIRQs. It may tell
 * what each is and which vCPU's, and then a guest that asks, unmasks or moves one need
 * not ask it.
 *
 * From then on it is here that a port's vCPU is known: events for the port go to that
 * vCPU, whatever their sender says, since a sender knows only where the port was when
 * its route was made. Words change under xen_vm.lock, and without it when the guest
 * moves a port (xen_kept_bind()).
 */
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include <xen/interface/xen.h>
#include <xen/interface/event_channel.h>

#include "fifo.h"
#include "kept.h"
#include "uapi.h"

static_assert(sizeof(struct kvm_xen_x_port) <=
	      sizeof(((struct kvm_xen_hvm_attr *)NULL)->u));

/* xen_vm.lock is held. Nobody needs more of it than that it is there. */
static u64 *xen_kept_make(struct xen_events *ev, u32 port)
{
	u64 **at = &ev->kept[port / XEN_PORTS], *kept = *at;

	if (!kept) {
		kept = kvcalloc(XEN_PORTS, sizeof(*kept), GFP_KERNEL_ACCOUNT);
		/* Pairs with smp_load_acquire() in xen_kept(). */
		smp_store_release(at, kept);
	}

	return kept;
}

static int xen_kept_pack(struct kvm *kvm, const struct kvm_xen_x_port *p,
			 u64 *word)
{
	*word = 0;
	switch (p->type) {
	case EVTCHNSTAT_closed:
		return 0;
	case EVTCHNSTAT_unbound:
	case EVTCHNSTAT_interdomain:
	case EVTCHNSTAT_pirq:
	case EVTCHNSTAT_virq:
		break;
	default:
		/* An IPI is known by where it leads, KVM_XEN_ATTR_TYPE_EVTCHN. */
		return -EINVAL;
	}

	if (p->vcpu >= KVM_MAX_VCPU_IDS || !kvm_get_vcpu_by_id(kvm, p->vcpu) ||
	    !FIELD_FIT(XEN_KEPT_DOM, p->dom) ||
	    !FIELD_FIT(XEN_KEPT_DETAIL, p->detail))
		return -EINVAL;

	*word = FIELD_PREP(XEN_KEPT_TYPE, p->type) |
		FIELD_PREP(XEN_KEPT_VCPU, p->vcpu) |
		FIELD_PREP(XEN_KEPT_DOM, p->dom) |
		FIELD_PREP(XEN_KEPT_DETAIL, p->detail);

	return 0;
}

/**
 * xen_kept_set - KVM_XEN_ATTR_TYPE_X_PORT: what a port is, or that it is closed
 * @kvm: the VM
 * @data: the attribute
 *
 * Context: may sleep; xen_vm.lock held, xen_events_make() done.
 * Return: 0; -EINVAL for a port, a type or a vCPU that does not exist, or a field that
 *	is too large; -ENOMEM.
 */
int xen_kept_set(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	struct xen_events *ev = xen_events(kvm);
	struct kvm_xen_x_port p;
	u64 word, *kept;
	int r;

	memcpy(&p, &data->u, sizeof(p));
	if (!p.port || p.port >= xen_fifo_max_port(kvm))
		return -EINVAL;
	r = xen_kept_pack(kvm, &p, &word);
	if (r)
		return r;

	/* What is not there need not be closed. */
	kept = word ? xen_kept_make(ev, p.port) : ev->kept[p.port / XEN_PORTS];
	if (kept)
		WRITE_ONCE(kept[p.port % XEN_PORTS], word);
	if (!word)
		xen_event_forget(kvm, p.port);

	return kept || !word ? 0 : -ENOMEM;
}

/**
 * xen_kept_get - KVM_XEN_ATTR_TYPE_X_PORT: what a port is, and whose now
 * @kvm: the VM
 * @data: port says which; the rest is filled in
 *
 * Context: may sleep; xen_vm.lock held.
 * Return: 0, -ENOENT nothing is known of it, -EINVAL no such port.
 */
int xen_kept_get(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	struct xen_events *ev = xen_events(kvm);
	struct kvm_xen_x_port p;
	u64 word;

	memcpy(&p, &data->u, sizeof(p));
	if (!p.port || p.port >= xen_fifo_max_port(kvm))
		return -EINVAL;
	word = ev ? xen_kept(ev, p.port) : 0;
	if (!word)
		return -ENOENT;

	p.type = FIELD_GET(XEN_KEPT_TYPE, word);
	p.vcpu = FIELD_GET(XEN_KEPT_VCPU, word);
	p.dom = FIELD_GET(XEN_KEPT_DOM, word);
	p.detail = FIELD_GET(XEN_KEPT_DETAIL, word);
	memset(&data->u, 0, sizeof(data->u));
	memcpy(&data->u, &p, sizeof(p));

	return 0;
}

/**
 * xen_kept_lookup - what the VMM has told of a port
 * @kvm: the VM
 * @port: any number
 *
 * Context: any.
 * Return: its word, 0 if nothing is known.
 */
u64 xen_kept_lookup(struct kvm *kvm, u32 port)
{
	struct xen_events *ev = xen_events(kvm);

	if (!ev || port >= EVTCHN_FIFO_NR_CHANNELS)
		return 0;

	return xen_kept(ev, array_index_nospec(port, EVTCHN_FIFO_NR_CHANNELS));
}

/* Of the kinds of ports here those that Xen lets a guest move without more ado. */
static bool xen_kept_moves(u64 word)
{
	u32 type = FIELD_GET(XEN_KEPT_TYPE, word);

	return type == EVTCHNSTAT_unbound || type == EVTCHNSTAT_interdomain;
}

/**
 * xen_kept_bind - the guest binds a port to another vCPU
 * @kvm: the VM
 * @port: any number
 * @vcpu_id: KVM's id of the vCPU, which exists
 * @probe: only find out
 *
 * What is pending already is for the vCPU it was for, as in Xen.
 *
 * Context: any.
 * Return: whether it is done; if not, it is the VMM's to do.
 */
bool xen_kept_bind(struct kvm *kvm, u32 port, u32 vcpu_id, bool probe)
{
	u64 old = xen_kept_lookup(kvm, port), new;
	u64 *word;

	if (!xen_kept_moves(old) || probe)
		return xen_kept_moves(old);

	port = array_index_nospec(port, EVTCHN_FIFO_NR_CHANNELS);
	word = &xen_events(kvm)->kept[port / XEN_PORTS][port % XEN_PORTS];
	/* Only who has changed the word meanwhile makes us try again. */
	do {
		if (!xen_kept_moves(old))
			return false;
		new = (old & ~XEN_KEPT_VCPU) |
		      FIELD_PREP(XEN_KEPT_VCPU, vcpu_id);
		/* Full barrier: an event that is sent after this finds it. */
	} while (!try_cmpxchg(word, &old, new));

	return true;
}

/**
 * xen_kept_reset - all ports are closed
 * @kvm: the VM
 *
 * Context: xen_vm.lock held.
 */
void xen_kept_reset(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);
	u32 i, port;

	for (i = 0; ev && i < XEN_KEPT; i++)
		for (port = 0; ev->kept[i] && port < XEN_PORTS; port++)
			WRITE_ONCE(ev->kept[i][port], 0);
}

/**
 * xen_kept_free - a VM goes
 * @ev: its events, used by nobody any more
 *
 * Context: may sleep.
 */
void xen_kept_free(struct xen_events *ev)
{
	int i;

	for (i = 0; i < XEN_KEPT; i++)
		kvfree(ev->kept[i]);
}
