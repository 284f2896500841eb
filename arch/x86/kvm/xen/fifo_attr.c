// SPDX-License-Identifier: GPL-2.0
/*
 * The FIFO ABI turned on and off, and the VMM's attributes of it: where the guest's pages
 * are, what is to be saved.
 */
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include <pfncache/gpc_live.h>

#include "fifo.h"
#include "fifo_state.h"
#include "poll.h"
#include "uapi.h"
#include "vm.h"

/* How often a tail is tried that somebody sends on. */
#define XEN_FIFO_TAIL_TRIES	8

/**
 * xen_fifo_max_port - ports that there may be records of
 * @kvm: the VM
 *
 * Context: any.
 */
u32 xen_fifo_max_port(struct kvm *kvm)
{
	struct xen_fifo *f = xen_fifo(kvm);

	return f ? max_t(u32, f->nr_ports, XEN_PORTS) : XEN_PORTS;
}

/**
 * xen_fifo_route - where it is said where a port leads
 * @kvm: the VM
 * @port: from %XEN_PORTS on, and below xen_fifo_max_port()
 *
 * Context: any.
 */
struct xen_port __rcu **xen_fifo_route(struct kvm *kvm, u32 port)
{
	struct xen_fifo *f = xen_fifo(kvm);

	return &f->routes[array_index_nospec(port - XEN_PORTS,
					     f->nr_ports - XEN_PORTS)];
}

static void xen_fifo_destroy(struct xen_fifo *f)
{
	kvfree(f->pages);
	kvfree(f->ports);
	kvfree(f->latched);
	kvfree(f->routes);
	kvfree(f);
}

static int xen_fifo_make(struct kvm *kvm, u32 nr_ports)
{
	struct xen_events *ev = xen_events(kvm);
	struct xen_fifo *f;
	u32 i;

	f = kvzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;

	f->nr_ports = nr_ports;
	f->nr_pages = DIV_ROUND_UP(nr_ports, XEN_FIFO_WORDS);
	f->pages = kvcalloc(f->nr_pages, sizeof(*f->pages), GFP_KERNEL_ACCOUNT);
	f->ports = kvcalloc(nr_ports, sizeof(*f->ports), GFP_KERNEL_ACCOUNT);
	f->latched = kvcalloc(BITS_TO_LONGS(nr_ports), sizeof(long),
			      GFP_KERNEL_ACCOUNT);
	if (nr_ports > XEN_PORTS)
		f->routes = kvcalloc(nr_ports - XEN_PORTS, sizeof(*f->routes),
				     GFP_KERNEL_ACCOUNT);
	if (!f->pages || !f->ports || !f->latched ||
	    (nr_ports > XEN_PORTS && !f->routes)) {
		xen_fifo_destroy(f);
		return -ENOMEM;
	}

	for (i = 0; i < XEN_FIFO_LOCKS; i++)
		raw_spin_lock_init(&f->lock[i]);
	for (i = 0; i < f->nr_pages; i++)
		kvm_gpc_init_live(&f->pages[i], kvm);

	/* Pairs with smp_load_acquire() in xen_fifo(). */
	smp_store_release(&ev->fifo, f);

	return 0;
}

/*
 * From here on events are of the FIFO ABI. When this returns no sender is inside
 * shared_info any more, so the VMM finds there all that was sent before.
 */
static int xen_fifo_begin(struct kvm *kvm, u64 nr_ports)
{
	struct xen_fifo *f = xen_fifo(kvm);
	int r;

	if (nr_ports < 2 || nr_ports > EVTCHN_FIFO_NR_CHANNELS)
		return -EINVAL;
	if (f && f->nr_ports != nr_ports)
		return -EBUSY;

	r = f ? 0 : xen_fifo_make(kvm, nr_ports);
	if (r)
		return r;

	/* Pairs with smp_load_acquire() in xen_fifo_ports(). */
	smp_store_release(&xen_vm(kvm)->fifo_ports, (u32)nr_ports);
	kvm_gpc_quiesce(kvm);
	xen_events_adopt(kvm);
	xen_events_retry(kvm);
	xen_poll_wake_all(kvm);

	return 0;
}

/**
 * xen_fifo_end - go back to the 2-level ABI
 * @kvm: the VM
 *
 * What is latched is forgotten, and where the guest's structures are.
 *
 * Context: may sleep; xen_vm.lock held.
 */
