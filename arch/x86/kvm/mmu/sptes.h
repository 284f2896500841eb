/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_SPTES_H
#define __KVM_X86_MMU_SPTES_H

#include <linux/kvm_host.h>

#include "pass.h"
#include "walk.h"

bool tdp_leafs_clear(struct tdp_pass *p, struct kvm_mmu_page *sp,
		     const unsigned long *pages, u64 bits);
bool tdp_leafs_zap(struct tdp_pass *p, struct kvm_mmu_page *sp, unsigned int start,
		   unsigned int end);
bool tdp_spte_try_set(struct tdp_pass *p, u64 *sptep, u64 *old, u64 new);
bool tdp_spte_try_link(struct tdp_pass *p, u64 *sptep, u64 *old,
		       struct kvm_mmu_page *sp);
bool tdp_spte_try_split(struct tdp_pass *p, u64 *sptep, u64 *old,
			struct kvm_mmu_page *sp);

/* The same for the entry that a walk is at; w->spte is what stands there then. */
static inline bool tdp_walk_try_set(struct tdp_walk *w, u64 new)
{
	if (!tdp_spte_try_set(w->p, w->sptep, &w->spte, new))
		return false;

	w->spte = new;

	return true;
}

#endif
