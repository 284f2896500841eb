// SPDX-License-Identifier: GPL-2.0
/*
 * custom: the VM around the caches, by the rules of kvm_main.c that they depend
 * on: every memslot change is published as a new set under SRCU with the
 * generation's "in progress" bit, and then given its final generation in place; a
 * deletion or a move does it twice, and has the shadow pages flushed in between,
 * which is when the caches hear of it; the notifier counts active invalidations
 * before it tells the caches, and moves the sequence number only for ranges that
 * some memslot covers.
 */
#include <stdlib.h>
#include <string.h>
#include <linux/debugfs.h>
#include "rig/kvm.h"

#ifdef UNIT_STOCK
#define kvm_gpc_mmu_notifier_register	mmu_notifier_register
#define kvm_gpc_mmu_notifier_unregister	mmu_notifier_unregister
#define kvm_gpc_flush_shadow_memslot	kvm_arch_flush_shadow_memslot
#define kvm_arch_flush_shadow_memslot_base kvm_arch_flush_shadow_memslot
#else
void kvm_arch_flush_shadow_memslot_base(struct kvm *kvm,
					struct kvm_memory_slot *slot);
void kvm_gpc_flush_shadow_memslot(struct kvm *kvm,
				  struct kvm_memory_slot *slot);
int kvm_gpc_mmu_notifier_register(struct mmu_notifier *mn,
				  struct mm_struct *mm);
void kvm_gpc_mmu_notifier_unregister(struct mmu_notifier *mn,
				     struct mm_struct *mm);
#endif
void gfn_to_pfn_cache_invalidate_start(struct kvm *kvm, unsigned long start,
				       unsigned long end);

struct kvm_memory_slot *__gfn_to_memslot(struct kvm_memslots *slots, gfn_t gfn)
{
	for (int i = 0; i < slots->used; i++) {
		struct kvm_memory_slot *s = &slots->slots[i];

		if (gfn >= s->base_gfn && gfn < s->base_gfn + s->npages)
			return s;
	}
	return NULL;
}

unsigned long gfn_to_hva_memslot(struct kvm_memory_slot *slot, gfn_t gfn)
{
	if (!slot || slot->flags & KVM_MEMSLOT_INVALID)
		return KVM_HVA_ERR_BAD;
	if (slot->flags & KVM_MEM_READONLY)
		return KVM_HVA_ERR_RO_BAD;
	return slot->userspace_addr + (gfn - slot->base_gfn) * PAGE_SIZE;
}

unsigned long gfn_to_hva_memslot_prot(struct kvm_memory_slot *slot, gfn_t gfn,
				      bool *writable)
{
	unsigned long hva = gfn_to_hva_memslot(slot, gfn);

	if (writable)
		*writable = !kvm_is_error_hva(hva);
	return hva;
}

