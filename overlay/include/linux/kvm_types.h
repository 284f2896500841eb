/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shadows <linux/kvm_types.h>: the same header, with our own definition of
 * struct gfn_to_pfn_cache.
 *
 * The structure keeps the size of the stock one and the place of every member
 * that code outside virt/kvm/pfncache/ uses, so no structure that embeds it
 * changes and modules built against the stock headers fit. For the same reason
 * the symbol checksums are computed over the stock definition: genksyms hashes
 * the text of a structure, and what the text stands for did not change.
 */
#ifdef __GENKSYMS__
#include_next <linux/kvm_types.h>
#elif !defined(__KVM_XEN_TYPES_H__)
#define __KVM_XEN_TYPES_H__

#define gfn_to_pfn_cache gfn_to_pfn_cache_stock
#include_next <linux/kvm_types.h>
#undef gfn_to_pfn_cache

#ifndef __ASSEMBLY__
#include <linux/build_bug.h>
#include <pfncache/gpc_types.h>

#define GPC_SAME_PLACE(ours, stock)					\
	static_assert(offsetof(struct gfn_to_pfn_cache, ours) ==	\
		      offsetof(struct gfn_to_pfn_cache_stock, stock))

GPC_SAME_PLACE(gpa, gpa);
GPC_SAME_PLACE(uhva, uhva);
GPC_SAME_PLACE(kvm, kvm);
GPC_SAME_PLACE(lock, lock);
GPC_SAME_PLACE(khva, khva);
GPC_SAME_PLACE(active, active);
static_assert(sizeof(struct gfn_to_pfn_cache) ==
	      sizeof(struct gfn_to_pfn_cache_stock));
#undef GPC_SAME_PLACE
#endif /* !__ASSEMBLY__ */

#endif