void xen_fifo_end(struct kvm *kvm)
{
	struct xen_fifo *f = xen_fifo(kvm);
	struct xen_fifo_vcpu *fv;
	u32 i;

	if (!xen_fifo_ports(kvm))
		return;

	WRITE_ONCE(xen_vm(kvm)->fifo_ports, 0);
	kvm_gpc_quiesce(kvm);

	for (i = 0; i < f->nr_pages; i++)
		kvm_gpc_deactivate(&f->pages[i]);
	for (i = 0; i < KVM_MAX_VCPUS; i++) {
		fv = f->vcpus[i];
		if (!fv)
			continue;
		kvm_gpc_deactivate(&fv->control);
		WRITE_ONCE(fv->open, false);
	}
	for (i = 0; i < f->nr_ports; i++)
		WRITE_ONCE(f->ports[i].aim, 0);
	for (i = 0; i < BITS_TO_LONGS(f->nr_ports); i++)
		xchg(&f->latched[i], 0);
	xen_poll_wake_all(kvm);
}

/**
 * xen_fifo_free - the VM is gone, and all who could send to it
 * @kvm: the VM
 *
 * Context: may sleep.
 */
void xen_fifo_free(struct kvm *kvm)
{
	struct xen_fifo *f = xen_fifo(kvm);
	u32 i;

	if (!f)
		return;

	xen_fifo_end(kvm);
	xen_events(kvm)->fifo = NULL;
	for (i = 0; i < KVM_MAX_VCPUS; i++)
		kfree(f->vcpus[i]);
	xen_fifo_destroy(f);
}

static int xen_fifo_set_page(struct kvm *kvm, u64 nr, u64 gfn)
{
	struct xen_fifo *f = xen_fifo(kvm);
	gpa_t gpa = INVALID_GPA;
	int r, idx;

	if (!xen_fifo_ports(kvm) || nr >= f->nr_pages)
		return -EINVAL;
	if (gfn != KVM_XEN_INVALID_GFN) {
		if (gfn > INVALID_GPA >> PAGE_SHIFT)
			return -EINVAL;
		gpa = gfn_to_gpa(gfn);
	}

	nr = array_index_nospec(nr, f->nr_pages);
	idx = srcu_read_lock(&kvm->srcu);
	r = xen_gpc_set(&f->pages[nr], gpa, 0, PAGE_SIZE);
	srcu_read_unlock(&kvm->srcu, idx);

	xen_events_retry(kvm);
	xen_poll_wake_all(kvm);

	return r;
}

/* Where a port's last event was for, as it was in the VM that was saved. */
static int xen_fifo_set_aim(struct kvm *kvm, const u64 *pad)
{
	u32 nr = xen_fifo_ports(kvm);

	if (!pad[0] || pad[0] >= nr || pad[1] >= KVM_MAX_VCPU_IDS ||
	    pad[2] >= XEN_FIFO_QUEUES)
		return -EINVAL;

	xen_fifo_aim(xen_fifo(kvm), array_index_nospec(pad[0], nr), pad[1], pad[2]);

	return 0;
}

/**
 * xen_fifo_set_attr - KVM_XEN_ATTR_TYPE_X_FIFO, _X_FIFO_PAGE and _X_FIFO_AIM
 * @kvm: the VM
 * @data: the attribute
 *
 * Context: may sleep; xen_vm.lock held, xen_events_make() done.
 * Return: 0; -ENOENT another attribute, or one that is only read; else
 *	docs/xen-abi.rst.
 */
int xen_fifo_set_attr(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	switch (data->type) {
	case KVM_XEN_ATTR_TYPE_X_FIFO:
		if (data->u.pad[0])
			return xen_fifo_begin(kvm, data->u.pad[0]);
		/* Nor are events that somebody has in hand for shared_info. */
		if (xen_fifo_ports(kvm))
			xen_events_reset(kvm);
		return 0;
	case KVM_XEN_ATTR_TYPE_X_FIFO_PAGE:
		return xen_fifo_set_page(kvm, data->u.pad[0], data->u.pad[1]);
	case KVM_XEN_ATTR_TYPE_X_FIFO_AIM:
		return xen_fifo_set_aim(kvm, data->u.pad);
	default:
		return -ENOENT;
	}
}

