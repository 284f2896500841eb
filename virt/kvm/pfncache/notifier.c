// SPDX-License-Identifier: GPL-2.0
/*
 * Invalidations: what the MMU notifier of the VMM's address space tells us.
 *
 * KVM calls gfn_to_pfn_cache_invalidate_start() itself. What it does not tell
 * its caches, that an invalidation has ended and that the address space is gone,
 * we take from the notifier directly: kvm_main.c is compiled so that it
 * registers its notifier through kvm_gpc_mmu_notifier_register().
 *
 * The protocol, whose two sides meet in gpc_inflight.lock:
 *
 *	invalidation			refresh (gpc_map())
 *	list the range			index the cache, clear stale
 *	look the range up; make		wait while a listed range overlaps
 *	  caches found there stale	resolve the page, map it
 *	... pages go away ...		valid, unless stale again
 *	unlist the range, wake
 *
 * Whichever of the two enters the lock first, the other sees what it did: an
 * invalidation listed later finds the cache and clears the way for its pages; one
 * listed earlier is waited for. No sequence count is involved, so nothing depends
 * on whether a memslot covers the address, and a range that does not overlap is
 * not waited for, nor retried for. (Of more than GPC_INFLIGHT_MAX invalidations at
 * once, the excess is known by its hull.)
 */
#include <linux/jiffies.h>

#include "pfncache.h"
#include "../kvm_mm.h"

static void gpc_inflight_add(struct gpc_manager *m, unsigned long start,
			     unsigned long end)
{
	struct gpc_inflight *f = &m->inflight;
	struct gpc_inflight_range *r;

	raw_spin_lock(&f->lock);
	WRITE_ONCE(f->nr_events, f->nr_events + 1);
	if (likely(f->nr < GPC_INFLIGHT_MAX)) {
		r = &f->range[f->nr++];
		r->start = start;
		r->end = end;
		r->waited = false;
	} else if (f->nr_unlisted++) {
		r = &f->unlisted;
		r->start = min(r->start, start);
		r->end = max(r->end, end);
	} else {
		r = &f->unlisted;
		r->start = start;
		r->end = end;
		r->waited = false;
	}
	raw_spin_unlock(&f->lock);
}

static void gpc_inflight_del(struct gpc_manager *m, unsigned long start,
			     unsigned long end)
{
	struct gpc_inflight *f = &m->inflight;
	bool wake = false;
	unsigned int i;

	raw_spin_lock(&f->lock);
	WRITE_ONCE(f->nr_ends, f->nr_ends + 1);
	/* The newest first: invalidations nest, and most are short. */
	for (i = f->nr; i-- > 0; )
		if (f->range[i].start == start && f->range[i].end == end)
			break;
	if (likely(i < f->nr)) {
		wake = f->range[i].waited;
		/* The last one gets its place. */
		if (i != --f->nr)
			f->range[i] = f->range[f->nr];
	} else if (!WARN_ON_ONCE(!f->nr_unlisted)) {
		wake = !--f->nr_unlisted && f->unlisted.waited;
	}
	raw_spin_unlock(&f->lock);

	/* Whoever marked the range was on the queue, or looks again there. */
	if (unlikely(wake))
		wake_up_all(&m->wait);
}

static bool gpc_inflight_overlaps(struct gpc_inflight_range *r,
				  unsigned long first, unsigned long last,
				  bool sleeps)
{
	if (r->start > last || r->end <= first)
		return false;

	if (sleeps)
		r->waited = true;

	return true;
}

/**
 * gpc_must_wait - ask whether a page is being invalidated
 * @m: the VM's caches
 * @uhva: any user address in the page
 * @sleeps: the end of the invalidation is to wake @m->wait
 * @dead: set if the address space is gone, in which case the answer is false
 *
 * If the answer is no, the caller goes on to resolve the page, and that is counted.
 *
 * Context: process context.
 */
bool gpc_must_wait(struct gpc_manager *m, unsigned long uhva, bool sleeps,
		   bool *dead)
{
	struct gpc_inflight *f = &m->inflight;
	unsigned long first = uhva & PAGE_MASK;
	unsigned long last = first + (PAGE_SIZE - 1);
	bool wait = false;
	unsigned int i;

	raw_spin_lock(&f->lock);
	*dead = f->dead;
	if (!f->dead) {
		if (unlikely(f->nr_unlisted))
			wait = gpc_inflight_overlaps(&f->unlisted, first, last,
						     sleeps);
		for (i = 0; i < f->nr && !wait; i++)
			wait = gpc_inflight_overlaps(&f->range[i], first, last,
						     sleeps);
		if (likely(!wait))
			WRITE_ONCE(f->nr_gups, f->nr_gups + 1);
	}
	raw_spin_unlock(&f->lock);

	return wait;
}

