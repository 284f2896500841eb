/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_ZAP_H
#define __KVM_X86_MMU_ZAP_H

#include <linux/kvm_host.h>

#include "mmu_internal.h"
#include "pass.h"

void tdp_zap_begin(struct tdp_pass *p, struct kvm *kvm, bool may_block)
	__acquires(&kvm->mmu_lock)
	__acquires(RCU);
void tdp_zap_range(struct tdp_pass *p, int as_id, bool only_valid, gfn_t start,
		   gfn_t end);
void tdp_zap_end(struct tdp_pass *p)
	__releases(RCU)
	__releases(&p->kvm->mmu_lock);
void tdp_zap_gfns(struct kvm *kvm, bool only_valid, gfn_t start, gfn_t end);
void tdp_zap_root(struct kvm *kvm, struct kvm_mmu_page *root, bool shared);
void tdp_zap_unlock(struct kvm *kvm);

/* The base's, which mmu.c is compiled to define under this name. */
void kvm_arch_flush_shadow_memslot_base(struct kvm *kvm,
					struct kvm_memory_slot *slot);

#endif
