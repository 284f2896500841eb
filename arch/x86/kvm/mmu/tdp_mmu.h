/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The TDP MMU: the tables that translate a guest's physical addresses, used by
 * every vCPU in the same mode. This header is what the base's mmu.c knows of it.
 *
 * Who may do what beside whom is in docs/locking.rst.
 */
#ifndef __KVM_X86_MMU_TDP_MMU_H
#define __KVM_X86_MMU_TDP_MMU_H

#include <linux/kvm_host.h>
#include <linux/sched/vhost_task.h>

#include "spte.h"

/* roots.c: the VM's trees */
void kvm_mmu_init_tdp_mmu(struct kvm *kvm);
void kvm_mmu_uninit_tdp_mmu(struct kvm *kvm);
int kvm_tdp_mmu_alloc_root(struct kvm_vcpu *vcpu);
void kvm_tdp_mmu_put_root(struct kvm *kvm, struct kvm_mmu_page *root);
void kvm_tdp_mmu_invalidate_all_roots(struct kvm *kvm);
void kvm_tdp_mmu_zap_invalidated_roots(struct kvm *kvm);

/* invalidate.c: what faults must not run into */
bool kvm_tdp_mmu_retry_gfn(struct kvm *kvm, unsigned long seq, gfn_t gfn);

/* Nothing is being invalidated, and nothing has been since @seq: no fault is stale. */
static inline bool kvm_tdp_mmu_is_still(struct kvm *kvm, unsigned long seq)
{
	if (READ_ONCE(kvm->mmu_invalidate_in_progress))
		return false;
	/* Pairs with smp_wmb() in tdp_inflight_end(). */
	smp_rmb();

	return READ_ONCE(kvm->mmu_invalidate_seq) == seq;
}

/* fault.c: a mapping comes */
int kvm_tdp_mmu_map(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault);

/* zap.c: mappings go */
bool kvm_tdp_mmu_zap_leafs(struct kvm *kvm, gfn_t start, gfn_t end, bool flush);
bool kvm_tdp_mmu_unmap_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range,
				 bool flush);
void kvm_tdp_mmu_zap_all(struct kvm *kvm);

/* dirty.c: writes are watched */
bool kvm_tdp_mmu_wrprot_slot(struct kvm *kvm, const struct kvm_memory_slot *slot,
			     int min_level);
bool kvm_tdp_mmu_clear_dirty_slot(struct kvm *kvm,
				  const struct kvm_memory_slot *slot);
void kvm_tdp_mmu_clear_dirty_pt_masked(struct kvm *kvm,
				       struct kvm_memory_slot *slot, gfn_t gfn,
				       unsigned long mask, bool wrprot);
void kvm_tdp_mmu_log_pages(struct kvm *kvm, struct kvm_memory_slot *slot,
			   gfn_t offset, unsigned long mask);
void kvm_tdp_mmu_log_end(struct kvm *kvm);
int kvm_tdp_mmu_ring_reset(struct kvm *kvm, struct kvm_dirty_ring *ring);
void kvm_tdp_mmu_ring_push(struct kvm_vcpu *vcpu, u32 slot, u64 offset);
bool kvm_tdp_mmu_write_protect_gfn(struct kvm *kvm, struct kvm_memory_slot *slot,
				   gfn_t gfn, int min_level);

/* age.c: accesses are watched */
bool kvm_tdp_mmu_age_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range);
bool kvm_tdp_mmu_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range);

/* split.c: from huge pages to small ones and back */
void kvm_tdp_mmu_try_split_huge_pages(struct kvm *kvm,
				      const struct kvm_memory_slot *slot,
				      gfn_t start, gfn_t end, int target_level,
				      bool shared);
void kvm_tdp_mmu_zap_collapsible_sptes(struct kvm *kvm,
				       const struct kvm_memory_slot *slot);

