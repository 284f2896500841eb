/* SPDX-License-Identifier: GPL-2.0 */
/* Calls to other CPUs: a real interrupt on each, and the wait for its end. */
#ifndef _UNIT_CPU_H
#define _UNIT_CPU_H

#include "rig/rig.h"

static inline int unit_cpu_id(const char *where)
{
	return current->slot;
}

void cores_interrupt_all(void);
void unit_call_cpus(const unsigned long *mask, void (*fn)(void *arg), void *arg,
		    bool wait, const char *where);

#endif
