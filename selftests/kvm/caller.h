/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that makes one hypercall each run, from flat 32-bit code or from 64-bit
 * code, in ring 0 unless said otherwise: the hypercall ABI of that code, whatever
 * layout the VM's structures have.
 */
#ifndef CALLER_H
#define CALLER_H

#include <pthread.h>

#include "xvm.h"

#define CALLER_PAGES	1	/* guest memory for its code */
#define CALLER_LONG_PAGES 4	/* and for the page tables of 64-bit code */

/* Xen's public ABI. */
#define HYPERVISOR_MEMORY_OP	12
#define HYPERVISOR_MULTICALL	13
#define HYPERVISOR_SET_TIMER_OP	15
#define HYPERVISOR_XEN_VERSION	17
#define HYPERVISOR_VCPU_OP	24
#define HYPERVISOR_SCHED_OP	29
#define HYPERVISOR_EVTCHN_OP	32
#define SCHEDOP_YIELD		0
#define SCHEDOP_BLOCK		1
#define SCHEDOP_POLL		3
#define EVTCHNOP_SEND		4
#define EVTCHNOP_STATUS		5
#define EVTCHNOP_BIND_VCPU	8
#define EVTCHNOP_UNMASK		9
#define VCPUOP_IS_UP		3
#define VCPUOP_GET_RUNSTATE	4
#define VCPUOP_SET_PERIODIC	6
#define VCPUOP_STOP_PERIODIC	7
#define VCPUOP_SET_SINGLESHOT	8

/* Returned by caller_go() when the VMM is asked to answer. */
#define CALLER_TO_VMM		0x10000

/* What every call has in its last three arguments. */
#define CALLER_ARG3		0x33
#define CALLER_ARG4		0x44
#define CALLER_ARG5		0x55

struct caller {
	struct xvm *vm;
	unsigned int id;	/* its vCPU */
	uint32_t gpa;		/* CALLER_PAGES in a memory slot that is mapped */
	bool wide;		/* 64-bit code */
	bool user;		/* in ring 3 */
	bool irqs;		/* with interrupts on */
};

/* The slot must be there; adds the vCPU. */
void caller_create(struct caller *c, struct xvm *vm, unsigned int id,
		   uint32_t gpa, uint8_t *map);
/* The same with 64-bit code, in CALLER_LONG_PAGES; the first GB is mapped. */
void caller_create_long(struct caller *c, struct xvm *vm, unsigned int id,
			uint32_t gpa, uint8_t *map);
/* Goes on in ring 3. */
void caller_to_user(struct caller *c);
/* What to call; nothing runs yet. */
void caller_set(struct caller *c, uint32_t nr, uint64_t a0, uint64_t a1,
		uint64_t a2);
/* One KVM_RUN. Returns 0: the call is done, CALLER_TO_VMM, or -errno. */
int caller_go(struct caller *c);
/* What the guest got, once it is done. */
int64_t caller_result(struct caller *c);
/* All of it; stops the test if KVM does not answer the call itself. */
int64_t caller_call(struct caller *c, uint32_t nr, uint64_t a0, uint64_t a1,
		    uint64_t a2);

/* A call in a thread of its own, for calls that sleep. */
struct caller_thread {
	pthread_t thread;
	struct caller *caller;
	int r;			/* what caller_go() said */
	int done;		/* atomic */
};

/* Starts what caller_set() has prepared, and gives it time to fall asleep. */
void caller_start(struct caller_thread *t, struct caller *caller);
/* Is it over, at the latest after @ms? */
bool caller_is_done(struct caller_thread *t, int ms);
/* Ends it, by a signal if nothing else has: KVM_RUN returns with EINTR. */
void caller_end(struct caller_thread *t);

#endif
