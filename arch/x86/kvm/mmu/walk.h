/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_WALK_H
#define __KVM_X86_MMU_WALK_H

#include <linux/kvm_host.h>

#include "pass.h"
#include "spte.h"

/**
 * struct tdp_walk - a way through the entries of one tree
 * @p: the pass that the walk is part of
 * @root: the tree
 * @start: the first gfn that is still of interest
 * @end: the gfn where interest ends
 * @min_level: the lowest level to visit
 * @post: visit an entry that leads to a table once more after the table
 *
 * Where it is:
 *
 * @sptep: the entry; NULL at the end
 * @spte: what was last read there
 * @gfn: the first gfn that the entry translates
 * @level: the level of its table
 * @up: this is the second visit, after the table below
 *
 * Its own:
 *
 * @table: the entry's table, and those above it
 * @top: the level of the root
 * @restarted: the next entry is the one under @sptep, not the one after
 * @fresh: the gfn from which on the walk has made headway since it let go of the
 *	lock
 *
 * Entries come in the order of their gfns, one that leads to a table before the
 * table. On the caller's stack; its pointers are good within the RCU read section
 * of the pass.
 */
struct tdp_walk {
	struct tdp_pass *p;
	struct kvm_mmu_page *root;
	gfn_t start;
	gfn_t end;
	int min_level;
	bool post;

	u64 *sptep;
	u64 spte;
	gfn_t gfn;
	int level;
	bool up;

	u64 *table[PT64_ROOT_MAX_LEVEL + 1];
	int top;
	bool restarted;
	gfn_t fresh;
};

/* An entry that leads to another table. */
static inline bool tdp_spte_is_table(u64 spte)
{
	return is_shadow_present_pte(spte) && !is_large_pte(spte);
}

void tdp_walk_start(struct tdp_walk *w, struct tdp_pass *p,
		    struct kvm_mmu_page *root, gfn_t start, gfn_t end,
		    int min_level);
void tdp_walk_next(struct tdp_walk *w);
bool tdp_walk_break(struct tdp_walk *w);
void tdp_walk_restart(struct tdp_walk *w);

static inline bool tdp_walk_at_leaf(struct tdp_walk *w)
{
	return is_shadow_present_pte(w->spte) && is_last_spte(w->spte, w->level);
}

static inline bool tdp_walk_at_table(struct tdp_walk *w)
{
	return is_shadow_present_pte(w->spte) && !is_last_spte(w->spte, w->level);
}

/*
 * Visit the entries of @_root in [@_start, @_end) down to @_level. A body that
 * finds an entry changed under it may look at it again with "goto" or go on.
 */
#define tdp_for_each_spte(_w, _p, _root, _start, _end, _level)			\
	for (tdp_walk_start(_w, _p, _root, _start, _end, _level);		\
	     (_w)->sptep; tdp_walk_next(_w))

#endif
