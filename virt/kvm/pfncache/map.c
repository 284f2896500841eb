// SPDX-License-Identifier: GPL-2.0
/*
 * Resolving a user address to a page, and mapping it for the kernel, against
 * invalidations that may take the page away at any time. Owns nothing: the
 * caller holds refresh_lock, and the cache becomes valid here and nowhere else.
 */
#include <linux/error-injection.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "pfncache.h"
#include "../kvm_mm.h"

/* A page or two are unmapped sooner than a task falls asleep and is woken. */
#define GPC_SPIN_NS	10000
#define GPC_SPIN_POLLS	2

/* Map a page, with or without a struct page. Return: its address or NULL. */
static noinline void *gpc_map_pfn(kvm_pfn_t pfn)
{
	if (pfn_valid(pfn))
		return kmap(pfn_to_page(pfn));

	return memremap(pfn_to_hpa(pfn), PAGE_SIZE, MEMREMAP_WB);
}
ALLOW_ERROR_INJECTION(gpc_map_pfn, NULL); /* kmap() does not fail by itself */

/**
 * gpc_unmap - undo the mapping of a page
 * @pfn: the page, or an error pfn
 * @khva: where it is mapped, at any offset, or NULL
 *
 * Context: may sleep.
 */
void gpc_unmap(kvm_pfn_t pfn, void *khva)
{
	if (is_error_noslot_pfn(pfn) || !khva)
		return;

	if (pfn_valid(pfn))
		kunmap(pfn_to_page(pfn));
	else
		memunmap((void *)((unsigned long)khva & PAGE_MASK));
}

/*
 * Clear stale, then see to it that no invalidation that came before is still at
 * work on the page. What comes later sets stale again. The cache's lock is not
 * needed for that: if an invalidation sets stale just before it is cleared here, its
 * range was listed before, and is found in the list, or its end has come already,
 * and with it the page's.
 *
 * Return: whether there is none; or @dead, that there is no address space.
 */
static bool gpc_try_arm(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc,
			bool sleeps, bool *dead)
{
	/* Before the list is asked, under its lock. */
	WRITE_ONCE(gpc->stale, false);

	return !gpc_must_wait(m, gpc->uhva, sleeps, dead);
}

/* Wait a little, awake, for an invalidation to end. Return: whether one has. */
static bool gpc_spin(struct gpc_manager *m, unsigned long ends, u64 until)
{
	unsigned int i;

	do {
		if (need_resched() || local_clock() >= until)
			return false;
		/* Who is to end it needs that line, and perhaps this core. */
		for (i = 0; i < GPC_SPIN_POLLS; i++)
			cpu_relax();
	} while (READ_ONCE(m->inflight.nr_ends) == ends);

	return true;
}

/* As gpc_try_arm(), again and again for a while. */
static bool gpc_arm_soon(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc,
			 bool *dead)
{
	unsigned long ends = READ_ONCE(m->inflight.nr_ends);
	u64 until;

	if (likely(gpc_try_arm(m, gpc, false, dead)))
		return true;

	until = local_clock() + GPC_SPIN_NS;
	while (gpc_spin(m, ends, until)) {
		ends = READ_ONCE(m->inflight.nr_ends);
		if (gpc_try_arm(m, gpc, false, dead))
			return true;
	}

	return false;
}

/* Return: 0, -EINTR for a fatal signal, -EFAULT without an address space. */
static int gpc_arm(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc)
{
	bool dead;

	if (unlikely(!gpc_arm_soon(m, gpc, &dead))) {
		atomic_long_inc(&m->stats.waits);
		if (wait_event_killable(m->wait, gpc_try_arm(m, gpc, true, &dead)))
			return -EINTR;
	}

	return dead ? -EFAULT : 0;
}

/*
 * The cache is usable from here on, unless an invalidation came by.
 *
 * The host is told that the page is written to: a fast look at its page tables does not
 * change that. Here, as whoever has it clean tells the notifier first, and that waits
 * for this lock: told later, a page would be dirty that is known to be clean.
 */
