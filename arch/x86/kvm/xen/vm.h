/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_XEN_VM_H__
#define __KVM_XEN_VM_H__

#include "state.h"

/* Vectors below this are exceptions'. */
#define XEN_FIRST_VECTOR	0x10

int xen_gpc_set(struct gfn_to_pfn_cache *gpc, gpa_t gpa, unsigned long hva,
		unsigned long len);
bool xen_gpc_where(struct gfn_to_pfn_cache *gpc, gpa_t *gpa,
		   unsigned long *hva);
void xen_mark_dirty(struct gfn_to_pfn_cache *gpc);

#endif
