/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shadows <linux/kvm_host.h>: the same header, with our own
 * kvm_gpc_mark_dirty_in_slot().
 *
 * The stock inline trusts a memslot pointer stored in the cache, which is why a
 * stock cache dies with every memslot change. Ours looks the slot up among the
 * memslots its caller already protects, so the cache outlives the change.
 */
#ifdef __GENKSYMS__
#include_next <linux/kvm_host.h>
#elif !defined(__KVM_XEN_HOST_H__)
#define __KVM_XEN_HOST_H__

#define kvm_gpc_mark_dirty_in_slot kvm_gpc_mark_dirty_in_slot_stock
#include_next <linux/kvm_host.h>
#undef kvm_gpc_mark_dirty_in_slot

/**
 * kvm_gpc_mark_dirty_in_slot - log a write made through a cache
 * @gpc: the cache that was written through
 *
 * Does nothing for a cache addressed by user address: such memory belongs to no
 * memslot. Looks at the slot that was used last, but leaves that hint alone: it
 * is one cache line for all vCPUs, and they write to different slots.
 *
 * Context: kvm->srcu and @gpc->lock held, any context; with a dirty ring, on a
 * CPU that has a vCPU of the VM loaded.
 */
static inline void kvm_gpc_mark_dirty_in_slot(struct gfn_to_pfn_cache *gpc)
{
	gfn_t gfn = gpa_to_gfn(gpc->gpa);
	struct kvm_memory_slot *slot;
	struct kvm_memslots *slots;

	lockdep_assert_held(&gpc->lock);

	if (kvm_is_error_gpa(gpc->gpa))
		return;

	slots = kvm_memslots(gpc->kvm);
	slot = (void *)atomic_long_read(&slots->last_used_slot);
	slot = try_get_memslot(slot, gfn);
	if (!slot)
		slot = search_memslots(slots, gfn, false);

	mark_page_dirty_in_slot(gpc->kvm, slot, gfn);
}
#endif
