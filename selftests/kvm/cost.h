/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What events and entries of a guest cost, in ticks of the TSC; of use where
 * xvm_ticks_are_instructions(). Each function stops the test when what it measures
 * does not happen.
 */
#ifndef COST_H
#define COST_H

#include "calls.h"

#define COST_PORT	5

/* 32-bit code, but the structures of a 64-bit guest: there are more ports. */
void cost_create(struct calls *c);

/* A guest that makes a call again and again, in vCPU 0; and what one costs. */
void cost_loop(struct calls *c, uint32_t nr, uint32_t a0, uint32_t a1,
	       bool forget);
uint64_t cost_run(struct calls *c, unsigned int loops);
unsigned int cost_call(struct calls *c);
/* Of the call that does least. */
unsigned int cost_least(struct calls *c, bool forget);
/* More than that: of EVTCHNOP_send on COST_PORT, to vCPU 1 as calls_ipi_port() said. */
unsigned int cost_hypercall(struct calls *c);
/* From here on the VM has a VM-wide upcall vector. */
void cost_vector(struct calls *c);

enum cost_fate { COST_MASKED, COST_COALESCED, COST_DELIVERED };

/* Of KVM_XEN_HVM_EVTCHN_SEND to vCPU 1; and of an ioctl of the VM that does nothing. */
unsigned int cost_send(struct calls *c, enum cost_fate fate);
unsigned int cost_ioctl(struct calls *c);

#endif
