// SPDX-License-Identifier: GPL-2.0
/*
 * A mapping comes: what a vCPU's fault, or KVM_PRE_FAULT_MEMORY, puts into the
 * tables. Faults run beside each other, and beside everything else that holds
 * mmu_lock for read.
 */
#include "mmu.h"
#include "mmutrace.h"
#include "around.h"
#include "dirty.h"
#include "nx.h"
#include "roots.h"
#include "sptes.h"
#include "tables.h"
#include "tdp_mmu.h"

/* How often a fault that has become stale is tried again at once. */
#define TDP_FAULT_TRIES		4

/* Whether the access that faulted would not fault if it were tried again. */
static bool tdp_fault_is_over(struct kvm_page_fault *fault, u64 spte)
{
	if (fault->exec)
		return is_executable_pte(spte);
	if (fault->write)
		return is_writable_pte(spte);

	return spte & PT_PRESENT_MASK;
}

/*
 * Whether the page is to be mapped writable, if the guest may write to it. A guess, where
 * writes are logged, is not a write: it would be told as one, and nobody who guesses
 * looks whether the vCPU's ring has room for it.
 */
static bool tdp_fault_may_write(struct kvm_page_fault *fault)
{
	return fault->map_writable &&
	       !(fault->prefetch && !fault->write &&
		 kvm_slot_dirty_track_enabled(fault->slot));
}

/* Install the leaf at @sptep, in table @sp of level @fault->goal_level. */
static int tdp_fault_install(struct tdp_pass *p, struct kvm_vcpu *vcpu,
			     struct kvm_page_fault *fault, struct kvm_mmu_page *sp,
			     u64 *sptep, u64 old)
{
	int level = sp->role.level;
	bool was_present = is_shadow_present_pte(old);
	bool was_table = was_present && !is_last_spte(old, level);
	u32 position = tdp_log_position(vcpu);
	int ret = RET_PF_FIXED;
	bool wrprot = false;
	gfn_t gfn;
	u64 new;

	/* What is there came from a real access: a guess is not better. */
	if (was_present && !was_table &&
	    (fault->prefetch || tdp_fault_is_over(fault, old)))
		return RET_PF_SPURIOUS;

	gfn = gfn_round_for_level(fault->gfn, level);

	if (unlikely(!fault->slot))
		new = make_mmio_spte(vcpu, gfn, ACC_ALL);
	else
		wrprot = make_spte(vcpu, sp, fault->slot, ACC_ALL, gfn, fault->pfn,
				   /* What it does not take for a page before this one. */
				   was_present ? old : SHADOW_NONPRESENT_VALUE,
				   fault->prefetch, true, tdp_fault_may_write(fault),
				   &new);

	if (new == old)
		ret = RET_PF_SPURIOUS;
	else if (!tdp_spte_try_set(p, sptep, &old, new))
		return RET_PF_RETRY;
	else if (was_table ||
		 (was_present && is_writable_pte(old) && !is_writable_pte(new)))
		p->flush = true;

	if (fault->slot && kvm_slot_dirty_track_enabled(fault->slot))
		tdp_log_installed(vcpu, fault->slot, gfn, new, position);

	if (unlikely(is_mmio_spte(vcpu->kvm, new))) {
		vcpu->stat.pf_mmio_spte_created++;
		trace_mark_mmio_spte(sptep, gfn, new);
		return RET_PF_EMULATE;
	}

	trace_kvm_mmu_set_spte(level, gfn, sptep);

	return wrprot && fault->write ? RET_PF_WRITE_PROTECTED : ret;
}

/*
 * Let @sptep, which translates nothing or a page that is too large, lead to @sp.
 * If somebody else was faster, *@spte is what he put there.
 */
static bool tdp_fault_link(struct tdp_pass *p, struct kvm_page_fault *fault,
			   u64 *sptep, u64 *spte, struct kvm_mmu_page *sp)
{
	int level = sptep_to_sp(sptep)->role.level;
	bool linked;

	tdp_table_init_child(sp, sptep);

	/* Before the table is linked: see tdp_nx_unlinked(). */
	sp->nx_huge_page_disallowed = fault->huge_page_disallowed;

	if (is_shadow_present_pte(*spte))
		linked = tdp_spte_try_split(p, sptep, spte, sp);
	else
		linked = tdp_spte_try_link(p, sptep, spte, sp);
	if (!linked)
		return false;

	if (fault->huge_page_disallowed && fault->req_level >= level)
		tdp_nx_linked(p->kvm, sp);

	return true;
}

