// SPDX-License-Identifier: GPL-2.0
/*
 * Events of the FIFO ABI that could not be put into their queues: kept, and tried again
 * from where one may sleep and bring pages back.
 */
#include <linux/kvm_host.h>
#include <linux/nospec.h>

#include <pfncache/gpc_live.h>

#include "fifo.h"
#include "fifo_state.h"

/*
 * Without a control block it has no queues. The block's coming is announced, so an
 * event for it waits in the latch and is not looked at.
 */
static bool xen_fifo_has_queues(struct xen_fifo *f, struct kvm_vcpu *vcpu)
{
	struct xen_fifo_vcpu *fv = vcpu ? xen_fifo_vcpu(f, vcpu->vcpu_idx) : NULL;

	return fv && READ_ONCE(fv->control.active);
}

/**
 * xen_fifo_latch - keep an event until it can be put into its queue
 * @kvm: the VM
 * @vcpu_id: whom it is for
 * @port: a port there is
 * @priority: as for xen_fifo_raise()
 *
 * Context: any.
 * Return: whether somebody is to look for it.
 */
bool xen_fifo_latch(struct kvm *kvm, u32 vcpu_id, u32 port, u32 priority)
{
	struct xen_fifo *f = xen_fifo(kvm);
	bool kept;

	port = array_index_nospec(port, f->nr_ports);
	xen_fifo_aim(f, port, vcpu_id, xen_fifo_priority(priority));
	/* Full barriers: aim, port, page. Pairs with xen_fifo_flush(). */
	kept = test_and_set_bit(port, f->latched);
	/* One that waits for a vCPU without queues is news to another. */
	if (kept && !xen_fifo_has_queues(f, kvm_get_vcpu_by_id(kvm, vcpu_id)))
		return false;

	return !test_and_set_bit(port / XEN_FIFO_WORDS, f->latched_pages) ||
	       !kept;
}

/**
 * xen_fifo_relatch - keep an event whose vCPU and priority are known
 * @kvm: the VM
 * @port: a port there is
 *
 * Context: any.
 */
void xen_fifo_relatch(struct kvm *kvm, u32 port)
{
	struct xen_fifo *f = xen_fifo(kvm);

	set_bit(port, f->latched);
	/* Full barriers, as in xen_fifo_latch(). */
	set_bit(port / XEN_FIFO_WORDS, f->latched_pages);
}

/**
 * xen_fifo_announce - have everything that is latched looked at
 * @kvm: the VM, with the FIFO ABI
 *
 * For who has brought what some of it was waiting for.
 *
 * Context: any.
 */
void xen_fifo_announce(struct kvm *kvm)
{
	struct xen_fifo *f = xen_fifo(kvm);
	unsigned int word;

	/* Pairs with xen_fifo_keep(): the block, then its events are looked for. */
	smp_mb();
	for (word = 0; word < BITS_TO_LONGS(f->nr_ports); word++)
		if (READ_ONCE(f->latched[word]))
			set_bit(word * BITS_PER_LONG / XEN_FIFO_WORDS,
				f->latched_pages);
}

/* An event that was taken from the latch goes back to it. */
static void xen_fifo_keep(struct kvm *kvm, struct xen_fifo *f,
			  struct kvm_vcpu *vcpu, u32 port)
{
	if (xen_fifo_has_queues(f, vcpu)) {
		xen_fifo_relatch(kvm, port);
		return;
	}

	set_bit(port, f->latched);
	/* Pairs with xen_fifo_announce(): in the latch, then no block. */
	smp_mb__after_atomic();
	if (xen_fifo_has_queues(f, vcpu))
		set_bit(port / XEN_FIFO_WORDS, f->latched_pages);
}

/*
 * Has a port been closed since its event was kept for a vCPU, or sent to another? Of the
 * latter there is another event, in the latch or in its queue.
 */
static bool xen_fifo_stale(struct kvm_vcpu *vcpu, u32 port)
{
	u32 aim = READ_ONCE(xen_fifo(vcpu->kvm)->ports[port].aim);

	return xen_fifo_aimed_vcpu(vcpu->kvm, aim) != vcpu;
}

/**
 * xen_fifo_forget - forget what is kept of a port
 * @kvm: the VM
 * @port: any number
 *
 * Context: xen_vm.lock held; as xen_event_forget().
 */
void xen_fifo_forget(struct kvm *kvm, u32 port)
{
	struct xen_fifo *f = xen_fifo(kvm);
	u32 nr = xen_fifo_ports(kvm);

	if (port >= nr)
		return;

	port = array_index_nospec(port, nr);
	WRITE_ONCE(f->ports[port].aim, 0);
	clear_bit(port, f->latched);
}

