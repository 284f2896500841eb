// SPDX-License-Identifier: GPL-2.0
/*
 * Events: from whoever raises one to the bits the guest looks at.
 *
 * Senders come from hard interrupts (timers, irqfds), from vCPUs and from ioctls,
 * and none of them waits for anybody. A sender goes over shared_info and vcpu_info
 * with interrupts off, without a lock (kvm_gpc_read_begin()). What it cannot reach, because
 * the page was taken away a moment ago, the memory slot is being moved or the VMM
 * has not set it yet, it leaves for others:
 *
 *   shared_info	the port is latched; the vCPU it is for, or a worker,
 *			delivers it from where the page can be brought back (latch.c)
 *   vcpu_info		the word is parked; its vCPU tells the guest, or, while it is
 *			with the VMM, the worker does (upcall.c)
 *
 * Of a guest that uses the FIFO ABI, which keeps its events elsewhere (fifo.c), the
 * port is latched there, and what is parked is no selector but the flag alone.
 *
 * Both are bits that are set before, and looked for after, the one that says that
 * there is something to look for (words, todo). So whoever takes the announcement
 * finds the event, and an event is nobody's for no moment.
 */
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "fifo.h"
#include "kept.h"
#include "poll.h"
#include "timer.h"
#include "two_level.h"
#include "upcall.h"

/* Refreshes for one event before it is left to the worker. */
#define XEN_REFRESHES		8

/**
 * xen_vcpu_wake - have a vCPU look at what is to be done for it
 * @vcpu: the vCPU
 * @todo: XEN_TODO_* or 0
 *
 * Context: any, hard interrupts included.
 */
void xen_vcpu_wake(struct kvm_vcpu *vcpu, unsigned long todo)
{
	unsigned long *word = &xen_vcpu(vcpu)->todo;

	/* Full barriers; pairs with xchg() in kvm_xen_inject_pending_events(). */
	if (todo & XEN_TODO_LATCH)
		set_bit(ilog2(XEN_TODO_LATCH), word);
	if (todo & XEN_TODO_SEL)
		set_bit(ilog2(XEN_TODO_SEL), word);
	if (todo & XEN_TODO_UPCALL)
		set_bit(ilog2(XEN_TODO_UPCALL), word);

	kvm_make_request(KVM_REQ_UNBLOCK, vcpu);
	/*
	 * Request before state. Pairs with the full barriers that come between a vCPU's
	 * saying that it sleeps, or is in the guest, and its looking for requests. Any
	 * other looks for them before it does either.
	 */
	smp_mb__after_atomic();
	if (kvm_vcpu_is_blocking(vcpu) || READ_ONCE(vcpu->mode) == IN_GUEST_MODE)
		kvm_vcpu_kick(vcpu);
}

/* The guest's flag is set: see to it that the guest does. */
static void xen_upcall(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	if (READ_ONCE(x->upcall_vector)) {
		kvm_xen_inject_vcpu_vector(vcpu);
		/* Pairs with smp_mb() in xen_block_look(): flag before poll_port. */
		smp_mb();
		if (likely(READ_ONCE(x->poll_port) != XEN_POLL_UPCALL))
			return;
	}

	xen_vcpu_wake(vcpu, 0);
}

enum xen_raised {
	XEN_KNOWN,	/* the vCPU has been told of this word and not looked yet */
	XEN_RAISED,	/* it has been told now */
	XEN_PARKED,	/* it will be, by itself */
};

/* Within kvm_gpc_read_begin(). */
static enum xen_raised xen_raise_sel(struct kvm_vcpu *vcpu, u32 port, bool wide)
{
	void *vi = kvm_gpc_live(&xen_vcpu(vcpu)->vcpu_info);

	if (!vi) {
		set_bit(port / XEN_PARKED_PORTS, xen_vcpu(vcpu)->parked);
		return XEN_PARKED;
	}

	return xen_2l_raise(vi, xen_2l_selector(port, wide), wide) ?
		XEN_RAISED : XEN_KNOWN;
}

/* The same where there are no selectors: a FIFO queue has become ready. */
static enum xen_raised xen_raise_flag(struct kvm_vcpu *vcpu)
{
	void *vi = kvm_gpc_live(&xen_vcpu(vcpu)->vcpu_info);

	if (!vi) {
		set_bit(0, xen_vcpu(vcpu)->parked);
		return XEN_PARKED;
	}
	xen_2l_set_upcall(vi);

	return XEN_RAISED;
}

