/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts the events that a vCPU finds, looking as a 64-bit Linux does: the upcall
 * flag first, then the selector, then the words it names. An event of which nothing
 * tells is not found, even if its port is pending.
 */
#ifndef TALLY_H
#define TALLY_H

#include "xvm.h"

#define TALLY_PORTS	4096

struct tally {
	uint8_t *shinfo;
	uint8_t *vcpu_info;
	uint32_t sent[TALLY_PORTS];	/* the sender's */
	uint32_t seen[TALLY_PORTS];	/* atomic */
};

/* Once. A port can be sent again as soon as it is counted. */
void tally_look(struct tally *t);
/* Is all that was sent on a port seen, or on all ports? */
bool tally_has(struct tally *t, unsigned int port);
unsigned int tally_missing(struct tally *t);

#endif
