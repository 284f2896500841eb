// SPDX-License-Identifier: GPL-2.0
/*
 * Invalidations: gfns whose pages are about to go, and the faults that must not map
 * them again meanwhile.
 *
 *	invalidation				fault
 *	list the range				snapshot the sequence
 *	take mmu_lock for write, drop it	  (a listed range overlaps: try again)
 *	zap under the shared lock, flush	resolve the page
 *	... pages go away ...			take mmu_lock for read
 *	note the range as ended, next number	a listed range overlaps, or one that
 *	unlist the range			  ended since the snapshot: try again
 *						map
 *
 * The moment of the exclusive lock waits for the faults that did not see the range.
 * What they have mapped is there when the range is zapped. Whoever takes mmu_lock
 * later finds the range listed, or finds it ended since its snapshot, in which case
 * its page may be one of those that went.
 *
 * kvm->mmu_invalidate_in_progress, its range and kvm->mmu_invalidate_seq stay what
 * the base means by them, since the shadow MMU and the vendor modules go by them,
 * and invalidations that the base makes itself are known to us by them: by the hull
 * of all ranges, and as numbers with no range noted.
 */
#include <linux/interval_tree.h>
#include <linux/kvm_dirty_ring.h>
#include <linux/kvm_host.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>

#include <trace/events/kvm.h>

#include <kvm_mm.h>

#include "mmu.h"
#include "age.h"
#include "invalidate.h"
#include "roots.h"
#include "state.h"
#include "tdp_mmu.h"
#include "zap.h"

/* Gfns that the way to a small range of them takes as long as. */
#define TDP_RANGE_WORTH		8ULL

/**
 * tdp_inflight_init - prepare a VM's list of invalidations
 * @kvm: the VM
 *
 * Context: the VM is private to the caller.
 */
void tdp_inflight_init(struct kvm *kvm)
{
	raw_spin_lock_init(&tdp_vm(kvm)->inflight.lock);
}

/*
 * Take the ranges of an event from the list. Each has a number of its own, the first one
 * that which kvm->mmu_invalidate_seq has already if @counted. False if there are none.
 */
static bool tdp_inflight_take(struct kvm *kvm, const struct tdp_event *event,
			      bool counted)
{
	struct tdp_inflight *f = &tdp_vm(kvm)->inflight;
	unsigned long seq = kvm->mmu_invalidate_seq;
	struct tdp_ended *e;
	unsigned long id = 0;
	unsigned int i;

	lockdep_assert_held(&f->lock);

	for (i = 0; i < f->nr && !id; i++)
		if (!memcmp(&f->range[i].event, event, sizeof(*event)))
			id = f->range[i].id;
	if (!id)
		return false;

	seq -= counted;
	for (i = f->nr; i-- > 0; ) {
		if (f->range[i].id != id)
			continue;
		e = &f->ended[++seq % TDP_ENDED_MAX];
		e->seq = seq;
		e->start = f->range[i].start;
		e->end = f->range[i].end;
		/* The last one gets its place. */
		f->range[i] = f->range[--f->nr];
	}
	WRITE_ONCE(kvm->mmu_invalidate_seq, seq);
	f->nr_events--;

	return true;
}

/**
 * tdp_inflight_join - list the ranges of an invalidation that the base has begun
 * @kvm: the VM
 *
 * Three steps, in one section of mmu_lock: this, each range, and whether all had room.
 * Those who ask without mmu_lock may see it half done.
 *
 * Context: mmu_lock held for write.
 * Return: what tdp_inflight_commit() is to be given.
 */
unsigned int tdp_inflight_join(struct kvm *kvm)
{
	struct tdp_inflight *f = &tdp_vm(kvm)->inflight;
	unsigned int nr;

	lockdep_assert_held_write(&kvm->mmu_lock);

	raw_spin_lock(&f->lock);
	f->last_id++;
	nr = f->nr;
	raw_spin_unlock(&f->lock);

	return nr;
}

static unsigned int tdp_inflight_begin(struct kvm *kvm)
{
	kvm_mmu_invalidate_begin(kvm);

	return tdp_inflight_join(kvm);
}