/* An empty table again, for the next try. */
static void tdp_fault_clear(struct kvm_mmu_page *sp)
{
	memset64(sp->spt, SHADOW_NONPRESENT_VALUE, SPTE_ENT_PER_PAGE);
}

/**
 * kvm_tdp_mmu_map - let a guest's access succeed
 * @vcpu: the vCPU, whose memory caches are filled
 * @fault: the access, with its page resolved; goal_level says afterwards how large
 *	a page was mapped
 *
 * Context: mmu_lock held for read; the fault was found not to be stale since.
 * Return: RET_PF_FIXED; RET_PF_SPURIOUS if there was nothing to do;
 *	RET_PF_RETRY if somebody else was faster; RET_PF_EMULATE for MMIO;
 *	RET_PF_WRITE_PROTECTED for a write to a page that is write-tracked.
 */
int kvm_tdp_mmu_map(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct kvm_mmu_page *sp = root_to_sp(vcpu->arch.mmu->root.hpa);
	struct kvm_mmu_page *spare = NULL;
	/* Not filled twice for each fault: tdp_pass_begin() sets all of it. */
	struct tdp_pass p __uninitialized;
	u64 spte, found;
	int ret, level;
	u64 *sptep;

	kvm_mmu_hugepage_adjust(vcpu, fault);
	trace_kvm_mmu_spte_requested(fault);

	tdp_pass_begin(&p, vcpu->kvm, TDP_SHARED);

	for (level = sp->role.level; ; level--) {
		sptep = &sp->spt[SPTE_INDEX(fault->gfn << PAGE_SHIFT, level)];
		found = READ_ONCE(*sptep);

		/* Above the page there are tables, mostly. */
		if (level > fault->goal_level && tdp_spte_is_table(found)) {
			sp = spte_to_child_sp(found);
			continue;
		}
		spte = found;
again:
		/* The table has been unlinked, and takes nothing any more. */
		ret = RET_PF_RETRY;
		if (is_frozen_spte(spte))
			break;

		/* A table of small executable pages stays. */
		if (fault->nx_huge_page_workaround_enabled)
			disallowed_hugepage_adjust(fault, spte, level);

		if (level == fault->goal_level) {
			ret = tdp_fault_install(&p, vcpu, fault, sp, sptep, spte);
			if (ret == RET_PF_FIXED && level == PG_LEVEL_4K)
				tdp_map_around(&p, vcpu, fault, sp, sptep);
			break;
		}

		if (!tdp_spte_is_table(spte)) {
			if (!spare)
				spare = tdp_table_from_vcpu(vcpu);
			if (!tdp_fault_link(&p, fault, sptep, &spte, spare)) {
				tdp_fault_clear(spare);
				goto again;
			}
			sp = spare;
			spare = NULL;
			continue;
		}

		sp = spte_to_child_sp(spte);
	}

	tdp_pass_end(&p);

	if (spare)
		tdp_table_free(spare);

	return ret;
}

#define TDP_REQUEST(req)	BIT_ULL((req) & KVM_REQUEST_MASK)

/* What the vCPU does at its next entry, and no guest waits for; most is of being scheduled. */
#define TDP_REQUESTS_CAN_WAIT							\
	(TDP_REQUEST(KVM_REQ_TLB_FLUSH) | TDP_REQUEST(KVM_REQ_STEAL_UPDATE) |	\
	 TDP_REQUEST(KVM_REQ_CLOCK_UPDATE) |					\
	 TDP_REQUEST(KVM_REQ_GLOBAL_CLOCK_UPDATE) |				\
	 TDP_REQUEST(KVM_REQ_MIGRATE_TIMER))

/* Whether the vCPU has anything to do first. */
static bool tdp_fault_is_urgent(struct kvm_vcpu *vcpu)
{
	return (READ_ONCE(vcpu->requests) & ~TDP_REQUESTS_CAN_WAIT) ||
	       signal_pending(current);
}

/* Whether the vCPU's own table can lead to an address at all; others' roots may not. */
static bool tdp_fault_is_beyond(struct kvm_mmu *mmu, gpa_t gpa)
{
	return mmu->root_role.direct &&
	       gpa >> (PAGE_SHIFT + SPTE_LEVEL_BITS * mmu->root_role.level);
}

