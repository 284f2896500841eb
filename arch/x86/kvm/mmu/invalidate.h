/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_INVALIDATE_H
#define __KVM_X86_MMU_INVALIDATE_H

#include <linux/kvm_host.h>

void tdp_inflight_init(struct kvm *kvm);
bool tdp_inflight_overlaps(struct kvm *kvm, gfn_t start, gfn_t end);

/* The base's, which mmu.c is compiled to define under this name. */
void kvm_zap_gfn_range_base(struct kvm *kvm, gfn_t gfn_start, gfn_t gfn_end);

/* virt/kvm/pfncache/notifier.c, which stands behind ours. */
int kvm_gpc_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);
int kvm_tdp_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);

#endif