/**
 * tdp_inflight_add - list a range
 * @kvm: the VM
 * @event: its event
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * Context: mmu_lock held for write.
 * Return: whether there was room.
 */
bool tdp_inflight_add(struct kvm *kvm, const struct tdp_event *event, gfn_t start,
		      gfn_t end)
{
	struct tdp_inflight *f = &tdp_vm(kvm)->inflight;
	struct tdp_range *r;
	bool fits;

	kvm_mmu_invalidate_range_add(kvm, start, end);

	raw_spin_lock(&f->lock);
	fits = f->nr < TDP_INFLIGHT_MAX;
	if (fits) {
		r = &f->range[f->nr++];
		r->event = *event;
		r->id = f->last_id;
		r->start = start;
		r->end = end;
	}
	raw_spin_unlock(&f->lock);

	return fits;
}

/**
 * tdp_inflight_commit - all ranges of an event are listed, or they shall not be
 * @kvm: the VM
 * @nr: what tdp_inflight_join() returned
 * @fits: each had room; else the event is known by the base's hull only
 *
 * Context: mmu_lock held for write.
 */
void tdp_inflight_commit(struct kvm *kvm, unsigned int nr, bool fits)
{
	struct tdp_inflight *f = &tdp_vm(kvm)->inflight;

	raw_spin_lock(&f->lock);
	if (fits)
		f->nr_events++;
	else
		f->nr = nr;
	raw_spin_unlock(&f->lock);
}

/* Let faults go on. False if no such event is listed. */
static bool tdp_inflight_end(struct kvm *kvm, const struct tdp_event *event)
{
	struct tdp_inflight *f = &tdp_vm(kvm)->inflight;
	bool listed;

	/* Keeps away the base, which has the lock for write. */
	read_lock(&kvm->mmu_lock);
	raw_spin_lock(&f->lock);

	listed = tdp_inflight_take(kvm, event, false);
	if (listed) {
		/*
		 * Pairs with smp_rmb() in kvm_tdp_mmu_is_still() and the base's
		 * mmu_invalidate_retry(): the new number before nothing being in
		 * progress.
		 */
		smp_wmb();
		WRITE_ONCE(kvm->mmu_invalidate_in_progress,
			   kvm->mmu_invalidate_in_progress - 1);
	}

	raw_spin_unlock(&f->lock);
	read_unlock(&kvm->mmu_lock);

	return listed;
}

/**
 * tdp_inflight_ended - say what an invalidation was about that the base has just ended
 * @kvm: the VM
 * @event: the event, which is listed
 *
 * Context: mmu_lock held for write since before the base ended it.
 */
void tdp_inflight_ended(struct kvm *kvm, const struct tdp_event *event)
{
	struct tdp_inflight *f = &tdp_vm(kvm)->inflight;

	lockdep_assert_held_write(&kvm->mmu_lock);

	raw_spin_lock(&f->lock);
	WARN_ON_ONCE(!tdp_inflight_take(kvm, event, true));
	raw_spin_unlock(&f->lock);
}

/* Whether anything in flight overlaps [@start, @end). */
static bool __tdp_inflight_overlaps(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct tdp_inflight *f = &tdp_vm(kvm)->inflight;
	unsigned int i;

	lockdep_assert_held(&f->lock);

	for (i = 0; i < f->nr; i++)
		if (f->range[i].start < end && start < f->range[i].end)
			return true;

	/* Is there one that is not listed? The hull is of all. */
	return READ_ONCE(kvm->mmu_invalidate_in_progress) > f->nr_events &&
	       READ_ONCE(kvm->mmu_invalidate_range_start) < end &&
	       start < READ_ONCE(kvm->mmu_invalidate_range_end);
}

/**
 * tdp_inflight_overlaps - ask whether gfns are being invalidated
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * If they are not, and mmu_lock stays held, their pages as the host's page tables
 * have them now may be mapped.
 *
 * Context: mmu_lock held for read.
 * Return: whether any is.
 */
