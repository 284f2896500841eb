/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_STATE_H
#define __KVM_X86_MMU_STATE_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>

#include "spte.h"

/*
 * Ranges that are known one by one. One task has about one in flight, for each
 * memslot that it covers, so this is a number of tasks that unmap at once; what is
 * beyond it is known by the base's hull only.
 */
#define TDP_INFLIGHT_MAX	64

/* Ranges that have ended and are still known one by one; a power of two. */
#define TDP_ENDED_MAX		64

/**
 * struct tdp_event - an invalidation, as its start and its end know it
 * @task: who invalidates
 * @start: the user address, or 0 if it is gfns that are invalidated
 * @end: the user address after the last, or 0
 *
 * Events nest within a task. Equal ones are interchangeable: their ranges are equal,
 * as memslots stay as they are meanwhile.
 */
struct tdp_event {
	struct task_struct *task;
	unsigned long start;
	unsigned long end;
};

/**
 * struct tdp_range - a range of gfns between the start and the end of its event
 * @event: the event
 * @id: the same for all ranges that one start has listed, and for no other
 * @start: the first gfn
 * @end: the gfn after the last
 */
struct tdp_range {
	struct tdp_event event;
	unsigned long id;
	gfn_t start;
	gfn_t end;
};

/**
 * struct tdp_ended - a range whose event has ended
 * @seq: what that made of kvm->mmu_invalidate_seq
 * @start: the first gfn
 * @end: the gfn after the last
 */
struct tdp_ended {
	unsigned long seq;
	gfn_t start;
	gfn_t end;
};

/**
 * struct tdp_inflight - the invalidations that faults must not run into
 * @lock: protects everything below; and, together with mmu_lock held for read,
 *	kvm->mmu_invalidate_seq and kvm->mmu_invalidate_in_progress, which the base
 *	changes with mmu_lock held for write. Raw, held for at most
 *	%TDP_INFLIGHT_MAX + %TDP_ENDED_MAX comparisons
 * @nr: entries of @range in use
 * @nr_events: events that they belong to
 * @last_id: the id given out last
 * @range: those in flight
 * @ended: those that ended, each at its sequence number modulo %TDP_ENDED_MAX
 */
struct tdp_inflight {
	raw_spinlock_t lock;
	unsigned int nr;
	unsigned int nr_events;
	unsigned long last_id;
	struct tdp_range range[TDP_INFLIGHT_MAX];
	struct tdp_ended ended[TDP_ENDED_MAX];
};

/**
 * struct tdp_log - pages of one leaf table that a dirty log ioctl is about to watch
 * @slot: their memslot; NULL if there are none
 * @gfn: the first gfn that the table translates
 * @pages: which of its gfns
 *
 * Protected by kvm->slots_lock.
 */
struct tdp_log {
	struct kvm_memory_slot *slot;
	gfn_t gfn;
	DECLARE_BITMAP(pages, SPTE_ENT_PER_PAGE);
};

/**
 * struct tdp_nx - tables that would be huge pages if the guest did not execute them
 * @tables: they, by &kvm_mmu_page.possible_nx_huge_page_link, the oldest first
 * @nr: how many
 * @base: what the base has the task do that recovers them
 * @ratio: one in so many goes at each of its turns; mmu.c's module parameter
 *
 * @tables and @nr are protected by kvm->arch.tdp_mmu_pages_lock, and so is our part of
 * kvm->stat.nx_lpage_splits, which the shadow MMU changes with mmu_lock held for write.
 * The others are set before the task starts.
 */
struct tdp_nx {
	struct list_head tables;
	unsigned long nr;
	bool (*base)(void *data);
	const unsigned int *ratio;
};

enum tdp_attrs_state {
	TDP_ATTRS_NONE,
	TDP_ATTRS_PUBLISHED,
	TDP_ATTRS_ENDED,
};

/**
 * struct tdp_attrs - the change of memory attributes that is under way
 * @state: none, or not one that is ours to zap; its range is in flight; it is not any
 *	more
 * @listed: the range is known one by one
 * @before: ranges in flight before it
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * Protected by kvm->slots_lock.
 */
struct tdp_attrs {
	enum tdp_attrs_state state;
	bool listed;
	unsigned int before;
	gfn_t start;
	gfn_t end;
};

/**
 * struct tdp_vm - the TDP MMU's state for one VM
 * @anchor: sole entry of kvm->arch.tdp_mmu_roots, which is how this is found
 * @roots: the trees, by their link. Read under RCU or mmu_lock, changed under
 *	kvm->arch.tdp_mmu_pages_lock
 * @unsettled: passes that have changed what was present and not yet settled. Atomic
 * @base: KVM's own notifier callbacks
 * @ops: those with ours in place of some
 * @inflight: see &struct tdp_inflight
 * @log: see &struct tdp_log
 * @nx: see &struct tdp_nx
 * @attrs: see &struct tdp_attrs
 * @around_vain: faults in vain, at most %TDP_AROUND_VAIN, of the leaf table that has
 *	looked for neighbours last. A hint, which nothing protects
 *
 * Made and freed with the VM.
 */
struct tdp_vm {
	struct list_head anchor;
	struct list_head roots;
	atomic_t unsettled;
	const struct mmu_notifier_ops *base;
	struct mmu_notifier_ops ops;
	struct tdp_inflight inflight;
	struct tdp_log log;
	struct tdp_nx nx;
	struct tdp_attrs attrs;
	int around_vain;
};

static inline struct tdp_vm *tdp_vm(struct kvm *kvm)
{
	return list_first_entry(&kvm->arch.tdp_mmu_roots, struct tdp_vm, anchor);
}

#endif
