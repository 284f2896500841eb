/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_ATTRIBUTES_H
#define __KVM_X86_MMU_ATTRIBUTES_H

#include <linux/kvm_host.h>

/* What kvm_main.c is compiled to call in place of the originals. */
bool kvm_tdp_mmu_pre_set_attributes(struct kvm *kvm, struct kvm_gfn_range *range);
bool kvm_tdp_mmu_post_set_attributes(struct kvm *kvm, struct kvm_gfn_range *range);
void kvm_tdp_mmu_attributes_unlock(struct kvm *kvm);

#endif
