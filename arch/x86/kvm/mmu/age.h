/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_AGE_H
#define __KVM_X86_MMU_AGE_H

#include <linux/kvm_host.h>

bool tdp_age(struct kvm *kvm, struct kvm_gfn_range *range, bool clear);

#endif
