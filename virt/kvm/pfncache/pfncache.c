// SPDX-License-Identifier: GPL-2.0
/*
 * gfn_to_pfn_cache: a page of guest memory, or of the VMM's, that the kernel
 * keeps mapped and writes to from contexts that cannot fault: event delivery
 * from hard interrupts, run state from the scheduler, clocks.
 *
 * This file owns the life of a cache: what it points at (gpa, uhva) and whether
 * it is in use (active). Whether it is usable (valid) is decided in map.c and
 * taken back in index.c. The states are drawn in gpc_types.h, which operation
 * may run beside which is in docs/locking.rst.
 */
#include <linux/export.h>
#include <linux/kvm_host.h>

#include "gpc_live.h"
#include "pfncache.h"

/* A cache lies within one page: the rule behind every length. */
static bool gpc_fits(unsigned long addr, unsigned long len)
{
	return len <= PAGE_SIZE - offset_in_page(addr);
}

/*
 * The user address of a guest address in these memslots, or an error address if
 * there is none that can be written: no slot, a read-only one, one that is being
 * deleted or moved.
 */
static unsigned long gpc_gpa_to_uhva(struct kvm_memslots *slots, gpa_t gpa)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	unsigned long hva;

	hva = gfn_to_hva_memslot(__gfn_to_memslot(slots, gfn), gfn);
	if (kvm_is_error_hva(hva))
		return hva;

	return hva + offset_in_page(gpa);
}

/**
 * kvm_gpc_init - prepare a cache for its first activation
 * @gpc: the cache, all zeroes, known to nobody else
 * @kvm: the VM it belongs to
 *
 * Context: any.
 */
void kvm_gpc_init(struct gfn_to_pfn_cache *gpc, struct kvm *kvm)
{
	rwlock_init(&gpc->lock);
	mutex_init(&gpc->refresh_lock);
	INIT_LIST_HEAD(&gpc->ring);
	gpc->kvm = kvm;
	gpc->gpa = INVALID_GPA;
	gpc->uhva = KVM_HVA_ERR_BAD;
	gpc->pfn = KVM_PFN_ERR_FAULT;
	gpc->stale = true;
}

/**
 * kvm_gpc_init_live - the same for a cache that will be read by kvm_gpc_live()
 * @gpc: the cache, all zeroes, known to nobody else
 * @kvm: the VM it belongs to
 *
 * Only who takes such a cache away waits for readers. A guest that can have other
 * caches moved as often as it likes, its clock's, troubles no other CPU by that.
 *
 * Context: any.
 */
void kvm_gpc_init_live(struct gfn_to_pfn_cache *gpc, struct kvm *kvm)
{
	kvm_gpc_init(gpc, kvm);
	gpc->read_live = true;
}

/**
 * kvm_gpc_check - ask whether a cache can be accessed now
 * @gpc: the cache
 * @len: bytes from the cache's address on that are to be accessed
 *
 * Holds until @gpc->lock is dropped. The memslots need not be asked: a slot that
 * goes takes its caches with it, see kvm_gpc_flush_shadow_memslot().
 *
 * Context: any, hard-irq included. @gpc->lock held in any mode.
 * Return: true if @gpc->khva can be accessed; otherwise kvm_gpc_refresh() may
 *	help, from a context that can sleep.
 */
bool kvm_gpc_check(struct gfn_to_pfn_cache *gpc, unsigned long len)
{
	lockdep_assert_held(&gpc->lock);

	return gpc->valid && gpc_fits(gpc->uhva, len);
}

/*
 * The caches whose readers may have to be waited for, if any: what is not indexed
 * nobody reads, and then the manager may be gone. refresh_lock is held.
 */
static struct gpc_manager *gpc_read_with(struct gfn_to_pfn_cache *gpc)
{
	return gpc->indexed ? gpc_manager(gpc->kvm) : NULL;
}

/*
 * Whether a cache has the address wanted, and only lacks the page: an invalidation
 * took it. Nobody uses it, and nobody but a refresh changes that.
 */
