// SPDX-License-Identifier: GPL-2.0
/*
 * The index: which caches lie on which page of the VMM's address space.
 *
 * A cache lies within one page, so the key is a page number and the structure a
 * radix tree: the depth of a lookup is bounded by the width of an address, not
 * by how many caches there are. Lookups that find nothing, which is what nearly
 * every MMU notifier event is, run under RCU alone and write nothing, and most of
 * them end at a table of counters before they get to the tree; those that find a
 * cache come back under the xa_lock, which keeps the cache from leaving the index,
 * and so from being freed, while it is looked at.
 */
#include <linux/error-injection.h>

#include "pfncache.h"

/* Pages with caches to invalidate before others get at the xa_lock. */
#define GPC_INVALIDATE_BATCH	64

static u16 *gpc_on_page(struct gpc_manager *m, unsigned long page)
{
	return &m->on_page[page % GPC_PAGE_COUNTS];
}

/* A cache comes or goes, with the xa_lock held. */
static void gpc_index_count(struct gpc_manager *m, unsigned long uhva, int by)
{
	u16 *count = gpc_on_page(m, uhva >> PAGE_SHIFT);

	/*
	 * Run state, which may straddle two pages, clock, time, info, FIFO queues:
	 * six of a vCPU. Of a VM shared_info and 128 pages of FIFO words.
	 */
	BUILD_BUG_ON(6 * KVM_MAX_VCPUS + 129 > U16_MAX);

	/*
	 * Pairs with smp_load_acquire() in gpc_index_any(): the last access
	 * through a cache that leaves before the return of whoever finds none.
	 */
	smp_store_release(count, *count + by);
	m->stats.caches += by;
}

/**
 * gpc_index_insert - make a cache reachable for invalidations of its page
 * @m: the VM's caches
 * @gpc: the cache, not indexed, with the user address it is to be found under
 *
 * From here on an invalidation that overlaps the page marks the cache stale.
 *
 * Context: may sleep. @gpc->refresh_lock held.
 * Return: 0 or -ENOMEM.
 */
int gpc_index_insert(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc)
{
	XA_STATE(xas, &m->index, gpc->uhva >> PAGE_SHIFT);
	struct gfn_to_pfn_cache *head;

	lockdep_assert_held(&gpc->refresh_lock);

	do {
		xas_lock(&xas);
		head = xas_load(&xas);
		if (head) {
			list_add_tail(&gpc->ring, &head->ring);
		} else {
			xas_store(&xas, gpc);
			xas_set_mark(&xas, GPC_INDEXED);
		}
		if (!xas_error(&xas)) {
			gpc_index_count(m, gpc->uhva, 1);
			refcount_inc(&m->users);
		}
		xas_unlock(&xas);
	} while (xas_nomem(&xas, GFP_KERNEL));

	gpc->indexed = !xas_error(&xas);

	return xas_error(&xas);
}
ALLOW_ERROR_INJECTION(gpc_index_insert, ERRNO); /* else two failures in a row */

/*
 * The XArray gives a node that gets empty to call_rcu() first, and takes the last
 * pointer to it away after that. A reader who comes between the two, and after the
 * grace period has begun, would follow the pointer and not be waited for. So readers
 * are told to stay out of the tree. xa_lock held.
 */
static void gpc_index_erase(struct gpc_manager *m, struct xa_state *xas)
{
	/* Pairs with rcu_read_lock() in gpc_index_find(), through the grace period. */
	WRITE_ONCE(m->erasing, true);
	xas_store(xas, NULL);
	/* Pairs with smp_load_acquire() in gpc_index_find(): the node is unlinked. */
	smp_store_release(&m->erasing, false);
}

/* Is there a cache, or may there be one, from @page to @last? */
static bool gpc_index_find(struct gpc_manager *m, unsigned long page,
			   unsigned long last)
{
	guard(rcu)();

	/* Pairs with smp_store_release() in gpc_index_erase(). */
	if (smp_load_acquire(&m->erasing))
		return true;

	/*
	 * Marks change under the xa_lock, by plain stores to a word of them. Each
	 * bit in it is old or new, and that is all the answer depends on.
	 */
	return data_race(xa_find(&m->index, &page, last, GPC_INDEXED));
}