/*
 * Whether the fault may be tried again here, in @mmu, where it was. One in the page tables
 * of a nested guest may have been told to the guest's hypervisor, and then the vCPU runs
 * that. A VMM that makes a page private or shared changes what the error code would be.
 */
static bool tdp_fault_is_ours(struct kvm_vcpu *vcpu, struct kvm_mmu *mmu, u64 err)
{
	return tdp_mmu_enabled && vcpu->arch.mmu == mmu && mmu->root_role.direct &&
	       (err & PFERR_WRITE_MASK) && !kvm_arch_has_private_mem(vcpu->kvm);
}

/* Whether the vCPU's tree takes nothing any more, until the vCPU has another. */
static bool tdp_fault_root_goes(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;

	return tdp_mmu_enabled && mmu->root_role.direct && VALID_PAGE(mmu->root.hpa) &&
	       tdp_root_role(root_to_sp(mmu->root.hpa)).invalid;
}

/* Whether the fault's memslot is being deleted or moved. */
static bool tdp_fault_slot_goes(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct kvm_memory_slot *slot;

	if (!vcpu->arch.mmu->root_role.direct)
		return false;

	slot = kvm_vcpu_gfn_to_memslot(vcpu, gpa_to_gfn(gpa));

	return slot && slot->flags & KVM_MEMSLOT_INVALID;
}

/**
 * kvm_tdp_mmu_do_page_fault - handle a fault, and not twice where once will do
 * @vcpu: the vCPU
 * @gpa: the faulting address
 * @err: its error code
 * @prefetch: nobody waits for it
 * @emulation_type: see kvm_mmu_do_page_fault()
 * @level: see kvm_mmu_do_page_fault()
 *
 * Stands in mmu.c for kvm_mmu_do_page_fault(). A write to a page that the host has
 * write-protected, the zero page, one shared by fork() or by KSM, is given a page of
 * its own while the fault resolves it. That is an invalidation, and makes the very
 * same fault stale. The guest would come back for what is ready by then.
 *
 * An address that the tree has no bits for is emulated: a memslot may lie there on a
 * host with five levels, and be used by vCPUs with four.
 *
 * A memslot that goes has its faults tried again until it has gone, and a tree that is
 * not valid any more until the vCPU has another. Who holds kvm->srcu over that, as
 * KVM_PRE_FAULT_MEMORY does, is whom a deletion waits for, and is sent back.
 *
 * Context: the vCPU's thread, kvm->srcu held.
 * Return: as kvm_mmu_do_page_fault(); -EAGAIN if @prefetch and the
 *	memslot or the vCPU's tree is going.
 */
int kvm_tdp_mmu_do_page_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 err,
			      bool prefetch, int *emulation_type, u8 *level)
{
	struct kvm_mmu *mmu = vcpu->arch.mmu;
	u32 queued = vcpu->async_pf.queued;
	unsigned long seq;
	int r, tries = 0;

	if (tdp_mmu_enabled && tdp_fault_is_beyond(mmu, gpa))
		return RET_PF_EMULATE;

	do {
		/* The turn of others comes here, rather than at the price of an exit. */
		if (tries)
			cond_resched();
		/* Tries are few: what @err says is not to be kept apart for the next. */
		OPTIMIZER_HIDE_VAR(err);
		seq = READ_ONCE(vcpu->kvm->mmu_invalidate_seq);
		r = tdp_do_page_fault_once(vcpu, gpa, err, prefetch,
					   emulation_type, level);
	} while (unlikely(r == RET_PF_RETRY) && !prefetch &&
		 tdp_fault_is_ours(vcpu, mmu, err) && ++tries < TDP_FAULT_TRIES &&
		 /* Something has ended meanwhile, rather than that it goes on. */
		 seq != READ_ONCE(vcpu->kvm->mmu_invalidate_seq) &&
		 /* The guest does not have something better to do. */
		 queued == vcpu->async_pf.queued && !tdp_fault_is_urgent(vcpu));

	if (r == RET_PF_RETRY && prefetch &&
	    (tdp_fault_slot_goes(vcpu, gpa) || tdp_fault_root_goes(vcpu)))
		return -EAGAIN;

	return r;
}