static bool gpc_is_in_place(struct gfn_to_pfn_cache *gpc, gpa_t gpa,
			    unsigned long uhva)
{
	return gpc->indexed && gpc->active && gpc->gpa == gpa &&
	       gpc->uhva == uhva &&
	       /* Pairs with smp_store_release() in gpc_set_stale(). */
	       smp_load_acquire(&gpc->stale);
}

/* Make a cache usable that has been indexed where it is to be. */
static int gpc_fill(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc,
		    kvm_pfn_t old_pfn, void *old_khva)
{
	gpc_stats_publish(m);

	return gpc_map(m, gpc, old_pfn, old_khva);
}

/* Take a cache from where it is, and have it indexed elsewhere. */
static int gpc_move(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc,
		    gpa_t gpa, unsigned long uhva, bool moved)
{
	bool was_live;
	kvm_pfn_t old_pfn;
	void *old_khva;
	int r = 0;

	write_lock_irq(&gpc->lock);
	/* Others read this without a lock; a refresh has no news for them. */
	if (!gpc->active)
		WRITE_ONCE(gpc->active, true);
	gpc->gpa = gpa;
	if (gpc->valid && !moved) {
		was_live = gpc->live && gpc->uhva != uhva;
		gpc->uhva = uhva;
		gpc->khva = (void *)((unsigned long)gpc->khva & PAGE_MASK) +
			    offset_in_page(uhva);
		if (gpc->read_live)
			WRITE_ONCE(gpc->live, gpc->khva);
		write_unlock_irq(&gpc->lock);
		if (was_live)
			gpc_quiesce(m);
		return 0;
	}
	gpc_take_begin(gpc_read_with(gpc));
	was_live = gpc_take_from_readers(gpc);
	old_pfn = gpc->pfn;
	old_khva = gpc->khva;
	gpc->pfn = KVM_PFN_ERR_FAULT;
	gpc->khva = NULL;
	write_unlock_irq(&gpc->lock);

	gpc_take_end(gpc_read_with(gpc), was_live);

	/* The page must not change under the index's eyes. */
	if (moved && gpc->indexed)
		gpc_index_remove(m, gpc);

	write_lock_irq(&gpc->lock);
	gpc->uhva = uhva;
	write_unlock_irq(&gpc->lock);

	if (!m || kvm_is_error_hva(uhva))
		r = -EFAULT;
	else if (!gpc->indexed)
		r = gpc_index_insert(m, gpc);

	if (!r)
		return gpc_fill(m, gpc, old_pfn, old_khva);

	gpc_unmap(old_pfn, old_khva);

	return r;
}

/*
 * Point a cache at an address, and make it usable there. The refresh_lock is
 * what makes reading the cache's fields without the other lock right here: they
 * have no other writer, but for valid, stale and the readers' generation.
 */
static int gpc_point(struct gfn_to_pfn_cache *gpc, gpa_t gpa,
		     unsigned long uhva)
{
	struct gpc_manager *m = gpc_manager(gpc->kvm);
	bool moved;
	int r;

	lockdep_assert_held(&gpc->refresh_lock);

	if (!kvm_is_error_gpa(gpa))
		uhva = gpc_gpa_to_uhva(kvm_memslots(gpc->kvm), gpa);
	moved = kvm_is_error_hva(uhva) ||
		uhva >> PAGE_SHIFT != gpc->uhva >> PAGE_SHIFT;

	if (!moved && gpc_is_in_place(gpc, gpa, uhva)) {
		gpc_take_seen(m);
		r = gpc_fill(m, gpc, gpc->pfn, gpc->khva);
	} else {
		r = gpc_move(m, gpc, gpa, uhva, moved);
	}

	if (r && m)
		atomic_long_inc(&m->stats.failures);

	return r;
}

/**
 * kvm_gpc_refresh - make an active cache usable again
 * @gpc: the cache
 * @len: bytes that are to be accessed
 *
 * Success is no promise: the page may have gone again. Check under @gpc->lock,
 * and refresh again if need be.
 *
 * Of several refreshes of one cache the first does the work and the others find
 * it done.
 *
 * Context: may sleep, for an invalidation of this very page for as long as that
 *	takes. kvm->srcu held, @gpc->lock not; the current task's address space
 *	is the VM's.
 * Return: 0; -EINVAL if the cache is not active or @len leaves its page; -EFAULT
 *	if there is no such page to write to (the cache stays active, and a later
 *	refresh may succeed); -ENOMEM if the page is a new one and cannot be
 *	indexed; -EINTR for a fatal signal.
 */