/**
 * gfn_to_pfn_cache_invalidate_start - user addresses are about to lose their pages
 * @kvm: a VM of the address space
 * @start: first user address
 * @end: user address, exclusive
 *
 * When this returns, nobody is inside an access through a cache in the range,
 * and no such cache becomes usable before kvm_gpc_invalidate_end().
 *
 * Context: MMU notifier, with any of the mm's locks held; the range may be one
 *	that must not block. Does not sleep (on PREEMPT_RT: beyond its sleeping
 *	spinlocks), does not allocate, cannot fail. A range without caches costs
 *	one listing and one lookup, however many caches there are.
 */
void gfn_to_pfn_cache_invalidate_start(struct kvm *kvm, unsigned long start,
				       unsigned long end)
{
	struct gpc_manager *m = gpc_manager(kvm);

	gpc_inflight_add(m, start, end);

	if (start < end && gpc_index_any(m, start, end))
		gpc_index_invalidate(m, start, end);
}

static void kvm_gpc_invalidate_range_end(struct mmu_notifier *mn,
					 const struct mmu_notifier_range *range)
{
	struct gpc_manager *m = container_of(mn->ops, struct gpc_manager, ops);

	m->base->invalidate_range_end(mn, range);
	gpc_inflight_del(m, range->start, range->end);
}

/*
 * The address space goes: its task was killed, or the VM is being destroyed. No
 * invalidation will ever be heard of again, but timers, irqfds and descriptors
 * held by other processes may go on using caches until the VM is gone.
 */
static void kvm_gpc_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct gpc_manager *m = container_of(mn->ops, struct gpc_manager, ops);

	raw_spin_lock(&m->inflight.lock);
	m->inflight.dead = true;
	raw_spin_unlock(&m->inflight.lock);

	gpc_index_invalidate(m, 0, ULONG_MAX);
	wake_up_all(&m->wait);

	m->base->release(mn, mm);
}

/**
 * gpc_manager_put - drop a reference to the caches of a VM
 * @m: the manager
 *
 * Context: process context, no lock of the manager held.
 */
void gpc_manager_put(struct gpc_manager *m)
{
	if (!refcount_dec_and_test(&m->users))
		return;

	list_del(&m->anchor);
	gpc_forget_readers(m);
	xa_destroy(&m->index);
	free_cpumask_var(m->readers);
	kvfree(m);
}

/**
 * kvm_gpc_mmu_notifier_register - register KVM's notifier, and the caches with it
 * @mn: kvm->mmu_notifier, with KVM's own callbacks
 * @mm: the VMM's address space
 *
 * Stands in for mmu_notifier_register() in kvm_main.c.
 *
 * Context: may sleep; VM creation, the VM private to the caller.
 * Return: 0, -ENOMEM or what mmu_notifier_register() returns.
 */
int kvm_gpc_mmu_notifier_register(struct mmu_notifier *mn,
				  struct mm_struct *mm)
{
	struct kvm *kvm = container_of(mn, struct kvm, mmu_notifier);
	struct gpc_manager *m;
	int r;

	m = kvzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m)
		return -ENOMEM;
	if (!zalloc_cpumask_var(&m->readers, GFP_KERNEL_ACCOUNT)) {
		kvfree(m);
		return -ENOMEM;
	}

	m->kvm = kvm;
	m->say_until = jiffies;
	m->base = mn->ops;
	m->ops = *mn->ops;
	m->ops.invalidate_range_end = kvm_gpc_invalidate_range_end;
	m->ops.release = kvm_gpc_release;
	refcount_set(&m->users, 1);
	xa_init_flags(&m->index, XA_FLAGS_ACCOUNT);
	raw_spin_lock_init(&m->inflight.lock);
	init_waitqueue_head(&m->wait);
	list_add(&m->anchor, &kvm->gpc_list);

	mn->ops = &m->ops;
	r = mmu_notifier_register(mn, mm);
	if (r) {
		mn->ops = m->base;
		gpc_manager_put(m);
	}

	return r;
}

/**
 * kvm_gpc_mmu_notifier_unregister - undo kvm_gpc_mmu_notifier_register()
 * @mn: kvm->mmu_notifier
 * @mm: the VMM's address space
 *
 * Every cache is unusable afterwards; those still active can be deactivated at
 * any later time.
 *
 * Context: may sleep; VM destruction.
 */
void kvm_gpc_mmu_notifier_unregister(struct mmu_notifier *mn,
				     struct mm_struct *mm)
{
	struct gpc_manager *m = container_of(mn->ops, struct gpc_manager, ops);

	mmu_notifier_unregister(mn, mm);
	mn->ops = m->base;
	gpc_manager_put(m);
}
