// SPDX-License-Identifier: GPL-2.0
/*
 * Memory attributes: gfns become private or shared, and what was mapped there goes.
 *
 * kvm_main.c says when, in two sections that it holds mmu_lock for write in: one before
 * the attributes are stored and one after. In each it calls a handler for each memslot
 * that is concerned. Ours publish the range in the first, and say in the second that it
 * has ended; what is mapped is zapped in between, beside faults elsewhere.
 *
 * A huge page must not come to lie on gfns of both kinds. The base turns away all faults
 * in huge pages that the range has a part of. Ours may not be huge meanwhile, and so
 * faults there go on with small ones.
 */
#include "mmu.h"
#include "attributes.h"
#include "invalidate.h"
#include "roots.h"
#include "state.h"
#include "tdp_mmu.h"
#include "zap.h"

static struct tdp_event tdp_attrs_event(void)
{
	return (struct tdp_event){ .task = current };
}

/*
 * Every huge page that the range has a part of, and no other that it has not whole, has
 * its first gfn or its last one.
 */
static void tdp_attrs_stay_small(struct kvm_gfn_range *range)
{
	kvm_mmu_gfn_disallow_lpage(range->slot, range->start);
	kvm_mmu_gfn_disallow_lpage(range->slot, range->end - 1);
}

static void tdp_attrs_may_be_huge(struct kvm_gfn_range *range)
{
	kvm_mmu_gfn_allow_lpage(range->slot, range->start);
	kvm_mmu_gfn_allow_lpage(range->slot, range->end - 1);
}

/**
 * kvm_tdp_mmu_pre_set_attributes - attributes are about to change
 * @kvm: the VM
 * @range: where, in which memslot
 *
 * Stands in kvm_main.c for kvm_arch_pre_set_memory_attributes(). A VM with shadow pages
 * has the base's way; if it gets them only now, they have nothing mapped yet, and the
 * range is known to them by the base's hull.
 *
 * Context: mmu_lock held for write, slots_lock held; an invalidation has begun. The
 *	caller goes on to kvm_tdp_mmu_attributes_unlock().
 * Return: whether the caller owes a TLB flush, before it drops mmu_lock.
 */
bool kvm_tdp_mmu_pre_set_attributes(struct kvm *kvm, struct kvm_gfn_range *range)
{
	const struct tdp_event event = tdp_attrs_event();
	struct tdp_attrs *attrs;

	lockdep_assert_held_write(&kvm->mmu_lock);

	if (!tdp_mmu_enabled)
		return kvm_arch_pre_set_memory_attributes(kvm, range);

	attrs = &tdp_vm(kvm)->attrs;
	if (attrs->state == TDP_ATTRS_NONE && kvm_memslots_have_rmaps(kvm))
		return kvm_arch_pre_set_memory_attributes(kvm, range);

	if (WARN_ON_ONCE(range->end <= range->start))
		return false;

	if (attrs->state == TDP_ATTRS_NONE) {
		attrs->state = TDP_ATTRS_PUBLISHED;
		attrs->before = tdp_inflight_join(kvm);
		attrs->listed = true;
		attrs->start = range->start;
		attrs->end = range->end;
	}

	attrs->listed &= tdp_inflight_add(kvm, &event, range->start, range->end);
	attrs->start = min(attrs->start, range->start);
	attrs->end = max(attrs->end, range->end);

	tdp_attrs_stay_small(range);
	tdp_slot_unmapped(kvm, range->slot);

	return false;
}

/**
 * kvm_tdp_mmu_post_set_attributes - attributes have changed
 * @kvm: the VM
 * @range: where, in which memslot
 *
 * Stands in kvm_main.c for kvm_arch_post_set_memory_attributes(), and goes on there,
 * which finds out what may be huge.
 *
 * Context: mmu_lock held for write, slots_lock held; the invalidation has been ended by
 *	the base. The caller goes on to kvm_tdp_mmu_attributes_unlock().
 * Return: whether the caller owes a TLB flush, before it drops mmu_lock.
 */
bool kvm_tdp_mmu_post_set_attributes(struct kvm *kvm, struct kvm_gfn_range *range)
{
	const struct tdp_event event = tdp_attrs_event();
	struct tdp_attrs *attrs;

	if (!tdp_mmu_enabled)
		return kvm_arch_post_set_memory_attributes(kvm, range);

	attrs = &tdp_vm(kvm)->attrs;
	if (attrs->state == TDP_ATTRS_PUBLISHED) {
		attrs->state = TDP_ATTRS_ENDED;
		if (attrs->listed)
			tdp_inflight_ended(kvm, &event);
	}
	if (attrs->state == TDP_ATTRS_ENDED)
		tdp_attrs_may_be_huge(range);

	return kvm_arch_post_set_memory_attributes(kvm, range);
}

/**
 * kvm_tdp_mmu_attributes_unlock - end one of the two sections
 * @kvm: the VM
 *
 * After the first of them nothing is mapped any more where attributes are about to
 * change, and no processor uses what was.
 *
 * Context: mmu_lock held for write, and dropped; slots_lock held; may sleep.
 */
void kvm_tdp_mmu_attributes_unlock(struct kvm *kvm)
	__releases(&kvm->mmu_lock)
{
	struct tdp_attrs *attrs;

	if (!tdp_mmu_enabled) {
		write_unlock(&kvm->mmu_lock);
		return;
	}

	attrs = &tdp_vm(kvm)->attrs;
	if (attrs->state != TDP_ATTRS_PUBLISHED) {
		attrs->state = TDP_ATTRS_NONE;
		write_unlock(&kvm->mmu_lock);
		return;
	}

	tdp_inflight_commit(kvm, attrs->before, attrs->listed);
	write_unlock(&kvm->mmu_lock);

	/* Between memslots there is nothing. */
	tdp_zap_gfns(kvm, TDP_ALL, attrs->start, attrs->end);
}
