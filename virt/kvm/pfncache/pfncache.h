/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of virt/kvm/pfncache/ share. Lock order: docs/locking.rst.
 */
#ifndef __KVM_PFNCACHE_H__
#define __KVM_PFNCACHE_H__

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

/*
 * Invalidations of one address space that are listed one by one. One task has
 * about one in flight, so this is a number of tasks unmapping at once; what is
 * beyond it is known by its hull only.
 */
#define GPC_INFLIGHT_MAX	64

/**
 * struct gpc_inflight_range - an invalidation between its start and its end
 * @start: user address
 * @end: user address, exclusive
 * @waited: a refresh that overlaps it is, or may be, asleep
 */
struct gpc_inflight_range {
	unsigned long start;
	unsigned long end;
	bool waited;
};

/**
 * struct gpc_inflight - the invalidations between their start and their end
 * @lock: protects everything below. Raw, held for a handful of instructions
 *	(at most %GPC_INFLIGHT_MAX comparisons): both ends of every invalidation
 *	of the process take it
 * @nr: entries of @range in use
 * @nr_unlisted: invalidations for which @range had no room
 * @nr_events: invalidations seen so far. Shown without the lock, like @nr_gups
 * @nr_gups: page resolutions begun so far (hva_to_pfn() calls, but for one at the end
 *	of the process); 1 per refresh unless raced
 * @dead: the address space is gone; nothing can be resolved any more
 * @unlisted: covers all of the @nr_unlisted, and what lies between them
 * @range: the others. Equal ranges are interchangeable, which is what lets an
 *	end find its start
 * @nr_ends: invalidations that have ended. Far from @lock, as it is looked at without
 *	that, again and again
 */
struct gpc_inflight {
	raw_spinlock_t lock;
	unsigned int nr;
	unsigned long nr_unlisted;
	unsigned long nr_events;
	unsigned long nr_gups;
	bool dead;
	struct gpc_inflight_range unlisted;
	struct gpc_inflight_range range[GPC_INFLIGHT_MAX];
	unsigned long nr_ends;
};

/*
 * How many caches lie on pages of the same number modulo this. A small range none
 * of whose pages counts any needs no look at the index; a range of more pages than
 * %GPC_PAGES_ASKED is looked up at once.
 */
#define GPC_PAGE_COUNTS		16384
#define GPC_PAGES_ASKED		4

/**
 * struct gpc_stats - what the caches of a VM have been through
 * @hits: caches that an invalidation really took. Protected by the index's
 *	xa_lock, like @caches
 * @caches: caches indexed now
 * @waits: times a refresh slept for overlapping invalidations. Atomic, like all below
 * @raced: resolutions thrown away because an invalidation overlapped them, and
 *	made again. What is left of &gpc_inflight.nr_gups is how many refreshes had to
 *	resolve one
 * @failures: refreshes that returned an error
 * @quiesces: times the readers without a lock were waited for
 * @calls: of these, those for which CPUs were called
 */
struct gpc_stats {
	unsigned long hits;
	unsigned long caches;
	atomic_long_t waits;
	atomic_long_t raced;
	atomic_long_t failures;
	atomic_long_t quiesces;
	atomic_long_t calls;
};

