// SPDX-License-Identifier: GPL-2.0
/*
 * The FIFO event channel ABI: 2^17 ports in queues, sixteen for each vCPU.
 *
 * An event is PENDING in its word of the event array. If it is not MASKED it is put
 * into the queue of its priority of its vCPU: LINKED, and named by the word of the
 * one before it, or by the vCPU's control block if the queue was empty. The guest
 * takes events from the heads and clears LINKED; where a queue ends only we know.
 * Source: Xen's public event_channel.h; "Event Channels: The FIFO ABI" (draft H) by
 * Xen's developers.
 *
 *	sender				guest
 *	sets PENDING			clears LINKED, takes the link
 *	looks at LINKED, MASKED		looks at PENDING, MASKED
 *
 * Each step is a locked operation, so one of the two sees the other.
 *
 * The tail of a queue, and the note of the queue that a port was last put into, are
 * written under the locks of both the old queue and the new one: a port that moves
 * is the tail of neither for no moment. Nothing in guest memory is believed: a tail
 * is a port that we have put there.
 *
 * What cannot be put into its queue, because a page is away or the guest goes on
 * changing a word, is latched like events of the 2-level ABI, and delivered later
 * (fifo_latch.c). It may be PENDING already, which is all that a later try needs to
 * know.
 */
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/spinlock.h>

#include <pfncache/gpc_live.h>

#include "fifo.h"
#include "fifo_state.h"

/* How often a port may move under a sender's eyes before the event is latched. */
#define XEN_FIFO_MOVES		3

/* Within kvm_gpc_read_begin(). Return: the word of a port, NULL if its page is away. */
static u32 *xen_fifo_word(struct xen_fifo *f, u32 port)
{
	u32 *page = kvm_gpc_live(&f->pages[port / XEN_FIFO_WORDS]);

	return page ? page + port % XEN_FIFO_WORDS : NULL;
}

static u32 xen_fifo_lock_of(u32 queue)
{
	return queue / XEN_FIFO_QUEUES % XEN_FIFO_LOCKS;
}

/* Two queues, perhaps of one lock. Interrupts are off. */
static void xen_fifo_lock(struct xen_fifo *f, u32 queue, u32 other)
	__acquires(&f->lock[0]) __acquires(&f->lock[1])
{
	u32 a = xen_fifo_lock_of(queue), b = xen_fifo_lock_of(other);

	raw_spin_lock(&f->lock[min(a, b)]);
	if (a != b)
		raw_spin_lock_nested(&f->lock[max(a, b)], SINGLE_DEPTH_NESTING);
	else
		__acquire(&f->lock[1]);
}

static void xen_fifo_unlock(struct xen_fifo *f, u32 queue, u32 other)
	__releases(&f->lock[1]) __releases(&f->lock[0])
{
	u32 a = xen_fifo_lock_of(queue), b = xen_fifo_lock_of(other);

	if (a != b)
		raw_spin_unlock(&f->lock[max(a, b)]);
	else
		__release(&f->lock[1]);
	raw_spin_unlock(&f->lock[min(a, b)]);
}

/* A port leaves the queue it was in, whose tail it may have been. Locked. */
static void xen_fifo_leave(struct xen_fifo *f, u32 port, u32 queue)
{
	struct xen_fifo_vcpu *fv = xen_fifo_vcpu(f, queue / XEN_FIFO_QUEUES);

	if (fv && fv->tail[queue % XEN_FIFO_QUEUES] == port)
		WRITE_ONCE(fv->tail[queue % XEN_FIFO_QUEUES], 0);
}

/*
 * Put a port into a queue. The locks of that and of the one it was in are held.
 * Return: 1 done, behind others; 0 done, as the first; -EALREADY it is in one;
 * -ESTALE it was in another meanwhile; -EWOULDBLOCK not done.
 */
