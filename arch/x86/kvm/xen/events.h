/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events: sending them, and keeping those that cannot be delivered yet.
 */
#ifndef __KVM_XEN_EVENTS_H__
#define __KVM_XEN_EVENTS_H__

#include <linux/bitmap.h>
#include <linux/nospec.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <asm/xen/interface.h>
#include <xen/interface/xen.h>
#include <xen/interface/event_channel.h>

#include "state.h"

struct xen_answer;
struct xen_fifo;
struct xen_port;

/* XENVER_* there are. */
#define XEN_ANSWERS		11

/* vCPUs, by index, that xen_get_vcpu() finds in one load. */
#define XEN_NEAR_VCPUS		512

/* xen_events.latched_for of a port that has been closed: no vCPU's id. */
#define XEN_LATCH_CLOSED	U16_MAX
static_assert(KVM_MAX_VCPU_IDS <= XEN_LATCH_CLOSED);

/* As many ports as the FIFO ABI may have. */
#define XEN_KEPT		(EVTCHN_FIFO_NR_CHANNELS / XEN_PORTS)

/**
 * struct xen_stats - what became of events that took another way
 * @latched: kept because shared_info, or what a FIFO queue needs, was not to be reached
 * @parked: delivered, but for vcpu_info, which was not to be reached
 * @flushed: latched ones delivered since
 * @injected: times parked selectors reached the guest
 * @retries: times the worker tried again
 * @to_user: hypercalls that the VMM was asked to answer
 *
 * All are atomic, and none is touched on the way of an event that is delivered.
 */
struct xen_stats {
	atomic_long_t latched;
	atomic_long_t parked;
	atomic_long_t flushed;
	atomic_long_t injected;
	atomic_long_t retries;
	atomic_long_t to_user;
};

/**
 * struct xen_answers - what XENVER_* calls return (version.c)
 * @lock: protects @place against who takes a reference to what is there. Held for a few
 *	instructions
 * @place: by number, or NULL. Written under xen_vm.lock too
 */
struct xen_answers {
	spinlock_t lock;
	struct xen_answer *place[XEN_ANSWERS];
};

/**
 * struct xen_wall_clock - the wall clock in shared_info (time.c)
 * @lock: protects the wall clock in the guest's page against other writers. Held for a
 *	few stores, interrupts off
 * @due: it is to be written. Atomic
 */
struct xen_wall_clock {
	raw_spinlock_t lock;
	bool due;
};

/**
 * struct xen_events - what a VM needs from when an event may first be sent
 * @kvm: the VM
 * @retry: delivers what is latched when no vCPU does
 * @flushing: tasks that may have taken something from the latch. Atomic
 * @idle: woken when there is none any more
 * @telling: tasks in xen_tell_parked(). Atomic
 * @stopped: the VM is going, and its vCPUs' timers have been stopped
 * @resets: twice as often as all ports have been closed, and odd while they are;
 *	written under xen_vm.lock. An event that was taken from the latch before the last
 *	change is not delivered, nor put back, after it; nor one that was taken while odd
 * @backoff: delay in ms after which @retry tries again what has failed. A hint
 * @fifo: the FIFO ABI, if it has ever been used. Written once, with release
 *	semantics
 * @words: bit n: @latched[n] may be non-zero. Set after, taken before it
 * @latched: ports with an undelivered event. Atomic
 * @latched_for: the vCPU id of each, or %XEN_LATCH_CLOSED. Written before the bit is set:
 *	of several senders of one port one is coalesced, as it would be in the guest
 * @ports: where EVTCHNOP_send leads. RCU, written under xen_vm.lock
 * @kept: what the VMM has told of ports it keeps (kept.c), %XEN_PORTS of them each, or
 *	NULL. Written once, with release semantics, under xen_vm.lock; its words are
 *	atomic
 * @vcpus: vCPUs by index, once somebody has asked for them, until they go. Atomic; see
 *	xen_get_vcpu()
 * @answers: see &struct xen_answers
 * @wall_clock: see &struct xen_wall_clock
 * @stats: see &struct xen_stats
 */
