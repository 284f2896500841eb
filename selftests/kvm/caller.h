/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that makes one hypercall each run, from flat 32-bit code in ring 0: the
 * 32-bit hypercall ABI, whatever layout the VM's structures have.
 */
#ifndef CALLER_H
#define CALLER_H

#include "xvm.h"

#define CALLER_PAGES	1	/* guest memory for its code */

/* Xen's public ABI. */
#define HYPERVISOR_XEN_VERSION	17
#define HYPERVISOR_SET_TIMER_OP	15
#define HYPERVISOR_VCPU_OP	24
#define HYPERVISOR_SCHED_OP	29
#define HYPERVISOR_EVTCHN_OP	32
#define SCHEDOP_YIELD		0
#define SCHEDOP_BLOCK		1
#define SCHEDOP_POLL		3
#define EVTCHNOP_SEND		4
#define EVTCHNOP_STATUS		5
#define EVTCHNOP_UNMASK		9
#define VCPUOP_IS_UP		3
#define VCPUOP_GET_RUNSTATE	4
#define VCPUOP_SET_SINGLESHOT	8

/* Returned by caller_go() when the VMM is asked to answer. */
#define CALLER_TO_VMM		0x10000

struct caller {
	struct xvm *vm;
	unsigned int id;	/* its vCPU */
	uint32_t gpa;		/* CALLER_PAGES in a memory slot that is mapped */
};

/* The slot must be there; adds the vCPU. */
void caller_create(struct caller *c, struct xvm *vm, unsigned int id,
		   uint32_t gpa, uint8_t *map);
/* What to call; nothing runs yet. */
void caller_set(struct caller *c, uint32_t nr, uint32_t a0, uint32_t a1,
		uint32_t a2);
/* One KVM_RUN. Returns 0: the call is done, CALLER_TO_VMM, or -errno. */
int caller_go(struct caller *c);
/* What the guest got, once it is done. */
int32_t caller_result(struct caller *c);
/* All of it; stops the test if KVM does not answer the call itself. */
int32_t caller_call(struct caller *c, uint32_t nr, uint32_t a0, uint32_t a1,
		    uint32_t a2);

#endif
