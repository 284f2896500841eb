/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_DIRTY_H
#define __KVM_X86_MMU_DIRTY_H

#include <linux/kvm_host.h>

void tdp_log_installed(struct kvm *kvm, const struct kvm_memory_slot *slot,
		       gfn_t gfn, u64 spte);

#endif