bool tdp_inflight_overlaps(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct tdp_inflight *f = &tdp_vm(kvm)->inflight;
	bool overlaps;

	lockdep_assert_held_read(&kvm->mmu_lock);

	if (likely(!READ_ONCE(kvm->mmu_invalidate_in_progress)))
		return false;

	raw_spin_lock(&f->lock);
	overlaps = __tdp_inflight_overlaps(kvm, start, end);
	raw_spin_unlock(&f->lock);

	return overlaps;
}

/* As kvm_tdp_mmu_retry_gfn(), where something is in flight or has ended. */
static noinline bool tdp_inflight_retry(struct kvm *kvm, unsigned long seq, gfn_t gfn)
{
	struct tdp_inflight *f = &tdp_vm(kvm)->inflight;
	unsigned long now;
	struct tdp_ended *e;
	bool retry = true;

	raw_spin_lock(&f->lock);

	if (__tdp_inflight_overlaps(kvm, gfn, gfn + 1))
		goto out;

	now = READ_ONCE(kvm->mmu_invalidate_seq);
	if (now - seq > TDP_ENDED_MAX)
		goto out;

	while (seq != now) {
		e = &f->ended[++seq % TDP_ENDED_MAX];
		/* The base has ended one, and it is not said where. */
		if (e->seq != seq)
			goto out;
		if (gfn >= e->start && gfn < e->end)
			goto out;
	}

	retry = false;
out:
	raw_spin_unlock(&f->lock);

	return retry;
}

/**
 * kvm_tdp_mmu_retry_gfn - ask whether a fault has become stale
 * @kvm: the VM
 * @seq: kvm->mmu_invalidate_seq, as it was before the page was resolved
 * @gfn: the faulting gfn
 *
 * Stands in mmu.c for the base's mmu_invalidate_retry_gfn(), which knows one range
 * for all, and no range of what has ended.
 *
 * Context: with mmu_lock held, any way, the answer holds until it is dropped. Without
 *	it is a guess, good enough to save work.
 * Return: whether an invalidation of @gfn is in flight or has ended since.
 */
bool kvm_tdp_mmu_retry_gfn(struct kvm *kvm, unsigned long seq, gfn_t gfn)
{
	return !kvm_tdp_mmu_is_still(kvm, seq) && tdp_inflight_retry(kvm, seq, gfn);
}

/**
 * struct tdp_hva_walk - a way through the memslots that a range of user addresses has
 * a part of
 * @kvm: the VM
 * @range: the range
 * @as_id: the address space of the memslots
 * @slots: its memslots
 * @node: the memslot, among those by user address; NULL at the end
 * @gfns: what the range covers of it
 *
 * On the stack of who holds kvm->srcu.
 */
struct tdp_hva_walk {
	struct kvm *kvm;
	const struct mmu_notifier_range *range;
	int as_id;
	struct kvm_memslots *slots;
	struct interval_tree_node *node;
	struct kvm_gfn_range gfns;
};

static void tdp_hva_walk_next(struct tdp_hva_walk *w)
{
	unsigned long start = w->range->start, end = w->range->end;
	struct kvm_memory_slot *slot;

	if (w->node)
		w->node = interval_tree_iter_next(w->node, start, end - 1);

	while (!w->node && ++w->as_id < kvm_arch_nr_memslot_as_ids(w->kvm)) {
		w->slots = __kvm_memslots(w->kvm, w->as_id);
		w->node = interval_tree_iter_first(&w->slots->hva_tree, start,
						   end - 1);
	}
	if (!w->node)
		return;

	slot = container_of(w->node, struct kvm_memory_slot,
			    hva_node[w->slots->node_idx]);
	start = max(start, slot->userspace_addr);
	end = min(end, slot->userspace_addr + (slot->npages << PAGE_SHIFT));

	w->gfns.slot = slot;
	w->gfns.start = hva_to_gfn_memslot(start, slot);
	w->gfns.end = hva_to_gfn_memslot(end + PAGE_SIZE - 1, slot);
}

