// SPDX-License-Identifier: GPL-2.0
/*
 * Events that could not be delivered: kept, and tried again from where one may sleep
 * and bring pages back; and the life of what a VM keeps them in.
 *
 * A port is latched by its sender, in any context, and taken from the latch by whoever
 * comes first: a vCPU before an entry, the VMM that reads an attribute, the worker.
 * What still cannot be delivered goes back. Nothing here takes a lock; who closes all
 * ports waits for the sections of kvm_gpc_read_begin() in which a port is latched, or
 * delivered from the latch.
 */
#include <linux/jiffies.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/sched/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include <pfncache/gpc_live.h>

#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "fifo.h"
#include "kept.h"
#include "poll.h"
#include "time.h"
#include "timer.h"
#include "upcall.h"
#include "version.h"

/* The worker's delays, in ms. */
#define XEN_BACKOFF_FIRST	1
#define XEN_BACKOFF_LAST	128

/* Of the 2-level ABI. Return: whether it was not kept already. */
static bool xen_latch_port(struct xen_events *ev, u32 vcpu_id, u32 port)
{
	u16 was;

	port = array_index_nospec(port, XEN_PORTS);
	/* Full barriers: vCPU, port, word. Pairs with xen_events_flush(). */
	was = xchg(&ev->latched_for[port], vcpu_id);
	/* One that waits for a vCPU nobody has seen is news to another. */
	if (test_and_set_bit(port, ev->latched) && was == vcpu_id)
		return false;
	set_bit(port / BITS_PER_LONG, &ev->words);

	return true;
}

/*
 * A vCPU that sends delivers what is latched before it goes on, so its guest finds what
 * it has sent, as if nothing had been in the way; though another has sent it before.
 */
static void xen_latch_self(struct xen_events *ev)
{
	struct kvm_vcpu *self = kvm_get_running_vcpu();

	if (self && self->kvm == ev->kvm)
		set_bit(ilog2(XEN_TODO_LATCH), &xen_vcpu(self)->todo);
}

/**
 * xen_event_latched - see to it that a vCPU, or the worker, looks at what is latched
 * @ev: the VM's
 * @vcpu: whom it is for, NULL if there is no such vCPU yet
 *
 * Context: any, hard interrupts included.
 */
void xen_event_latched(struct xen_events *ev, struct kvm_vcpu *vcpu)
{
	atomic_long_inc(&ev->stats.latched);

	/* Who makes a vCPU lets it look here at its first entry. */
	if (vcpu)
		xen_vcpu_wake(vcpu, XEN_TODO_LATCH);

	/* And if it does not enter: it may be with the VMM, or paused. */
	xen_events_retry(ev->kvm);
}

/**
 * xen_event_latch - keep an event until what it needs can be reached
 * @ev: the VM's
 * @vcpu: the vCPU it is for, NULL if there is none yet
 * @vcpu_id: KVM's id of that vCPU
 * @port: the guest's port
 * @priority: as for xen_event_send()
 *
 * Context: any, hard interrupts included.
 * Return: 1, -EINVAL no such port or vCPU.
 */
int xen_event_latch(struct xen_events *ev, struct kvm_vcpu *vcpu, u32 vcpu_id,
		    u32 port, u32 priority)
{
	struct gpc_read read;
	bool fresh = false;
	int r = -EINVAL;
	u32 fifo;

	/* Who closes all ports, or changes the ABI, waits for us, so nothing comes after. */
	read = kvm_gpc_read_begin(ev->kvm);
	fifo = xen_fifo_ports(ev->kvm);
	if (port < (fifo ?: XEN_PORTS) && vcpu_id < KVM_MAX_VCPU_IDS &&
	    !(fifo && !port)) {
		fresh = fifo ? xen_fifo_latch(ev->kvm, vcpu_id, port, priority) :
			       xen_latch_port(ev, vcpu_id, port);
		r = 1;
	}
	kvm_gpc_read_end(read);

	if (r > 0)
		xen_latch_self(ev);
	if (fresh)
		xen_event_latched(ev, vcpu);

	return r;
}

