/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_ZAP_H
#define __KVM_X86_MMU_ZAP_H

#include <linux/kvm_host.h>

#include "mmu_internal.h"

void tdp_zap_gfns(struct kvm *kvm, int as_id, bool only_valid, gfn_t start,
		  gfn_t end, bool may_block);
void tdp_zap_root(struct kvm *kvm, struct kvm_mmu_page *root, bool shared);
void tdp_zap_unlock(struct kvm *kvm);

/* The base's, which mmu.c is compiled to define under this name. */
void kvm_arch_flush_shadow_memslot_base(struct kvm *kvm,
					struct kvm_memory_slot *slot);

#endif
