// SPDX-License-Identifier: GPL-2.0
/*
 * Writes are watched: for dirty logging, by taking away write permission or the
 * Dirty bit, and for write tracking.
 *
 * Whatever dirty logging takes away here becomes visible to the guest's processors
 * at the latest by the TLB flush of the ioctl, before userspace sees what was
 * logged. Write tracking flushes before mmu_lock is dropped.
 *
 * GET and CLEAR_DIRTY_LOG take a page out of the log, and then its permission, beside
 * faults that put it into the log, and then give the permission:
 *
 *	ioctl				fault
 *	take the bit of the log		set the bit of the log
 *	take the permission		install the entry
 *					is the bit still set? else set it
 *
 * Whichever comes second, taking the permission or looking at the bit, finds what the
 * other has left: a page that can be written to is in the log, or not for long. Where
 * the log is a ring of each vCPU, that is the index up to which it has been reset.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/irqflags.h>
#include <linux/kvm_dirty_ring.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>

#include <trace/events/kvm.h>

#include "mmu.h"
#include "dirty.h"
#include "roots.h"
#include "sptes.h"
#include "state.h"
#include "tdp_mmu.h"
#include "walk.h"
#include "x86.h"

/* The bit that says, in the leafs of a tree, that a page was written to. */
static u64 tdp_dirty_bit(struct kvm_mmu_page *root, bool wrprot)
{
	if (wrprot || !kvm_ad_enabled() || kvm_mmu_page_ad_need_write_protect(root))
		return PT_WRITABLE_MASK;

	return shadow_dirty_mask;
}

/* Take permissions away from those pages of a leaf table that are in a range. */
static bool tdp_clear_table(struct tdp_pass *p, struct kvm_mmu_page *sp,
			    gfn_t start, gfn_t end, u64 bits)
{
	DECLARE_BITMAP(pages, SPTE_ENT_PER_PAGE) = {};

	start = max(start, sp->gfn);
	end = min(end, sp->gfn + SPTE_ENT_PER_PAGE);
	bitmap_set(pages, start - sp->gfn, end - start);

	return tdp_leafs_clear(p, sp, pages, bits);
}

/*
 * Take permissions away from the leafs of a range; @bits 0: the bit of each tree that
 * says that a page was written to. Return: whether there were any.
 */