/**
 * xen_events_unless_reset - go on with what was taken from the latch?
 * @ev: the VM's
 * @resets: what xen_events.resets was before it was taken
 *
 * Context: within a section of kvm_gpc_read_begin(), which is not to end until it is
 *	delivered, or latched again: xen_events_reset() either is seen here, or waits.
 * Return: false if all ports have been closed since.
 */
bool xen_events_unless_reset(struct xen_events *ev, unsigned int resets)
{
	return READ_ONCE(ev->resets) == resets;
}

/* Where the ABI that is in use has its events. */
static void xen_keep(struct xen_events *ev, u32 vcpu_id, u32 port)
{
	u32 fifo = xen_fifo_ports(ev->kvm);

	if (!fifo) {
		set_bit(port, ev->latched);
		set_bit(port / BITS_PER_LONG, &ev->words);
	} else if (port && port < fifo) {
		xen_fifo_latch(ev->kvm, vcpu_id, port, XEN_PRIORITY_NONE);
	}
}

/**
 * xen_events_adopt - what the 2-level ABI has kept is the FIFO ABI's now
 * @kvm: the VM, of whose senders none is in shared_info any more
 *
 * Context: may sleep; xen_vm.lock held.
 */
void xen_events_adopt(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);
	unsigned int word, bit;
	unsigned long ports;
	u32 port, id;

	for (word = 0; word < BITS_TO_LONGS(XEN_PORTS); word++) {
		ports = xchg(&ev->latched[word], 0);
		for_each_set_bit(bit, &ports, BITS_PER_LONG) {
			port = word * BITS_PER_LONG + bit;
			id = READ_ONCE(ev->latched_for[port]);
			if (id != XEN_LATCH_CLOSED)
				xen_keep(ev, id, port);
		}
	}
}

/**
 * xen_latch_take - take a word of the latch
 * @ev: the VM's
 * @word: of ports that are latched, either ABI's
 * @resets: set to what xen_events_unless_reset() is to be asked with
 *
 * As one who reads caches, so that xen_events_reset() waits for it: what is taken was sent
 * before the reset that is told apart by @resets, and nothing that was sent after.
 *
 * Context: process context.
 * Return: the ports; none while all are being closed.
 */
unsigned long xen_latch_take(struct xen_events *ev, unsigned long *word,
			     unsigned int *resets)
{
	struct gpc_read read;
	unsigned long ports;

	read = kvm_gpc_read_begin(ev->kvm);
	*resets = READ_ONCE(ev->resets);
	ports = xchg(word, 0);
	kvm_gpc_read_end(read);

	return *resets & 1 ? 0 : ports;
}

/*
 * Has a port been closed since its event was kept for a vCPU, or sent to another? Of the
 * latter there is another event in the latch.
 */
static bool xen_latch_stale(struct kvm_vcpu *vcpu, u32 port)
{
	return READ_ONCE(xen_events(vcpu->kvm)->latched_for[port]) != vcpu->vcpu_id;
}

/**
 * xen_event_forget - forget what is kept of a port
 * @kvm: the VM
 * @port: the port, which there is, and which has been closed
 *
 * An event that somebody is sending just now may still arrive.
 *
 * Context: may sleep; xen_vm.lock held, xen_events_make() done.
 */
void xen_event_forget(struct kvm *kvm, u32 port)
{
	struct xen_events *ev = xen_events(kvm);

	if (port < XEN_PORTS) {
		WRITE_ONCE(ev->latched_for[array_index_nospec(port, XEN_PORTS)],
			   XEN_LATCH_CLOSED);
		clear_bit(port, ev->latched);
	}
	xen_fifo_forget(kvm, port);

	/*
	 * Who has taken it before finds that, or is waited for: he is counted, and out of
	 * the section in which he looks. Pairs with atomic_inc() in xen_events_flush().
	 */
	smp_mb();
	if (atomic_read(&ev->flushing)) {
		kvm_gpc_quiesce(kvm);
		/* Where he has not found it, he may have put it back. */
		xen_fifo_forget(kvm, port);
	}
}