/**
 * gpc_index_remove - take a cache out of the index
 * @m: the VM's caches
 * @gpc: the cache, indexed
 *
 * When this returns, no invalidation is looking at the cache any more.
 *
 * Context: process context, does not sleep (but on PREEMPT_RT).
 *	@gpc->refresh_lock held, the cache neither valid nor being resolved.
 */
void gpc_index_remove(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc)
{
	XA_STATE(xas, &m->index, gpc->uhva >> PAGE_SHIFT);

	lockdep_assert_held(&gpc->refresh_lock);

	xas_lock(&xas);
	if (xas_load(&xas) == gpc) {
		/* A page keeps its mark when one head replaces another. */
		if (list_empty(&gpc->ring))
			gpc_index_erase(m, &xas);
		else
			xas_store(&xas, list_next_entry(gpc, ring));
	}
	list_del_init(&gpc->ring);
	gpc_index_count(m, gpc->uhva, -1);
	xas_unlock(&xas);

	gpc->indexed = false;
	gpc_manager_put(m);
}

/**
 * gpc_index_any - ask whether any cache may lie in a range
 * @m: the VM's caches
 * @start: user address
 * @end: user address, exclusive, above @start
 *
 * The answer holds for caches that were indexed before the caller listed its
 * range (see gpc_inflight_add()); what is indexed later finds the range instead.
 * While the last cache of a page leaves the index, it may be yes for nothing.
 *
 * Context: any. Takes no lock and writes nothing.
 */
bool gpc_index_any(struct gpc_manager *m, unsigned long start,
		   unsigned long end)
{
	unsigned long page = start >> PAGE_SHIFT;
	unsigned long last = (end - 1) >> PAGE_SHIFT;

	if (last - page < GPC_PAGES_ASKED) {
		/* Pairs with smp_store_release() in gpc_index_count(). */
		while (!smp_load_acquire(gpc_on_page(m, page)))
			if (page++ == last)
				return false;
	}

	if (gpc_index_find(m, page, last))
		return true;

	/* As above; pairs with the index's rcu_assign_pointer(). */
	smp_acquire__after_ctrl_dep();

	return false;
}

/*
 * Take one cache from its users. After this no access under gpc->lock is under
 * way: write_lock_irq() waited for those that were, and readers that come later
 * see !valid. Those who read without the lock are the caller's to wait for, if
 * this returns true.
 *
 * The pre-check needs no lock. A stale cache is not valid, and became so under
 * the lock. If a refresh clears stale behind our back, it asks for ranges in
 * flight after that and finds ours, which was listed before we looked. A task
 * that resolves the address breaks copy-on-write or swaps in on the way, before
 * it looks up the page that it returns: what it invalidates itself is older than
 * what it gets.
 */
static bool gpc_invalidate(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc)
{
	bool was_live;

	/* Pairs with smp_store_release() in gpc_set_stale(). */
	if (smp_load_acquire(&gpc->stale) ||
	    READ_ONCE(gpc->gup_pid) == current->pid)
		return false;

	write_lock_irq(&gpc->lock);
	m->stats.hits += !READ_ONCE(gpc->stale);
	was_live = gpc_take_from_readers(gpc);
	write_unlock_irq(&gpc->lock);

	return was_live;
}

/**
 * gpc_index_invalidate - take every cache in a range from its users
 * @m: the VM's caches
 * @start: user address
 * @end: user address, exclusive, above @start
 *
 * When this returns, nobody is inside an access through such a cache, with a lock
 * or without.
 *
 * Context: interrupts on; does not sleep (but on PREEMPT_RT) and does not
 *	allocate. No lock of ours held.
 */
void gpc_index_invalidate(struct gpc_manager *m, unsigned long start,
			  unsigned long end)
{
	XA_STATE(xas, &m->index, start >> PAGE_SHIFT);
	struct gfn_to_pfn_cache *head, *gpc;
	unsigned int pages = 0;
	bool was_live = false;

	gpc_take_begin(m);

	xas_lock(&xas);
	xas_for_each_marked(&xas, head, (end - 1) >> PAGE_SHIFT, GPC_INDEXED) {
		gpc = head;
		do {
			was_live |= gpc_invalidate(m, gpc);
			gpc = list_next_entry(gpc, ring);
		} while (gpc != head);

		if (++pages % GPC_INVALIDATE_BATCH == 0) {
			xas_pause(&xas);
			xas_unlock(&xas);
			cpu_relax();
			xas_lock(&xas);
		}
	}
	xas_unlock(&xas);

	gpc_take_end(m, was_live);
}
