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
void unit_call_cpus(const unsigned long *mask, bool (*cond)(int cpu, void *arg),
		    void (*fn)(void *arg), void *arg, bool wait, const char *where);
void unit_call_cpu(int cpu, void (*fn)(void *arg), void *arg, bool wait,
		   const char *where);

/* As the kernel's, a number in memory, which nobody writes but cores_tick(). */
extern unsigned long cores_jiffies;
void cores_tick(void);

static inline unsigned long unit_jiffies(void)
{
	return __atomic_load_n(&cores_jiffies, __ATOMIC_RELAXED);
}

static inline void unit_cpu_wait_begin(const char *where) {}
static inline void unit_cpu_wait_end(void) {}

#endif