/* @gone: shared_info is not to be had now, for any of them. A vCPU may be missing. */
static void xen_flush_word(struct xen_events *ev, unsigned int word, bool *gone)
{
	unsigned int resets, bit;
	unsigned long ports = xen_latch_take(ev, &ev->latched[word], &resets);
	struct gpc_read read;

	for_each_set_bit(bit, &ports, BITS_PER_LONG) {
		u32 port = word * BITS_PER_LONG + bit;
		u32 id = READ_ONCE(ev->latched_for[port]);
		struct kvm_vcpu *vcpu = kvm_get_vcpu_by_id(ev->kvm, id);
		int why;

		if (id == XEN_LATCH_CLOSED)
			continue;
		if (vcpu && !*gone) {
			if (xen_event_deliver(ev->kvm, vcpu, port,
					      XEN_PRIORITY_NONE, resets,
					      xen_latch_stale,
					      &why) != -EWOULDBLOCK) {
				atomic_long_inc(&ev->stats.flushed);
				continue;
			}
			*gone = true;
		}

		/*
		 * Back where it came from, for whoever is next; but if somebody has
		 * sent it again meanwhile to another, theirs is there, and none if
		 * the port was closed.
		 */
		read = kvm_gpc_read_begin(ev->kvm);
		if (xen_events_unless_reset(ev, resets) &&
		    READ_ONCE(ev->latched_for[port]) == id)
			xen_keep(ev, id, port);
		kvm_gpc_read_end(read);

		/* A vCPU that came just now has looked while we had it. */
		if (!vcpu) {
			vcpu = kvm_get_vcpu_by_id(ev->kvm, id);
			if (vcpu)
				xen_vcpu_wake(vcpu, XEN_TODO_LATCH);
		}
	}
}

/**
 * xen_events_flush - deliver what is latched, and write the wall clock if it is due
 * @kvm: the VM
 *
 * What cannot be delivered stays latched. That shared_info is back may be told by
 * nobody; that a vCPU is there, it tells itself.
 *
 * Context: may sleep; kvm->srcu held.
 * Return: whether something is left for want of shared_info.
 */
bool xen_events_flush(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);
	unsigned long words;
	unsigned int word;
	bool gone;

	if (!ev)
		return false;

	atomic_inc(&ev->flushing);
	/*
	 * What is taken was taken by one who is counted. Pairs with atomic_dec_and_test()
	 * below in the flush of kvm_xen_hvm_get_attr(), which then looks at the count.
	 */
	smp_mb__after_atomic();
	gone = xen_wall_clock_flush(kvm);
	xen_fifo_flush(kvm);
	if (READ_ONCE(ev->words)) {
		BUILD_BUG_ON(XEN_PORTS / BITS_PER_LONG > BITS_PER_LONG);
		words = xchg(&ev->words, 0);
		for_each_set_bit(word, &words, BITS_PER_LONG)
			xen_flush_word(ev, word, &gone);
	}
	/* Pairs with wait_event_killable() in kvm_xen_hvm_get_attr(). */
	if (atomic_dec_and_test(&ev->flushing) && wq_has_sleeper(&ev->idle))
		wake_up_all(&ev->idle);

	return gone;
}

/*
 * Is it worth trying again some time? Without a page to wait for it is not: its
 * activation will wake us. @gone: xen_events_flush() could not do all.
 */
static bool xen_events_waiting(struct kvm *kvm, bool gone)
{
	if (xen_fifo_ports(kvm))
		return gone || xen_fifo_waiting(kvm);

	return gone && READ_ONCE(xen_vm(kvm)->shinfo.active);
}

/**
 * xen_events_finish - deliver what is latched, or see to it that somebody will
 * @kvm: the VM
 *
 * While one flushes, others find nothing to do. So who could not deliver an event
 * leaves it to the worker; or to the activation of shared_info, without one.
 *
 * Context: may sleep; kvm->srcu held.
 */
void xen_events_finish(struct kvm *kvm)
{
	bool gone = xen_events_flush(kvm);

	if (xen_events_waiting(kvm, gone))
		xen_events_later(kvm);
}

