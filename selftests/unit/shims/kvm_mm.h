/* SPDX-License-Identifier: GPL-2.0 */
/* custom: the part of virt/kvm/kvm_mm.h the caches need; hva_to_pfn() is rig/mm.c's */
#ifndef _UNIT_SHIM_KVM_MM_H
#define _UNIT_SHIM_KVM_MM_H

#include <linux/kvm_host.h>

kvm_pfn_t hva_to_pfn(unsigned long addr, bool atomic, bool interruptible,
		     bool *async, bool write_fault, bool *writable);
void gfn_to_pfn_cache_invalidate_start(struct kvm *kvm, unsigned long start,
				       unsigned long end);

#endif