static int xen_fifo_enqueue(struct xen_fifo *f, struct xen_fifo_vcpu *fv,
			    struct evtchn_fifo_control_block *cb, u32 port,
			    u32 *word, u32 old, u32 new)
{
	u32 priority = new % XEN_FIFO_QUEUES;
	u32 tail = fv->tail[priority];
	u32 *tail_word = NULL;
	int r = 0;

	if (READ_ONCE(f->ports[port].queue) != old)
		return -ESTALE;

	if (tail && tail != port) {
		tail_word = xen_fifo_word(f, tail);
		if (!tail_word)
			return -EWOULDBLOCK;
	}

	if (guest_test_and_set_bit(EVTCHN_FIFO_LINKED, word))
		return -EALREADY;

	xen_fifo_leave(f, port, old);
	if (tail_word)
		r = xen_fifo_append(tail_word, port);
	if (r < 0) {
		guest_test_and_clear_bit(EVTCHN_FIFO_LINKED, word);
		return -EWOULDBLOCK;
	}

	if (!r)
		WRITE_ONCE(cb->head[priority], port);
	WRITE_ONCE(fv->tail[priority], port);
	WRITE_ONCE(f->ports[port].queue, new);

	return r;
}

/* What is PENDING goes into its queue. Return: as xen_fifo_raise(). */
static int xen_fifo_queue(struct xen_fifo *f, struct kvm_vcpu *vcpu, u32 port,
			  u32 priority, u32 *word, struct xen_fifo_sent *sent)
{
	struct xen_fifo_vcpu *fv = xen_fifo_vcpu(f, vcpu->vcpu_idx);
	u32 new = vcpu->vcpu_idx * XEN_FIFO_QUEUES + priority, old;
	struct evtchn_fifo_control_block *cb = NULL;
	int tries, r = -ESTALE;

	if (xen_fifo_test(word, EVTCHN_FIFO_MASKED))
		return sent->fresh ? -ENOTCONN : 0;
	if (xen_fifo_test(word, EVTCHN_FIFO_LINKED))
		return sent->fresh;

	/* Pairs with smp_store_release() in xen_fifo_set_control(). */
	if (fv && smp_load_acquire(&fv->open))
		cb = kvm_gpc_live(&fv->control);
	if (!cb)
		return -EWOULDBLOCK;

	for (tries = 0; r == -ESTALE && tries < XEN_FIFO_MOVES; tries++) {
		old = READ_ONCE(f->ports[port].queue);
		xen_fifo_lock(f, old, new);
		r = xen_fifo_enqueue(f, fv, cb, port, word, old, new);
		xen_fifo_unlock(f, old, new);
	}

	if (r == -EALREADY)
		return sent->fresh;
	if (r < 0)
		return -EWOULDBLOCK;
	if (!r)
		sent->tell = xen_fifo_set_ready(cb, priority);

	return 1;
}

/* Port 0 is no port: as a link it says that there is none. */
static bool xen_fifo_exists(struct xen_fifo *f, u32 port)
{
	return port && port < f->nr_ports;
}

/**
 * xen_fifo_raise - set a port's event, and put it into its queue
 * @kvm: the VM
 * @vcpu: the vCPU it is for
 * @port: any number
 * @priority: 0 to 15; anything else is the default
 * @sent: what the caller is to do with interrupts on, whatever is returned
 *
 * Context: within kvm_gpc_read_begin(), hard interrupts included. Waits for a raw lock
 *	at most.
 * Return: as xen_event_send(); -EWOULDBLOCK if it is not in its queue, though it
 *	may be pending.
 */
int xen_fifo_raise(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 port,
		   u32 priority, struct xen_fifo_sent *sent)
{
	struct xen_fifo *f = xen_fifo(kvm);
	u32 *word;

	if (!xen_fifo_exists(f, port))
		return -EINVAL;
	port = array_index_nospec(port, f->nr_ports);
	word = xen_fifo_word(f, port);
	if (!word)
		return -EWOULDBLOCK;

	priority = xen_fifo_priority(priority);
	xen_fifo_aim(f, port, vcpu->vcpu_id, priority);
	sent->fresh = !guest_test_and_set_bit(EVTCHN_FIFO_PENDING, word);

	return xen_fifo_queue(f, vcpu, port, priority, word, sent);
}

/**
 * xen_fifo_unmask - EVTCHNOP_unmask
 * @kvm: the VM
 * @vcpu: whose port it is; NULL if that is not known, and then set to whom the last
 *	event was for
 * @port: any number
 * @sent: as for xen_fifo_raise()
 *
 * Context: as xen_fifo_raise().
 * Return: 0 done; -EWOULDBLOCK nothing done, somebody else must.
 */
