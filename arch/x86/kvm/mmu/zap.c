// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings go: because pages, memslots or attributes do, because a tree is not
 * wanted any more, because small pages shall become a huge one.
 */
#include "mmu.h"
#include "roots.h"
#include "sptes.h"
#include "state.h"
#include "tdp_mmu.h"
#include "walk.h"
#include "x86.h"
#include "zap.h"

/* Drop those pages of a leaf table that are in a range. */
static bool tdp_zap_table(struct tdp_pass *p, struct kvm_mmu_page *sp, gfn_t start,
			  gfn_t end)
{
	start = max(start, sp->gfn);
	end = min(end, sp->gfn + SPTE_ENT_PER_PAGE);

	return tdp_leafs_zap(p, sp, start - sp->gfn, end - sp->gfn);
}

static void tdp_zap_leafs(struct tdp_pass *p, struct kvm_mmu_page *root,
			  gfn_t start, gfn_t end)
{
	struct tdp_walk w = {};

	/* A leaf table is seen to at once. */
	tdp_for_each_spte(&w, p, root, start, end, PG_LEVEL_2M) {
		if (tdp_walk_break(&w))
			continue;

		while (tdp_walk_at_leaf(&w))
			if (tdp_walk_try_set(&w, SHADOW_NONPRESENT_VALUE))
				p->flush = true;

		if (w.level == PG_LEVEL_2M && tdp_walk_at_table(&w) &&
		    tdp_zap_table(p, spte_to_child_sp(w.spte), start, end))
			p->flush = true;
	}
}

/**
 * tdp_zap_root - empty a tree
 * @kvm: the VM
 * @root: the tree, referenced
 * @shared: which way the caller holds mmu_lock
 *
 * No vCPU is using the tree, or will without flushing its TLB. Every step ends one
 * leaf table, or one higher table that has been emptied before.
 *
 * Context: mmu_lock held; lets go of it now and then.
 */
void tdp_zap_root(struct kvm *kvm, struct kvm_mmu_page *root, bool shared)
{
	struct tdp_walk w = { .post = true };
	struct tdp_pass p;

	tdp_pass_begin(&p, kvm, shared);
	p.may_yield = true;

	tdp_for_each_spte(&w, &p, root, 0, ~0ULL, PG_LEVEL_2M) {
		if (tdp_walk_break(&w))
			continue;

		while (is_shadow_present_pte(w.spte)) {
			/* What is below comes first. */
			if (!w.up && w.level > PG_LEVEL_2M && tdp_walk_at_table(&w))
				break;
			tdp_walk_try_set(&w, SHADOW_NONPRESENT_VALUE);
		}

		if (p.dead.nr >= TDP_RETIRE_MAX)
			tdp_pass_settle(&p);
	}

	tdp_pass_end(&p);
}

/* Whether memory in [@gfn, @gfn + @nr) is of no memslot but @slot, which goes. */
static bool tdp_gfns_are_of_slot(struct kvm *kvm, struct kvm_memory_slot *slot,
				 gfn_t gfn, gfn_t nr)
{
	struct kvm_memslot_iter iter;

	if (gfn >= slot->base_gfn && gfn + nr <= slot->base_gfn + slot->npages)
		return true;

	kvm_for_each_memslot_in_gfn_range(&iter,
					  __kvm_memslots(kvm, slot->as_id),
					  gfn, gfn + nr)
		if (iter.slot->id != slot->id)
			return false;

	return true;
}

static bool tdp_leads_to_tables(u64 spte)
{
	struct kvm_mmu_page *sp = spte_to_child_sp(spte);
	int i;

	for (i = 0; i < SPTE_ENT_PER_PAGE; i++)
		if (tdp_spte_is_table(READ_ONCE(sp->spt[i])))
			return true;

	return false;
}

/*
 * Drop the tables that are of no use without a memslot. Every step ends one leaf table,
 * or one higher table that leads to no other any more: a vCPU may come beside the memslot
 * meanwhile, where there is no memory, and make new ones.
 */
static void tdp_zap_slot_tables(struct tdp_pass *p, struct kvm_mmu_page *root,
				struct kvm_memory_slot *slot)
{
	gfn_t end = slot->base_gfn + slot->npages;
	struct tdp_walk w = { .post = true };

