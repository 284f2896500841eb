/* SPDX-License-Identifier: GPL-2.0 */
/*
 * custom: as much of arch/x86/kvm/mmu.h as the TDP MMU needs, and the memory that
 * page tables are in. A table's physical address is its address here; behind the
 * table is what struct page says of it. See rig/tdp.c.
 */
#ifndef __KVM_X86_MMU_H
#define __KVM_X86_MMU_H

#include <linux/kvm_host.h>
#include "rig/table.h"

#define PT_PRESENT_MASK		BIT_ULL(0)
#define PT_WRITABLE_MASK	BIT_ULL(1)
#define PT_USER_MASK		BIT_ULL(2)
#define PT_ACCESSED_MASK	BIT_ULL(5)
#define PT_DIRTY_MASK		BIT_ULL(6)
#define PT_PAGE_SIZE_MASK	BIT_ULL(7)
#define PT64_NX_MASK		BIT_ULL(63)

#define INVALID_PAGE		(~(hpa_t)0)
#define VALID_PAGE(x)		((x) != INVALID_PAGE)
#define KBUILD_MODNAME		"kvm"

#undef pfn_valid
#undef pfn_to_page
#define pfn_valid(pfn)		false
#define pfn_to_page(pfn)	unit_table_page((pfn) << PAGE_SHIFT)
#define virt_to_page(addr)	unit_table_page((u64)(addr))
#define __pa(addr)		((u64)(addr))
#define page_private(page)	((page)->owner)
#define set_page_private(page, v) ((page)->owner = (v))
#define PageReserved(page)	false
#define my_zero_pfn(addr)	1UL
#define is_zero_pfn(pfn)	((pfn) == 1)
#define __get_free_page(gfp)	unit_table_alloc(gfp, UNIT_HERE)
#define free_page(addr)		unit_table_free(addr, UNIT_HERE)

struct unit_host { u8 maxphyaddr; };
extern struct unit_host kvm_host;
extern bool tdp_enabled, tdp_mmu_enabled, enable_mmio_caching;

static inline u64 rsvd_bits(int from, int to)
{
	return from > to ? 0 : (~0ULL >> (63 - to)) & (~0ULL << from);
}

static inline gfn_t kvm_mmu_max_gfn(void)
{
	return (1ULL << (kvm_host.maxphyaddr - PAGE_SHIFT)) - 1;
}

static inline bool kvm_memslots_have_rmaps(struct kvm *kvm)
{
	return !tdp_mmu_enabled || kvm->arch.shadow_root_allocated;
}

/* How many mappings of a size there are: goes wrong when a test wants it to. */
void kvm_update_page_stats(struct kvm *kvm, int level, int count);

void kvm_mmu_set_mmio_spte_mask(u64 value, u64 mask, u64 access);
void kvm_mmu_set_me_spte_mask(u64 value, u64 mask);
void kvm_mmu_set_ept_masks(bool has_ad_bits, bool has_exec_only);
void kvm_zap_gfn_range(struct kvm *kvm, gfn_t start, gfn_t end);
/* rig/guest.c */
void kvm_mmu_free_obsolete_roots(struct kvm_vcpu *vcpu);

#endif
