/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that visits memory: each run it reads or writes one byte at every
 * address of a list, in order, and comes back. What that costs is read from KVM's
 * statistics.
 *
 * It runs in flat 32-bit mode without paging, which needs neither page tables nor
 * KVM's instruction emulator, so every access goes through what is tested.
 */
#ifndef VISITOR_H
#define VISITOR_H

#include "xvm.h"

#define VISITOR_PAGES	9	/* guest memory that it needs for itself */
#define VISITOR_MAX	8192	/* addresses of one run */

/* VISIT_NONE: it only comes back, by way of an exit that KVM handles itself. */
enum visit { VISIT_READ, VISIT_WRITE, VISIT_NONE };

struct visitor {
	struct xvm *vm;
	unsigned int id;	/* its vCPU */
	uint32_t gpa;		/* VISITOR_PAGES in a memory slot that is mapped */
	uint8_t *map;		/* where */
	int stats;		/* the vCPU's statistics */
	int vm_stats;
};

/* The slot must be there; adds the vCPU. */
void visitor_create(struct visitor *v, struct xvm *vm, unsigned int id,
		    uint32_t gpa, uint8_t *map);
void visitor_destroy(struct visitor *v);
/* Its own pages cost nothing from here on. */
void visitor_settle(struct visitor *v);

/* The list and what to do with it; visitor_go() runs until it is done. */
void visitor_list(struct visitor *v, enum visit what, uint8_t byte,
		  const uint32_t *gpas, unsigned int nr);
/*
 * One KVM_RUN. Returns -errno, 0 when all were visited, or the exit's reason. What
 * failed can be run again, and goes on where it was.
 */
int visitor_go(struct visitor *v);
/* All of it; stops the test if it does not come to the end. */
void visitor_visit(struct visitor *v, enum visit what, uint8_t byte,
		   const uint32_t *gpas, unsigned int nr);
/* One address; a read returns what was there. */
uint8_t visitor_read(struct visitor *v, uint32_t gpa);
void visitor_write(struct visitor *v, uint32_t gpa, uint8_t byte);

/* A counter of KVM's, by its name there, of the vCPU or of the VM. */
uint64_t visitor_stat(struct visitor *v, const char *name);

#endif