struct xen_events {
	struct kvm *kvm;
	struct delayed_work retry;
	atomic_t flushing;
	wait_queue_head_t idle;
	atomic_t telling;
	bool stopped;
	unsigned int resets;
	unsigned int backoff;
	struct xen_fifo *fifo;
	unsigned long words;
	DECLARE_BITMAP(latched, XEN_PORTS);
	u16 latched_for[XEN_PORTS];
	struct xen_port __rcu *ports[XEN_PORTS];
	u64 *kept[XEN_KEPT];
	struct kvm_vcpu *vcpus[XEN_NEAR_VCPUS];
	struct xen_answers answers;
	struct xen_wall_clock wall_clock;
	struct xen_stats stats;
};

/* The pointer is set once, so whoever sees it may keep it. */
static inline struct xen_events *xen_events(struct kvm *kvm)
{
	/* Pairs with cmpxchg_release() in xen_events_make(). */
	return smp_load_acquire(&xen_vm(kvm)->events);
}

struct kvm_vcpu *__xen_get_vcpu(struct kvm *kvm, int idx);

/**
 * xen_get_vcpu - a vCPU by its index
 * @kvm: the VM
 * @idx: any number
 *
 * The same as kvm_get_vcpu(), in one load if somebody has asked for it before: a vCPU
 * that can be found stays as long as its VM.
 *
 * Context: any.
 * Return: NULL if there is none.
 */
static inline struct kvm_vcpu *xen_get_vcpu(struct kvm *kvm, int idx)
{
	struct xen_events *ev = xen_events(kvm);
	struct kvm_vcpu *vcpu = NULL;
	unsigned int i = idx;

	if (likely(ev && i < XEN_NEAR_VCPUS)) {
		i = array_index_nospec(i, XEN_NEAR_VCPUS);
		/* Pairs with smp_store_release() in __xen_get_vcpu(). */
		vcpu = smp_load_acquire(&ev->vcpus[i]);
	}

	return likely(vcpu) ? vcpu : __xen_get_vcpu(kvm, idx);
}

int xen_event_send(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 vcpu_id,
		   u32 port, u32 priority);
int xen_event_deliver(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 port,
		      u32 priority, unsigned int resets,
		      bool (*stale)(struct kvm_vcpu *vcpu, u32 port), int *why);
int xen_event_reach(struct kvm *kvm, u32 port);
int xen_event_unmask(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 port);
void xen_vcpu_wake(struct kvm_vcpu *vcpu, unsigned long todo);

/* latch.c */
int xen_events_make(struct kvm *kvm);
void xen_events_stop(struct kvm *kvm);
void xen_events_forget(struct kvm_vcpu *vcpu);
void xen_events_free(struct kvm *kvm);
void xen_events_reset(struct kvm *kvm);
bool xen_events_unless_reset(struct xen_events *ev, unsigned int resets);
unsigned long xen_latch_take(struct xen_events *ev, unsigned long *word,
			     unsigned int *resets);
int xen_event_latch(struct xen_events *ev, struct kvm_vcpu *vcpu, u32 vcpu_id,
		    u32 port, u32 priority);
void xen_event_latched(struct xen_events *ev, struct kvm_vcpu *vcpu);
void xen_event_forget(struct kvm *kvm, u32 port);
void xen_events_adopt(struct kvm *kvm);
bool xen_events_flush(struct kvm *kvm);
void xen_events_finish(struct kvm *kvm);
void xen_events_retry(struct kvm *kvm);
void xen_events_later(struct kvm *kvm);

/* Can an event be given this priority? */
static inline bool xen_priority_valid(struct kvm *kvm, u32 priority)
{
	return priority == KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL ||
	       (priority < XEN_PRIORITIES &&
		READ_ONCE(xen_vm(kvm)->fifo_ports));
}

/* stats.c */
void xen_stats_publish(struct kvm *kvm);

#endif