static int xen_fifo_get_page(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	struct xen_fifo *f = xen_fifo(kvm);
	u64 nr = data->u.pad[0];
	unsigned long hva;
	gpa_t gpa;

	if (!xen_fifo_ports(kvm) || nr >= f->nr_pages)
		return -EINVAL;

	data->u.pad[1] = KVM_XEN_INVALID_GFN;
	nr = array_index_nospec(nr, f->nr_pages);
	if (xen_gpc_where(&f->pages[nr], &gpa, &hva))
		data->u.pad[1] = gpa_to_gfn(gpa);

	return 0;
}

static void xen_fifo_tell_aim(u64 *pad, u32 port, u32 aim)
{
	pad[0] = port;
	pad[1] = aim & (BIT(XEN_FIFO_AIM_PRIORITY) - 1);
	pad[2] = xen_fifo_aimed_priority(aim);
}

static int xen_fifo_get_latched(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	struct xen_fifo *f = xen_fifo(kvm);
	u32 nr = xen_fifo_ports(kvm);
	u64 port = data->u.pad[0];
	u32 aim;

	for (; port < nr; port++) {
		port = find_next_bit(f->latched, nr, port);
		if (port >= nr)
			break;
		aim = READ_ONCE(f->ports[array_index_nospec(port, nr)].aim);
		/* One that was closed while somebody had it in hand is forgotten. */
		if (aim) {
			xen_fifo_tell_aim(data->u.pad, port, aim);
			return 0;
		}
	}

	return -ENOENT;
}

static int xen_fifo_get_aim(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	struct xen_fifo *f = xen_fifo(kvm);
	u32 nr = xen_fifo_ports(kvm), aim;
	u64 port;

	if (!nr)
		return -EINVAL;

	for (port = data->u.pad[0]; port < nr; port++) {
		aim = READ_ONCE(f->ports[array_index_nospec(port, nr)].aim);
		if (aim) {
			xen_fifo_tell_aim(data->u.pad, port, aim);
			return 0;
		}
	}

	return -ENOENT;
}

/**
 * xen_fifo_get_attr - KVM_XEN_ATTR_TYPE_X_FIFO, _X_FIFO_PAGE, _X_FIFO_LATCHED, _X_FIFO_AIM
 * @kvm: the VM
 * @data: the attribute, filled in
 *
 * Context: may sleep; xen_vm.lock held.
 * Return: 0; -ENOENT another attribute, nothing latched, or no event yet; else
 *	docs/xen-abi.rst.
 */
int xen_fifo_get_attr(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	switch (data->type) {
	case KVM_XEN_ATTR_TYPE_X_FIFO:
		data->u.pad[0] = xen_fifo_ports(kvm);
		return 0;
	case KVM_XEN_ATTR_TYPE_X_FIFO_PAGE:
		return xen_fifo_get_page(kvm, data);
	case KVM_XEN_ATTR_TYPE_X_FIFO_LATCHED:
		return xen_fifo_get_latched(kvm, data);
	case KVM_XEN_ATTR_TYPE_X_FIFO_AIM:
		return xen_fifo_get_aim(kvm, data);
	default:
		return -ENOENT;
	}
}

/* xen_vm.lock is held. */
static struct xen_fifo_vcpu *xen_fifo_make_vcpu(struct kvm_vcpu *vcpu)
{
	struct xen_fifo *f = xen_fifo(vcpu->kvm);
	struct xen_fifo_vcpu *fv = f->vcpus[vcpu->vcpu_idx];

	if (fv)
		return fv;

	fv = kzalloc(sizeof(*fv), GFP_KERNEL_ACCOUNT);
	if (!fv)
		return NULL;

	kvm_gpc_init_live(&fv->control, vcpu->kvm);
	/* Pairs with smp_load_acquire() in xen_fifo_vcpu(). */
	smp_store_release(&f->vcpus[vcpu->vcpu_idx], fv);

	return fv;
}

/*
 * A control block is that of empty queues. Until all is in place, senders latch. If
 * it cannot be set, the old one goes on as it was.
 */
