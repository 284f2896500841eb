// SPDX-License-Identifier: GPL-2.0
/*
 * From huge pages to small ones, before dirty logging needs them, and back.
 */
#include "mmu.h"
#include "mmutrace.h"
#include "invalidate.h"
#include "roots.h"
#include "sptes.h"
#include "tables.h"
#include "tdp_mmu.h"
#include "walk.h"

/* Tables that are allocated, at most, for one stay under mmu_lock. */
#define TDP_SPLIT_TABLES	64

/* How many could be of use in a range: one for 2M, and those above. */
static unsigned int tdp_split_tables(gfn_t start, gfn_t end)
{
	u64 nr = (end - start) / KVM_PAGES_PER_HPAGE(PG_LEVEL_2M) + 2;

	return min_t(u64, nr, TDP_SPLIT_TABLES);
}

/* Let go of mmu_lock, with nothing owed, to allocate tables. */
static bool tdp_split_refill(struct tdp_pass *p, struct tdp_tables *spare,
			     unsigned int nr)
	__must_hold(RCU)
	__must_hold(&p->kvm->mmu_lock)
{
	rwlock_t *lock = &p->kvm->mmu_lock;
	bool filled;

	tdp_pass_end(p);
	if (p->shared)
		read_unlock(lock);
	else
		write_unlock(lock);

	cond_resched();
	filled = tdp_tables_fill(spare, nr);

	if (p->shared)
		read_lock(lock);
	else
		write_lock(lock);
	rcu_read_lock();

	return filled;
}

static bool tdp_split_root(struct tdp_pass *p, struct kvm_mmu_page *root,
			   gfn_t start, gfn_t end, int target_level,
			   struct tdp_tables *spare)
{
	struct tdp_walk w = {};
	struct kvm_mmu_page *sp;

	tdp_for_each_spte(&w, p, root, start, end, target_level + 1) {
		if (tdp_walk_break(&w))
			continue;

		while (is_shadow_present_pte(w.spte) && is_large_pte(w.spte)) {
			sp = tdp_tables_take(spare);
			if (!sp) {
				if (!tdp_split_refill(p, spare,
						      tdp_split_tables(w.gfn, end))) {
					trace_kvm_mmu_split_huge_page(w.gfn, w.spte,
								      w.level, -ENOMEM);
					return false;
				}
				tdp_walk_restart(&w);
				break;
			}

			tdp_table_init_child(sp, w.sptep);
			if (!tdp_spte_try_split(p, w.sptep, &w.spte, sp)) {
				tdp_tables_add(spare, sp);
				continue;
			}

			trace_kvm_mmu_split_huge_page(w.gfn, w.spte, w.level, 0);
			/* The walk goes on in the new table. */
			break;
		}
	}

	return true;
}

/**
 * kvm_tdp_mmu_try_split_huge_pages - split huge pages in a range of a memslot
 * @kvm: the VM
 * @slot: the memslot
 * @start: the first gfn
 * @end: the gfn after the last
 * @target_level: how large pages may stay
 * @shared: which way the caller holds mmu_lock
 *
 * Stops without a word when there is no memory: what is left is split when it is
 * written to.
 *
 * Context: mmu_lock held, and let go of to allocate tables, many at a time;
 *	slots_lock held. No TLB flush is owed for this.
 */
void kvm_tdp_mmu_try_split_huge_pages(struct kvm *kvm,
				      const struct kvm_memory_slot *slot,
				      gfn_t start, gfn_t end, int target_level,
				      bool shared)
{
	struct kvm_mmu_page *root;
	struct tdp_tables spare;
	struct tdp_pass p;
	bool go_on;

	tdp_tables_init(&spare);

	tdp_for_each_root(kvm, root, slot->as_id, TDP_VALID) {
		tdp_pass_begin(&p, kvm, shared);
		p.may_yield = true;
		go_on = tdp_split_root(&p, root, start, end, target_level, &spare);
		tdp_pass_end(&p);

		if (!go_on) {
			kvm_tdp_mmu_put_root(kvm, root);
			break;
		}
	}

	tdp_tables_free(&spare);
}

