// SPDX-License-Identifier: GPL-2.0
/*
 * custom: what of mmu.c and kvm_main.c stands around any TDP MMU, ours or the base's
 * own: invalidations as the base counts them, a VM's and a vCPU's beginning, and its
 * memory caches.
 */
#include <linux/atomic.h>
#include "mmu.h"
#include "mmu_internal.h"
#include "spte.h"
#include "tdp_mmu.h"
#include "rig/tdp.h"

void kvm_zap_gfn_range_base(struct kvm *kvm, gfn_t start, gfn_t end);
int kvm_tdp_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);

int unit_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct kvm *kvm = container_of(mn, struct kvm, mmu_notifier);

	INIT_LIST_HEAD(&kvm->arch.possible_nx_huge_pages);
	kvm->arch.shadow_mmio_value = shadow_mmio_value;
	kvm_mmu_init_tdp_mmu(kvm);
	return kvm_tdp_mmu_notifier_register(mn, mm);
}

void unit_mmu_vcpu_init(struct kvm_vcpu *vcpu, struct kvm *kvm, int id)
{
	struct kvm_mmu *mmu = &vcpu->arch.root_mmu;

	vcpu->vcpu_id = vcpu->vcpu_idx = id;
	vcpu->kvm = kvm;
	vcpu->cpu = -1;
	vcpu->arch.mmu = mmu;
	mmu->page_fault = kvm_tdp_page_fault;
	mmu->root.hpa = INVALID_PAGE;
	mmu->root_role.level = 4;
	mmu->root_role.direct = 1;
	mmu->root_role.access = 7;
}

void kvm_mmu_invalidate_begin(struct kvm *kvm)
{
	lockdep_assert_held_write(&kvm->mmu_lock);
	if (!kvm->mmu_invalidate_in_progress)
		WRITE_ONCE(kvm->mmu_invalidate_range_start, INVALID_GPA);
	WRITE_ONCE(kvm->mmu_invalidate_in_progress,
		   kvm->mmu_invalidate_in_progress + 1);
}

void kvm_mmu_invalidate_range_add(struct kvm *kvm, gfn_t start, gfn_t end)
{
	bool first = kvm->mmu_invalidate_range_start == INVALID_GPA;

	lockdep_assert_held_write(&kvm->mmu_lock);
	WARN_ON_ONCE(!kvm->mmu_invalidate_in_progress);
	WRITE_ONCE(kvm->mmu_invalidate_range_start,
		   first ? start : min(kvm->mmu_invalidate_range_start, start));
	WRITE_ONCE(kvm->mmu_invalidate_range_end,
		   first ? end : max(kvm->mmu_invalidate_range_end, end));
}

void kvm_mmu_invalidate_end(struct kvm *kvm)
{
	lockdep_assert_held_write(&kvm->mmu_lock);
	WRITE_ONCE(kvm->mmu_invalidate_seq, kvm->mmu_invalidate_seq + 1);
	smp_wmb();
	WRITE_ONCE(kvm->mmu_invalidate_in_progress,
		   kvm->mmu_invalidate_in_progress - 1);
	KVM_BUG_ON(kvm->mmu_invalidate_in_progress < 0, kvm);
}

bool kvm_unmap_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return kvm_tdp_mmu_unmap_gfn_range(kvm, range, false);
}

void kvm_zap_gfn_range_base(struct kvm *kvm, gfn_t start, gfn_t end)
{
	write_lock(&kvm->mmu_lock);
	kvm_mmu_invalidate_begin(kvm);
	kvm_mmu_invalidate_range_add(kvm, start, end);
	if (kvm_tdp_mmu_zap_leafs(kvm, start, end, false))
		kvm_flush_remote_tlbs(kvm);
	kvm_mmu_invalidate_end(kvm);
	write_unlock(&kvm->mmu_lock);
}

void *kvm_mmu_memory_cache_alloc(struct kvm_mmu_memory_cache *mc)
{
	if (!mc->nobjs)
		unit_fail("cache", "a vCPU's memory cache is empty");
	return mc->objects[--mc->nobjs];
}

void unit_mmu_topup(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu_memory_cache *t = &vcpu->arch.mmu_shadow_page_cache;
	struct kvm_mmu_memory_cache *h = &vcpu->arch.mmu_page_header_cache;
	u64 *table;

	while (t->nobjs < PT64_ROOT_MAX_LEVEL) {
		table = (u64 *)__get_free_page(GFP_KERNEL_ACCOUNT);
		memset64(table, SHADOW_NONPRESENT_VALUE, SPTE_ENT_PER_PAGE);
		t->objects[t->nobjs++] = table;
	}
	while (h->nobjs < PT64_ROOT_MAX_LEVEL)
		h->objects[h->nobjs++] = kmem_cache_zalloc(mmu_page_header_cache,
							   GFP_KERNEL_ACCOUNT);
}

void unit_mmu_drop_caches(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu_memory_cache *t = &vcpu->arch.mmu_shadow_page_cache;
	struct kvm_mmu_memory_cache *h = &vcpu->arch.mmu_page_header_cache;

	while (t->nobjs)
		free_page((unsigned long)t->objects[--t->nobjs]);
	while (h->nobjs)
		kmem_cache_free(mmu_page_header_cache, h->objects[--h->nobjs]);
}