/* nx.c: tables that only the mitigation keeps from being huge pages */
struct vhost_task *kvm_tdp_mmu_nx_task_create(bool (*fn)(void *data),
					      void (*kill)(void *data), void *data,
					      const char *name,
					      const unsigned int *ratio);
unsigned long kvm_tdp_mmu_nx_of_base(struct kvm *kvm);

static inline unsigned long tdp_nx_part(unsigned long nr, unsigned int ratio)
{
	return ratio ? DIV_ROUND_UP(nr, ratio) : 0;
}

/* walk.c: a vCPU looks at its own tables, without any lock */
int kvm_tdp_mmu_get_walk(struct kvm_vcpu *vcpu, u64 addr, u64 *sptes,
			 int *root_level);
u64 *kvm_tdp_mmu_fast_pf_get_last_sptep(struct kvm_vcpu *vcpu, gfn_t gfn,
					u64 *spte);

/* Between these two a table that was seen stays a table. */
static inline void kvm_tdp_mmu_walk_lockless_begin(void)
{
	rcu_read_lock();
}

static inline void kvm_tdp_mmu_walk_lockless_end(void)
{
	rcu_read_unlock();
}

static inline bool is_tdp_mmu_page(struct kvm_mmu_page *sp)
{
	return sp->tdp_mmu_page;
}

/*
 * What follows is for mmu.c alone, which includes this header after those that
 * declare the originals: there the originals' names mean ours.
 */
static inline bool tdp_retry_gfn(struct kvm *kvm, unsigned long seq, gfn_t gfn)
{
	lockdep_assert_held(&kvm->mmu_lock);

	if (likely(kvm_tdp_mmu_is_still(kvm, seq)))
		return false;

	return tdp_mmu_enabled ? kvm_tdp_mmu_retry_gfn(kvm, seq, gfn) :
				 mmu_invalidate_retry_gfn(kvm, seq, gfn);
}

static inline bool tdp_retry_gfn_unsafe(struct kvm *kvm, unsigned long seq,
					gfn_t gfn)
{
	if (likely(kvm_tdp_mmu_is_still(kvm, seq)))
		return false;

	return tdp_mmu_enabled ? kvm_tdp_mmu_retry_gfn(kvm, seq, gfn) :
				 mmu_invalidate_retry_gfn_unsafe(kvm, seq, gfn);
}

static inline int tdp_do_page_fault_once(struct kvm_vcpu *vcpu, gpa_t gpa,
					 u64 err, bool prefetch,
					 int *emulation_type, u8 *level)
{
	return kvm_mmu_do_page_fault(vcpu, gpa, err, prefetch, emulation_type,
				     level);
}

int kvm_tdp_mmu_do_page_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 err,
			      bool prefetch, int *emulation_type, u8 *level);

/* The base's turn at recovering NX huge pages finds no table of ours on its list. */
static inline bool kvm_tdp_mmu_zap_sp(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	KVM_BUG_ON(1, kvm);

	return false;
}

#define vhost_task_create(fn, kill, data, name)					\
	kvm_tdp_mmu_nx_task_create(fn, kill, data, name, &nx_huge_pages_recovery_ratio)

/*
 * It takes its part of what is counted, once, with mmu_lock held for write: of the tables
 * of the shadow MMU, that is.
 */
static inline unsigned long tdp_nx_part_of_base(struct kvm *kvm, unsigned long nr,
						unsigned int ratio)
{
	return tdp_nx_part(tdp_mmu_enabled ? kvm_tdp_mmu_nx_of_base(kvm) : nr, ratio);
}

#undef DIV_ROUND_UP
#define DIV_ROUND_UP(nr, ratio)		tdp_nx_part_of_base(kvm, nr, ratio)

#define mmu_invalidate_retry_gfn	tdp_retry_gfn
#define mmu_invalidate_retry_gfn_unsafe	tdp_retry_gfn_unsafe
#define kvm_mmu_do_page_fault		kvm_tdp_mmu_do_page_fault

#endif