static void tdp_hva_walk_start(struct tdp_hva_walk *w, struct kvm *kvm,
			       const struct mmu_notifier_range *range)
{
	memset(w, 0, sizeof(*w));
	w->kvm = kvm;
	w->range = range;
	w->as_id = -1;
	w->gfns.may_block = mmu_notifier_range_blockable(range);
	w->gfns.attr_filter = KVM_FILTER_SHARED;

	tdp_hva_walk_next(w);
}

#define tdp_for_each_hva_slot(_w, _kvm, _range)					\
	for (tdp_hva_walk_start(_w, _kvm, _range); (_w)->node; tdp_hva_walk_next(_w))

static struct tdp_event tdp_event(const struct mmu_notifier_range *range)
{
	struct tdp_event event = {
		.task = current,
		.start = range->start,
		.end = range->end,
	};

	return event;
}

/* As a walk that comes to a memslot, without what a walk needs: mostly there is none. */
static bool tdp_range_is_mapped(struct kvm *kvm,
				const struct mmu_notifier_range *range)
{
	struct rb_root_cached *tree;
	int as_id;

	if (WARN_ON_ONCE(range->start >= range->end))
		return false;

	for (as_id = 0; as_id < kvm_arch_nr_memslot_as_ids(kvm); as_id++) {
		tree = &__kvm_memslots(kvm, as_id)->hva_tree;
		if (interval_tree_iter_first(tree, range->start, range->end - 1))
			return true;
	}

	return false;
}

/*
 * Make what a range covers known to faults, and wait for those who do not know it.
 * If there is no room to list it, the base's hull covers it.
 */
static void tdp_range_publish(struct kvm *kvm, const struct mmu_notifier_range *range)
{
	const struct tdp_event event = tdp_event(range);
	struct tdp_hva_walk w;
	bool fits = true;
	unsigned int nr;

	write_lock(&kvm->mmu_lock);
	nr = tdp_inflight_begin(kvm);

	tdp_for_each_hva_slot(&w, kvm, range)
		fits &= tdp_inflight_add(kvm, &event, w.gfns.start, w.gfns.end);

	tdp_inflight_commit(kvm, nr, fits);
	write_unlock(&kvm->mmu_lock);
}

/* Do something about every gfn that a range covers. */
static bool tdp_range_handle(struct kvm *kvm, const struct mmu_notifier_range *range,
			     bool (*handle)(struct kvm *kvm,
					    struct kvm_gfn_range *gfns))
{
	struct tdp_hva_walk w;
	bool ret = false;

	tdp_for_each_hva_slot(&w, kvm, range)
		ret |= handle(kvm, &w.gfns);

	return ret;
}

/**
 * tdp_slot_unmapped - tell vCPUs of what they know of a memslot beside its tables
 * @kvm: the VM
 * @slot: the memslot
 *
 * Context: an invalidation of some of its gfns is in flight.
 */
void tdp_slot_unmapped(struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	if (kvm_x86_ops.set_apic_access_page_addr &&
	    slot->id == APIC_ACCESS_PAGE_PRIVATE_MEMSLOT)
		kvm_make_all_cpus_request(kvm, KVM_REQ_APIC_PAGE_RELOAD);
}

/*
 * Drop what a range covers: one pass for all memslots, however many have a part of it,
 * and so one flush. A small part does not come to a break of its own.
 */
static void tdp_range_zap(struct kvm *kvm, const struct mmu_notifier_range *range)
{
	struct tdp_hva_walk w;
	struct tdp_pass p;
	gfn_t done = 0;

	tdp_zap_begin(&p, kvm, mmu_notifier_range_blockable(range));

	tdp_for_each_hva_slot(&w, kvm, range) {
		tdp_zap_range(&p, w.gfns.slot->as_id, TDP_ALL, w.gfns.start,
			      w.gfns.end);
		tdp_slot_unmapped(kvm, w.gfns.slot);

		done += max(w.gfns.end - w.gfns.start, TDP_RANGE_WORTH);
		if ((done >= SPTE_ENT_PER_PAGE || need_resched()) &&
		    tdp_pass_wanted(&p)) {
			tdp_pass_break(&p);
			done = 0;
		}
	}

	tdp_zap_end(&p);
}

