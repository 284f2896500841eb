// SPDX-License-Identifier: GPL-2.0
/*
 * Outbound event channels: where a port leads when the guest sends on it.
 *
 * The table is an array of pointers to records that never change: an update puts
 * a new record in the place of the old one, so a sender, under RCU, follows either
 * and never half of each. Records are freed after a grace period that nobody waits
 * for.
 */
#include <linux/eventfd.h>
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include <xen/interface/xen.h>
#include <xen/interface/event_channel.h>

#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "fifo.h"
#include "kept.h"
#include "ports.h"

/**
 * struct xen_port - where a port leads
 * @rcu: for freeing
 * @type: EVTCHNSTAT_ipi or EVTCHNSTAT_interdomain
 * @port: the guest's port that gets the event, 0 for @eventfd
 * @vcpu_id: the vCPU it is for
 * @vcpu_idx: that vCPU's index as last found, or -1. A hint
 * @priority: as the VMM has given it
 * @eventfd: who gets the event instead of the guest
 */
struct xen_port {
	struct rcu_head rcu;
	u32 type;
	u32 port;
	u32 vcpu_id;
	int vcpu_idx;
	u32 priority;
	struct eventfd_ctx *eventfd;
};

static void xen_port_free_rcu(struct rcu_head *rcu)
{
	struct xen_port *p = container_of(rcu, struct xen_port, rcu);

	if (p->eventfd)
		eventfd_ctx_put(p->eventfd);
	kfree(p);
}

/* Where a port's record is. The port is below xen_fifo_max_port(). */
static struct xen_port __rcu **xen_port_slot(struct kvm *kvm, u32 port)
{
	if (unlikely(port >= XEN_PORTS))
		return xen_fifo_route(kvm, port);

	return &xen_events(kvm)->ports[array_index_nospec(port, XEN_PORTS)];
}

/* The record of any number that a guest names, under RCU. Return: NULL for none. */
static struct xen_port *xen_port_find(struct kvm *kvm, u32 port)
{
	/* Port 0 has none, ever. */
	if (!xen_events(kvm) || port >= xen_max_port(kvm))
		return NULL;

	return rcu_dereference(*xen_port_slot(kvm, port));
}

/* xen_vm.lock is held, the port exists. Return: what was there. */
static struct xen_port *xen_port_get(struct kvm *kvm, u32 port)
{
	return rcu_dereference_protected(*xen_port_slot(kvm, port),
					 lockdep_is_held(&xen_vm(kvm)->lock));
}

static void xen_port_put(struct kvm *kvm, u32 port, struct xen_port *p)
{
	struct xen_port *old = xen_port_get(kvm, port);

	rcu_assign_pointer(*xen_port_slot(kvm, port), p);
	if (old)
		call_rcu(&old->rcu, xen_port_free_rcu);
}

