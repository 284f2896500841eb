// SPDX-License-Identifier: GPL-2.0
/*
 * The one place where an entry of a table changes, and what follows from a change.
 *
 * An entry that stands in a linked table is only ever changed by a cmpxchg against
 * what was read there, whoever holds which lock: processors set Accessed and Dirty
 * bits at any time (AMD APM volume 2, "Nested Paging and Page-Table Bits"; Intel SDM
 * volume 3, "Accessed and Dirty Flags for EPT"), vCPUs restore permissions without
 * any lock, and most of the work on the tables is done under the shared mmu_lock,
 * side by side. Who loses looks again.
 *
 * A table leaves its tree by the cmpxchg on the entry that led to it. Who did that
 * owns what is left in the table, and takes it entry by entry: each is exchanged for
 * FROZEN_SPTE, so that others who still look at the table cannot add to it. There,
 * and only there, stands FROZEN_SPTE.
 *
 *			 fault			 zap
 *	empty -----------------------> leaf -----------> empty
 *	  |			       ^   |
 *	  | fault	      recover  |   | split
 *	  |			       |   v
 *	  +------------------------> table ------------> empty, and every entry
 *						 zap	  of the table frozen
 *
 * A leaf never becomes a leaf that maps another page.
 */
#include "mmu.h"
#include "mmutrace.h"
#include "sptes.h"
#include "tables.h"

/*
 * The page may be gone as soon as the flush is done and mmu_lock dropped: what the
 * guest did to it is told before. An access that is forgotten while the page stays
 * mapped is told by whoever asked for it.
 */
static void tdp_leaf_changed(u64 old, u64 new, bool is_leaf)
{
	if (is_dirty_spte(old) && !(is_leaf && is_dirty_spte(new)))
		kvm_set_pfn_dirty(spte_to_pfn(old));
	if (is_accessed_spte(old) && !is_leaf)
		kvm_set_pfn_accessed(spte_to_pfn(old));
}

static void tdp_table_gone(struct tdp_pass *p, struct kvm_mmu_page *sp);

/* The first gfn that an entry of @sp translates. */
static gfn_t tdp_spte_gfn(struct kvm_mmu_page *sp, u64 *sptep)
{
	return sp->gfn + spte_index(sptep) * KVM_PAGES_PER_HPAGE(sp->role.level);
}

/* Where nothing was present before, nothing else follows. */
static void tdp_spte_came(struct tdp_pass *p, struct kvm_mmu_page *sp, u64 *sptep,
			  u64 old, u64 new)
{
	int level = sp->role.level;

	trace_kvm_tdp_mmu_spte_changed(kvm_mmu_page_as_id(sp),
				       tdp_spte_gfn(sp, sptep), level, old, new);

	if (is_shadow_present_pte(new) && is_last_spte(new, level))
		p->pages[level - 1]++;
}

/* @old was present. */
static void tdp_spte_changed(struct tdp_pass *p, struct kvm_mmu_page *sp,
			     gfn_t gfn, u64 old, u64 new)
{
	int level = sp->role.level;
	bool is_present = is_shadow_present_pte(new);
	bool was_leaf = is_last_spte(old, level);
	bool is_leaf = is_present && is_last_spte(new, level);

	trace_kvm_tdp_mmu_spte_changed(kvm_mmu_page_as_id(sp), gfn, level, old,
				       new);

	if (was_leaf != is_leaf)
		p->pages[level - 1] += is_leaf ? 1 : -1;

	if (was_leaf && is_leaf)
		KVM_BUG_ON(spte_to_pfn(old) != spte_to_pfn(new), p->kvm);

	if (was_leaf) {
		/* The entries of a split page say themselves what was done. */
		if (is_leaf || !is_present)
			tdp_leaf_changed(old, new, is_leaf);
	} else if (!KVM_BUG_ON(is_present && !is_leaf, p->kvm)) {
		/* A table never gives way to another one. */
		tdp_table_gone(p, spte_to_child_sp(old));
	}
}