	tdp_for_each_spte(&w, p, root, slot->base_gfn, end, PG_LEVEL_2M) {
		if (tdp_walk_break(&w))
			continue;

		if (!tdp_walk_at_table(&w) ||
		    !tdp_gfns_are_of_slot(p->kvm, slot, w.gfn,
					  KVM_PAGES_PER_HPAGE(w.level)))
			continue;

		while (tdp_walk_at_table(&w)) {
			/* What is below comes first. */
			if (w.level > PG_LEVEL_2M &&
			    (!w.up || tdp_leads_to_tables(w.spte)))
				break;
			if (tdp_walk_try_set(&w, SHADOW_NONPRESENT_VALUE))
				p->flush = true;
		}

		if (p->dead.nr >= TDP_RETIRE_MAX)
			tdp_pass_settle(p);
	}
}

/**
 * tdp_zap_unlock - drop mmu_lock after a zap
 * @kvm: the VM
 *
 * When this returns no processor uses what the zap found empty either, and its Dirty
 * bit has been told.
 *
 * Context: mmu_lock held for read, and nothing owed; takes it for write for a moment
 *	if somebody has not settled.
 */
void tdp_zap_unlock(struct kvm *kvm)
	__releases(&kvm->mmu_lock)
{
	bool wait;

	/*
	 * An entry that was found empty may have been emptied by somebody who has
	 * not settled. Pairs with tdp_pass_open(): if the entry was seen empty, so
	 * is the count that was raised before. Who is counted settles before he
	 * drops mmu_lock. If nobody is: pairs with the release in tdp_pass_settle(),
	 * all has been flushed and told before the caller goes on.
	 */
	smp_rmb();
	wait = atomic_read_acquire(&tdp_vm(kvm)->unsettled);
	read_unlock(&kvm->mmu_lock);

	if (wait) {
		write_lock(&kvm->mmu_lock);
		write_unlock(&kvm->mmu_lock);
	}
}

/**
 * tdp_zap_begin - start to drop mappings, beside faults elsewhere
 * @p: where to keep what will be owed
 * @kvm: the VM
 * @may_block: mmu_lock may be let go of on the way, and the CPU
 *
 * Context: takes mmu_lock for read and enters an RCU read section, until tdp_zap_end().
 */
void tdp_zap_begin(struct tdp_pass *p, struct kvm *kvm, bool may_block)
	__acquires(&kvm->mmu_lock)
	__acquires(RCU)
{
	read_lock(&kvm->mmu_lock);
	tdp_pass_begin(p, kvm, TDP_SHARED);
	p->may_yield = may_block;
}

/**
 * tdp_zap_range - drop every mapping of a range of gfns
 * @p: the pass
 * @as_id: the address space, or TDP_ANY_AS
 * @only_valid: leave invalid trees alone
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * Context: between tdp_zap_begin() and tdp_zap_end(); an invalidation of the range is in
 *	flight, or its memslot is gone, so that no fault maps anything there.
 */
void tdp_zap_range(struct tdp_pass *p, int as_id, bool only_valid, gfn_t start,
		   gfn_t end)
{
	struct kvm_mmu_page *root;

	tdp_for_each_root(p->kvm, root, as_id, only_valid)
		tdp_zap_leafs(p, root, start, end);
}

/**
 * tdp_zap_end - flush once for all that has been dropped
 * @p: the pass
 *
 * When this returns no processor uses what was mapped in the ranges, and all that the
 * guest did to the pages has been told, whoever else has zapped some of it meanwhile.
 *
 * Context: leaves the RCU read section and drops mmu_lock.
 */
void tdp_zap_end(struct tdp_pass *p)
	__releases(RCU)
	__releases(&p->kvm->mmu_lock)
{
	tdp_pass_end(p);
	tdp_zap_unlock(p->kvm);
}

/* Drop what a memslot has mapped, beside faults elsewhere: no fault finds it any more. */
static void tdp_zap_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	gfn_t end = slot->base_gfn + slot->npages;
	struct kvm_mmu_page *root;
	struct tdp_pass p;

	tdp_zap_begin(&p, kvm, true);

	tdp_for_each_root(kvm, root, slot->as_id, TDP_ALL) {
		tdp_zap_slot_tables(&p, root, slot);
		/* In tables that it shares, and huge pages. */
		tdp_zap_leafs(&p, root, slot->base_gfn, end);
	}

	tdp_zap_end(&p);
}

