// SPDX-License-Identifier: GPL-2.0
/*
 * The VM's trees: one for each role that vCPUs have asked for, shared by all that
 * have the role.
 *
 * &tdp_vm.roots is read under RCU or mmu_lock and changed under
 * tdp_mmu_pages_lock. A tree is referenced by each vCPU that has it as its root or
 * among its previous ones, by each piece of work that is at it, and once more for
 * being valid. It stays on the list, where an invalidation finds it, until the last
 * reference is put, and that is after it has been emptied: the reference for being
 * valid passes to kvm_tdp_mmu_zap_invalidated_roots(), which empties it first.
 *
 * Whether a tree is valid changes under the exclusive mmu_lock only.
 */
#include <linux/slab.h>

#include "mmu.h"
#include "invalidate.h"
#include "nx.h"
#include "pass.h"
#include "roots.h"
#include "state.h"
#include "tables.h"
#include "tdp_mmu.h"
#include "zap.h"

/**
 * kvm_mmu_init_tdp_mmu - prepare a VM
 * @kvm: the VM
 *
 * Context: the VM is private to the caller.
 */
void kvm_mmu_init_tdp_mmu(struct kvm *kvm)
{
	struct tdp_vm *vm;

	/* Less than two pages, and the caller has no way to fail here. */
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	INIT_LIST_HEAD(&vm->roots);
	INIT_LIST_HEAD(&kvm->arch.tdp_mmu_roots);
	list_add(&vm->anchor, &kvm->arch.tdp_mmu_roots);
	spin_lock_init(&kvm->arch.tdp_mmu_pages_lock);
	tdp_inflight_init(kvm);
	tdp_nx_init(kvm);
}

/**
 * kvm_mmu_uninit_tdp_mmu - free everything
 * @kvm: the VM
 *
 * Context: may sleep; the VM has no vCPUs and no notifier any more.
 */
void kvm_mmu_uninit_tdp_mmu(struct kvm *kvm)
{
	struct tdp_vm *vm = tdp_vm(kvm);

	/* What is left has lost its vCPUs without having been invalidated. */
	write_lock(&kvm->mmu_lock);
	kvm_tdp_mmu_invalidate_all_roots(kvm);
	write_unlock(&kvm->mmu_lock);
	kvm_tdp_mmu_zap_invalidated_roots(kvm);

	WARN_ON(atomic64_read(&kvm->arch.tdp_mmu_pages));
	WARN_ON(!list_empty(&vm->roots));

	/* The callbacks use the slab cache of the module. */
	rcu_barrier();

	list_del(&vm->anchor);
	kfree(vm);
}

static bool tdp_root_get(struct kvm_mmu_page *root)
{
	return refcount_inc_not_zero(&root->tdp_mmu_root_count);
}

/**
 * kvm_tdp_mmu_put_root - drop a reference to a tree
 * @kvm: the VM
 * @root: the tree
 *
 * Context: mmu_lock held, either way.
 */
void kvm_tdp_mmu_put_root(struct kvm *kvm, struct kvm_mmu_page *root)
{
	if (!refcount_dec_and_test(&root->tdp_mmu_root_count))
		return;

	/* The reference for being valid has been put: so it is not. */
	KVM_BUG_ON(!root->role.invalid, kvm);

	spin_lock(&kvm->arch.tdp_mmu_pages_lock);
	list_del_rcu(&root->link);
	spin_unlock(&kvm->arch.tdp_mmu_pages_lock);

	tdp_table_retire(root);
}

/**
 * tdp_root_next - take the next tree
 * @kvm: the VM
 * @prev: the one before, whose reference is put; NULL for the first
 * @as_id: the address space, or TDP_ANY_AS
 * @only_valid: pass over the invalid ones
 *
 * Context: mmu_lock held, either way.
 * Return: the tree, referenced, or NULL.
 */
struct kvm_mmu_page *tdp_root_next(struct kvm *kvm, struct kvm_mmu_page *prev,
				   int as_id, bool only_valid)
{
	struct list_head *roots = &tdp_vm(kvm)->roots;
	struct kvm_mmu_page *root;

	rcu_read_lock();
	root = prev ? prev : list_entry(roots, struct kvm_mmu_page, link);
	list_for_each_entry_continue_rcu(root, roots, link) {
		if (as_id != TDP_ANY_AS && as_id != kvm_mmu_page_as_id(root))
			continue;
		if (only_valid && root->role.invalid)
			continue;
		if (tdp_root_get(root))
			break;
	}
	if (&root->link == roots)
		root = NULL;
	rcu_read_unlock();

	if (prev)
		kvm_tdp_mmu_put_root(kvm, prev);

	return root;
}