static void xen_raised(struct kvm_vcpu *vcpu, enum xen_raised how)
{
	struct xen_events *ev;

	switch (how) {
	case XEN_KNOWN:
		break;
	case XEN_RAISED:
		xen_upcall(vcpu);
		break;
	case XEN_PARKED:
		ev = xen_events(vcpu->kvm);
		if (ev)
			atomic_long_inc(&ev->stats.parked);
		xen_vcpu_wake(vcpu, XEN_TODO_SEL);
		/* And if it does not come by: others may tell the guest. */
		if (READ_ONCE(vcpu->wants_to_run))
			xen_events_later(vcpu->kvm);
		else
			xen_events_retry(vcpu->kvm);
		break;
	}
}

/* As xen_event_raise(), whose section it ends, with the FIFO ABI. */
static noinline int xen_event_raise_fifo(struct kvm *kvm, struct kvm_vcpu *vcpu,
					 u32 port, u32 priority,
					 struct gpc_read read)
{
	enum xen_raised how = XEN_KNOWN;
	struct xen_fifo_sent sent = { };
	int r;

	r = xen_fifo_raise(kvm, vcpu, port, priority, &sent);
	if (sent.tell)
		how = xen_raise_flag(vcpu);
	kvm_gpc_read_end(read);

	xen_raised(vcpu, how);
	if (sent.fresh)
		xen_poll_wake(kvm, port);

	return r;
}

/*
 * Set a port's pending bit and go on from there. The vCPU must exist.
 *
 * Return: 1 delivered, as far as it is the sender's business; 0 coalesced;
 * -ENOTCONN masked; -EINVAL no such port; -EWOULDBLOCK shared_info cannot be
 * reached, nothing is done.
 */
static int xen_event_raise(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 port,
			   u32 priority)
{
	enum xen_raised how = XEN_KNOWN;
	struct gpc_read read;
	int r = -EWOULDBLOCK;
	void *shinfo;
	bool wide;

	read = kvm_gpc_read_begin(kvm);
	/* Here, so that who changes it can wait for us: kvm_gpc_quiesce(). */
	if (unlikely(xen_fifo_ports(kvm)))
		return xen_event_raise_fifo(kvm, vcpu, port, priority, read);
	shinfo = kvm_gpc_live(&xen_vm(kvm)->shinfo);
	if (!shinfo)
		goto out;

	/* Once, so that port, mask and selector are of one layout. */
	wide = READ_ONCE(xen_vm(kvm)->long_mode);
	if (port >= (wide ? XEN_PORTS : XEN_PORTS_COMPAT)) {
		r = -EINVAL;
	} else if (xen_2l_set_pending(shinfo, port)) {
		r = 0;
	} else if (xen_2l_masked(shinfo, port, wide)) {
		r = -ENOTCONN;
	} else {
		how = xen_raise_sel(vcpu, port, wide);
		r = 1;
	}
out:
	kvm_gpc_read_end(read);

	if (r == 1)
		xen_raised(vcpu, how);
	if (r == 1 || r == -ENOTCONN)
		xen_poll_wake(kvm, port);

	return r;
}

/* As xen_get_vcpu(), of one that nobody has asked for yet, or is none of the near ones. */
struct kvm_vcpu *__xen_get_vcpu(struct kvm *kvm, int idx)
{
	struct kvm_vcpu *vcpu = idx < 0 ? NULL : kvm_get_vcpu(kvm, idx);
	struct xen_events *ev = xen_events(kvm);

	if (vcpu && ev && idx < XEN_NEAR_VCPUS) {
		/* Pairs with smp_load_acquire() in xen_get_vcpu(): what is in it first. */
		smp_store_release(&ev->vcpus[idx], vcpu);
	}

	return vcpu;
}

/* Where ids are not indices, or there is no such vCPU. */
static noinline struct kvm_vcpu *xen_vcpu_search(struct kvm *kvm, u32 id)
{
	return kvm_get_vcpu_by_id(kvm, id);
}

/* The same as kvm_get_vcpu_by_id(), whose loop makes a frame of its caller's. */
static struct kvm_vcpu *xen_vcpu_by_id(struct kvm *kvm, u32 id)
{
	struct kvm_vcpu *vcpu = xen_get_vcpu(kvm, id);

	if (likely(vcpu && vcpu->vcpu_id == id))
		return vcpu;

	return xen_vcpu_search(kvm, id);
}

/* Whose event it is: of a port that the VMM keeps, what is known of that. */
static void xen_event_target(struct xen_events *ev, u32 port,
			     struct kvm_vcpu **vcpu, u32 *vcpu_id)
{
	u64 kept = 0;

