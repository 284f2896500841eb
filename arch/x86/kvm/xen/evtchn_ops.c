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
#include "hypercall.h"
#include "ports.h"
#include "uapi.h"

/* EVTCHNOP_status of a port that is known to be an IPI. */
static bool xen_evtchn_status(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct evtchn_status s;
	struct kvm_vcpu *bound;

	if (!xen_accel(vcpu, KVM_XEN_ACCEL_STATUS) ||
	    xen_read_arg(vcpu, h->arg[1], &s, sizeof(s)))
		return false;
	if (s.dom != DOMID_SELF)
		return false;

	bound = xen_ports_bound(vcpu->kvm, s.port);
	if (!bound || h->probe)
		return bound;

	s.status = EVTCHNSTAT_ipi;
	s.vcpu = xen_vcpu(bound)->vcpu_id;
	h->result = xen_write_arg(vcpu, h->arg[1], &s, sizeof(s));

	return true;
}

static bool xen_evtchn_unmask(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct evtchn_unmask u;
	struct kvm_vcpu *bound;
	int r;

	if (xen_read_arg(vcpu, h->arg[1], &u, sizeof(u)) || !u.port)
		return false;

	bound = xen_ports_bound(vcpu->kvm, u.port);
	/* The timer's port belongs to the vCPU that has set it. */
	if (!bound && u.port == xen_vcpu(vcpu)->timer_port)
		bound = vcpu;
	/* Of a port that is not known the VMM may know more. */
	if (!bound && !xen_accel(vcpu, KVM_XEN_ACCEL_UNMASK))
		return false;
	if (h->probe)
		return bound;

	h->result = 0;
	r = xen_event_unmask(vcpu->kvm, bound, u.port);
	/* Of several calls this may be one that is too late to be handed over. */
	if (r && bound && !kvm_gpc_refresh(&xen_vm(vcpu->kvm)->shinfo, PAGE_SIZE))
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
	default:
		return false;
	}
}