/* @gone: the ports' page is not to be had now, for any of them. */
static void xen_fifo_flush_word(struct kvm *kvm, struct xen_fifo *f,
				unsigned int word, bool *gone)
{
	struct xen_events *ev = xen_events(kvm);
	unsigned int resets, bit;
	unsigned long ports = xen_latch_take(ev, &f->latched[word], &resets);
	struct gpc_read read;

	for_each_set_bit(bit, &ports, BITS_PER_LONG) {
		u32 port = word * BITS_PER_LONG + bit;
		u32 aim = READ_ONCE(f->ports[port].aim);
		struct kvm_vcpu *vcpu = xen_fifo_aimed_vcpu(kvm, aim);
		int why;

		/* A reset has come in between, or the port was closed. */
		if (!aim)
			continue;
		if (xen_fifo_has_queues(f, vcpu) && !*gone) {
			if (xen_event_deliver(kvm, vcpu, port,
					      xen_fifo_aimed_priority(aim),
					      resets, xen_fifo_stale,
					      &why) != -EWOULDBLOCK) {
				atomic_long_inc(&ev->stats.flushed);
				continue;
			}
			*gone = xen_fifo_refresh_word(kvm, port);
		}
		read = kvm_gpc_read_begin(kvm);
		if (xen_events_unless_reset(ev, resets) &&
		    READ_ONCE(f->ports[port].aim))
			xen_fifo_keep(kvm, f, vcpu, port);
		kvm_gpc_read_end(read);
	}
}

/**
 * xen_fifo_flush - put what is latched into its queues
 * @kvm: the VM
 *
 * What cannot be stays latched.
 *
 * Context: may sleep; kvm->srcu held.
 */
void xen_fifo_flush(struct kvm *kvm)
{
	unsigned int page, word, last;
	struct xen_fifo *f;

	/* First: there is something behind ports that there are. */
	if (!xen_fifo_ports(kvm))
		return;
	f = xen_fifo(kvm);

	for (page = 0; page < f->nr_pages; page++) {
		bool gone = false;

		/* Pairs with xen_fifo_latch(): what is announced is there. */
		if (!test_bit(page, f->latched_pages) ||
		    !test_and_clear_bit(page, f->latched_pages))
			continue;
		last = min_t(unsigned int, (page + 1) * XEN_FIFO_WORDS,
			     f->nr_ports) - 1;
		for (word = page * XEN_FIFO_WORDS / BITS_PER_LONG;
		     word <= last / BITS_PER_LONG; word++)
			if (READ_ONCE(f->latched[word]))
				xen_fifo_flush_word(kvm, f, word, &gone);
		cond_resched();
	}
}

/**
 * xen_fifo_waiting - is anything latched that can be delivered some time?
 * @kvm: the VM
 *
 * What waits for a page that the VMM has not set yet is told of it then.
 *
 * Context: any.
 */
bool xen_fifo_waiting(struct kvm *kvm)
{
	struct xen_fifo *f;
	unsigned int page;

	/* First, as above. */
	if (!xen_fifo_ports(kvm))
		return false;
	f = xen_fifo(kvm);

	for_each_set_bit(page, f->latched_pages, f->nr_pages)
		if (READ_ONCE(f->pages[page].active))
			return true;

	return false;
}

/**
 * xen_fifo_refresh_word - bring the page of a port's word back
 * @kvm: the VM
 * @port: any number
 *
 * Context: as kvm_gpc_refresh().
 * Return: as kvm_gpc_refresh(), and -EINVAL if there is no such port.
 */
int xen_fifo_refresh_word(struct kvm *kvm, u32 port)
{
	struct xen_fifo *f = xen_fifo(kvm);

	if (port >= f->nr_ports)
		return -EINVAL;
	port = array_index_nospec(port, f->nr_ports);

	return kvm_gpc_refresh(&f->pages[port / XEN_FIFO_WORDS], PAGE_SIZE);
}

/**
 * xen_fifo_refresh - bring everything back that an event needs
 * @kvm: the VM
 * @vcpu: the vCPU it is for
 * @port: a port there is
 * @priority: as for xen_fifo_raise()
 *
 * Context: as kvm_gpc_refresh().
 * Return: as kvm_gpc_refresh().
 */
int xen_fifo_refresh(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 port,
		     u32 priority)
{
	struct xen_fifo *f = xen_fifo(kvm);
	struct xen_fifo_vcpu *fv = xen_fifo_vcpu(f, vcpu->vcpu_idx);
	u32 tail;
	int r;

	r = xen_fifo_refresh_word(kvm, port);
	if (r)
		return r;
	if (!fv)
		return -EINVAL;
	r = kvm_gpc_refresh(&fv->control,
			    sizeof(struct evtchn_fifo_control_block));
	if (r)
		return r;

	tail = READ_ONCE(fv->tail[xen_fifo_priority(priority)]);

	return tail ? xen_fifo_refresh_word(kvm, tail) : 0;
}
