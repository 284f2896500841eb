// SPDX-License-Identifier: GPL-2.0
/*
 * From huge pages to small ones, before dirty logging needs them, and back.
 */
#include "mmu.h"
#include "mmutrace.h"
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

/**
 * kvm_tdp_mmu_zap_collapsible_sptes - make way for huge pages
 * @kvm: the VM
 * @slot: the memslot, which is not being logged any more
 *
 * Tables whose place a huge page could take are dropped, with one TLB flush for as
 * many as fit into a stay under mmu_lock.
 *
 * Context: mmu_lock held for read, let go of now and then; slots_lock held.
 */
void kvm_tdp_mmu_zap_collapsible_sptes(struct kvm *kvm,
				       const struct kvm_memory_slot *slot)
{
	gfn_t end = slot->base_gfn + slot->npages;
	struct kvm_mmu_page *root;
	struct tdp_pass p;

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

			while (tdp_walk_at_table(&w))
				if (tdp_walk_try_set(&w, SHADOW_NONPRESENT_VALUE))
					p.flush = true;
		}

		tdp_pass_end(&p);
	}
}
