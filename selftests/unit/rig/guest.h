/* SPDX-License-Identifier: GPL-2.0 */
/* A processor that runs a guest: it walks the tables, and keeps what it found. */
#ifndef _UNIT_GUEST_H
#define _UNIT_GUEST_H

#include "rig/tdp.h"

struct guest_tlb {
	bool there;
	gfn_t gfn;		/* the first that it translates */
	int level;
	kvm_pfn_t pfn;
	bool w, x, d;
};

#define GUEST_TLB	64
#define GUEST_PML	32

struct guest {
	struct kvm_vcpu vcpu;	/* first */
	int nr;
	u64 mode;		/* odd while in the guest */
	struct guest_tlb small[GUEST_TLB], large[4];
	/* Which leaf table to look at: the cache of what leads there. */
	struct {
		bool there;
		gfn_t gfn;
		u64 table;
		bool w, x;
	} path[4];
	gfn_t pml[GUEST_PML];
	int nr_pml;
	uint64_t rnd;
	unsigned long accesses, faults, walks, flushes, emulated, pre_faults;
};

struct guest *guest_create(struct kvm *kvm);
void guest_destroy(struct guest *g);
/* Access memory until asked to leave, or @n times. */
void guest_run(struct guest *g, int n, gfn_t (*where)(struct guest *g));
/* One access, faults and all. False if it is nothing the guest can do. */
bool guest_access(struct guest *g, gfn_t gfn, bool write, bool exec);
/* KVM_PRE_FAULT_MEMORY, from outside of the guest. Returns how many pages are done. */
unsigned long guest_pre_fault(struct guest *g, gfn_t gfn, unsigned long nr);

#endif
