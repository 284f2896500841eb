// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest asks of its event channels. Of a port that is known here (ports.c) or
 * that needs not be known; all else is the VMM's.
 */
#include <linux/kvm_host.h>

#include <xen/interface/xen.h>
#include <xen/interface/event_channel.h>

#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "fifo.h"
#include "hypercall.h"
#include "kept.h"
#include "ports.h"
#include "uapi.h"

/* Whose port is it? NULL: that is not known here. */
static struct kvm_vcpu *xen_evtchn_vcpu(struct kvm *kvm, u32 port)
{
	u64 kept = xen_kept_lookup(kvm, port);

	return kept ? xen_kept_vcpu(kvm, kept) : xen_ports_bound(kvm, port);
}

static void xen_evtchn_describe(struct evtchn_status *s, u64 kept)
{
	u32 detail = FIELD_GET(XEN_KEPT_DETAIL, kept);

	s->status = kept ? FIELD_GET(XEN_KEPT_TYPE, kept) : EVTCHNSTAT_ipi;
	switch (s->status) {
	case EVTCHNSTAT_unbound:
		s->u.unbound.dom = FIELD_GET(XEN_KEPT_DOM, kept);
		break;
	case EVTCHNSTAT_interdomain:
		s->u.interdomain.dom = FIELD_GET(XEN_KEPT_DOM, kept);
		s->u.interdomain.port = detail;
		break;
	case EVTCHNSTAT_pirq:
		s->u.pirq = detail;
		break;
	case EVTCHNSTAT_virq:
		s->u.virq = detail;
		break;
	}
}

/* EVTCHNOP_status of a port that is known: an IPI, or told by the VMM. */
static bool xen_evtchn_status(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct evtchn_status s;
	struct kvm_vcpu *bound;
	u64 kept;

	if (!xen_accel(vcpu, KVM_XEN_ACCEL_STATUS) ||
	    xen_read_arg(vcpu, h->arg[1], &s, sizeof(s)))
		return false;
	if (s.dom != DOMID_SELF)
		return false;

	kept = xen_kept_lookup(vcpu->kvm, s.port);
	bound = kept ? xen_kept_vcpu(vcpu->kvm, kept) :
		       xen_ports_bound(vcpu->kvm, s.port);
	if (!bound || h->probe)
		return bound;

	xen_evtchn_describe(&s, kept);
	s.vcpu = xen_vcpu(bound)->vcpu_id;
	h->result = xen_write_arg(vcpu, h->arg[1], &s, sizeof(s));

	return true;
}

/* Of ports that the VMM has told of; it can read what has become of them. */
static bool xen_evtchn_bind_vcpu(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct evtchn_bind_vcpu b;
	struct kvm_vcpu *to;

	if (!xen_accel(vcpu, KVM_XEN_ACCEL_BIND) ||
	    xen_read_arg(vcpu, h->arg[1], &b, sizeof(b)))
		return false;

	to = xen_vcpu_by_xen_id(vcpu->kvm, b.vcpu);
	h->result = 0;

	return to && xen_kept_bind(vcpu->kvm, b.port, to->vcpu_id, h->probe);
}

static bool xen_evtchn_unmask(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct evtchn_unmask u;
	struct kvm_vcpu *bound;
	bool known;
	int r;

	if (xen_read_arg(vcpu, h->arg[1], &u, sizeof(u)) || !u.port)
		return false;

	bound = xen_evtchn_vcpu(vcpu->kvm, u.port);
	/* The timer's port belongs to the vCPU that has set it. */
	if (!bound && u.port == xen_vcpu(vcpu)->timer_port)
		bound = vcpu;
	known = bound || xen_fifo_knows(vcpu->kvm, u.port);
	/* Of a port that is not known the VMM may know more. */
	if (!known && !xen_accel(vcpu, KVM_XEN_ACCEL_UNMASK))
		return false;
	if (h->probe)
		return known;

	h->result = 0;
	r = xen_event_unmask(vcpu->kvm, bound, u.port);
	/* Of several calls this may be one that is too late to be handed over. */
	if (r && known && !xen_event_reach(vcpu->kvm, u.port))
		r = xen_event_unmask(vcpu->kvm, bound, u.port);

	return !r;
}

/**
 * xen_evtchn_op - __HYPERVISOR_event_channel_op
 * @vcpu: the calling vCPU
 * @h: the call
 *
 * Context: vCPU task; kvm->srcu held; may sleep.
 * Return: whether it is answered.
 */
bool xen_evtchn_op(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct evtchn_send send;

	switch (h->arg[0]) {
	case EVTCHNOP_send:
		h->result = xen_read_arg(vcpu, h->arg[1], &send, sizeof(send));
		if (h->result)
			return true;
		if (h->probe)
			return xen_ports_known(vcpu->kvm, send.port);
		return !xen_ports_send(vcpu, send.port);
	case EVTCHNOP_unmask:
		return xen_evtchn_unmask(vcpu, h);
	case EVTCHNOP_status:
		return xen_evtchn_status(vcpu, h);
	case EVTCHNOP_bind_vcpu:
		return xen_evtchn_bind_vcpu(vcpu, h);
	default:
		return false;
	}
}