int kvm_gpc_refresh(struct gfn_to_pfn_cache *gpc, unsigned long len)
{
	int r;

	if (mutex_lock_killable(&gpc->refresh_lock))
		return -EINTR;

	if (!gpc->active || !gpc_fits(kvm_is_error_gpa(gpc->gpa) ?
				      gpc->uhva : gpc->gpa, len))
		r = -EINVAL;
	else
		r = gpc_point(gpc, gpc->gpa, gpc->uhva);

	mutex_unlock(&gpc->refresh_lock);

	return r;
}

static int gpc_activate(struct gfn_to_pfn_cache *gpc, gpa_t gpa,
			unsigned long uhva, unsigned long len)
{
	int r;

	if (!gpc_fits(kvm_is_error_gpa(gpa) ? uhva : gpa, len))
		return -EINVAL;

	if (mutex_lock_killable(&gpc->refresh_lock))
		return -EINTR;

	if (KVM_BUG_ON(!gpc->active && gpc->valid, gpc->kvm))
		r = -EIO;
	else
		r = gpc_point(gpc, gpa, uhva);

	mutex_unlock(&gpc->refresh_lock);

	return r;
}

/**
 * kvm_gpc_activate - use a cache for a guest address, or point it elsewhere
 * @gpc: the cache
 * @gpa: guest physical address
 * @len: bytes; together with @gpa within one page
 *
 * Context: as for kvm_gpc_refresh().
 * Return: 0; -EINVAL for a bad address or length, with nothing changed; -EIO for
 *	a bug; -EINTR for a fatal signal, perhaps with nothing changed; otherwise
 *	as for kvm_gpc_refresh(), the cache then being active, so that it comes
 *	to life once the guest address has memory.
 */
int kvm_gpc_activate(struct gfn_to_pfn_cache *gpc, gpa_t gpa, unsigned long len)
{
	if (WARN_ON_ONCE(kvm_is_error_gpa(gpa)))
		return -EINVAL;

	return gpc_activate(gpc, gpa, KVM_HVA_ERR_BAD, len);
}

/**
 * kvm_gpc_activate_hva - use a cache for a user address
 * @gpc: the cache
 * @uhva: address in the VMM's address space, in a memslot or not
 * @len: bytes; together with @uhva within one page
 *
 * Context: as for kvm_gpc_refresh().
 * Return: as for kvm_gpc_activate().
 */
int kvm_gpc_activate_hva(struct gfn_to_pfn_cache *gpc, unsigned long uhva,
			 unsigned long len)
{
	if (!access_ok((void __user *)uhva, len))
		return -EINVAL;

	return gpc_activate(gpc, INVALID_GPA, uhva, len);
}

/**
 * kvm_gpc_deactivate - stop using a cache
 * @gpc: the cache; nothing happens if it is not active
 *
 * When this returns nobody accesses the page through the cache, and no
 * invalidation looks at the cache, which may then be freed.
 *
 * Context: may sleep. Neither kvm->srcu nor the VM's address space is needed;
 *	the MMU notifier may be gone already.
 */
void kvm_gpc_deactivate(struct gfn_to_pfn_cache *gpc)
{
	kvm_pfn_t old_pfn;
	void *old_khva;
	bool was_live;

	mutex_lock(&gpc->refresh_lock);

	if (gpc->active) {
		write_lock_irq(&gpc->lock);
		WRITE_ONCE(gpc->active, false);
		gpc_take_begin(gpc_read_with(gpc));
		was_live = gpc_take_from_readers(gpc);
		old_pfn = gpc->pfn;
		old_khva = gpc->khva;
		gpc->pfn = KVM_PFN_ERR_FAULT;
		gpc->khva = NULL;
		write_unlock_irq(&gpc->lock);

		gpc_take_end(gpc_read_with(gpc), was_live);
		if (gpc->indexed)
			gpc_index_remove(gpc_manager(gpc->kvm), gpc);
		gpc_unmap(old_pfn, old_khva);
	}

	mutex_unlock(&gpc->refresh_lock);
}
