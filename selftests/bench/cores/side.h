/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One side of the comparison: a VM whose caches are ours, or the base kernel's.
 * Each is an object of its own that exports only cores_side; both are loaded into
 * one process.
 */
#ifndef _CORES_SIDE_H
#define _CORES_SIDE_H

#define CORES_VCPUS	32	/* that can be delivered to */

struct cores_side {
	/* A VM with as many caches in use, those that deliver() needs among them. */
	void (*begin)(unsigned int caches);
	void (*end)(void);
	/* The calling thread is this CPU, in a hard interrupt or not. */
	void (*enter)(int cpu);
	/* An event on its way into shared_info and vcpu_info, until it is there. */
	void (*deliver)(unsigned int vcpu, unsigned int port);
	/* A page of the VMM's goes that is no cache's; and the page of shared_info. */
	void (*unrelated)(unsigned int gap);
	void (*overlap)(unsigned int gap);
	/* Caches of one page found gone, and looked up anew. */
	void (*refresh)(void);
	/* All processors that run threads of this process; waits for them. */
	void (*interrupt)(void);
	/* Of this thread, since it began; 0 where they are not counted. */
	unsigned long (*locks)(void);
	/* Writes that went to shared_info's page after it was taken away. */
	unsigned long (*lost)(void);

	/* Another VM, with guest memory: its life, a fault, an invalidation. */
	void (*mmu_begin)(unsigned int nr_vcpus);
	void (*mmu_end)(void);
	void (*fault)(unsigned int vcpu, unsigned long gfn);
	void (*zap)(unsigned long gfn, unsigned long nr);
	long (*mapped)(void);		/* pages */
};

#endif
