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
 * changing a word, is latched like events of the 2-level ABI, and delivered later.
 * It may be PENDING already, which is all that a later try needs to know.
 */
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include <pfncache/gpc_live.h>

#include "events.h"
#include "fifo.h"
#include "fifo_words.h"
#include "poll.h"
#include "uapi.h"
#include "vm.h"

#define XEN_FIFO_QUEUES		EVTCHN_FIFO_MAX_QUEUES

/* Locks of queues: those of vCPUs whose index is the same modulo this. */
#define XEN_FIFO_LOCKS		64

/* How often a port may move under a sender's eyes before the event is latched. */
#define XEN_FIFO_MOVES		3

/* An aim: the vCPU's id, the priority, and that there is one. */
#define XEN_FIFO_AIM		BIT(31)
#define XEN_FIFO_AIM_PRIORITY	16

/**
 * struct xen_fifo_vcpu - the queues of a vCPU
 * @control: the control block
 * @open: @control and @tail belong together. Atomic
 * @tail: last port of each queue, or 0. It is in the queue if its word says LINKED.
 *	Written under the vCPU's lock of &struct xen_fifo
 */
struct xen_fifo_vcpu {
	struct gfn_to_pfn_cache control;
	bool open;
	u32 tail[XEN_FIFO_QUEUES];
};

/**
 * struct xen_fifo_port - what is known of a port
 * @aim: vCPU and priority of the last event, 0: none yet. Atomic, written before
 *	the event is PENDING or latched
 * @queue: where it was last put: the vCPU's index and the priority. Written under
 *	the locks of the queue it was in and of the one it goes to
 */
struct xen_fifo_port {
	u32 aim;
	u32 queue;
};

/**
 * struct xen_fifo - the FIFO ABI of a VM
 * @nr_ports: ports there are, immutable
 * @nr_pages: pages of the event array, immutable
 * @lock: of queues. Raw, held for at most %XEN_FIFO_LINK_TRIES and
 *	%XEN_FIFO_BUSY_TRIES tries; two of them in the order of the array
 * @latched_pages: bit n: ports of page n may be latched. Set after, taken before
 *	them. Atomic
 * @vcpus: by index. Written once, under xen_vm.lock, with release semantics
 * @pages: the event array, immutable; the caches have their own locks
 * @ports: immutable, see &struct xen_fifo_port
 * @latched: ports whose event is not in a queue yet. Atomic
 * @routes: of ports from %XEN_PORTS on; immutable, but as in &struct xen_events
 */
struct xen_fifo {
	u32 nr_ports;
	u32 nr_pages;
	raw_spinlock_t lock[XEN_FIFO_LOCKS];
	DECLARE_BITMAP(latched_pages, EVTCHN_FIFO_NR_CHANNELS / XEN_FIFO_WORDS);
	struct xen_fifo_vcpu *vcpus[KVM_MAX_VCPUS];
	struct gfn_to_pfn_cache *pages;
	struct xen_fifo_port *ports;
	unsigned long *latched;
	struct xen_port __rcu **routes;
};

static struct xen_fifo *xen_fifo(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);

	/* Pairs with smp_store_release() in xen_fifo_make(). */
	return ev ? smp_load_acquire(&ev->fifo) : NULL;
}

static struct xen_fifo_vcpu *xen_fifo_vcpu(struct xen_fifo *f, u32 idx)
{
	/* Pairs with smp_store_release() in xen_fifo_make_vcpu(). */
	return smp_load_acquire(&f->vcpus[idx]);
}

/* Interrupts are off. Return: the word of a port, NULL if its page is away. */
static u32 *xen_fifo_word(struct xen_fifo *f, u32 port)
{
	u32 *page = kvm_gpc_live(&f->pages[port / XEN_FIFO_WORDS]);

	return page ? page + port % XEN_FIFO_WORDS : NULL;
}

static u32 xen_fifo_priority(u32 priority)
{
	return priority <= EVTCHN_FIFO_PRIORITY_MIN ?
		priority : EVTCHN_FIFO_PRIORITY_DEFAULT;
}

static void xen_fifo_aim(struct xen_fifo *f, u32 port, u32 vcpu_id, u32 priority)
{
	u32 aim = XEN_FIFO_AIM | priority << XEN_FIFO_AIM_PRIORITY | vcpu_id;

	BUILD_BUG_ON(KVM_MAX_VCPU_IDS > 1 << XEN_FIFO_AIM_PRIORITY);

	if (READ_ONCE(f->ports[port].aim) != aim)
		WRITE_ONCE(f->ports[port].aim, aim);
}

static u32 xen_fifo_aimed_priority(u32 aim)
{
	return (aim & ~XEN_FIFO_AIM) >> XEN_FIFO_AIM_PRIORITY;
}

static struct kvm_vcpu *xen_fifo_aimed_vcpu(struct kvm *kvm, u32 aim)
{
	if (!aim)
		return NULL;