static bool tdp_clear_leafs(struct kvm *kvm, int as_id, gfn_t start, gfn_t end,
			    int min_level, u64 bits, bool shared)
{
	struct kvm_mmu_page *root;
	bool changed = false;
	struct tdp_pass p;
	u64 gone;

	tdp_for_each_root(kvm, root, as_id, TDP_VALID) {
		struct tdp_walk w = {};

		gone = bits ?: tdp_dirty_bit(root, false);
		tdp_pass_begin(&p, kvm, shared);
		p.may_yield = shared;

		/* A leaf table is seen to at once. */
		tdp_for_each_spte(&w, &p, root, start, end,
				  max(min_level, PG_LEVEL_2M)) {
			if (tdp_walk_break(&w))
				continue;

			while (tdp_walk_at_leaf(&w) && (w.spte & gone))
				if (tdp_walk_try_set(&w, w.spte & ~gone))
					changed = true;

			if (min_level == PG_LEVEL_4K && w.level == PG_LEVEL_2M &&
			    tdp_walk_at_table(&w))
				changed |= tdp_clear_table(&p, spte_to_child_sp(w.spte),
							   start, end, gone);
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
	return tdp_clear_leafs(kvm, slot->as_id, slot->base_gfn,
			       slot->base_gfn + slot->npages, PG_LEVEL_4K, 0,
			       TDP_SHARED);
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

/* Huge pages may still be written to where all was said to be dirty at first. */
static void tdp_log_no_huge(struct kvm *kvm, struct tdp_log *log)
{
	gfn_t start = log->gfn + find_first_bit(log->pages, SPTE_ENT_PER_PAGE);
	gfn_t end = log->gfn + find_last_bit(log->pages, SPTE_ENT_PER_PAGE) + 1;

	if (READ_ONCE(eager_page_split))
		kvm_tdp_mmu_try_split_huge_pages(kvm, log->slot, start, end,
						 PG_LEVEL_4K, TDP_SHARED);

	tdp_clear_leafs(kvm, log->slot->as_id, start, end, PG_LEVEL_2M,
			PT_WRITABLE_MASK, TDP_SHARED);
}

/* Watch what has been gathered. */
static void tdp_log_watch(struct kvm *kvm, struct tdp_log *log)
{
	gfn_t end = log->gfn + SPTE_ENT_PER_PAGE;
	struct kvm_mmu_page *root;
	struct tdp_pass p;
	u64 bit;

	if (!log->slot)
		return;

	/*
	 * Out of the log before an entry is looked at: pairs with the cmpxchg in
	 * tdp_spte_try_set() and the second look in tdp_log_installed(). A bit is
	 * taken with full ordering, but the index of a ring is just stored.
	 */
	smp_mb();

	read_lock(&kvm->mmu_lock);

	if (kvm_dirty_log_manual_protect_and_init_set(kvm))
		tdp_log_no_huge(kvm, log);

	tdp_for_each_root(kvm, root, log->slot->as_id, TDP_VALID) {
		struct tdp_walk w = {};

		bit = tdp_dirty_bit(root, !kvm_x86_ops.cpu_dirty_log_size);
		tdp_pass_begin(&p, kvm, TDP_SHARED);

		tdp_for_each_spte(&w, &p, root, log->gfn, end, PG_LEVEL_2M)
			if (w.level == PG_LEVEL_2M && tdp_walk_at_table(&w))
				tdp_leafs_clear(&p, spte_to_child_sp(w.spte),
						log->pages, bit);

		tdp_pass_end(&p);
	}

	read_unlock(&kvm->mmu_lock);
	cond_resched();

	bitmap_zero(log->pages, SPTE_ENT_PER_PAGE);
	log->slot = NULL;
}

/* Pages that one leaf table translates; bit 0 of @mask is @gfn. */
static void tdp_log_add(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			unsigned long mask)
{
	struct tdp_log *log = &tdp_vm(kvm)->log;
	unsigned int at = gfn % SPTE_ENT_PER_PAGE;
	unsigned int word = at / BITS_PER_LONG, shift = at % BITS_PER_LONG;

	if (log->slot != slot || log->gfn != gfn - at)
		tdp_log_watch(kvm, log);

	log->slot = slot;
	log->gfn = gfn - at;
	log->pages[word] |= mask << shift;
	if (shift && mask >> (BITS_PER_LONG - shift))
		log->pages[word + 1] |= mask >> (BITS_PER_LONG - shift);
}

/**
 * kvm_tdp_mmu_log_pages - let writes to some pages be noticed, soon
 * @kvm: the VM
 * @slot: their memslot
 * @offset: what bit 0 of @mask stands for, in pages from the memslot's first
 * @mask: the pages, which have been taken out of the log
 *
 * Stands in kvm_main.c for kvm_arch_mmu_enable_log_dirty_pt_masked(), without its
 * mmu_lock. Pages are gathered until the next leaf table is reached, so that each table is
 * looked up once.
 *
 * A VM with shadow pages has the base's way. If it gets them only now, what the base
 * has mapped writable is found here, or it was logged after @mask was taken.
 *
 * Context: slots_lock held, mmu_lock not; may sleep. The caller goes on to
 *	kvm_tdp_mmu_log_end(), and then flushes.
 */
void kvm_tdp_mmu_log_pages(struct kvm *kvm, struct kvm_memory_slot *slot,
			   gfn_t offset, unsigned long mask)
{
	gfn_t gfn = slot->base_gfn + offset;
	gfn_t next = round_up(gfn + 1, SPTE_ENT_PER_PAGE);
	unsigned long here = mask;

	lockdep_assert_held(&kvm->slots_lock);

	if (!tdp_mmu_enabled || kvm_memslots_have_rmaps(kvm)) {
		write_lock(&kvm->mmu_lock);
		kvm_arch_mmu_enable_log_dirty_pt_masked(kvm, slot, offset, mask);
		write_unlock(&kvm->mmu_lock);
		cond_resched();
		return;
	}

	/* A memslot may begin anywhere in a table. */
	if (next - gfn < BITS_PER_LONG)
		here &= BIT(next - gfn) - 1;

	if (here)
		tdp_log_add(kvm, slot, gfn, here);
	if (here != mask)
		tdp_log_add(kvm, slot, next, mask >> (next - gfn));
}

/**
 * kvm_tdp_mmu_log_end - have all writes noticed that kvm_tdp_mmu_log_pages() was for
 * @kvm: the VM
 *
 * Context: slots_lock held, mmu_lock not; may sleep. The caller flushes.
 */
void kvm_tdp_mmu_log_end(struct kvm *kvm)
{
	if (tdp_mmu_enabled)
		tdp_log_watch(kvm, &tdp_vm(kvm)->log);
}

/**
 * struct tdp_ring_part - entries of a ring that follow each other and lie close together
 * @slot: their memslot, as the VMM is told of it
 * @offset: what bit 0 of @mask stands for, in pages from the memslot's first
 * @mask: the pages; 0 if there are none
 */
struct tdp_ring_part {
	u32 slot;
	u64 offset;
	unsigned long mask;
};

/* What a ring says is the VMM's word: no such memslot, and beyond its end, is nothing. */
static void tdp_ring_watch(struct kvm *kvm, const struct tdp_ring_part *part)
{
	unsigned int as_id = part->slot >> 16, id = part->slot & 0xffff;
	struct kvm_memory_slot *slot;
	unsigned long mask = part->mask;

	if (as_id >= kvm_arch_nr_memslot_as_ids(kvm) || id >= KVM_USER_MEM_SLOTS)
		return;

	slot = id_to_memslot(__kvm_memslots(kvm, as_id), id);
	if (!slot || part->offset >= slot->npages)
		return;

	if (slot->npages - part->offset < BITS_PER_LONG)
		mask &= BIT(slot->npages - part->offset) - 1;
	if (mask)
		kvm_tdp_mmu_log_pages(kvm, slot, part->offset, mask);
}

/* How many entries are the VMM's. Both indices are the kernel's alone. */
static u32 tdp_ring_used(const struct kvm_dirty_ring *ring)
{
	u32 dirty_index = READ_ONCE(ring->dirty_index);

	/* Pairs with the release of an entry in kvm_tdp_mmu_ring_reset(). */
	return dirty_index - smp_load_acquire(&ring->reset_index);
}

static void tdp_ring_ack(void *unused)
{
}

/*
 * Whether the next entry was put in. One that the VMM gives back as soon as it sees it may
 * not be counted yet, by a vCPU that has interrupts off.
 */
static bool tdp_ring_has_next(struct kvm_dirty_ring *ring)
{
	struct kvm_vcpu *vcpu = container_of(ring, struct kvm_vcpu, dirty_ring);
	int cpu;

	/* Pairs with the release in kvm_tdp_mmu_ring_push(). */
	if (smp_load_acquire(&ring->dirty_index) != ring->reset_index)
		return true;

	/* Who has been loaded elsewhere since is done, and this is read before the index. */
	cpu = smp_load_acquire(&vcpu->cpu);
	if (cpu >= 0)
		smp_call_function_single(cpu, tdp_ring_ack, NULL, true);

	/* As above. */
	return smp_load_acquire(&ring->dirty_index) != ring->reset_index;
}

/**
 * kvm_tdp_mmu_ring_reset - let writes to pages be noticed that a VMM has heard of
 * @kvm: the VM
 * @ring: a vCPU's ring
 *
 * Stands in kvm_main.c for kvm_dirty_ring_reset(). It goes once around at most, and takes
 * nothing that was not put in, whatever the VMM writes to the ring. A VMM that is killed
 * need not wait for the end.
 *
 * Context: slots_lock held, mmu_lock not; may sleep. The caller flushes if there were any.
 * Return: how many entries there were.
 */
int kvm_tdp_mmu_ring_reset(struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	struct tdp_ring_part part = {};
	struct kvm_dirty_gfn *entry;
	u64 offset;
	u32 slot;
	int nr;

	lockdep_assert_held(&kvm->slots_lock);

	for (nr = 0; nr < ring->size && !fatal_signal_pending(current); nr++) {
		entry = &ring->dirty_gfns[ring->reset_index & (ring->size - 1)];

		/* Pairs with the VMM's store: whatever it did with the entry before. */
		if (!(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
			break;

		if (!tdp_ring_has_next(ring))
			break;

		/* Again: a RESET that was there before it was put in gives nothing back. */
		if (!(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
			break;

		/* Once each, for the VMM may write to them. */
		slot = READ_ONCE(entry->slot);
		offset = READ_ONCE(entry->offset);

		/* It is free when it has been read, and not before. */
		smp_store_release(&entry->flags, 0);
		/* Pairs with smp_load_acquire() in tdp_ring_used(): it is free by then. */
		smp_store_release(&ring->reset_index, ring->reset_index + 1);

		if (slot != part.slot || round_down(offset, BITS_PER_LONG) != part.offset) {
			tdp_ring_watch(kvm, &part);
			part.slot = slot;
			part.offset = round_down(offset, BITS_PER_LONG);
			part.mask = 0;
		}
		part.mask |= BIT(offset % BITS_PER_LONG);

		cond_resched();
	}

	tdp_ring_watch(kvm, &part);
	kvm_tdp_mmu_log_end(kvm);

	trace_kvm_dirty_ring_reset(ring);

	return nr;
}

/**
 * kvm_tdp_mmu_ring_push - log a page in a vCPU's ring
 * @vcpu: the vCPU, loaded by the current task
 * @slot: the page's memslot, and its address space
 * @offset: the page in it
 *
 * Stands in kvm_main.c for kvm_dirty_ring_push(). When a vCPU is scheduled out its run
 * state and its steal time are written, and logged: on a preemptible kernel that would
 * come in the middle of another push of the vCPU's, of which one would be lost.
 *
 * The index says that an entry was put in, and its flags are the VMM's. So it is counted
 * when it can be seen, and a reset waits for a moment for what can be seen and is not
 * counted: whatever the flags were before, what is counted has been DIRTY.
 *
 * A vCPU does not enter the guest with a ring that is nearly full. What finds no place all
 * the same, of one instruction that KVM emulates in a thousand steps or of a VMM's ioctls
 * that write guest memory, is not told; what is in the ring stays.
 *
 * Context: any in which the vCPU is loaded.
 */
void kvm_tdp_mmu_ring_push(struct kvm_vcpu *vcpu, u32 slot, u64 offset)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;
	struct kvm_dirty_gfn *entry;
	unsigned long flags;
	u32 used;

	/* Not preempted, and tdp_ring_has_next() can wait for the end. */
	local_irq_save(flags);

	used = tdp_ring_used(ring);
	if (used < ring->size) {
		entry = &ring->dirty_gfns[ring->dirty_index & (ring->size - 1)];
		WRITE_ONCE(entry->slot, slot);
		WRITE_ONCE(entry->offset, offset);
		/* Pairs with the VMM's load: what was dirtied, before that it was. */
		smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);
		/* Pairs with smp_load_acquire() in tdp_ring_has_next(). */
		smp_store_release(&ring->dirty_index, ring->dirty_index + 1);
		used++;

		trace_kvm_dirty_ring_push(ring, slot, offset);
	}

	if (used >= ring->soft_limit)
		kvm_make_request(KVM_REQ_DIRTY_RING_SOFT_FULL, vcpu);

	local_irq_restore(flags);
}

/* Whether a page is in the log, in a ring at @position or behind. */
static bool tdp_log_has(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot,
			gfn_t gfn, u32 position)
{
	if (vcpu->kvm->dirty_ring_size)
		return (s32)(READ_ONCE(vcpu->dirty_ring.reset_index) - position) <= 0;

	return !slot->dirty_bitmap ||
	       test_bit_le(gfn - slot->base_gfn, slot->dirty_bitmap);
}

/**
 * tdp_log_installed - a page that is logged may be written to from now on
 * @vcpu: the vCPU that faulted
 * @slot: the page's memslot, which is logged
 * @gfn: the page, which was logged before
 * @spte: what was installed
 * @position: tdp_log_position(), from before the page was logged
 *
 * If the page has been taken out of the log since, nobody may have found the entry.
 *
 * Context: the vCPU's thread, mmu_lock held for read; kvm->srcu held. The entry was
 *	installed by a cmpxchg, which pairs with smp_mb() in tdp_log_watch().
 */
void tdp_log_installed(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot,
		       gfn_t gfn, u64 spte, u32 position)
{
	if (is_writable_pte(spte) && !tdp_log_has(vcpu, slot, gfn, position))
		mark_page_dirty_in_slot(vcpu->kvm, slot, gfn);
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
