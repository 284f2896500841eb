/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Senders, guests that consume, and somebody who moves the pages away under both.
 * Every sender has ports of its own and sends again on one only after the guest has
 * seen the last event there, so that each event is seen exactly once or is lost.
 */
#ifndef _UNIT_XEN_STORM_H
#define _UNIT_XEN_STORM_H

#include "xen_world.h"

struct storm {
	bool narrow;		/* 32-bit layout */
	bool vectors;		/* a vector per vCPU instead of the VM's */
	bool no_flusher;	/* only the vCPUs and the worker deliver late */
	bool still;		/* nobody moves anything */
	unsigned long events;	/* 0: what the run says */
	unsigned int stuck_ms;	/* an event is lost after so long, 0: 5000 */
};

void storm_run(const struct storm *storm);

#endif