/* Find a page that is mapped below a table: what it is mapped as, and where. */
static u64 tdp_first_leaf(struct kvm_mmu_page *sp, gfn_t *gfn)
{
	u64 spte, below = 0;
	int i;

	for (i = 0; i < SPTE_ENT_PER_PAGE; i++) {
		spte = READ_ONCE(sp->spt[i]);
		if (is_shadow_present_pte(spte) && is_last_spte(spte, sp->role.level)) {
			*gfn = sp->gfn + i * KVM_PAGES_PER_HPAGE(sp->role.level);
			return spte;
		}
		if (!below && tdp_spte_is_table(spte))
			below = spte;
	}

	return below ? tdp_first_leaf(spte_to_child_sp(below), gfn) : 0;
}

/*
 * The huge page that can take the place of the table that @w is at, made from one of
 * its small pages; 0 if there is none to go by.
 */
static u64 tdp_huge_spte(struct tdp_walk *w, const struct kvm_memory_slot *slot)
{
	struct kvm_mmu_page *sp = spte_to_child_sp(w->spte);
	gfn_t nr = KVM_PAGES_PER_HPAGE(w->level), gfn;
	struct kvm *kvm = w->p->kvm;
	u64 spte;

	/* Executable, and so it stays small until it is faulted in again. */
	if (sp->nx_huge_page_disallowed || is_nx_huge_page_enabled(kvm))
		return 0;

	/*
	 * What is mapped would have been zapped if the host had changed its mind; and
	 * while mmu_lock is held it cannot begin to. But it may have come to the end
	 * of that since the caller asked how large the host's page is.
	 */
	if (tdp_inflight_overlaps(kvm, w->gfn, w->gfn + nr) ||
	    kvm_mmu_max_mapping_level(kvm, slot, w->gfn, PG_LEVEL_NUM) < w->level)
		return 0;

	spte = tdp_first_leaf(sp, &gfn);
	if (!spte || is_access_track_spte(spte) ||
	    ((spte_to_pfn(spte) ^ gfn) & (nr - 1)))
		return 0;

	spte &= ~((nr - 1) << PAGE_SHIFT);
	spte |= PT_PAGE_SIZE_MASK;
	/* Writes are not watched any more. */
	if (is_mmu_writable_spte(spte) && !kvm_slot_dirty_track_enabled(slot))
		spte |= PT_WRITABLE_MASK;

	return spte;
}

/**
 * kvm_tdp_mmu_zap_collapsible_sptes - let huge pages take the place of small ones
 * @kvm: the VM
 * @slot: the memslot, which is not being logged any more
 *
 * Tables that map what the host has as a huge page give way to that, in place, so
 * that the guest need not come back for it; or are dropped if nothing can be said of
 * the page. One TLB flush for as many as fit into a stay under mmu_lock.
 *
 * Context: mmu_lock held for read, let go of now and then; slots_lock held.
 */
void kvm_tdp_mmu_zap_collapsible_sptes(struct kvm *kvm,
				       const struct kvm_memory_slot *slot)
{
	gfn_t end = slot->base_gfn + slot->npages;
	struct kvm_mmu_page *root;
	struct tdp_pass p;
	u64 huge;

	tdp_for_each_root(kvm, root, slot->as_id, TDP_VALID) {
		struct tdp_walk w = {};

		tdp_pass_begin(&p, kvm, TDP_SHARED);
		p.may_yield = true;

		tdp_for_each_spte(&w, &p, root, slot->base_gfn, end, PG_LEVEL_2M) {
			if (tdp_walk_break(&w))
				continue;

			if (w.level > KVM_MAX_HUGEPAGE_LEVEL || !tdp_walk_at_table(&w))
				continue;

			/* A table may start before the memslot. */
			if (w.gfn < slot->base_gfn || w.gfn >= end)
				continue;

			if (kvm_mmu_max_mapping_level(kvm, slot, w.gfn,
						      PG_LEVEL_NUM) < w.level)
				continue;

			while (tdp_walk_at_table(&w)) {
				huge = tdp_huge_spte(&w, slot);
				if (tdp_walk_try_set(&w, huge ?: SHADOW_NONPRESENT_VALUE))
					p.flush = true;
			}
		}

		tdp_pass_end(&p);
	}
}