/* A vCPU gave up on a selector, or never came by. Return: whether any did. */
static bool xen_retry_running(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	bool any = false;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		struct xen_vcpu *x = xen_vcpu(vcpu);

		if (!READ_ONCE(x->vcpu_info.active))
			continue;
		if (xen_has_parked(x)) {
			any = true;
			WRITE_ONCE(x->unreachable, false);
			xen_vcpu_wake(vcpu, XEN_TODO_SEL);
		} else if (READ_ONCE(x->unreachable)) {
			any = true;
			WRITE_ONCE(x->unreachable, false);
			/* It may have found so when it looked for a lost upcall. */
			xen_vcpu_wake(vcpu, XEN_TODO_UPCALL);
		}
	}

	return any;
}

/*
 * One that is not in KVM_RUN may stay so, and its memory be saved. After the others, as
 * its page may take as long as user space likes.
 */
static void xen_retry_stopped(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		struct xen_vcpu *x = xen_vcpu(vcpu);

		if (READ_ONCE(x->vcpu_info.active) && xen_has_parked(x) &&
		    !READ_ONCE(vcpu->wants_to_run))
			xen_tell_parked(vcpu);
	}
}

static void xen_retry_work(struct work_struct *work)
{
	struct xen_events *ev = container_of(work, struct xen_events,
					     retry.work);
	struct kvm *kvm = ev->kvm;
	bool again, gone;
	int idx;

	/* Its vCPUs may be going, and nobody will look any more. */
	if (!refcount_read(&kvm->users_count))
		return;

	atomic_long_inc(&ev->stats.retries);

	kthread_use_mm(kvm->mm);
	idx = srcu_read_lock(&kvm->srcu);
	gone = xen_events_flush(kvm);
	again = xen_retry_running(kvm);
	xen_retry_stopped(kvm);
	srcu_read_unlock(&kvm->srcu, idx);
	kthread_unuse_mm(kvm->mm);

	again |= xen_events_waiting(kvm, gone);
	if (!again || !mmget_not_zero(kvm->mm)) {
		WRITE_ONCE(ev->backoff, XEN_BACKOFF_FIRST);
		return;
	}
	mmput_async(kvm->mm);

	xen_events_later(kvm);
	WRITE_ONCE(ev->backoff,
		   min(READ_ONCE(ev->backoff) * 2, XEN_BACKOFF_LAST));
}

/**
 * xen_events_retry - try now to deliver what is latched or parked
 * @kvm: the VM
 *
 * For those who know something new: an event, or a page.
 *
 * Context: any, hard interrupts included.
 */
void xen_events_retry(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);

	if (ev) {
		WRITE_ONCE(ev->backoff, XEN_BACKOFF_FIRST);
		mod_delayed_work(system_wq, &ev->retry, 0);
	}
}

/**
 * xen_events_later - try some time to deliver what is latched or parked
 * @kvm: the VM
 *
 * For those who have just tried, and failed.
 *
 * Context: any.
 */
void xen_events_later(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);

	if (ev)
		queue_delayed_work(system_wq, &ev->retry,
				   msecs_to_jiffies(READ_ONCE(ev->backoff)));
}

/**
 * kvm_xen_memslots_updated - the memory slots have changed
 * @kvm: the VM
 * @gen: generation of the new slots
 *
 * Stands in for kvm_arch_memslots_updated() in kvm_main.c. What was not to be
 * reached for want of a slot may be so now.
 *
 * Context: may sleep; kvm->slots_lock held.
 */
void kvm_xen_memslots_updated(struct kvm *kvm, u64 gen)
{
	struct xen_events *ev = xen_events(kvm);
	struct kvm_vcpu *vcpu;
	bool wanted = false;
	unsigned long i;

	kvm_arch_memslots_updated(kvm, gen);

	if (!ev)
		return;

	kvm_for_each_vcpu(i, vcpu, kvm)
		wanted |= READ_ONCE(xen_vcpu(vcpu)->unreachable);
	if (wanted || READ_ONCE(ev->words) || READ_ONCE(ev->wall_clock.due) ||
	    xen_fifo_waiting(kvm))
		xen_events_retry(kvm);
	xen_poll_wake_all(kvm);
}