/* @sp was unlinked by this thread: what is in it goes, and then the table. */
static void tdp_table_gone(struct tdp_pass *p, struct kvm_mmu_page *sp)
{
	gfn_t span = KVM_PAGES_PER_HPAGE(sp->role.level);
	gfn_t gfn = sp->gfn;
	u64 *sptep, old;

	trace_kvm_mmu_prepare_zap_page(sp);

	for (sptep = sp->spt; sptep < sp->spt + SPTE_ENT_PER_PAGE;
	     sptep++, gfn += span) {
		/*
		 * Pairs with the cmpxchg in tdp_spte_try_set(), tdp_leaf_clear() and
		 * tdp_leaf_zap(): whoever still finds the table has written before, and
		 * is seen here, or will fail.
		 */
		old = xchg(sptep, FROZEN_SPTE);
		if (is_shadow_present_pte(old))
			tdp_spte_changed(p, sp, gfn, old, FROZEN_SPTE);
	}

	tdp_table_unlinked(p->kvm, sp, &p->dead);
}

/**
 * tdp_spte_try_set - change an entry
 * @p: the pass
 * @sptep: the entry
 * @old: what it is expected to contain, which is not FROZEN_SPTE; if it does not,
 *	what was found instead
 * @new: what it shall contain
 *
 * Does what follows from the change, except that the caller says whether a TLB
 * flush is owed (&tdp_pass.flush). A table that @old led to is retired when the
 * pass settles.
 *
 * Context: mmu_lock held, shared or not, or an unlocked pass, whose changes keep the
 *	entry leading where it does; RCU read section.
 * Return: whether the entry was changed.
 */
bool tdp_spte_try_set(struct tdp_pass *p, u64 *sptep, u64 *old, u64 new)
{
	struct kvm_mmu_page *sp;

	if (WARN_ON_ONCE(is_frozen_spte(*old)))
		return false;

	if (is_shadow_present_pte(*old))
		tdp_pass_open(p);

	/* Pairs with the xchg in tdp_table_gone(). */
	if (!try_cmpxchg64(sptep, old, new))
		return false;

	sp = sptep_to_sp(sptep);
	if (is_shadow_present_pte(*old))
		tdp_spte_changed(p, sp, tdp_spte_gfn(sp, sptep), *old, new);
	else
		tdp_spte_came(p, sp, sptep, *old, new);

	return true;
}

/* The bit that says of a page that the guest has written to it. */
static u64 tdp_leaf_dirty_bit(u64 spte)
{
	return spte_shadow_dirty_mask(spte) ?: PT_WRITABLE_MASK;
}

static bool tdp_leaf_clear(struct kvm_mmu_page *sp, unsigned int i, u64 bits)
{
	u64 *sptep = &sp->spt[i];
	u64 spte = READ_ONCE(*sptep);

	do {
		if (!is_shadow_present_pte(spte) || !(spte & bits))
			return false;
		/* Pairs with the xchg in tdp_table_gone(). */
	} while (!try_cmpxchg64(sptep, &spte, spte & ~bits));

	trace_kvm_tdp_mmu_spte_changed(kvm_mmu_page_as_id(sp), sp->gfn + i,
				       PG_LEVEL_4K, spte, spte & ~bits);

	if (spte & bits & tdp_leaf_dirty_bit(spte))
		kvm_set_pfn_dirty(spte_to_pfn(spte));

	return true;
}

/**
 * tdp_leafs_clear - take bits away from pages' entries
 * @p: the pass
 * @sp: a table of level 4K
 * @pages: which of its entries
 * @bits: permissions, or the Dirty bit; entries that have none of them stay
 *
 * The same as tdp_spte_try_set() for the one change that there is so much of: where an
 * entry leads, and what is counted, stays as it was.
 *
 * Context: mmu_lock held, shared or not; RCU read section.
 * Return: whether any entry was changed.
 */
bool tdp_leafs_clear(struct tdp_pass *p, struct kvm_mmu_page *sp,
		     const unsigned long *pages, u64 bits)
{
	bool changed = false;
	unsigned long word;
	unsigned int i;

	tdp_pass_open(p);

	/* Bit by bit in a register: for_each_set_bit() calls a function for each. */
	for (i = 0; i < SPTE_ENT_PER_PAGE; i += BITS_PER_LONG)
		for (word = pages[i / BITS_PER_LONG]; word; word &= word - 1)
			changed |= tdp_leaf_clear(sp, i + __ffs(word), bits);

	return changed;
}

