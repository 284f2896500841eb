// SPDX-License-Identifier: GPL-2.0
/*
 * The VM of one side whose memory the TDP MMU maps: faults and invalidations, with
 * the steps and locks that mmu.c and kvm_main.c of that side have around them. The
 * file is compiled for each of the two.
 *
 * The host has every page, and knows it without looking; none is huge, none has
 * neighbours that could come along, nobody logs writes. A TLB flush is a real
 * interrupt on every processor that runs a thread of the process.
 */
#include <stdlib.h>
#include <string.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "spte.h"
#include "tdp_mmu.h"
#include "rig/kvm.h"
#include "rig/tdp.h"
#include "side.h"
#include "tdp_side.h"

#define SLOT_PAGES	(1UL << 21)
#define FIRST_PFN	(1UL << 24)	/* the host's, of gfn 0 */

void kvm_mmu_spte_module_init(void);

struct unit_host kvm_host;
struct unit_x86_ops kvm_x86_ops;
bool tdp_enabled = true, tdp_mmu_enabled = true, eager_page_split = true;
int nx_huge_pages;
struct kmem_cache *mmu_page_header_cache;

static struct kvm *kvm;
static struct kvm_vcpu *vcpus[CORES_VCPUS];
static unsigned int nr_vcpus;

unsigned long unit_table_alloc(unsigned int gfp, const char *where)
{
	struct cores_table *t = aligned_alloc(sizeof(*t), sizeof(*t));

	if (!t)
		unit_fail("memory", "there is none");
	if (gfp & __GFP_ZERO)
		memset(t->entry, 0, sizeof(t->entry));
	return (unsigned long)t->entry;
}

void unit_table_free(unsigned long addr, const char *where)
{
	free((void *)addr);
}

void kvm_account_pgtable_pages(void *virt, int nr) {}

bool kvm_make_all_cpus_request(struct kvm *kvm, unsigned int req)
{
	cores_interrupt_all();
	return true;
}

/* Nobody has a dirty ring. */
void kvm_make_request(int req, struct kvm_vcpu *vcpu) {}

void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	cores_interrupt_all();
}

void kvm_flush_remote_tlbs_range(struct kvm *kvm, gfn_t gfn, u64 nr_pages)
{
	cores_interrupt_all();
}

int kvm_mmu_max_mapping_level(struct kvm *kvm, const struct kvm_memory_slot *slot,
			      gfn_t gfn, int limit)
{
	return PG_LEVEL_4K;
}

void kvm_mmu_hugepage_adjust(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault) {}

void disallowed_hugepage_adjust(struct kvm_page_fault *fault, u64 spte, int level) {}

/* Nothing is executed here. */
struct vhost_task *(vhost_task_create)(bool (*fn)(void *), void (*kill)(void *),
				       void *arg, const char *name)
{
	return NULL;
}

/* Nothing is mapped ahead. */
long kvm_arch_vcpu_pre_fault_memory_base(struct kvm_vcpu *vcpu,
					 struct kvm_pre_fault_memory *range);
long kvm_arch_vcpu_pre_fault_memory_base(struct kvm_vcpu *vcpu,
					 struct kvm_pre_fault_memory *range)
{
	return -EOPNOTSUPP;
}

void track_possible_nx_huge_page(struct kvm *kvm, struct kvm_mmu_page *sp) {}

void untrack_possible_nx_huge_page(struct kvm *kvm, struct kvm_mmu_page *sp) {}

int mmu_try_to_unsync_pages(struct kvm *kvm, const struct kvm_memory_slot *slot,
			    gfn_t gfn, bool can_unsync, bool prefetch)
{
	return 0;
}

void mark_page_dirty_in_slot(struct kvm *kvm, const struct kvm_memory_slot *slot,
			     gfn_t gfn)
{
}

void kvm_arch_mmu_enable_log_dirty_pt_masked(struct kvm *kvm,
					     struct kvm_memory_slot *slot,
					     gfn_t offset, unsigned long mask)
{
}

void kvm_dirty_ring_push(struct kvm_vcpu *vcpu, u32 slot, u64 offset)
{
}

int kvm_dirty_ring_reset(struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	return 0;
}

int gfn_to_page_many_atomic(struct kvm_memory_slot *slot, gfn_t gfn,
			    struct page **pages, int nr)
{
	return 0;
}

/* Roots go when the VM does. */
void kvm_mmu_free_obsolete_roots(struct kvm_vcpu *vcpu) {}

void put_page(struct page *page) {}
void kvm_set_pfn_dirty(kvm_pfn_t pfn) {}
void kvm_set_pfn_accessed(kvm_pfn_t pfn) {}

