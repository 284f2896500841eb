/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_AROUND_H
#define __KVM_X86_MMU_AROUND_H

#include <linux/kvm_host.h>

#include "mmu_internal.h"
#include "pass.h"

void tdp_map_around(struct tdp_pass *p, struct kvm_vcpu *vcpu,
		    struct kvm_page_fault *fault, struct kvm_mmu_page *sp,
		    u64 *sptep);

/* The base's, which mmu.c is compiled to define under this name. */
long kvm_arch_vcpu_pre_fault_memory_base(struct kvm_vcpu *vcpu,
					 struct kvm_pre_fault_memory *range);

#endif