	if (ev && port < EVTCHN_FIFO_NR_CHANNELS)
		kept = xen_kept(ev, array_index_nospec(port,
						       EVTCHN_FIFO_NR_CHANNELS));
	if (unlikely(kept)) {
		*vcpu_id = FIELD_GET(XEN_KEPT_VCPU, kept);
		*vcpu = xen_vcpu_by_id(ev->kvm, *vcpu_id);
	}
}

/**
 * xen_event_send - send an event
 * @kvm: the VM
 * @vcpu: the vCPU it is for, or NULL if it does not exist yet
 * @vcpu_id: KVM's id of that vCPU
 * @port: the guest's port; if the VMM keeps it, its vCPU is the one in the record
 * @priority: of the FIFO ABI, 0 to 15; anything else is its default
 *
 * Context: any, hard interrupts included; waits for nobody, but with the FIFO ABI for
 *	a raw lock of bounded length.
 * Return: 1 if the event is delivered or will be; 0 if it is coalesced with one
 *	the guest has not seen yet; -ENOTCONN if the guest has masked the port, in
 *	which case it is pending; -EINVAL if there is no such port.
 */
int xen_event_send(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 vcpu_id,
		   u32 port, u32 priority)
{
	struct xen_events *ev = xen_events(kvm);
	int r = -EWOULDBLOCK;

	xen_event_target(ev, port, &vcpu, &vcpu_id);
	if (vcpu)
		r = xen_event_raise(kvm, vcpu, port, priority);

	if (r == -EWOULDBLOCK && ev)
		r = xen_event_latch(ev, vcpu, vcpu_id, port, priority);

	return r;
}

/**
 * xen_event_unmask - EVTCHNOP_unmask
 * @kvm: the VM
 * @vcpu: the vCPU that the port is bound to, NULL if that is not known
 * @port: the port, valid
 *
 * Context: process context.
 * Return: 0 done; -EWOULDBLOCK nothing done, somebody else must.
 */
int xen_event_unmask(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 port)
{
	enum xen_raised how = XEN_KNOWN;
	struct xen_fifo_sent sent = { };
	struct gpc_read read;
	int r = -EWOULDBLOCK;
	void *shinfo;
	bool wide;

	read = kvm_gpc_read_begin(kvm);
	if (xen_fifo_ports(kvm)) {
		r = xen_fifo_unmask(kvm, &vcpu, port, &sent);
		if (sent.tell)
			how = xen_raise_flag(vcpu);
		goto out;
	}
	shinfo = kvm_gpc_live(&xen_vm(kvm)->shinfo);
	wide = READ_ONCE(xen_vm(kvm)->long_mode);
	if (!shinfo || port >= (wide ? XEN_PORTS : XEN_PORTS_COMPAT))
		goto out;
	port = array_index_nospec(port, XEN_PORTS);

	/* Without a vCPU to tell, only a port that is not pending will do. */
	if (!vcpu && xen_2l_pending(shinfo, port))
		goto out;

	r = 0;
	if (!xen_2l_clear_mask(shinfo, port, wide) ||
	    !xen_2l_pending(shinfo, port))
		goto out;

	if (vcpu) {
		how = xen_raise_sel(vcpu, port, wide);
	} else {
		/* An event came in between and found the mask still set. */
		xen_2l_set_mask(shinfo, port, wide);
		r = -EWOULDBLOCK;
	}
out:
	/* Here, so that who closes all ports waits for it. */
	if (sent.latch)
		xen_fifo_relatch(kvm, port);
	kvm_gpc_read_end(read);

	if (vcpu)
		xen_raised(vcpu, how);
	if (sent.latch)
		xen_event_latched(xen_events(kvm), vcpu);

	return r;
}

/**
 * xen_event_reach - bring back the page that a port's bits are in
 * @kvm: the VM
 * @port: any number
 *
 * Context: may sleep; kvm->srcu held.
 * Return: as kvm_gpc_refresh().
 */
int xen_event_reach(struct kvm *kvm, u32 port)
{
	if (xen_fifo_ports(kvm))
		return xen_fifo_refresh_word(kvm, port);

	return kvm_gpc_refresh(&xen_vm(kvm)->shinfo, PAGE_SIZE);
}