	return kvm_get_vcpu_by_id(kvm, aim & (BIT(XEN_FIFO_AIM_PRIORITY) - 1));
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
 * Context: interrupts off, hard interrupts included; kvm_gpc_reader() asked. Waits
 *	for a raw lock at most.
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
 * xen_fifo_latch - keep an event until it can be put into its queue
 * @kvm: the VM
 * @vcpu_id: whom it is for
 * @port: a port there is
 * @priority: as for xen_fifo_raise()
 *
 * Context: any.
 * Return: whether it was not kept already.
 */
bool xen_fifo_latch(struct kvm *kvm, u32 vcpu_id, u32 port, u32 priority)
{
	struct xen_fifo *f = xen_fifo(kvm);

	port = array_index_nospec(port, f->nr_ports);
	xen_fifo_aim(f, port, vcpu_id, xen_fifo_priority(priority));
	/* Full barriers: aim, port, page. Pairs with xen_fifo_flush(). */
	if (test_and_set_bit(port, f->latched))
		return false;
	set_bit(port / XEN_FIFO_WORDS, f->latched_pages);

	return true;
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

/* @gone: the ports' page is not to be had now, for any of them. */
static void xen_fifo_flush_word(struct kvm *kvm, struct xen_fifo *f,
				unsigned int word, bool *gone)
{
	unsigned long ports = xchg(&f->latched[word], 0);
	unsigned int bit;

	for_each_set_bit(bit, &ports, BITS_PER_LONG) {
		u32 port = word * BITS_PER_LONG + bit;
		u32 aim = READ_ONCE(f->ports[port].aim);
		struct kvm_vcpu *vcpu = xen_fifo_aimed_vcpu(kvm, aim);
		int why;

		/* A reset has come in between. */
		if (!aim)
			continue;
		if (vcpu && !*gone) {
			if (xen_event_deliver(kvm, vcpu, port,
					      xen_fifo_aimed_priority(aim),
					      &why) != -EWOULDBLOCK) {
				atomic_long_inc(&xen_events(kvm)->stats.flushed);
				continue;
			}
			*gone = xen_fifo_refresh_word(kvm, port);
		}
		xen_fifo_relatch(kvm, port);
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
	struct xen_fifo *f = xen_fifo(kvm);
	unsigned int page, word, last;

	if (!xen_fifo_ports(kvm))
		return;

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
	struct xen_fifo *f = xen_fifo(kvm);
	unsigned int page;

	if (!xen_fifo_ports(kvm))
		return false;

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
 * @port: from %XEN_PORTS on
 *
 * Context: any.
 * Return: NULL if there is no such port.
 */
struct xen_port __rcu **xen_fifo_route(struct kvm *kvm, u32 port)
{
	u32 max = xen_fifo_max_port(kvm);

	if (port >= max)
		return NULL;

	return &xen_fifo(kvm)->routes[array_index_nospec(port - XEN_PORTS,
							 max - XEN_PORTS)];
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
		kvm_gpc_init(&f->pages[i], kvm);

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

/**
 * xen_fifo_set_attr - KVM_XEN_ATTR_TYPE_X_FIFO and _X_FIFO_PAGE
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
		xen_fifo_end(kvm);
		return 0;
	case KVM_XEN_ATTR_TYPE_X_FIFO_PAGE:
		return xen_fifo_set_page(kvm, data->u.pad[0], data->u.pad[1]);
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

static int xen_fifo_get_latched(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	struct xen_fifo *f = xen_fifo(kvm);
	u32 nr = xen_fifo_ports(kvm);
	u64 port = data->u.pad[0];
	u32 aim;

	if (port < nr)
		port = find_next_bit(f->latched, nr, port);
	if (port >= nr)
		return -ENOENT;

	aim = READ_ONCE(f->ports[array_index_nospec(port, nr)].aim);
	data->u.pad[0] = port;
	data->u.pad[1] = aim & (BIT(XEN_FIFO_AIM_PRIORITY) - 1);
	data->u.pad[2] = xen_fifo_aimed_priority(aim);

	return 0;
}

/**
 * xen_fifo_get_attr - KVM_XEN_ATTR_TYPE_X_FIFO, _X_FIFO_PAGE and _X_FIFO_LATCHED
 * @kvm: the VM
 * @data: the attribute, filled in
 *
 * Context: may sleep; xen_vm.lock held.
 * Return: 0; -ENOENT another attribute, or nothing latched; else docs/xen-abi.rst.
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

	kvm_gpc_init(&fv->control, vcpu->kvm);
	/* Pairs with smp_load_acquire() in xen_fifo_vcpu(). */
	smp_store_release(&f->vcpus[vcpu->vcpu_idx], fv);

	return fv;
}

/*
 * A queue ends at @port now, or with 0 is empty; port 0 itself is in none, so nothing
 * is lost by saying that it is in this one. Return: 0, -EAGAIN the port is moving.
 */
static int xen_fifo_set_tail(struct kvm_vcpu *vcpu, u32 priority, u32 port)
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

	xen_events_retry(vcpu->kvm);

	return r;
}

static int xen_fifo_set_tails(struct kvm_vcpu *vcpu, const u32 *tails)
{
	u32 i, nr = xen_fifo_ports(vcpu->kvm);
	int r = 0;

	if (!xen_fifo(vcpu->kvm)->vcpus[vcpu->vcpu_idx])
		return -EINVAL;
	for (i = 0; i < XEN_FIFO_QUEUES; i++)
		if (tails[i] >= nr)
			return -EINVAL;

	for (i = 0; i < XEN_FIFO_QUEUES && !r; i++)
		r = xen_fifo_set_tail(vcpu, i,
				      array_index_nospec(tails[i], nr));

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