/**
 * struct gpc_manager - the caches of one VM, and its MMU notifier's other half
 * @anchor: sole entry of kvm->gpc_list, which is how the manager is found.
 *	Written while the VM is private to one task
 * @kvm: the VM, immutable
 * @base: KVM's own notifier callbacks, immutable
 * @ops: @base with range_end and release passing through us, immutable
 * @users: one for the registered notifier, one for each indexed cache and for
 *	each kvm_gpc_hold(). Atomic
 * @index: page number of the user address -> the caches on that page, as one
 *	of them, the others in the ring of its list. Every entry carries
 *	%GPC_INDEXED. Changed and followed under its xa_lock, asked under RCU
 * @erasing: an entry is leaving @index. Changed under its xa_lock, read under RCU
 * @readers: CPUs that have read a cache without its lock. Set by themselves,
 *	never cleared
 * @say_until: when CPUs may read without saying so, in jiffies
 * @on_page: caches per page number, see %GPC_PAGE_COUNTS. Changed under the
 *	index's xa_lock, asked without. Large, so it keeps what readers look at from
 *	what each invalidation writes
 * @quiescing: tasks that may have made a cache stale and not yet waited for
 *	@readers. Atomic
 * @inflight: see &struct gpc_inflight
 * @wait: refreshes waiting for an overlapping invalidation to end
 * @stats: see &struct gpc_stats
 * @debugfs_made: bit 0: the debugfs file exists. Atomic
 *
 * Made when KVM registers its notifier, so that no invalidation is missed;
 * outlives the notifier for as long as a cache is indexed, or it is held.
 */
struct gpc_manager {
	struct list_head anchor;
	struct kvm *kvm;
	const struct mmu_notifier_ops *base;
	struct mmu_notifier_ops ops;
	refcount_t users;

	struct xarray index;
	bool erasing;
	cpumask_var_t readers;
	unsigned long say_until;
	u16 on_page[GPC_PAGE_COUNTS];
	atomic_t quiescing;
	struct gpc_inflight inflight;
	wait_queue_head_t wait;

	struct gpc_stats stats;
	unsigned long debugfs_made;
};

/* The mark lets a lookup pass over empty stretches a word at a time. */
#define GPC_INDEXED	XA_MARK_0

static inline struct gpc_manager *gpc_manager(struct kvm *kvm)
{
	return list_first_entry_or_null(&kvm->gpc_list, struct gpc_manager,
					anchor);
}

/* gpc->lock is held for write. */
static inline void gpc_set_stale(struct gfn_to_pfn_cache *gpc)
{
	lockdep_assert_held_write(&gpc->lock);

	/*
	 * Pairs with smp_load_acquire() in gpc_invalidate() and gpc_is_in_place():
	 * the last access of a reader before whatever is done by who finds the
	 * cache stale already.
	 */
	smp_store_release(&gpc->stale, true);
}

/*
 * Nobody who comes now uses the cache. gpc->lock is held for write. Return true if
 * somebody may be using it without the lock. Between gpc_take_begin() and
 * gpc_take_end(), which is to be told.
 */
static inline bool gpc_take_from_readers(struct gfn_to_pfn_cache *gpc)
{
	bool was_live = gpc->live;

	gpc->valid = false;
	WRITE_ONCE(gpc->live, NULL);
	gpc_set_stale(gpc);

	return was_live;
}

/* live.c */
void gpc_quiesce(struct gpc_manager *m);
void gpc_forget_readers(struct gpc_manager *m);
void gpc_take_begin(struct gpc_manager *m);
void gpc_take_end(struct gpc_manager *m, bool was_live);
void gpc_take_seen(struct gpc_manager *m);
void kvm_gpc_flush_shadow_memslot(struct kvm *kvm,
				  struct kvm_memory_slot *slot);

/* notifier.c */
int kvm_gpc_mmu_notifier_register(struct mmu_notifier *mn,
				  struct mm_struct *mm);
void kvm_gpc_mmu_notifier_unregister(struct mmu_notifier *mn,
				     struct mm_struct *mm);
void gpc_manager_put(struct gpc_manager *m);
bool gpc_must_wait(struct gpc_manager *m, unsigned long uhva, bool sleeps,
		   bool *dead);

/* index.c */
int gpc_index_insert(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc);
void gpc_index_remove(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc);
bool gpc_index_any(struct gpc_manager *m, unsigned long start,
		   unsigned long end);
void gpc_index_invalidate(struct gpc_manager *m, unsigned long start,
			  unsigned long end);

/* map.c */
int gpc_map(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc,
	    kvm_pfn_t old_pfn, void *old_khva);
void gpc_unmap(kvm_pfn_t pfn, void *khva);

/* stats.c */
void gpc_stats_publish(struct gpc_manager *m);

#endif