static struct kvm_mmu_page *tdp_root_find(struct kvm *kvm,
					  union kvm_mmu_page_role role)
{
	struct kvm_mmu_page *root;

	lockdep_assert_held(&kvm->arch.tdp_mmu_pages_lock);

	/* An invalid tree's role has one bit more, and never matches. */
	list_for_each_entry(root, &tdp_vm(kvm)->roots, link)
		if (root->role.word == role.word && tdp_root_get(root))
			return root;

	return NULL;
}

/**
 * kvm_tdp_mmu_alloc_root - give a vCPU its tree
 * @vcpu: the vCPU, whose memory caches are filled
 *
 * The tree may be invalid again at once; KVM_REQ_MMU_FREE_OBSOLETE_ROOTS is then
 * pending and keeps the vCPU from entering the guest with it.
 *
 * Context: the vCPU's thread, mmu_lock not held.
 * Return: 0.
 */
int kvm_tdp_mmu_alloc_root(struct kvm_vcpu *vcpu)
{
	union kvm_mmu_page_role role = vcpu->arch.mmu->root_role;
	struct kvm *kvm = vcpu->kvm;
	struct kvm_mmu_page *root;

	/* Held for read: a tree that is valid when found stays so until used. */
	read_lock(&kvm->mmu_lock);
	spin_lock(&kvm->arch.tdp_mmu_pages_lock);

	root = tdp_root_find(kvm, role);
	if (!root) {
		root = tdp_table_from_vcpu(vcpu);
		tdp_table_init(root, NULL, 0, role);
		/* One for the vCPU, one for being valid. */
		refcount_set(&root->tdp_mmu_root_count, 2);
		list_add_rcu(&root->link, &tdp_vm(kvm)->roots);
	}

	spin_unlock(&kvm->arch.tdp_mmu_pages_lock);
	read_unlock(&kvm->mmu_lock);

	vcpu->arch.mmu->root.hpa = __pa(root->spt);
	vcpu->arch.mmu->root.pgd = 0;

	return 0;
}

/**
 * kvm_tdp_mmu_invalidate_all_roots - stop the use of every tree
 * @kvm: the VM
 *
 * The caller broadcasts KVM_REQ_MMU_FREE_OBSOLETE_ROOTS before it drops mmu_lock,
 * and goes on to kvm_tdp_mmu_zap_invalidated_roots().
 *
 * Context: mmu_lock held for write; slots_lock held, except when the VM goes.
 */
void kvm_tdp_mmu_invalidate_all_roots(struct kvm *kvm)
{
	union kvm_mmu_page_role role;
	struct kvm_mmu_page *root;

	lockdep_assert_held_write(&kvm->mmu_lock);

	list_for_each_entry(root, &tdp_vm(kvm)->roots, link) {
		if (root->role.invalid)
			continue;
		root->tdp_mmu_scheduled_root_to_zap = true;
		role = root->role;
		role.invalid = true;
		/* In one piece, for those who read it by tdp_root_role(). */
		WRITE_ONCE(root->role.word, role.word);
	}
}

static struct kvm_mmu_page *tdp_root_next_scheduled(struct kvm *kvm)
{
	struct kvm_mmu_page *root, *found = NULL;

	rcu_read_lock();
	list_for_each_entry_rcu(root, &tdp_vm(kvm)->roots, link) {
		if (root->tdp_mmu_scheduled_root_to_zap) {
			found = root;
			break;
		}
	}
	rcu_read_unlock();

	return found;
}

/**
 * kvm_tdp_mmu_zap_invalidated_roots - empty the trees that were invalidated
 * @kvm: the VM
 *
 * When this returns nothing is left in them, and all that the guest did to their pages
 * has been told. No TLB flush: no vCPU enters the guest
 * with such a tree, and each flushes for itself when it loads another.
 *
 * Context: may sleep, takes mmu_lock for read; slots_lock held, except when the VM
 *	goes, and so there is one such task at a time.
 */
void kvm_tdp_mmu_zap_invalidated_roots(struct kvm *kvm)
{
	struct kvm_mmu_page *root;

	read_lock(&kvm->mmu_lock);

	/* Each has the reference it got for being valid, ours now. */
	while ((root = tdp_root_next_scheduled(kvm))) {
		root->tdp_mmu_scheduled_root_to_zap = false;
		KVM_BUG_ON(!root->role.invalid, kvm);
		tdp_zap_root(kvm, root, TDP_SHARED);
		kvm_tdp_mmu_put_root(kvm, root);
	}

	/* Somebody else may have begun in a tree while it was valid, and still be at it. */
	tdp_zap_unlock(kvm);
}
