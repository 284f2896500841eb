/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_NX_H
#define __KVM_X86_MMU_NX_H

#include <linux/kvm_host.h>

#include "mmu_internal.h"

void tdp_nx_init(struct kvm *kvm);
void tdp_nx_linked(struct kvm *kvm, struct kvm_mmu_page *sp);
void tdp_nx_unlinked(struct kvm *kvm, struct kvm_mmu_page *sp);

#endif
