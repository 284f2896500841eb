/* SPDX-License-Identifier: GPL-2.0 */
/* A processor that runs a guest: it walks the tables, and keeps what it found. */
#ifndef _UNIT_GUEST_H
#define _UNIT_GUEST_H

#include "rig/tdp.h"

/* What a processor runs: each has trees, and translations, of its own. */
enum guest_mode {
	GUEST_PLAIN,
	GUEST_NESTED,		/* a guest of the guest's, without page tables for it */
	GUEST_SMM,		/* in the other address space */
	GUEST_MODES,
};

struct guest_tlb {
	bool there;
	enum guest_mode of;
	gfn_t gfn;		/* the first that it translates */
	int level;
	kvm_pfn_t pfn;
	bool w, x, d;
};

#define GUEST_TLB	64
#define GUEST_PML	32

/* The way to a table: what a processor keeps of it. */
struct guest_path {
	bool there;
	enum guest_mode of;
	gfn_t gfn;		/* shifted by what the table translates */
	u64 table;
	bool w, x;
};

struct guest {
	struct kvm_vcpu vcpu;	/* first */
	int nr;
	u64 mode;		/* odd while in the guest */
	enum guest_mode now;
	hpa_t roots[GUEST_MODES];	/* but of the mode that it is in */
	struct guest_tlb small[GUEST_TLB], large[4];
	/* To leaf tables, and to those above. */
	struct guest_path path[4], upper[2];
	gfn_t pml[GUEST_PML];
	int nr_pml;
	uint64_t rnd;
	unsigned long accesses, faults, walks, flushes, emulated, pre_faults;
};

struct guest *guest_create(struct kvm *kvm);
void guest_destroy(struct guest *g);
/* From outside of the guest. What it knows of other modes stays good. */
void guest_switch(struct guest *g, enum guest_mode to);
/* Access memory until asked to leave, or @n times. */
void guest_run(struct guest *g, int n, gfn_t (*where)(struct guest *g));
/* One access, faults and all. False if it is nothing the guest can do. */
bool guest_access(struct guest *g, gfn_t gfn, bool write, bool exec);
/* KVM_PRE_FAULT_MEMORY, from outside of the guest. Returns how many pages are done. */
unsigned long guest_pre_fault(struct guest *g, gfn_t gfn, unsigned long nr);

#endif