static int tdp_invalidate_range_start(struct mmu_notifier *mn,
				      const struct mmu_notifier_range *range)
{
	struct kvm *kvm = container_of(mn, struct kvm, mmu_notifier);
	bool found;
	int idx;

	/* The same as the base does: memslots stay as they are until the end. */
	spin_lock(&kvm->mn_invalidate_lock);
	kvm->mn_active_invalidate_count++;
	spin_unlock(&kvm->mn_invalidate_lock);

	trace_kvm_unmap_hva_range(range->start, range->end);
	gfn_to_pfn_cache_invalidate_start(kvm, range->start, range->end);

	idx = srcu_read_lock(&kvm->srcu);

	found = tdp_range_is_mapped(kvm, range);
	if (found) {
		tdp_range_publish(kvm, range);

		/*
		 * From here on the shadow MMU sees the range too: if it is not in
		 * use yet, it will not have mapped anything of it before the end.
		 */
		if (kvm_memslots_have_rmaps(kvm)) {
			write_lock(&kvm->mmu_lock);
			if (tdp_range_handle(kvm, range, kvm_unmap_gfn_range))
				kvm_flush_remote_tlbs(kvm);
			write_unlock(&kvm->mmu_lock);
		} else {
			tdp_range_zap(kvm, range);
		}
	}

	srcu_read_unlock(&kvm->srcu, idx);

	if (found)
		kvm_arch_guest_memory_reclaimed(kvm);

	return 0;
}

/* Let faults go on. False if it is left to the base, which alone knows of the range. */
static noinline bool tdp_range_ended(struct kvm *kvm,
				     const struct mmu_notifier_range *range)
{
	const struct tdp_event event = tdp_event(range);
	bool found;
	int idx;

	/* The memslots are those of the start. */
	idx = srcu_read_lock(&kvm->srcu);
	found = tdp_range_is_mapped(kvm, range);
	srcu_read_unlock(&kvm->srcu, idx);

	/* If it was not listed, it is known by the hull, and so to the base. */
	return !found || tdp_inflight_end(kvm, &event);
}

static void tdp_invalidate_range_end(struct mmu_notifier *mn,
				     const struct mmu_notifier_range *range)
{
	struct kvm *kvm = container_of(mn, struct kvm, mmu_notifier);
	bool wake;

	/*
	 * What this task counted at the start is counted still. So if nothing is in
	 * progress, there was no memslot.
	 */
	if (unlikely(READ_ONCE(kvm->mmu_invalidate_in_progress)) &&
	    !tdp_range_ended(kvm, range)) {
		tdp_vm(kvm)->base->invalidate_range_end(mn, range);
		return;
	}

	spin_lock(&kvm->mn_invalidate_lock);
	/* Who waits says so under this lock, before it looks at the count. */
	wake = !--kvm->mn_active_invalidate_count &&
	       rcuwait_active(&kvm->mn_memslots_update_rcuwait);
	spin_unlock(&kvm->mn_invalidate_lock);

	if (wake)
		rcuwait_wake_up(&kvm->mn_memslots_update_rcuwait);
}

static bool tdp_age_clear(struct kvm *kvm, struct kvm_gfn_range *gfns)
{
	return tdp_age(kvm, gfns, true);
}

static bool tdp_age_test(struct kvm *kvm, struct kvm_gfn_range *gfns)
{
	return tdp_age(kvm, gfns, false);
}

static bool tdp_age_hva(struct kvm *kvm, unsigned long start, unsigned long end,
			bool (*age)(struct kvm *kvm, struct kvm_gfn_range *gfns))
{
	const struct mmu_notifier_range range = { .start = start, .end = end };
	bool young;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	young = tdp_range_handle(kvm, &range, age);
	srcu_read_unlock(&kvm->srcu, idx);

	return young;
}

static int tdp_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
				 unsigned long start, unsigned long end)
{
	struct kvm *kvm = container_of(mn, struct kvm, mmu_notifier);
	bool young;

	if (kvm_memslots_have_rmaps(kvm))
		return tdp_vm(kvm)->base->clear_flush_young(mn, mm, start, end);

	trace_kvm_age_hva(start, end);
	young = tdp_age_hva(kvm, start, end, tdp_age_clear);
	if (young)
		kvm_flush_remote_tlbs(kvm);

	return young;
}