static bool any_slot(struct kvm *kvm, unsigned long start, unsigned long end)
{
	int idx = srcu_read_lock(&kvm->srcu);
	struct kvm_memslots *slots;
	bool found = false;

	for (int as = 0; as < kvm_arch_nr_memslot_as_ids(kvm); as++) {
		slots = __kvm_memslots(kvm, as);
		for (int i = 0; i < slots->used; i++) {
			struct kvm_memory_slot *s = &slots->slots[i];

			found |= start < s->userspace_addr + s->npages * PAGE_SIZE &&
				 end > s->userspace_addr;
		}
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return found;
}

static bool slot_overlaps(struct kvm_memory_slot *s, unsigned long start,
			  unsigned long last)
{
	return start < s->userspace_addr + s->npages * PAGE_SIZE &&
	       last >= s->userspace_addr;
}

struct interval_tree_node *
interval_tree_iter_first(struct rb_root_cached *root, unsigned long start,
			 unsigned long last)
{
	struct kvm_memslots *slots = container_of(root, struct kvm_memslots,
						  hva_tree);

	for (int i = 0; i < slots->used; i++)
		if (slot_overlaps(&slots->slots[i], start, last))
			return &slots->slots[i].hva_node[0];
	return NULL;
}

/* Slots are an array; one that is not in use has no pages, and ends it. */
struct interval_tree_node *
interval_tree_iter_next(struct interval_tree_node *node, unsigned long start,
			unsigned long last)
{
	struct kvm_memory_slot *s = container_of(node, struct kvm_memory_slot,
						 hva_node[0]);

	while ((++s)->npages)
		if (slot_overlaps(s, start, last))
			return &s->hva_node[0];
	return NULL;
}

static struct kvm *mn_to_kvm(struct mmu_notifier *mn)
{
	return container_of(mn, struct kvm, mmu_notifier);
}

static int range_start(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	struct kvm *kvm = mn_to_kvm(mn);

	spin_lock(&kvm->mn_invalidate_lock);
	WRITE_ONCE(kvm->mn_active_invalidate_count,
		   kvm->mn_active_invalidate_count + 1);
	spin_unlock(&kvm->mn_invalidate_lock);
	if (!unit_mutants.invalidate_skipped)
		gfn_to_pfn_cache_invalidate_start(kvm, range->start,
						  range->end);
	return 0;
}

static void range_end(struct mmu_notifier *mn,
		      const struct mmu_notifier_range *range)
{
	struct kvm *kvm = mn_to_kvm(mn);

	if (any_slot(kvm, range->start, range->end)) {
		write_lock(&kvm->mmu_lock);
		WRITE_ONCE(kvm->mmu_invalidate_seq,
			   kvm->mmu_invalidate_seq + 1);
		smp_wmb();
		/* Counted by the TDP MMU's start, where there is one. */
		if (kvm->mmu_invalidate_in_progress)
			WRITE_ONCE(kvm->mmu_invalidate_in_progress,
				   kvm->mmu_invalidate_in_progress - 1);
		write_unlock(&kvm->mmu_lock);
	}
	spin_lock(&kvm->mn_invalidate_lock);
	WARN_ON_ONCE(!kvm->mn_active_invalidate_count);
	WRITE_ONCE(kvm->mn_active_invalidate_count,
		   kvm->mn_active_invalidate_count - 1);
	spin_unlock(&kvm->mn_invalidate_lock);
}

static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct kvm *kvm = mn_to_kvm(mn);
	int idx = srcu_read_lock(&kvm->srcu);

	(void)mm;
	write_lock(&kvm->mmu_lock);
	write_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
}

static const struct mmu_notifier_ops ops = {
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
	.release = release,
};

int (*unit_notifier_register)(struct mmu_notifier *mn, struct mm_struct *mm) =
	kvm_gpc_mmu_notifier_register;

struct kvm *unit_vm_create(struct mm_struct *mm)
{
	struct kvm *kvm = calloc(1, sizeof(*kvm));
	struct kvm_memslots *slots = calloc(1, sizeof(*slots));

	kvm->mm = mm;
	rwlock_init(&kvm->mmu_lock);
	mutex_init(&kvm->slots_lock);
	spin_lock_init(&kvm->mn_invalidate_lock);
	spin_lock_init(&kvm->gpc_lock);
	INIT_LIST_HEAD(&kvm->gpc_list);
	init_srcu_struct(&kvm->srcu);
	refcount_set(&kvm->users_count, 1);
	kvm->memslots = slots;
	kvm->mmu_notifier.ops = &ops;
	if (unit_notifier_register(&kvm->mmu_notifier, mm)) {
		cleanup_srcu_struct(&kvm->srcu);
		free(slots);
		free(kvm);
		return NULL;
	}
	return kvm;
}

void unit_vm_destroy(struct kvm *kvm, void (*last_caches)(struct kvm *kvm))
{
	refcount_set(&kvm->users_count, 0);
	kvm_gpc_mmu_notifier_unregister(&kvm->mmu_notifier, kvm->mm);
	if (last_caches)
		last_caches(kvm);
	if (!list_empty(&kvm->gpc_list))
		unit_fail("leak", "kvm->gpc_list is not empty at the VM's end");
	if (kvm->vm_bugged && !unit_warnings_seen())
		unit_fail("rig", "the VM broke silently");
	cleanup_srcu_struct(&kvm->srcu);
	free(kvm->memslots);
	free(kvm->smm_memslots);
	free(kvm);
}

void (*unit_slots_published)(struct kvm *kvm, u64 gen);