static bool gpc_commit(struct gfn_to_pfn_cache *gpc, kvm_pfn_t pfn, void *khva)
{
	bool ok;

	write_lock_irq(&gpc->lock);
	ok = !gpc->stale;
	if (ok) {
		kvm_set_pfn_dirty(pfn);
		gpc->pfn = pfn;
		gpc->khva = (void *)((unsigned long)khva & PAGE_MASK) +
			    offset_in_page(gpc->uhva);
		gpc->valid = true;
		if (gpc->read_live)
			/* Pairs with the dependency of what a reader does with it. */
			smp_store_release(&gpc->live, gpc->khva);
	}
	write_unlock_irq(&gpc->lock);

	return ok;
}

/*
 * Resolve the address of a cache to a page, with a reference to it.
 *
 * A kthread has only borrowed the address space, so the pages must be kept there
 * meanwhile; and not for longer, since their going is what would wake it. It
 * leaves the last of them to be put by somebody who holds no locks.
 */
static kvm_pfn_t gpc_resolve(struct gfn_to_pfn_cache *gpc)
{
	struct mm_struct *mm = gpc->kvm->mm;
	bool borrowed = current->flags & PF_KTHREAD;
	kvm_pfn_t pfn;

	if (borrowed && !mmget_not_zero(mm))
		return KVM_PFN_ERR_FAULT;

	WRITE_ONCE(gpc->gup_pid, current->pid);
	pfn = hva_to_pfn(gpc->uhva, false, false, NULL, true, NULL);
	WRITE_ONCE(gpc->gup_pid, 0);

	if (borrowed)
		mmput_async(mm);

	return pfn;
}

/**
 * gpc_map - make a cache usable
 * @m: the VM's caches
 * @gpc: the cache: active, indexed, not valid. What its pfn and khva are before does
 *	not matter; afterwards they are those of the page, or of none
 * @old_pfn: page mapped for the cache before, or an error pfn
 * @old_khva: where; taken over if the address still means that page, else unmapped
 *
 * One page resolution, unless invalidations of that very page come in between:
 * it is then tried again, asleep while one is long at work. The mapping is kept from
 * one try to the next, so that a mapping which itself makes the kernel reclaim
 * memory, and thereby the page, is not repeated for ever.
 *
 * Context: may sleep. @gpc->refresh_lock and kvm->srcu held; the current task's
 *	address space is the VM's, its own or borrowed.
 * Return: 0, -EFAULT if there is no such page, -EINTR for a fatal signal. The
 *	cache may have been invalidated again by the time the caller looks.
 */
int gpc_map(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc,
	    kvm_pfn_t old_pfn, void *old_khva)
{
	kvm_pfn_t pfn, mapped = old_pfn;
	void *khva = old_khva;
	bool done = false;
	int r;

	lockdep_assert_held(&gpc->refresh_lock);
	might_sleep();

	do {
		r = current->mm == gpc->kvm->mm ? gpc_arm(m, gpc) : -EFAULT;
		if (r)
			break;

		pfn = gpc_resolve(gpc);
		if (is_error_noslot_pfn(pfn)) {
			r = fatal_signal_pending(current) ? -EINTR : -EFAULT;
			break;
		}

		if (pfn != mapped) {
			gpc_unmap(mapped, khva);
			khva = gpc_map_pfn(pfn);
			mapped = khva ? pfn : KVM_PFN_ERR_FAULT;
		}
		if (khva)
			done = gpc_commit(gpc, pfn, khva);
		else
			r = -EFAULT;

		/* Not pinned: only the notifier keeps the page ours. */
		kvm_release_pfn_clean(pfn);

		if (!r && !done) {
			if (fatal_signal_pending(current))
				r = -EINTR;
			else
				atomic_long_inc(&m->stats.raced);
			cond_resched();
		}
	} while (!r && !done);

	if (!done) {
		write_lock_irq(&gpc->lock);
		gpc_set_stale(gpc);
		gpc->pfn = KVM_PFN_ERR_FAULT;
		gpc->khva = NULL;
		write_unlock_irq(&gpc->lock);
		gpc_unmap(mapped, khva);
	}

	return r;
}
