// SPDX-License-Identifier: GPL-2.0
/*
 * Writes are watched: for dirty logging, by taking away write permission or the
 * Dirty bit, and for write tracking.
 *
 * Whatever dirty logging takes away here becomes visible to the guest's processors
 * at the latest by the TLB flush of the ioctl, before userspace sees what was
 * logged. Write tracking flushes before mmu_lock is dropped.
 */
#include <linux/bitops.h>

#include "mmu.h"
#include "roots.h"
#include "sptes.h"
#include "tdp_mmu.h"
#include "walk.h"

/* Take permissions away from the leafs of a range. Return: whether there were any. */
static bool tdp_clear_leafs(struct kvm *kvm, int as_id, gfn_t start, gfn_t end,
			    int min_level, u64 bits, bool shared)
{
	struct kvm_mmu_page *root;
	bool changed = false;
	struct tdp_pass p;

	tdp_for_each_root(kvm, root, as_id, TDP_VALID) {
		struct tdp_walk w = {};

		tdp_pass_begin(&p, kvm, shared);
		p.may_yield = shared;

		tdp_for_each_spte(&w, &p, root, start, end, min_level) {
			if (tdp_walk_break(&w))
				continue;

			while (tdp_walk_at_leaf(&w) && (w.spte & bits))
				if (tdp_walk_try_set(&w, w.spte & ~bits))
					changed = true;
		}

		tdp_pass_end(&p);
	}

	return changed;
}

/**
 * kvm_tdp_mmu_wrprot_slot - take away write permission in a memslot
 * @kvm: the VM
 * @slot: the memslot
 * @min_level: the smallest mappings that lose it
 *
 * Context: mmu_lock held for read, let go of now and then; slots_lock held. The
 *	caller flushes.
 * Return: whether there was any to take.
 */
bool kvm_tdp_mmu_wrprot_slot(struct kvm *kvm, const struct kvm_memory_slot *slot,
			     int min_level)
{
	return tdp_clear_leafs(kvm, slot->as_id, slot->base_gfn,
			       slot->base_gfn + slot->npages, min_level,
			       PT_WRITABLE_MASK, TDP_SHARED);
}

/* The bit that says, in the leafs of a tree, that a page was written to. */
static u64 tdp_dirty_bit(struct kvm_mmu_page *root, bool wrprot)
{
	if (wrprot || !kvm_ad_enabled() || kvm_mmu_page_ad_need_write_protect(root))
		return PT_WRITABLE_MASK;

	return shadow_dirty_mask;
}

/**
 * kvm_tdp_mmu_clear_dirty_slot - let every write in a memslot be noticed
 * @kvm: the VM
 * @slot: the memslot
 *
 * Context: mmu_lock held for read, let go of now and then; slots_lock held. The
 *	caller flushes.
 * Return: whether any page had been written to.
 */
bool kvm_tdp_mmu_clear_dirty_slot(struct kvm *kvm,
				  const struct kvm_memory_slot *slot)
{
	gfn_t end = slot->base_gfn + slot->npages;
	struct kvm_mmu_page *root;
	bool changed = false;
	struct tdp_pass p;
	u64 bit;

	tdp_for_each_root(kvm, root, slot->as_id, TDP_VALID) {
		struct tdp_walk w = {};

		bit = tdp_dirty_bit(root, false);
		tdp_pass_begin(&p, kvm, TDP_SHARED);
		p.may_yield = true;

		tdp_for_each_spte(&w, &p, root, slot->base_gfn, end, PG_LEVEL_4K) {
			if (tdp_walk_break(&w))
				continue;

			while (tdp_walk_at_leaf(&w) && (w.spte & bit))
				if (tdp_walk_try_set(&w, w.spte & ~bit))
					changed = true;
		}

		tdp_pass_end(&p);
	}

	return changed;
}

/**
 * kvm_tdp_mmu_clear_dirty_pt_masked - let writes to some pages be noticed
 * @kvm: the VM
 * @slot: their memslot
 * @gfn: what bit 0 of @mask stands for
 * @mask: the pages, at least one
 * @wrprot: by taking away write permission, even if there are Dirty bits
 *
 * Context: mmu_lock held for write; slots_lock held. The caller flushes.
 */
void kvm_tdp_mmu_clear_dirty_pt_masked(struct kvm *kvm,
				       struct kvm_memory_slot *slot, gfn_t gfn,
				       unsigned long mask, bool wrprot)
{
	gfn_t start = gfn + __ffs(mask);
	gfn_t end = gfn + __fls(mask) + 1;
	struct kvm_mmu_page *root;
	struct tdp_pass p;
	u64 bit;

	tdp_for_each_root(kvm, root, slot->as_id, TDP_VALID) {
		struct tdp_walk w = {};

		bit = tdp_dirty_bit(root, wrprot);
		tdp_pass_begin(&p, kvm, TDP_EXCLUSIVE);

		tdp_for_each_spte(&w, &p, root, start, end, PG_LEVEL_4K) {
			if (w.level > PG_LEVEL_4K || !(mask & BIT(w.gfn - gfn)))
				continue;

			while (tdp_walk_at_leaf(&w) && (w.spte & bit))
				tdp_walk_try_set(&w, w.spte & ~bit);
		}

		tdp_pass_end(&p);
	}
}

/**
 * kvm_tdp_mmu_write_protect_gfn - let no write to a page succeed
 * @kvm: the VM
 * @slot: its memslot
 * @gfn: the page
 * @min_level: the smallest mappings that lose the permission
 *
 * Nor is the permission restored without mmu_lock.
 *
 * Context: mmu_lock held for write.
 * Return: whether the caller has to flush before it drops mmu_lock.
 */
bool kvm_tdp_mmu_write_protect_gfn(struct kvm *kvm, struct kvm_memory_slot *slot,
				   gfn_t gfn, int min_level)
{
	return tdp_clear_leafs(kvm, slot->as_id, gfn, gfn + 1, min_level,
			       PT_WRITABLE_MASK | shadow_mmu_writable_mask,
			       TDP_EXCLUSIVE);
}