/**
 * xen_event_deliver - one event, from where one may sleep
 * @kvm: the VM
 * @vcpu: the vCPU it is for
 * @port: the guest's port
 * @priority: as for xen_event_send()
 * @resets: if they are not so many any more, it is forgotten
 * @stale: and if this is so, of an event that was kept; NULL for others
 * @why: what it needs and is not to be had, if so
 *
 * A page may be taken away again as fast as it is brought back; that is the VMM's
 * doing, and not waited out.
 *
 * Context: may sleep; kvm->srcu held.
 * Return: as xen_event_send(); -EWOULDBLOCK if it is not delivered; 0 if forgotten.
 */
int xen_event_deliver(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 port,
		      u32 priority, unsigned int resets,
		      bool (*stale)(struct kvm_vcpu *vcpu, u32 port), int *why)
{
	struct gpc_read read;
	int i, r;

	*why = -EFAULT;
	for (i = 0; i < XEN_REFRESHES; i++) {
		r = 0;
		read = kvm_gpc_read_begin(kvm);
		if (xen_events_unless_reset(xen_events(kvm), resets) &&
		    !(stale && stale(vcpu, port)))
			r = xen_event_raise(kvm, vcpu, port, priority);
		kvm_gpc_read_end(read);
		if (r != -EWOULDBLOCK)
			return r;

		if (xen_fifo_ports(kvm))
			r = xen_fifo_refresh(kvm, vcpu, port, priority);
		else
			r = kvm_gpc_refresh(&xen_vm(kvm)->shinfo, PAGE_SIZE);
		if (r) {
			*why = r;
			break;
		}
	}

	return -EWOULDBLOCK;
}

/**
 * kvm_xen_set_evtchn_fast - send an event from an irqfd
 * @xe: port and vCPU; vcpu_idx is a hint that is kept up to date
 * @kvm: the VM
 *
 * Context: any, hard interrupts included. kvm->irq_srcu held.
 * Return: as xen_event_send(); never -EWOULDBLOCK, so that there is never more
 *	for the irqfd to do.
 */
int kvm_xen_set_evtchn_fast(struct kvm_xen_evtchn *xe, struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = xen_get_vcpu(kvm, READ_ONCE(xe->vcpu_idx));

	if (!vcpu || vcpu->vcpu_id != xe->vcpu_id) {
		vcpu = xen_vcpu_search(kvm, xe->vcpu_id);
		if (vcpu)
			WRITE_ONCE(xe->vcpu_idx, vcpu->vcpu_idx);
	}

	return xen_event_send(kvm, vcpu, xe->vcpu_id, xe->port, xe->priority);
}

/* The same for kvm_set_irq(). There is no low level of an event. */
static int xen_evtchn_set_irq(struct kvm_kernel_irq_routing_entry *e,
			      struct kvm *kvm, int irq_source_id, int level,
			      bool line_status)
{
	return level ? kvm_xen_set_evtchn_fast(&e->xen_evtchn, kvm) : -EINVAL;
}

/**
 * kvm_xen_setup_evtchn - make a routing entry of type KVM_IRQ_ROUTING_XEN_EVTCHN
 * @kvm: the VM
 * @e: the entry
 * @asked: what the VMM asked for
 *
 * Neither port nor vCPU need exist yet: routes are restored in any order.
 *
 * Context: may sleep; kvm->irq_lock held.
 * Return: 0, -EINVAL for a priority that the ABI in use does not have, -ENOMEM.
 */
int kvm_xen_setup_evtchn(struct kvm *kvm,
			 struct kvm_kernel_irq_routing_entry *e,
			 const struct kvm_irq_routing_entry *asked)
{
	struct kvm_vcpu *vcpu;

	if (!xen_priority_valid(kvm, asked->u.xen_evtchn.priority))
		return -EINVAL;

	e->xen_evtchn.port = asked->u.xen_evtchn.port;
	e->xen_evtchn.vcpu_id = asked->u.xen_evtchn.vcpu;
	vcpu = kvm_get_vcpu_by_id(kvm, asked->u.xen_evtchn.vcpu);
	e->xen_evtchn.vcpu_idx = vcpu ? vcpu->vcpu_idx : -1;
	e->xen_evtchn.priority = asked->u.xen_evtchn.priority;
	e->set = xen_evtchn_set_irq;

	return xen_events_make(kvm);
}

/* An event of the VMM's for which something is to be brought back first. */
static noinline int xen_evtchn_send_slowly(struct xen_events *ev,
					   struct kvm_vcpu *vcpu, u32 vcpu_id,
					   u32 port, u32 priority)
{
	struct kvm *kvm = ev->kvm;
	int r, idx, why;

	idx = srcu_read_lock(&kvm->srcu);
	r = xen_event_deliver(kvm, vcpu, port, priority, READ_ONCE(ev->resets),
			      NULL, &why);
	srcu_read_unlock(&kvm->srcu, idx);
	if (r != -EWOULDBLOCK)
		return r;

	r = xen_event_latch(ev, vcpu, vcpu_id, port, priority);

	return r < 0 ? r : why;
}

