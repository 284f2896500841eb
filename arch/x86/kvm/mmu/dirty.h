/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_DIRTY_H
#define __KVM_X86_MMU_DIRTY_H

#include <linux/kvm_host.h>

/* Where in the vCPU's ring the next page will be; only its own thread puts one there. */
static inline u32 tdp_log_position(struct kvm_vcpu *vcpu)
{
	return vcpu->dirty_ring.dirty_index;
}

void tdp_log_installed(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot,
		       gfn_t gfn, u64 spte, u32 position);

#endif
