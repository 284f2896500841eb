/* SPDX-License-Identifier: GPL-2.0 */
/* As much of kvm_main.c as the caches meet: VM, memslots, notifier. */
#ifndef _UNIT_KVM_H
#define _UNIT_KVM_H

#include <linux/kvm_host.h>

struct kvm *unit_vm_create(struct mm_struct *mm);
/* As kvm_destroy_vm(): the notifier goes first; then @last_caches; then all. */
void unit_vm_destroy(struct kvm *kvm, void (*last_caches)(struct kvm *kvm));

/* How a VM registers its notifier; a test may put another way here. */
extern int (*unit_notifier_register)(struct mmu_notifier *mn,
				     struct mm_struct *mm);

/* KVM_SET_USER_MEMORY_REGION; @npages 0 deletes. */
void unit_slot_set(struct kvm *kvm, int id, gfn_t base, unsigned long npages,
		   unsigned long uaddr, u32 flags);
/* The first half of a deletion or a move; unit_slot_set() is the other. */
void unit_slot_mark_invalid(struct kvm *kvm, int id);
/* Stands for kvm_arch_memslots_updated(): there is a new set. */
extern void (*unit_slots_published)(struct kvm *kvm, u64 gen);
/* A change of generation that changes nothing else. */
void unit_slots_touch(struct kvm *kvm);

/* The log of every memslot that has one. */
extern unsigned long *unit_dirty_bitmap;

#endif
