// SPDX-License-Identifier: GPL-2.0
/*
 * Accesses are watched: the host's reclaim asks what the guest uses.
 */
#include "mmu.h"
#include "age.h"
#include "roots.h"
#include "sptes.h"
#include "state.h"
#include "tdp_mmu.h"
#include "walk.h"

/* Visit accessed pages; forget the access if @clear, else stop at the first. */
static bool tdp_age_root(struct tdp_pass *p, struct kvm_mmu_page *root,
			 struct kvm_gfn_range *range, bool clear)
{
	struct tdp_walk w = {};
	bool young = false;

	tdp_for_each_spte(&w, p, root, range->start, range->end, PG_LEVEL_4K) {
		if (!tdp_walk_at_leaf(&w) || !is_accessed_spte(w.spte))
			continue;

		young = true;
		if (!clear)
			break;

		/* If it changes meanwhile, it is being used. */
		tdp_walk_try_set(&w, mark_spte_for_access_track(w.spte));
	}

	return young;
}

/**
 * tdp_age - ask for accesses
 * @kvm: the VM
 * @range: where
 * @clear: and forget them
 *
 * Whoever asks holds on to the pages. An entry that is emptied meanwhile is empty,
 * and a tree that is invalidated meanwhile is one that no vCPU uses.
 *
 * Context: any lock or none; kvm->srcu held.
 * Return: whether any page was accessed since its accesses were last forgotten.
 */
bool tdp_age(struct kvm *kvm, struct kvm_gfn_range *range, bool clear)
{
	union kvm_mmu_page_role role;
	struct kvm_mmu_page *root;
	bool young = false;
	struct tdp_pass p;

	tdp_pass_begin_unlocked(&p, kvm);

	list_for_each_entry_rcu(root, &tdp_vm(kvm)->roots, link) {
		role = tdp_root_role(root);
		if (role.invalid || kvm_mmu_role_as_id(role) != range->slot->as_id)
			continue;
		young |= tdp_age_root(&p, root, range, clear);
		if (young && !clear)
			break;
	}

	tdp_pass_end(&p);

	return young;
}

/**
 * kvm_tdp_mmu_age_gfn_range - ask for accesses and forget them
 * @kvm: the VM
 * @range: where
 *
 * Context: mmu_lock held for write, kvm->srcu held.
 * Return: whether any page was accessed since it was last asked about.
 */
bool kvm_tdp_mmu_age_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return tdp_age(kvm, range, true);
}

/**
 * kvm_tdp_mmu_test_age_gfn - ask for accesses
 * @kvm: the VM
 * @range: where
 *
 * Context: mmu_lock held for write, kvm->srcu held.
 * Return: whether any page was accessed since it was last asked about.
 */
bool kvm_tdp_mmu_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return tdp_age(kvm, range, false);
}
