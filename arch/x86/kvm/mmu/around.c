// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings that come along with another: the neighbours of a page that a guest has
 * come to, and what follows a page that KVM_PRE_FAULT_MEMORY has faulted in. They are
 * those that cost nothing, as the host has the pages writable in its page tables: no
 * page is faulted in here, no table is made, nothing sleeps.
 *
 * The host's page tables are read with mmu_lock held for read and no invalidation of
 * the gfns in flight. So one that begins meanwhile finds what was mapped here.
 */
#include <linux/sched/signal.h>

#include "mmu.h"
#include "mmutrace.h"
#include "around.h"
#include "invalidate.h"
#include "roots.h"
#include "sptes.h"
#include "state.h"
#include "tdp_mmu.h"

/* How many pages are looked up in the host at once; a power of two. */
#define TDP_AROUND		16

/* How many faults find no neighbours, at most, before somebody looks again. */
#define TDP_AROUND_VAIN		64

/* Whether pages of a memslot may be mapped that nobody has asked for one by one. */
static bool tdp_slot_has_plain_memory(struct kvm *kvm,
				      const struct kvm_memory_slot *slot)
{
	if (!slot || slot->flags & (KVM_MEM_READONLY | KVM_MEMSLOT_INVALID))
		return false;

	/* Each page would be logged as written to, or be private. */
	return !kvm_slot_dirty_track_enabled(slot) && !kvm_arch_has_private_mem(kvm);
}

/*
 * Map pages from @gfn on where @sptep is empty, as far as the host has them, writable, in
 * its page tables; at most TDP_AROUND, of one leaf table. Return: how many the host has.
 */
static int tdp_map_run(struct tdp_pass *p, struct kvm_vcpu *vcpu,
		       struct kvm_memory_slot *slot, u64 *sptep, gfn_t gfn, int nr)
{
	struct kvm_mmu_page *sp = sptep_to_sp(sptep);
	struct page *pages[TDP_AROUND];
	u64 old, new;
	int i;

	nr = gfn_to_page_many_atomic(slot, gfn, pages, nr);
	for (i = 0; i < nr; i++, gfn++, sptep++) {
		old = READ_ONCE(*sptep);
		if (old == SHADOW_NONPRESENT_VALUE) {
			make_spte(vcpu, sp, slot, ACC_ALL, gfn,
				  page_to_pfn(pages[i]), old, true, true, true,
				  &new);
			/* Nor has the guest written to it. */
			new &= ~shadow_dirty_mask;
			if (tdp_spte_try_set(p, sptep, &old, new))
				trace_kvm_mmu_set_spte(PG_LEVEL_4K, gfn, sptep);
		}
		put_page(pages[i]);
	}

	return max(nr, 0);
}

/*
 * Whether it is worth a look at the host's page tables for the neighbours of a page in
 * table @sp. Where the guest is the first to touch its memory a look finds nothing, and
 * then comes ever more rarely: after one fault in vain, two, four, and so on, and every
 * 64. The first fault of a table looks; if in vain, the table goes on as others do by
 * then. Faults that race may count as one.
 *
 * The count is kept where the shadow MMU, which has tables of its own, counts writes.
 */
static bool tdp_around_is_due(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	int vain = atomic_read(&sp->write_flooding_count);

	atomic_set(&sp->write_flooding_count,
		   vain ? vain + 1 : READ_ONCE(tdp_vm(kvm)->around_vain) + 1);

	/* 0, or a power of two. */
	return !(vain & (vain - 1)) || vain % TDP_AROUND_VAIN == 0;
}

/* How a look ended. */
static void tdp_around_told(struct kvm *kvm, struct kvm_mmu_page *sp, bool found)
{
	int vain = min(atomic_read(&sp->write_flooding_count), TDP_AROUND_VAIN);

	if (found) {
		vain = 0;
		atomic_set(&sp->write_flooding_count, 0);
	}
	if (READ_ONCE(tdp_vm(kvm)->around_vain) != vain)
		WRITE_ONCE(tdp_vm(kvm)->around_vain, vain);
}

/* Map the neighbours of a page as far as the host has them. */
static noinline void tdp_look_around(struct tdp_pass *p, struct kvm_vcpu *vcpu,
				     struct kvm_page_fault *fault,
				     struct kvm_mmu_page *sp, u64 *sptep)
{
	struct kvm_memory_slot *slot = fault->slot;
	gfn_t start, end, gfn, run;
	bool missing = false;
	int found = 0;

	/* The window is within the table, as both are aligned. */
	start = round_down(fault->gfn, TDP_AROUND);
	end = min(start + TDP_AROUND, slot->base_gfn + slot->npages);
	start = max(start, slot->base_gfn);

	if (tdp_inflight_overlaps(p->kvm, start, end))
		return;

	sptep -= fault->gfn - start;
	for (gfn = run = start; gfn < end; gfn++) {
		if (READ_ONCE(sptep[gfn - start]) == SHADOW_NONPRESENT_VALUE) {
			missing = true;
			continue;
		}
		if (run < gfn)
			found += tdp_map_run(p, vcpu, slot, &sptep[run - start],
					     run, gfn - run);
		run = gfn + 1;
	}
	if (run < end)
		found += tdp_map_run(p, vcpu, slot, &sptep[run - start], run,
				     end - run);
	if (missing)
		tdp_around_told(p->kvm, sp, found);
}

