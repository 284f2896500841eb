/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_INVALIDATE_H
#define __KVM_X86_MMU_INVALIDATE_H

#include <linux/kvm_host.h>

struct tdp_event;

void tdp_inflight_init(struct kvm *kvm);
unsigned int tdp_inflight_join(struct kvm *kvm);
bool tdp_inflight_add(struct kvm *kvm, const struct tdp_event *event, gfn_t start,
		      gfn_t end);
void tdp_inflight_commit(struct kvm *kvm, unsigned int nr, bool fits);
void tdp_inflight_ended(struct kvm *kvm, const struct tdp_event *event);
bool tdp_inflight_overlaps(struct kvm *kvm, gfn_t start, gfn_t end);
void tdp_slot_unmapped(struct kvm *kvm, const struct kvm_memory_slot *slot);

/* The base's, which mmu.c is compiled to define under this name. */
void kvm_zap_gfn_range_base(struct kvm *kvm, gfn_t gfn_start, gfn_t gfn_end);

/* virt/kvm/pfncache/notifier.c, which stands behind ours. */
int kvm_gpc_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);
int kvm_tdp_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);

#endif