int xen_fifo_unmask(struct kvm *kvm, struct kvm_vcpu **vcpu, u32 port,
		    struct xen_fifo_sent *sent)
{
	struct xen_fifo *f = xen_fifo(kvm);
	u32 *word, aim, priority = EVTCHN_FIFO_PRIORITY_DEFAULT;

	if (!xen_fifo_exists(f, port))
		return -EWOULDBLOCK;
	port = array_index_nospec(port, f->nr_ports);
	word = xen_fifo_word(f, port);
	if (!word)
		return -EWOULDBLOCK;

	aim = READ_ONCE(f->ports[port].aim);
	if (!aim && !*vcpu && xen_fifo_test(word, EVTCHN_FIFO_PENDING))
		return -EWOULDBLOCK;

	guest_test_and_clear_bit(EVTCHN_FIFO_MASKED, word);
	if (!xen_fifo_test(word, EVTCHN_FIFO_PENDING))
		return 0;

	/* Again: who has sent it since has said for whom. */
	aim = READ_ONCE(f->ports[port].aim);
	if (aim)
		priority = xen_fifo_aimed_priority(aim);
	if (!*vcpu)
		*vcpu = xen_fifo_aimed_vcpu(kvm, aim);
	if (!*vcpu) {
		guest_test_and_set_bit(EVTCHN_FIFO_MASKED, word);
		return -EWOULDBLOCK;
	}

	xen_fifo_aim(f, port, (*vcpu)->vcpu_id, priority);
	sent->latch = xen_fifo_queue(f, *vcpu, port, priority, word,
				     sent) == -EWOULDBLOCK;

	return 0;
}

/**
 * xen_fifo_pending - is a port pending?
 * @kvm: the VM
 * @port: any number
 *
 * Context: as xen_fifo_raise().
 * Return: 0, 1, -EWOULDBLOCK if that cannot be seen.
 */
int xen_fifo_pending(struct kvm *kvm, u32 port)
{
	struct xen_fifo *f = xen_fifo(kvm);
	u32 *word;

	if (port >= f->nr_ports)
		return 0;
	port = array_index_nospec(port, f->nr_ports);
	word = xen_fifo_word(f, port);

	return word ? xen_fifo_test(word, EVTCHN_FIFO_PENDING) : -EWOULDBLOCK;
}

/**
 * xen_fifo_knows - is it known whose a port's events are?
 * @kvm: the VM
 * @port: any number
 *
 * Context: any.
 */
bool xen_fifo_knows(struct kvm *kvm, u32 port)
{
	u32 nr = xen_fifo_ports(kvm);

	return port < nr &&
	       READ_ONCE(xen_fifo(kvm)->ports[array_index_nospec(port, nr)].aim);
}

/**
 * xen_fifo_set_tail - a queue ends at a port now, or is empty
 * @vcpu: the vCPU whose queue it is, which has some
 * @priority: the queue
 * @port: the port, which there is, or 0. That is in no queue, so nothing is lost by
 *	saying that it is in this one
 *
 * Context: process; xen_vm.lock held.
 * Return: 0, -EAGAIN the port is moving.
 */
int xen_fifo_set_tail(struct kvm_vcpu *vcpu, u32 priority, u32 port)
{
	u32 new = vcpu->vcpu_idx * XEN_FIFO_QUEUES + priority, old;
	struct xen_fifo *f = xen_fifo(vcpu->kvm);
	unsigned long flags;
	int r = -EAGAIN;

	local_irq_save(flags);
	old = READ_ONCE(f->ports[port].queue);
	xen_fifo_lock(f, old, new);
	if (READ_ONCE(f->ports[port].queue) == old) {
		if (port)
			xen_fifo_leave(f, port, old);
		WRITE_ONCE(f->ports[port].queue, new);
		WRITE_ONCE(f->vcpus[vcpu->vcpu_idx]->tail[priority], port);
		r = 0;
	}
	xen_fifo_unlock(f, old, new);
	local_irq_restore(flags);

	return r;
}