static int xen_fifo_set_control(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct xen_fifo_vcpu *fv;
	u32 priority;
	int r;

	if (gpa != INVALID_GPA && !IS_ALIGNED(gpa, sizeof(u64)))
		return -EINVAL;
	fv = xen_fifo_make_vcpu(vcpu);
	if (!fv)
		return -ENOMEM;

	WRITE_ONCE(fv->open, false);
	kvm_gpc_quiesce(vcpu->kvm);
	r = xen_gpc_set(&fv->control, gpa, 0,
			sizeof(struct evtchn_fifo_control_block));
	for (priority = 0; !r && priority < XEN_FIFO_QUEUES; priority++)
		r = xen_fifo_set_tail(vcpu, priority, 0);
	/* Pairs with smp_load_acquire() in xen_fifo_queue(). */
	smp_store_release(&fv->open, true);

	xen_fifo_announce(vcpu->kvm);
	xen_events_retry(vcpu->kvm);

	return r;
}

static int xen_fifo_set_tails(struct kvm_vcpu *vcpu, const u32 *tails)
{
	u32 i, nr = xen_fifo_ports(vcpu->kvm);
	int tries, r = 0;

	if (!xen_fifo(vcpu->kvm)->vcpus[vcpu->vcpu_idx])
		return -EINVAL;
	for (i = 0; i < XEN_FIFO_QUEUES; i++)
		if (tails[i] >= nr)
			return -EINVAL;

	for (i = 0; i < XEN_FIFO_QUEUES && !r; i++) {
		/* A sender may move the port meanwhile. */
		for (tries = 0, r = -EAGAIN;
		     r == -EAGAIN && tries < XEN_FIFO_TAIL_TRIES; tries++)
			r = xen_fifo_set_tail(vcpu, i,
					      array_index_nospec(tails[i], nr));
	}

	return r;
}

/**
 * xen_fifo_set_vcpu_attr - KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_CONTROL and _X_FIFO_TAILS
 * @vcpu: the vCPU
 * @data: the attribute
 *
 * Context: may sleep; vCPU mutex and kvm->srcu held.
 * Return: 0; -EINVAL; -EAGAIN a port is being sent meanwhile; -ENOMEM; else what
 *	kvm_gpc_activate() says.
 */
int xen_fifo_set_vcpu_attr(struct kvm_vcpu *vcpu,
			   struct kvm_xen_vcpu_attr *data)
{
	struct xen_vm *xv = xen_vm(vcpu->kvm);
	int r = -EINVAL;

	BUILD_BUG_ON(sizeof(data->u.pad) < XEN_FIFO_QUEUES * sizeof(u32));

	mutex_lock(&xv->lock);
	if (xen_fifo_ports(vcpu->kvm)) {
		if (data->type == KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_CONTROL)
			r = xen_fifo_set_control(vcpu, data->u.gpa);
		else
			r = xen_fifo_set_tails(vcpu, (u32 *)data->u.pad);
	}
	mutex_unlock(&xv->lock);

	return r;
}

/**
 * xen_fifo_get_vcpu_attr - KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_CONTROL and _X_FIFO_TAILS
 * @vcpu: the vCPU
 * @data: the attribute, filled in
 *
 * Context: may sleep; vCPU mutex held.
 * Return: 0; -EINVAL if the guest does not use the FIFO ABI.
 */
int xen_fifo_get_vcpu_attr(struct kvm_vcpu *vcpu,
			   struct kvm_xen_vcpu_attr *data)
{
	struct xen_vm *xv = xen_vm(vcpu->kvm);
	u32 i, *tails = (u32 *)data->u.pad;
	struct xen_fifo_vcpu *fv;
	unsigned long hva;
	int r = -EINVAL;
	gpa_t gpa;

	mutex_lock(&xv->lock);
	if (xen_fifo_ports(vcpu->kvm)) {
		r = 0;
		memset(&data->u, 0, sizeof(data->u));
		fv = xen_fifo(vcpu->kvm)->vcpus[vcpu->vcpu_idx];
		if (data->type == KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_CONTROL) {
			data->u.gpa = KVM_XEN_INVALID_GPA;
			if (fv && xen_gpc_where(&fv->control, &gpa, &hva))
				data->u.gpa = gpa;
		} else {
			for (i = 0; fv && i < XEN_FIFO_QUEUES; i++)
				tails[i] = READ_ONCE(fv->tail[i]);
		}
	}
	mutex_unlock(&xv->lock);

	return r;
}