static bool tdp_leaf_zap(struct tdp_pass *p, struct kvm_mmu_page *sp, unsigned int i)
{
	u64 *sptep = &sp->spt[i];
	u64 spte = READ_ONCE(*sptep);

	do {
		if (!is_shadow_present_pte(spte))
			return false;
		if (!p->open)
			tdp_pass_open(p);
		/* Pairs with the xchg in tdp_table_gone(). */
	} while (!try_cmpxchg64(sptep, &spte, SHADOW_NONPRESENT_VALUE));

	trace_kvm_tdp_mmu_spte_changed(kvm_mmu_page_as_id(sp), sp->gfn + i,
				       PG_LEVEL_4K, spte, SHADOW_NONPRESENT_VALUE);
	tdp_leaf_changed(spte, SHADOW_NONPRESENT_VALUE, false);

	return true;
}

/**
 * tdp_leafs_zap - empty pages' entries
 * @p: the pass
 * @sp: a table of level 4K
 * @start: the first of the entries
 * @end: the entry after the last
 *
 * The same as tdp_spte_try_set() for the other change that there is so much of. What
 * others write to all the time, as the line of mmu_lock, is not looked at for each.
 *
 * Context: mmu_lock held, shared or not; RCU read section.
 * Return: whether any page was mapped.
 */
bool tdp_leafs_zap(struct tdp_pass *p, struct kvm_mmu_page *sp, unsigned int start,
		   unsigned int end)
{
	long zapped = 0;

	while (start < end)
		zapped += tdp_leaf_zap(p, sp, start++);

	p->pages[PG_LEVEL_4K - 1] -= zapped;

	return zapped;
}

/**
 * tdp_spte_try_link - let an entry lead to a table
 * @p: the pass
 * @sptep: the entry, which translates nothing
 * @old: as for tdp_spte_try_set()
 * @sp: the table, initialised as the entry's child
 *
 * Context: mmu_lock held, shared or not; RCU read section.
 * Return: whether the table was linked. If not, it is still the caller's own.
 */
bool tdp_spte_try_link(struct tdp_pass *p, u64 *sptep, u64 *old,
		       struct kvm_mmu_page *sp)
{
	u64 spte = make_nonleaf_spte(sp->spt, !kvm_ad_enabled());

	/* Counted first: whoever finds it may unlink it at once. */
	tdp_table_linked(p->kvm, sp);
	if (tdp_spte_try_set(p, sptep, old, spte))
		return true;
	tdp_table_not_linked(p->kvm, sp);

	return false;
}

/**
 * tdp_spte_try_split - let an entry lead to a table that translates the same
 * @p: the pass
 * @sptep: the entry, which maps a huge page
 * @old: as for tdp_spte_try_set()
 * @sp: the table, initialised as the entry's child; what is in it is overwritten
 *
 * No TLB flush follows from this: every translation stays as it was.
 *
 * Context: mmu_lock held, shared or not; RCU read section.
 * Return: whether the table was linked. If not, it is still the caller's own.
 */
bool tdp_spte_try_split(struct tdp_pass *p, u64 *sptep, u64 *old,
			struct kvm_mmu_page *sp)
{
	const u64 span = KVM_PAGES_PER_HPAGE(sp->role.level) << PAGE_SHIFT;
	u64 spte;
	int i;

	/* Made from *old, which the cmpxchg compares: no bit gets lost. */
	spte = make_huge_page_split_spte(p->kvm, *old, sp->role, 0);
	/* The others differ by their address. */
	for (i = 0; i < SPTE_ENT_PER_PAGE; i++, spte += span)
		sp->spt[i] = spte;

	p->pages[sp->role.level - 1] += SPTE_ENT_PER_PAGE;
	if (tdp_spte_try_link(p, sptep, old, sp))
		return true;
	p->pages[sp->role.level - 1] -= SPTE_ENT_PER_PAGE;

	return false;
}