/**
 * tdp_zap_gfns - drop every mapping of one range of gfns, beside faults elsewhere
 * @kvm: the VM
 * @only_valid: leave invalid trees alone
 * @start: the first gfn
 * @end: the gfn after the last
 *
 * In all address spaces; see tdp_zap_end().
 *
 * Context: takes mmu_lock for read, may sleep; an invalidation of the range is in
 *	flight.
 */
void tdp_zap_gfns(struct kvm *kvm, bool only_valid, gfn_t start, gfn_t end)
{
	struct tdp_pass p;

	tdp_zap_begin(&p, kvm, true);
	tdp_zap_range(&p, TDP_ANY_AS, only_valid, start, end);
	tdp_zap_end(&p);
}

/**
 * kvm_arch_flush_shadow_memslot - drop what a memslot that goes has mapped
 * @kvm: the VM
 * @slot: the memslot, which no fault can find any more
 *
 * All of the VM's mappings go, unless the VMM has asked for the rest to stay
 * (KVM_X86_QUIRK_SLOT_ZAP_ALL), which here costs what the memslot covers, beside faults
 * elsewhere, and takes the tables with it in which no other memslot is.
 *
 * Context: may sleep; slots_lock held.
 */
void kvm_arch_flush_shadow_memslot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	bool zap_all = kvm->arch.vm_type == KVM_X86_DEFAULT_VM &&
		       kvm_check_has_quirk(kvm, KVM_X86_QUIRK_SLOT_ZAP_ALL);

	if (!zap_all && !kvm_memslots_have_rmaps(kvm))
		tdp_zap_slot(kvm, slot);

	/* If the shadow MMU has come into use, it may have mapped something before. */
	if (zap_all || kvm_memslots_have_rmaps(kvm))
		kvm_arch_flush_shadow_memslot_base(kvm, slot);
}

/**
 * kvm_tdp_mmu_zap_leafs - drop every mapping of a range of gfns
 * @kvm: the VM
 * @start: the first gfn
 * @end: the gfn after the last
 * @flush: the caller owes a TLB flush already
 *
 * Context: mmu_lock held for write, let go of now and then; kvm->srcu held; an
 *	invalidation of the range in progress, or slots_lock held.
 * Return: whether the caller owes a TLB flush now, before it drops mmu_lock.
 */
bool kvm_tdp_mmu_zap_leafs(struct kvm *kvm, gfn_t start, gfn_t end, bool flush)
{
	struct kvm_mmu_page *root;
	struct tdp_pass p;

	tdp_pass_begin(&p, kvm, TDP_EXCLUSIVE);
	p.may_yield = true;
	p.flush = flush;

	tdp_for_each_root(kvm, root, TDP_ANY_AS, TDP_VALID)
		tdp_zap_leafs(&p, root, start, end);

	return tdp_pass_end_unflushed(&p);
}

/**
 * kvm_tdp_mmu_unmap_gfn_range - drop the mappings of pages that go
 * @kvm: the VM
 * @range: where, in which memslot, and whether it may take its time
 * @flush: the caller owes a TLB flush already
 *
 * Looks at invalid trees too: until they are empty the pages are in use.
 *
 * Context: mmu_lock held for write; kvm->srcu or slots_lock held.
 * Return: whether the caller owes a TLB flush now, before it drops mmu_lock.
 */
bool kvm_tdp_mmu_unmap_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range,
				 bool flush)
{
	struct kvm_mmu_page *root;
	struct tdp_pass p;

	tdp_pass_begin(&p, kvm, TDP_EXCLUSIVE);
	p.may_yield = range->may_block;
	p.flush = flush;

	tdp_for_each_root(kvm, root, range->slot->as_id, TDP_ALL)
		tdp_zap_leafs(&p, root, range->start, range->end);

	return tdp_pass_end_unflushed(&p);
}

/**
 * kvm_tdp_mmu_zap_all - drop every mapping
 * @kvm: the VM, whose address space goes
 *
 * Context: mmu_lock held for write, let go of now and then. No vCPU is in the guest
 *	or will ever be.
 */
void kvm_tdp_mmu_zap_all(struct kvm *kvm)
{
	struct kvm_mmu_page *root;

	tdp_for_each_root(kvm, root, TDP_ANY_AS, TDP_ALL)
		tdp_zap_root(kvm, root, TDP_EXCLUSIVE);
}
