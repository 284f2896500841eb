// SPDX-License-Identifier: GPL-2.0
/*
 * Ways through the tables. Nothing here writes to them.
 */
#include "mmu.h"
#include "roots.h"
#include "tdp_mmu.h"
#include "walk.h"

static gfn_t tdp_span(int level)
{
	return KVM_PAGES_PER_HPAGE(level);
}

static void tdp_walk_read(struct tdp_walk *w)
{
	w->sptep = &w->table[w->level][SPTE_INDEX(w->gfn << PAGE_SHIFT, w->level)];
	w->spte = READ_ONCE(*w->sptep);
	w->up = false;
}

static void tdp_walk_from_top(struct tdp_walk *w)
{
	w->level = w->top;
	w->gfn = gfn_round_for_level(w->start, w->level);
	tdp_walk_read(w);
}

/**
 * tdp_walk_start - begin a walk
 * @w: the walk
 * @p: the pass that it is part of
 * @root: the tree, referenced by the caller if the pass may yield
 * @start: the first gfn of interest
 * @end: the gfn after the last
 * @min_level: the lowest level to visit
 *
 * Context: RCU read section of @p.
 */
void tdp_walk_start(struct tdp_walk *w, struct tdp_pass *p,
		    struct kvm_mmu_page *root, gfn_t start, gfn_t end,
		    int min_level)
{
	w->p = p;
	w->root = root;
	w->top = tdp_root_role(root).level;
	w->start = start;
	w->fresh = start;
	/* A tree of four levels ends where one of five goes on. */
	w->end = min3(end, kvm_mmu_max_gfn() + 1, tdp_span(w->top + 1));
	w->min_level = min_level;
	w->restarted = false;
	w->sptep = NULL;

	if (w->start >= w->end)
		return;

	w->table[w->top] = root->spt;
	tdp_walk_from_top(w);
}

/**
 * tdp_walk_next - go to the next entry
 * @w: the walk
 *
 * Looks at the entry again before it goes on from there: what the caller, or
 * somebody beside him, has made of it counts.
 *
 * Context: RCU read section of the pass.
 */
void tdp_walk_next(struct tdp_walk *w)
{
	u64 spte;

	if (w->restarted) {
		w->restarted = false;
		tdp_walk_from_top(w);
		return;
	}

	if (!w->up && w->level > w->min_level) {
		spte = READ_ONCE(*w->sptep);
		if (tdp_spte_is_table(spte)) {
			w->level--;
			w->table[w->level] = spte_to_child_sp(spte)->spt;
			w->gfn = max(w->gfn,
				     gfn_round_for_level(w->start, w->level));
			tdp_walk_read(w);
			return;
		}
	}

	while (spte_index(w->sptep) == SPTE_ENT_PER_PAGE - 1 ||
	       w->gfn + tdp_span(w->level) >= w->end) {
		if (w->level == w->top) {
			w->sptep = NULL;
			return;
		}

		w->level++;
		w->gfn = gfn_round_for_level(w->gfn, w->level);
		tdp_walk_read(w);
		if (w->post) {
			w->up = true;
			return;
		}
	}

	w->gfn += tdp_span(w->level);
	tdp_walk_read(w);
}

/**
 * tdp_walk_restart - find the same gfn again from the root
 * @w: the walk
 *
 * For a caller that has let go of mmu_lock itself: tdp_walk_next() then finds the
 * entry that it was at.
 *
 * Context: any.
 */
void tdp_walk_restart(struct tdp_walk *w)
{
	w->start = max(w->start, w->gfn);
	w->fresh = w->start;
	w->restarted = true;
}

/**
 * tdp_walk_break - let others in, if they wait and the walk has made headway
 * @w: the walk, at an entry that the caller has not worked on yet
 *
 * Headway is a leaf table's worth of gfns if it is mmu_lock that is waited for,
 * as letting go of it may cost a TLB flush.
 *
 * Context: the pass's mmu_lock and RCU read section; may sleep.
 * Return: whether mmu_lock was let go. The caller then goes on to
 *	tdp_walk_next(), which finds the same gfn again from the root.
 */
bool tdp_walk_break(struct tdp_walk *w)
{
	if (w->up || w->gfn <= w->fresh || !tdp_pass_wanted(w->p))
		return false;
	if (w->gfn - w->fresh < tdp_span(PG_LEVEL_2M) && !need_resched())
		return false;

	tdp_walk_restart(w);
	tdp_pass_break(w->p);

	return true;
}

/**
 * kvm_tdp_mmu_get_walk - read the entries that translate an address
 * @vcpu: the vCPU
 * @addr: the guest physical address
 * @sptes: where to put them, by level
 * @root_level: set to the level of the vCPU's root
 *
 * Context: between kvm_tdp_mmu_walk_lockless_begin() and _end(), the vCPU loaded.
 * Return: the level of the last entry on the way.
 */
int kvm_tdp_mmu_get_walk(struct kvm_vcpu *vcpu, u64 addr, u64 *sptes,
			 int *root_level)
{
	struct kvm_mmu_page *sp = root_to_sp(vcpu->arch.mmu->root.hpa);
	int level = vcpu->arch.mmu->root_role.level;
	u64 spte;

	*root_level = level;
	for (;; level--) {
		spte = READ_ONCE(sp->spt[SPTE_INDEX(addr, level)]);
		sptes[level] = spte;
		if (level == PG_LEVEL_4K || !tdp_spte_is_table(spte))
			return level;
		sp = spte_to_child_sp(spte);
	}
}

/**
 * kvm_tdp_mmu_fast_pf_get_last_sptep - find the entry that a fault ended at
 * @vcpu: the vCPU
 * @gfn: the faulting gfn
 * @spte: set to what the entry contains
 *
 * Context: between kvm_tdp_mmu_walk_lockless_begin() and _end(), which is also how
 *	long the pointer is good; the vCPU loaded.
 * Return: the entry.
 */
u64 *kvm_tdp_mmu_fast_pf_get_last_sptep(struct kvm_vcpu *vcpu, gfn_t gfn,
					u64 *spte)
{
	struct kvm_mmu_page *sp = root_to_sp(vcpu->arch.mmu->root.hpa);
	int level = vcpu->arch.mmu->root_role.level;
	u64 *sptep;

	for (;; level--) {
		sptep = &sp->spt[SPTE_INDEX(gfn << PAGE_SHIFT, level)];
		*spte = READ_ONCE(*sptep);
		if (level == PG_LEVEL_4K || !tdp_spte_is_table(*spte))
			return sptep;
		sp = spte_to_child_sp(*spte);
	}
}
