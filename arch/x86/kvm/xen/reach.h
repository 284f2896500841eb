/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's pages, from where nobody may sleep. What is returned may be used
 * until interrupts come on again; NULL if the page is not to be had from here.
 */
#ifndef __KVM_XEN_REACH_H__
#define __KVM_XEN_REACH_H__

#include <pfncache/gpc_live.h>

#include "state.h"

/* Interrupts are off. */
static inline void *xen_reach(struct kvm *kvm, struct gfn_to_pfn_cache *gpc)
{
	return __kvm_gpc_reader(kvm) ? kvm_gpc_live(gpc) : NULL;
}

static inline void *xen_reach_shinfo(struct kvm *kvm)
{
	return xen_reach(kvm, &xen_vm(kvm)->shinfo);
}

/* The same for a page that belongs to the vCPU of the current task. */
static inline void *xen_reach_own(struct kvm_vcpu *vcpu,
				  struct gfn_to_pfn_cache *gpc)
{
	return kvm_gpc_reader(vcpu->kvm, &xen_vcpu(vcpu)->reader_cpu) ?
		kvm_gpc_live(gpc) : NULL;
}

#endif