static int tdp_clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
			   unsigned long start, unsigned long end)
{
	struct kvm *kvm = container_of(mn, struct kvm, mmu_notifier);

	if (kvm_memslots_have_rmaps(kvm))
		return tdp_vm(kvm)->base->clear_young(mn, mm, start, end);

	trace_kvm_age_hva(start, end);

	return tdp_age_hva(kvm, start, end, tdp_age_clear);
}

static int tdp_test_young(struct mmu_notifier *mn, struct mm_struct *mm,
			  unsigned long address)
{
	struct kvm *kvm = container_of(mn, struct kvm, mmu_notifier);

	if (kvm_memslots_have_rmaps(kvm))
		return tdp_vm(kvm)->base->test_young(mn, mm, address);

	trace_kvm_test_age_hva(address);

	return tdp_age_hva(kvm, address, address + 1, tdp_age_test);
}

/**
 * kvm_tdp_mmu_notifier_register - register KVM's notifier, some callbacks being ours
 * @mn: kvm->mmu_notifier, with KVM's own callbacks
 * @mm: the VMM's address space
 *
 * Stands in for mmu_notifier_register() in kvm_main.c.
 *
 * Context: may sleep; VM creation, the VM private to the caller.
 * Return: 0 or a negative errno.
 */
int kvm_tdp_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct kvm *kvm = container_of(mn, struct kvm, mmu_notifier);
	struct tdp_vm *vm;

	if (tdp_mmu_enabled) {
		vm = tdp_vm(kvm);
		vm->base = mn->ops;
		vm->ops = *mn->ops;
		vm->ops.invalidate_range_start = tdp_invalidate_range_start;
		vm->ops.invalidate_range_end = tdp_invalidate_range_end;
		vm->ops.clear_flush_young = tdp_clear_flush_young;
		vm->ops.clear_young = tdp_clear_young;
		vm->ops.test_young = tdp_test_young;
		mn->ops = &vm->ops;
	}

	return kvm_gpc_mmu_notifier_register(mn, mm);
}

/**
 * kvm_zap_gfn_range - drop every mapping of a range of gfns
 * @kvm: the VM
 * @gfn_start: the first gfn
 * @gfn_end: the gfn after the last
 *
 * Nothing that was mapped before the call is in use after it; what is mapped
 * meanwhile is mapped by a fault that began after the call.
 *
 * Context: may sleep on PREEMPT_RT only; kvm->srcu may be held.
 */
void kvm_zap_gfn_range(struct kvm *kvm, gfn_t gfn_start, gfn_t gfn_end)
{
	const struct tdp_event event = { .task = current };
	unsigned int nr;
	bool listed;

	if (WARN_ON_ONCE(gfn_end <= gfn_start))
		return;

	if (!tdp_mmu_enabled || kvm_memslots_have_rmaps(kvm)) {
		kvm_zap_gfn_range_base(kvm, gfn_start, gfn_end);
		return;
	}

	write_lock(&kvm->mmu_lock);
	nr = tdp_inflight_begin(kvm);
	listed = tdp_inflight_add(kvm, &event, gfn_start, gfn_end);
	tdp_inflight_commit(kvm, nr, listed);
	write_unlock(&kvm->mmu_lock);

	tdp_zap_gfns(kvm, TDP_VALID, gfn_start, gfn_end);

	/* The shadow MMU has come into use: it may have mapped something before. */
	if (kvm_memslots_have_rmaps(kvm))
		kvm_zap_gfn_range_base(kvm, gfn_start, gfn_end);

	if (!listed) {
		write_lock(&kvm->mmu_lock);
		kvm_mmu_invalidate_end(kvm);
		write_unlock(&kvm->mmu_lock);
	} else {
		tdp_inflight_end(kvm, &event);
	}
}
EXPORT_SYMBOL_GPL(kvm_zap_gfn_range);