/* A vCPU that is stopped may be saved as soon as the VMM has been answered. */
static noinline void xen_evtchn_tell(struct kvm_vcpu *vcpu)
{
	int idx = srcu_read_lock(&vcpu->kvm->srcu);

	xen_tell_parked(vcpu);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
}

/*
 * An event of the VMM's.
 *
 * Return: 0; -EINVAL for a port, a vCPU or a priority that does not exist; -ENOMEM;
 * what kvm_gpc_refresh() says of shared_info.
 */
static int xen_evtchn_send(struct kvm *kvm, u32 port, u32 vcpu_id, u32 priority)
{
	struct xen_events *ev = xen_events(kvm);
	struct kvm_vcpu *vcpu;
	int r;

	if (!port || port >= xen_max_port(kvm) ||
	    !xen_priority_valid(kvm, priority))
		return -EINVAL;

	vcpu = xen_vcpu_by_id(kvm, vcpu_id);
	if (!vcpu)
		return -EINVAL;

	if (unlikely(!ev)) {
		r = xen_events_make(kvm);
		if (r)
			return r;
		ev = xen_events(kvm);
	}

	xen_event_target(ev, port, &vcpu, &vcpu_id);
	/* At once, which is what nearly always happens; else by and by. */
	r = xen_event_raise(kvm, vcpu, port, priority);
	if (unlikely(r == -EWOULDBLOCK))
		r = xen_evtchn_send_slowly(ev, vcpu, vcpu_id, port, priority);
	if (!READ_ONCE(vcpu->wants_to_run)) {
		if (unlikely(xen_has_parked(xen_vcpu(vcpu))))
			xen_evtchn_tell(vcpu);
		xen_wait_for_tellers(ev);
	}

	/* Coalesced, masked. */
	return r >= 0 || r == -ENOTCONN ? 0 : r;
}

/**
 * kvm_xen_hvm_evtchn_send - KVM_XEN_HVM_EVTCHN_SEND, as the base would call it
 * @kvm: the VM
 * @evt: port, vCPU and priority
 *
 * The event is in shared_info when this returns 0, and if the vCPU does not run, in
 * its vcpu_info. An error of shared_info does not lose it: it is latched, and follows
 * when the page can be reached.
 *
 * Context: may sleep; ioctl of the VM.
 * Return: 0; -EINVAL for a port, a vCPU or a priority that does not exist; -ENOMEM;
 *	what kvm_gpc_refresh() says of shared_info.
 */
int kvm_xen_hvm_evtchn_send(struct kvm *kvm,
			    struct kvm_irq_routing_xen_evtchn *evt)
{
	return xen_evtchn_send(kvm, evt->port, evt->vcpu, evt->priority);
}

/* KVM_XEN_HVM_EVTCHN_SEND. */
static int xen_ioctl_send(struct kvm *kvm,
			  const struct kvm_irq_routing_xen_evtchn __user *evt)
{
	u32 port, vcpu_id, priority;

	if (!user_read_access_begin(evt, sizeof(*evt)))
		return -EFAULT;
	unsafe_get_user(port, &evt->port, fault);
	unsafe_get_user(vcpu_id, &evt->vcpu, fault);
	unsafe_get_user(priority, &evt->priority, fault);
	user_read_access_end();

	return xen_evtchn_send(kvm, port, vcpu_id, priority);
fault:
	user_read_access_end();

	return -EFAULT;
}

/**
 * kvm_xen_vm_ioctl - an ioctl of the VM that is the architecture's
 * @file: the VM's
 * @cmd: which one
 * @arg: its argument
 *
 * Stands in for kvm_arch_vm_ioctl() in kvm_main.c. Events do not go through there, as
 * its frame is for many ioctls: an event's way is no longer than that. And timers are
 * told when the clock has been set.
 *
 * Context: may sleep.
 * Return: what kvm_arch_vm_ioctl() says.
 */
int kvm_xen_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct kvm *kvm = file->private_data;
	int r;

	if (cmd == KVM_XEN_HVM_EVTCHN_SEND)
		return xen_ioctl_send(kvm, (void __user *)arg);

	r = kvm_arch_vm_ioctl(file, cmd, arg);
	if (cmd == KVM_SET_CLOCK && !r)
		xen_clock_was_set(kvm);

	return r;
}