static int xen_port_assign(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	u32 port = data->u.evtchn.send_port;
	u32 to = data->u.evtchn.deliver.port.port;
	struct eventfd_ctx *eventfd;
	struct xen_port *p;

	switch (data->u.evtchn.type) {
	case EVTCHNSTAT_ipi:
		/* An IPI comes back on the port it was sent on. */
		if (to != port)
			return -EINVAL;
		break;
	case EVTCHNSTAT_interdomain:
		if (to >= xen_max_port(kvm))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (to && !xen_priority_valid(kvm, data->u.evtchn.deliver.port.priority))
		return -EINVAL;

	if (xen_port_get(kvm, port))
		return -EEXIST;

	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return -ENOMEM;

	p->type = data->u.evtchn.type;
	p->port = to;
	p->vcpu_idx = -1;
	if (to) {
		p->vcpu_id = data->u.evtchn.deliver.port.vcpu;
		p->priority = data->u.evtchn.deliver.port.priority;
	} else {
		eventfd = eventfd_ctx_fdget(data->u.evtchn.deliver.eventfd.fd);
		if (IS_ERR(eventfd)) {
			kfree(p);
			return PTR_ERR(eventfd);
		}
		p->eventfd = eventfd;
	}
	xen_port_put(kvm, port, p);

	return 0;
}

/* Only vCPU and priority change: the rest is what the guest knows the port by. */
static int xen_port_update(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	u32 port = data->u.evtchn.send_port;
	struct xen_port *p, *old = xen_port_get(kvm, port);

	if (!old)
		return -ENOENT;
	if (old->type != data->u.evtchn.type || old->eventfd ||
	    old->port != data->u.evtchn.deliver.port.port ||
	    !xen_priority_valid(kvm, data->u.evtchn.deliver.port.priority))
		return -EINVAL;

	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return -ENOMEM;

	p->type = old->type;
	p->port = old->port;
	p->vcpu_id = data->u.evtchn.deliver.port.vcpu;
	p->vcpu_idx = -1;
	p->priority = data->u.evtchn.deliver.port.priority;
	xen_port_put(kvm, port, p);

	return 0;
}

static int xen_port_deassign(struct kvm *kvm, u32 port)
{
	struct xen_port *old = xen_port_get(kvm, port);
	u32 type;

	if (!old)
		return -ENOENT;

	type = old->type;
	xen_port_put(kvm, port, NULL);
	/* Of a port with another end it may be that which was closed. */
	if (type == EVTCHNSTAT_ipi)
		xen_event_forget(kvm, port);

	return 0;
}

/**
 * xen_ports_set - KVM_XEN_ATTR_TYPE_EVTCHN
 * @kvm: the VM
 * @data: the attribute
 *
 * After %KVM_XEN_EVTCHN_DEASSIGN an event that a vCPU was just sending may still
 * arrive.
 *
 * Context: may sleep; xen_vm.lock held, xen_events_make() done.
 * Return: 0; -ENOENT no such port; -EEXIST there is one; -EINVAL; -ENOMEM; what
 *	eventfd_ctx_fdget() says.
 */
int xen_ports_set(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	u32 port = data->u.evtchn.send_port;

	if (data->u.evtchn.flags == KVM_XEN_EVTCHN_RESET) {
		for (port = 0; port < xen_fifo_max_port(kvm); port++)
			xen_port_put(kvm, port, NULL);
		xen_kept_reset(kvm);
		xen_events_reset(kvm);
		return 0;
	}

	if (!port || port >= xen_max_port(kvm))
		return -EINVAL;

	switch (data->u.evtchn.flags) {
	case 0:
		return xen_port_assign(kvm, data);
	case KVM_XEN_EVTCHN_UPDATE:
		return xen_port_update(kvm, data);
	case KVM_XEN_EVTCHN_DEASSIGN:
		return xen_port_deassign(kvm, port);
	default:
		return -EINVAL;
	}
}

/**
 * xen_ports_destroy - forget all ports
 * @kvm: the VM, unused
 *
 * Context: may sleep.
 */
void xen_ports_destroy(struct kvm *kvm)
{
	u32 port;

	if (!xen_events(kvm))
		return;

	mutex_lock(&xen_vm(kvm)->lock);
	for (port = 0; port < xen_fifo_max_port(kvm); port++)
		xen_port_put(kvm, port, NULL);
	mutex_unlock(&xen_vm(kvm)->lock);

	/* The callbacks are this module's code. */
	rcu_barrier();
}

static struct kvm_vcpu *xen_port_vcpu(struct kvm *kvm, struct xen_port *p)
{
	struct kvm_vcpu *vcpu = xen_get_vcpu(kvm, READ_ONCE(p->vcpu_idx));

	if (!vcpu) {
		vcpu = kvm_get_vcpu_by_id(kvm, p->vcpu_id);
		/* Nobody but this record's id is ever found by it. */
		if (vcpu)
			WRITE_ONCE(p->vcpu_idx, vcpu->vcpu_idx);
	}

	return vcpu;
}

/**
 * xen_ports_send - EVTCHNOP_send
 * @vcpu: the calling vCPU
 * @port: any number
 *
 * Context: process context; does not sleep (but on PREEMPT_RT).
 * Return: 0 sent; -ENOENT the port is not known here, or leads nowhere.
 */
int xen_ports_send(struct kvm_vcpu *vcpu, u32 port)
{
	struct kvm *kvm = vcpu->kvm;
	struct xen_port *p;
	int r = -ENOENT;

	rcu_read_lock();
	p = xen_port_find(kvm, port);
	if (p && p->eventfd) {
		eventfd_signal(p->eventfd);
		r = 0;
	} else if (p) {
		r = xen_event_send(kvm, xen_port_vcpu(kvm, p), p->vcpu_id,
				   p->port, p->priority);
		r = r == -EINVAL ? -ENOENT : 0;
	}
	rcu_read_unlock();

	return r;
}

/**
 * xen_ports_known - does xen_ports_send() know a port?
 * @kvm: the VM
 * @port: any number
 *
 * Context: any.
 */
bool xen_ports_known(struct kvm *kvm, u32 port)
{
	bool known;

	rcu_read_lock();
	known = xen_port_find(kvm, port);
	rcu_read_unlock();

	return known;
}

/**
 * xen_ports_bound - the vCPU that a port of the guest is bound to
 * @kvm: the VM
 * @port: any number
 *
 * Context: any.
 * Return: NULL if it is not known here.
 */
struct kvm_vcpu *xen_ports_bound(struct kvm *kvm, u32 port)
{
	struct kvm_vcpu *vcpu = NULL;
	struct xen_port *p;

	rcu_read_lock();
	p = xen_port_find(kvm, port);
	/* Of other ports the table knows where they lead, not whose they are. */
	if (p && p->type == EVTCHNSTAT_ipi)
		vcpu = xen_port_vcpu(kvm, p);
	rcu_read_unlock();

	return vcpu;
}

/**
 * xen_ports_get - read where a port leads, KVM_XEN_ATTR_TYPE_X_EVTCHN
 * @kvm: the VM
 * @data: send_port says which; the rest is filled in, fd with -1
 *
 * Context: may sleep; xen_vm.lock held.
 * Return: 0, -ENOENT no such port, -EINVAL.
 */
int xen_ports_get(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	u32 port = data->u.evtchn.send_port;
	struct xen_port *p;

	if (!port || port >= xen_fifo_max_port(kvm))
		return -EINVAL;

	p = xen_events(kvm) ? xen_port_get(kvm, port) : NULL;
	if (!p)
		return -ENOENT;

	memset(&data->u, 0, sizeof(data->u));
	data->u.evtchn.send_port = port;
	data->u.evtchn.type = p->type;
	if (p->eventfd) {
		data->u.evtchn.deliver.eventfd.fd = -1;
	} else {
		data->u.evtchn.deliver.port.port = p->port;
		data->u.evtchn.deliver.port.vcpu = p->vcpu_id;
		data->u.evtchn.deliver.port.priority = p->priority;
	}

	return 0;
}
