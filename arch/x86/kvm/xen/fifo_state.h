/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What there is of the FIFO ABI in a VM, for the files that know it: fifo.c, which has the
 * queues, fifo_latch.c and fifo_attr.c.
 */
#ifndef __KVM_XEN_FIFO_STATE_H__
#define __KVM_XEN_FIFO_STATE_H__

#include <linux/kvm_host.h>
#include <linux/spinlock.h>

#include "events.h"
#include "fifo_words.h"

#define XEN_FIFO_QUEUES		EVTCHN_FIFO_MAX_QUEUES

/* Locks of queues: those of vCPUs whose index is the same modulo this. */
#define XEN_FIFO_LOCKS		64

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

static inline struct xen_fifo *xen_fifo(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);

	/* Pairs with smp_store_release() in xen_fifo_make(). */
	return ev ? smp_load_acquire(&ev->fifo) : NULL;
}

static inline struct xen_fifo_vcpu *xen_fifo_vcpu(struct xen_fifo *f, u32 idx)
{
	/* Pairs with smp_store_release() in xen_fifo_make_vcpu(). */
	return smp_load_acquire(&f->vcpus[idx]);
}

static inline u32 xen_fifo_priority(u32 priority)
{
	return priority <= EVTCHN_FIFO_PRIORITY_MIN ?
		priority : EVTCHN_FIFO_PRIORITY_DEFAULT;
}

static inline void xen_fifo_aim(struct xen_fifo *f, u32 port, u32 vcpu_id,
				u32 priority)
{
	u32 aim = XEN_FIFO_AIM | priority << XEN_FIFO_AIM_PRIORITY | vcpu_id;

	BUILD_BUG_ON(KVM_MAX_VCPU_IDS > 1 << XEN_FIFO_AIM_PRIORITY);

	if (READ_ONCE(f->ports[port].aim) != aim)
		WRITE_ONCE(f->ports[port].aim, aim);
}

static inline u32 xen_fifo_aimed_priority(u32 aim)
{
	return (aim & ~XEN_FIFO_AIM) >> XEN_FIFO_AIM_PRIORITY;
}

static inline struct kvm_vcpu *xen_fifo_aimed_vcpu(struct kvm *kvm, u32 aim)
{
	if (!aim)
		return NULL;

	return kvm_get_vcpu_by_id(kvm, aim & (BIT(XEN_FIFO_AIM_PRIORITY) - 1));
}

/* fifo.c */
int xen_fifo_set_tail(struct kvm_vcpu *vcpu, u32 priority, u32 port);

#endif