/**
 * xen_events_make - be ready for events
 * @kvm: the VM
 *
 * Called by whatever may let somebody send one.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int xen_events_make(struct kvm *kvm)
{
	struct xen_events *ev;

	if (xen_events(kvm))
		return 0;

	ev = kvzalloc(sizeof(*ev), GFP_KERNEL_ACCOUNT);
	if (!ev)
		return -ENOMEM;

	ev->kvm = kvm;
	ev->backoff = XEN_BACKOFF_FIRST;
	init_waitqueue_head(&ev->idle);
	INIT_DELAYED_WORK(&ev->retry, xen_retry_work);
	xen_version_init(&ev->answers);
	raw_spin_lock_init(&ev->wall_clock.lock);

	/* Timers and the worker go after the VM's notifier. */
	kvm_gpc_hold(kvm);

	/* Pairs with smp_load_acquire() in xen_events(). */
	if (cmpxchg_release(&xen_vm(kvm)->events, NULL, ev)) {
		kvm_gpc_drop(kvm);
		kvfree(ev);
	} else {
		xen_stats_publish(kvm);
	}

	return 0;
}

static void xen_forget_parked(struct xen_vcpu *x)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(x->parked); i++)
		xchg(&x->parked[i], 0);
}

/**
 * xen_events_reset - forget what is latched, and the FIFO ABI
 * @kvm: the VM, whose event channels have all been closed, or are 2-level ones again
 *
 * Context: may sleep; xen_vm.lock held.
 */
void xen_events_reset(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (!ev)
		return;

	/*
	 * Who has taken something from the latch finds this before it delivers it, or
	 * is waited for; who is about to latch is waited for. Odd: who takes something
	 * from now on forgets it.
	 */
	WRITE_ONCE(ev->resets, ev->resets + 1);
	kvm_gpc_quiesce(kvm);

	for (i = 0; i < BITS_TO_LONGS(XEN_PORTS); i++)
		xchg(&ev->latched[i], 0);
	kvm_for_each_vcpu(i, vcpu, kvm)
		xen_forget_parked(xen_vcpu(vcpu));
	xen_fifo_end(kvm);
	/* What is sent when we have returned is not taken by who found the odd number. */
	WRITE_ONCE(ev->resets, ev->resets + 1);
	kvm_gpc_quiesce(kvm);
}

/**
 * xen_events_stop - a vCPU is about to go
 * @kvm: its VM
 *
 * When the VM is going too, nothing looks at its vCPUs any more afterwards: timers,
 * whose port may be another vCPU's, have been stopped, and the worker has ended.
 *
 * Context: may sleep.
 */
void xen_events_stop(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (!ev || refcount_read(&kvm->users_count) || ev->stopped)
		return;

	ev->stopped = true;
	kvm_for_each_vcpu(i, vcpu, kvm)
		xen_timers_stop(vcpu);
	cancel_delayed_work_sync(&ev->retry);
}

/**
 * xen_events_forget - a vCPU goes
 * @vcpu: the vCPU, which nobody can find any more, or ever could
 *
 * Context: may sleep; xen_events_stop() done.
 */
void xen_events_forget(struct kvm_vcpu *vcpu)
{
	struct xen_events *ev = xen_events(vcpu->kvm);
	unsigned int idx = vcpu->vcpu_idx;

	/* One that was never to be found has perhaps another's index. */
	if (ev && idx < XEN_NEAR_VCPUS)
		cmpxchg(&ev->vcpus[idx], vcpu, NULL);
}

/**
 * xen_events_free - the VM is gone, and all who could send to it
 * @kvm: the VM
 *
 * Context: may sleep.
 */
void xen_events_free(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);

	if (!ev)
		return;

	cancel_delayed_work_sync(&ev->retry);
	xen_fifo_free(kvm);
	xen_vm(kvm)->events = NULL;
	xen_kept_free(ev);
	kvfree(ev);
	kvm_gpc_drop(kvm);
}
