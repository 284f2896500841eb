/* SPDX-License-Identifier: GPL-2.0 */
/* Every thread is a CPU: its sections with interrupts off, and calls to others. */
#ifndef _UNIT_CPU_H
#define _UNIT_CPU_H

#include "rig/rig.h"

/* The thread's interrupts go off, come on. Called by who keeps irqs_off. */
void unit_cpu_close(void);
void unit_cpu_open(void);

int unit_cpu_id(const char *where);
/* on_each_cpu_cond_mask() */
void unit_call_cpus(const unsigned long *mask, bool (*cond)(int cpu, void *arg),
		    void (*fn)(void *arg), void *arg, bool wait, const char *where);

/* smp_call_function_single() */
void unit_call_cpu(int cpu, void (*fn)(void *arg), void *arg, bool wait,
		   const char *where);

/* A thread waits for another CPU by itself. */
void unit_cpu_wait_begin(const char *where);
void unit_cpu_wait_end(void);

/* Time in steps of 2^unit_jiffy_shift ns. */
#define UNIT_JIFFY_MS		20
#define UNIT_JIFFY_HASTY	6
extern unsigned int unit_jiffy_shift;
unsigned long unit_jiffies(void);

/* Calls made, and CPUs that one had to wait for, since the test began. */
unsigned long unit_cpu_calls(void);
unsigned long unit_cpu_waits(void);
/* Threads that are waiting for another CPU now. */
unsigned int unit_cpu_waiting(void);

#endif