/* spte.c reads it meanwhile, and the base's memory model does not mind. */
__attribute__((no_sanitize("thread")))
static void set_generation(struct kvm_memslots *slots, u64 gen)
{
	*(volatile u64 *)&slots->generation = gen;
}

/* slots_lock held; takes over @next. */
static void publish(struct kvm *kvm, struct kvm_memslots *next)
{
	struct kvm_memslots *old = kvm_memslots(kvm);
	u64 gen = old->generation;

	/* KVM lets no invalidation see two sets of slots. */
	spin_lock(&kvm->mn_invalidate_lock);
	while (kvm->mn_active_invalidate_count) {
		spin_unlock(&kvm->mn_invalidate_lock);
		unit_relax();
		spin_lock(&kvm->mn_invalidate_lock);
	}
	spin_unlock(&kvm->mn_invalidate_lock);
	next->generation = gen | KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS;
	rcu_assign_pointer(kvm->memslots, next);
	synchronize_srcu(&kvm->srcu);
	set_generation(next, gen + KVM_ADDRESS_SPACE_NUM);
	free(old);
	if (unit_slots_published)
		unit_slots_published(kvm, next->generation);
}

static struct kvm_memslots *copy_slots(struct kvm *kvm)
{
	struct kvm_memslots *next = malloc(sizeof(*next));

	memcpy(next, kvm_memslots(kvm), sizeof(*next));
	return next;
}

/* What a slot's end means to the shadow pages is not ours to know. */
void kvm_arch_flush_shadow_memslot_base(struct kvm *kvm,
					struct kvm_memory_slot *slot)
{
	lockdep_assert_held(&kvm->slots_lock);
}

struct kvm_memory_slot *id_to_memslot(struct kvm_memslots *slots, int id)
{
	for (int i = 0; i < slots->used; i++)
		if (slots->slots[i].id == id)
			return &slots->slots[i];
	return NULL;
}

static void mark_invalid(struct kvm *kvm, int id)
{
	struct kvm_memslots *next = copy_slots(kvm);
	struct kvm_memory_slot old = *id_to_memslot(next, id);

	id_to_memslot(next, id)->flags |= KVM_MEMSLOT_INVALID;
	publish(kvm, next);
	/* Nobody sees the slot any more, and it is not elsewhere yet. */
	kvm_gpc_flush_shadow_memslot(kvm, &old);
}

void unit_slot_mark_invalid(struct kvm *kvm, int id)
{
	mutex_lock(&kvm->slots_lock);
	mark_invalid(kvm, id);
	mutex_unlock(&kvm->slots_lock);
}

void unit_slots_touch(struct kvm *kvm)
{
	mutex_lock(&kvm->slots_lock);
	publish(kvm, copy_slots(kvm));
	mutex_unlock(&kvm->slots_lock);
}

unsigned long *unit_dirty_bitmap;

void unit_slot_set(struct kvm *kvm, int id, gfn_t base, unsigned long npages,
		   unsigned long uaddr, u32 flags)
{
	struct kvm_memslots *next;
	struct kvm_memory_slot *s;

	mutex_lock(&kvm->slots_lock);
	s = id_to_memslot(kvm_memslots(kvm), id);
	if (s && (!npages || s->base_gfn != base) &&
	    !(s->flags & KVM_MEMSLOT_INVALID))
		mark_invalid(kvm, id);
	next = copy_slots(kvm);
	s = id_to_memslot(next, id);
	if (!npages) {
		*s = next->slots[--next->used];
		next->slots[next->used].npages = 0;
	} else {
		if (!s) {
			if (next->used == UNIT_SLOTS)
				unit_fail("rig", "too many memslots");
			s = &next->slots[next->used++];
		}
		*s = (struct kvm_memory_slot) {
			.base_gfn = base, .npages = npages,
			.userspace_addr = uaddr, .flags = flags, .id = id,
			.dirty_bitmap = flags & KVM_MEM_LOG_DIRTY_PAGES ?
					unit_dirty_bitmap : NULL,
		};
	}
	publish(kvm, next);
	mutex_unlock(&kvm->slots_lock);
}

struct unit_debugfs unit_debugfs;