/**
 * tdp_map_around - map the neighbours of a page that was mapped
 * @p: the pass
 * @vcpu: the vCPU
 * @fault: the fault that has mapped the page
 * @sp: the table that the page is in, of level 4K
 * @sptep: the page's entry there
 *
 * The guest is likely to come to them next, and each would be an exit. What it does
 * not use is told from what it does by the Accessed bits.
 *
 * Context: mmu_lock held for read, RCU read section.
 */
void tdp_map_around(struct tdp_pass *p, struct kvm_vcpu *vcpu,
		    struct kvm_page_fault *fault, struct kvm_mmu_page *sp,
		    u64 *sptep)
{
	if (fault->prefetch || fault->huge_page_disallowed || !fault->map_writable ||
	    !tdp_slot_has_plain_memory(p->kvm, fault->slot))
		return;

	if (!kvm_ad_enabled() || kvm_mmu_page_ad_need_write_protect(sp) ||
	    !tdp_around_is_due(p->kvm, sp))
		return;

	tdp_look_around(p, vcpu, fault, sp, sptep);
}

/* Map [@gfn, @end), of one leaf table. Return: where it had to stop, or others wait. */
static gfn_t tdp_map_ahead(struct tdp_pass *p, struct kvm_vcpu *vcpu,
			   struct kvm_memory_slot *slot, u64 *sptep, gfn_t gfn,
			   gfn_t end)
{
	int i, nr, got;

	while (gfn < end) {
		if (is_shadow_present_pte(READ_ONCE(*sptep))) {
			gfn++;
			sptep++;
			continue;
		}

		nr = min_t(gfn_t, end - gfn, TDP_AROUND);
		for (i = 0; i < nr; i++)
			if (READ_ONCE(sptep[i]) != SHADOW_NONPRESENT_VALUE)
				break;

		if (!i || tdp_inflight_overlaps(p->kvm, gfn, gfn + i))
			break;

		got = tdp_map_run(p, vcpu, slot, sptep, gfn, i);
		gfn += got;
		sptep += got;
		if (got < i || tdp_pass_wanted(p) || signal_pending(current))
			break;
	}

	return gfn;
}

/* What the vCPU's tree can take of [@gfn, @end) at no cost. Return: how many pages. */
static gfn_t tdp_pre_fault(struct kvm_vcpu *vcpu, gfn_t gfn, gfn_t end)
{
	struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_memslot(vcpu, gfn);
	struct kvm *kvm = vcpu->kvm;
	gfn_t next = gfn;
	struct tdp_pass p;
	u64 *sptep;
	u64 spte;

	/* The last page of a table has nothing after it. */
	end = min(end, round_up(gfn, SPTE_ENT_PER_PAGE));
	if (gfn >= end || !tdp_slot_has_plain_memory(kvm, slot))
		return 0;
	end = min(end, slot->base_gfn + slot->npages);

	read_lock(&kvm->mmu_lock);
	tdp_pass_begin(&p, kvm, TDP_SHARED);
	p.may_yield = true;

	/* An invalid tree is not to be filled, as it is being emptied. */
	if (!root_to_sp(vcpu->arch.mmu->root.hpa)->role.invalid) {
		sptep = kvm_tdp_mmu_fast_pf_get_last_sptep(vcpu, gfn, &spte);
		if (sptep_to_sp(sptep)->role.level == PG_LEVEL_4K)
			next = tdp_map_ahead(&p, vcpu, slot, sptep, gfn, end);
	}

	tdp_pass_end(&p);
	read_unlock(&kvm->mmu_lock);

	return next - gfn;
}

/**
 * kvm_arch_vcpu_pre_fault_memory - map some of a range before the guest comes there
 * @vcpu: the vCPU, loaded
 * @range: what is left to map, at least a page, and does not wrap around
 *
 * Stands in kvm_main.c for the base's, which maps one page, of whatever size, and
 * fails as it does. If that was a small one, what follows is mapped with it as far as
 * the host has it, the memslot's writes are not logged, and nobody waits, up to the end
 * of the leaf table. The caller comes back for the rest.
 *
 * Context: the vCPU's thread, may sleep; kvm->srcu held.
 * Return: how many bytes from the start of @range are done, or a negative errno.
 */
long kvm_arch_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu,
				    struct kvm_pre_fault_memory *range)
{
	long done;

	/* As at a VM entry: the base's step does not end while the root is obsolete. */
	if (tdp_mmu_enabled &&
	    kvm_check_request(KVM_REQ_MMU_FREE_OBSOLETE_ROOTS, vcpu))
		kvm_mmu_free_obsolete_roots(vcpu);

	done = kvm_arch_vcpu_pre_fault_memory_base(vcpu, range);
	if (done != PAGE_SIZE || range->size == PAGE_SIZE || !tdp_mmu_enabled)
		return done;

	return done + (tdp_pre_fault(vcpu, gpa_to_gfn(range->gpa) + 1,
				     gpa_to_gfn(range->gpa + range->size)) << PAGE_SHIFT);
}