/* In the base's order; what is asked before mmu_lock is asked again under it. */
int kvm_tdp_page_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct kvm *kvm = vcpu->kvm;
	int r = RET_PF_RETRY;

	unit_mmu_topup(vcpu);
	fault->mmu_seq = READ_ONCE(kvm->mmu_invalidate_seq);
	smp_rmb();
	if (mmu_invalidate_retry_gfn_unsafe(kvm, fault->mmu_seq, fault->gfn))
		return RET_PF_RETRY;
	fault->pfn = FIRST_PFN + fault->gfn;
	fault->map_writable = true;

	read_lock(&kvm->mmu_lock);
	if (!mmu_invalidate_retry_gfn(kvm, fault->mmu_seq, fault->gfn))
		r = kvm_tdp_mmu_map(vcpu, fault);
	read_unlock(&kvm->mmu_lock);
	return r;
}

#ifdef UNIT_STOCK
int kvm_tdp_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);

static const struct mmu_notifier_ops *base_ops;

/* The base zaps before the callback is over, with mmu_lock held for write. */
static int stock_range_start(struct mmu_notifier *mn,
			     const struct mmu_notifier_range *range)
{
	struct kvm_gfn_range gfns = { .may_block = true };
	int idx;

	base_ops->invalidate_range_start(mn, range);
	idx = srcu_read_lock(&kvm->srcu);
	gfns.slot = __gfn_to_memslot(kvm_memslots(kvm), 0);
	gfns.start = hva_to_gfn_memslot(range->start, gfns.slot);
	gfns.end = hva_to_gfn_memslot(range->end, gfns.slot);
	write_lock(&kvm->mmu_lock);
	kvm_mmu_invalidate_begin(kvm);
	kvm_mmu_invalidate_range_add(kvm, gfns.start, gfns.end);
	if (kvm_unmap_gfn_range(kvm, &gfns))
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
	return 0;
}

int kvm_tdp_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm)
{
	static struct mmu_notifier_ops ops;

	base_ops = mn->ops;
	ops = *base_ops;
	ops.invalidate_range_start = stock_range_start;
	mn->ops = &ops;
	return mmu_notifier_register(mn, mm);
}
#endif

static struct kvm_vcpu *create_vcpu(unsigned int id)
{
	struct kvm_vcpu *vcpu = unit_alloc(sizeof(*vcpu), __GFP_ZERO, "");

	unit_mmu_vcpu_init(vcpu, kvm, id);
	unit_mmu_topup(vcpu);
	if (kvm_tdp_mmu_alloc_root(vcpu))
		unit_fail("side", "a vCPU has no root");
	return vcpu;
}

void tdp_side_begin(unsigned int nr)
{
	int (*usual)(struct mmu_notifier *mn, struct mm_struct *mm) =
		unit_notifier_register;
	unsigned int i;

	kvm_host.maxphyaddr = 46;
	kvm_mmu_spte_module_init();
	kvm_mmu_reset_all_pte_masks();
	current->mm = cores_mm_create();
	unit_notifier_register = unit_mmu_notifier_register;
	kvm = unit_vm_create(cores_mm);
	unit_notifier_register = usual;
	unit_slot_set(kvm, 0, 0, SLOT_PAGES, UNIT_UADDR, 0);
	nr_vcpus = nr;
	for (i = 0; i < nr; i++)
		vcpus[i] = create_vcpu(i);
}

static void last(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
	kvm_tdp_mmu_zap_all(kvm);
	write_unlock(&kvm->mmu_lock);
	kvm_mmu_uninit_tdp_mmu(kvm);
}

void tdp_side_end(void)
{
	unsigned int i;

	for (i = 0; i < nr_vcpus; i++) {
		read_lock(&kvm->mmu_lock);
		kvm_tdp_mmu_put_root(kvm,
				     root_to_sp(vcpus[i]->arch.mmu->root.hpa));
		read_unlock(&kvm->mmu_lock);
		unit_mmu_drop_caches(vcpus[i]);
		unit_free(vcpus[i], "");
	}
	unit_vm_destroy(kvm, last);
	cores_mm_destroy(cores_mm);
}

void tdp_side_fault(unsigned int vcpu, unsigned long gfn)
{
	int emulation = 0, idx, r;
	u8 level;

	do {
		idx = srcu_read_lock(&kvm->srcu);
		r = kvm_mmu_do_page_fault(vcpus[vcpu], gfn << PAGE_SHIFT,
					  PFERR_WRITE_MASK | PFERR_USER_MASK,
					  false, &emulation, &level);
		srcu_read_unlock(&kvm->srcu, idx);
	} while (r == RET_PF_RETRY);
	if (r != RET_PF_FIXED && r != RET_PF_SPURIOUS)
		unit_fail("side", "a fault ended with %d", r);
}

void tdp_side_zap(unsigned long gfn, unsigned long nr)
{
	struct mmu_notifier *mn = cores_mm->mn;
	struct mmu_notifier_range range = {
		.mm = cores_mm,
		.start = UNIT_UADDR + gfn * PAGE_SIZE,
		.end = UNIT_UADDR + (gfn + nr) * PAGE_SIZE,
		.flags = MMU_NOTIFIER_RANGE_BLOCKABLE,
	};

	mn->ops->invalidate_range_start(mn, &range);
	mn->ops->invalidate_range_end(mn, &range);
}

long tdp_side_mapped(void)
{
	return atomic64_read(&kvm->stat.pages[0]);
}
