// SPDX-License-Identifier: GPL-2.0
/*
 * custom: threads as CPUs. A section with interrupts off has a number, odd while it
 * lasts; a call to another CPU waits until that has left the section it is in, and
 * for nobody else, and lets none begin while the function runs in its place.
 *
 * Who leaves releases and who waited acquires, and that is the only order between
 * threads that is made here: all of an interrupt that a CPU could not take before.
 * The number is written by exchange, so that what a section reads is read after the
 * section can be seen, as it is by an interrupt.
 */
#include <sched.h>
#include "rig/cpu.h"
#include "rig/lock.h"

/* Apart, so that sections of one CPU do not slow down those of others. */
static struct {
	unsigned long section;
	unsigned int called;
	char apart[48];
} cpus[UNIT_MAX_TASKS];

static unsigned long calls, waits;
static unsigned int waiting;
unsigned int unit_jiffy_shift = UNIT_JIFFY_MS;

/* The CPU in whose place the thread runs a function, and one. */
static __thread int acting;

static unsigned long section_next(unsigned long *s)
{
	return __atomic_load_n(s, __ATOMIC_RELAXED) + 1;
}

void unit_cpu_close(void)
{
	unsigned int *called = &cpus[current->slot].called;
	unsigned long *s = &cpus[current->slot].section;

	for (;;) {
		__atomic_exchange_n(s, section_next(s), __ATOMIC_SEQ_CST);
		if (likely(!__atomic_load_n(called, __ATOMIC_SEQ_CST)))
			return;
		/* The interrupt comes first. */
		__atomic_store_n(s, section_next(s), __ATOMIC_RELEASE);
		while (__atomic_load_n(called, __ATOMIC_ACQUIRE))
			sched_yield();
	}
}

void unit_cpu_open(void)
{
	unsigned long *s = &cpus[current->slot].section;

	__atomic_store_n(s, section_next(s), __ATOMIC_RELEASE);
}

int unit_cpu_id(const char *where)
{
	if (acting)
		return acting - 1;
	if (!current->irqs_off && !current->preempt)
		unit_fail("cpu", "the number of a CPU that may change at once, at %s",
			  where);
	return current->slot;
}

unsigned long unit_jiffies(void)
{
	return unit_now_ns() >> unit_jiffy_shift;
}

/* The other CPU may be waiting, interrupts off, for a lock that we hold. */
static void check_caller(const char *where)
{
	char buf[200];

	if (current->hardirq || current->irqs_off)
		unit_fail("cpu", "call to other CPUs with interrupts off at %s",
			  where);
	for (int i = 0; i < current->nr_held; i++) {
		struct unit_held *h = &current->held[i];

		if (unit_lock_class(h->lock)->type != UNIT_MUTEX)
			unit_fail("cpu", "call to other CPUs at %s while holding %s",
				  where, unit_lock_describe(h, buf, sizeof(buf)));
	}
}

static void count_wait(void)
{
	__atomic_fetch_add(&waits, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&waiting, 1, __ATOMIC_RELAXED);
}

void unit_cpu_wait_begin(const char *where)
{
	check_caller(where);
	count_wait();
}

void unit_cpu_wait_end(void)
{
	__atomic_fetch_sub(&waiting, 1, __ATOMIC_RELAXED);
}

static void wait_for(unsigned long *section)
{
	unsigned long seen = __atomic_load_n(section, __ATOMIC_SEQ_CST);

	if (!(seen % 2))
		return;
	count_wait();
	while (__atomic_load_n(section, __ATOMIC_ACQUIRE) == seen)
		sched_yield();
	unit_cpu_wait_end();
}

static void call(int cpu, void (*fn)(void *arg), void *arg)
{
	__atomic_fetch_add(&cpus[cpu].called, 1, __ATOMIC_SEQ_CST);
	if (cpu != current->slot && !unit_mutants.call_does_not_wait)
		wait_for(&cpus[cpu].section);
	acting = cpu + 1;
	fn(arg);
	acting = 0;
	__atomic_fetch_sub(&cpus[cpu].called, 1, __ATOMIC_RELEASE);
}

void unit_call_cpus(const unsigned long *mask, bool (*cond)(int cpu, void *arg),
		    void (*fn)(void *arg), void *arg, bool wait, const char *where)
{
	check_caller(where);
	if (!wait)
		unit_fail("cpu", "a call to other CPUs that waits for none of them, at %s",
			  where);
	__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < UNIT_MAX_TASKS; i++) {
		unsigned long word = __atomic_load_n(&mask[i / 64],
						     __ATOMIC_RELAXED);

		if (word >> i % 64 & 1 && cond(i, arg))
			call(i, fn, arg);
	}
}

static bool always(int cpu, void *arg)
{
	return true;
}

void unit_call_cpu(int cpu, void (*fn)(void *arg), void *arg, bool wait,
		   const char *where)
{
	unsigned long mask[UNIT_MAX_TASKS / 64] = {};

	mask[cpu / 64] = 1ul << cpu % 64;
	unit_call_cpus(mask, always, fn, arg, wait, where);
}

unsigned long unit_cpu_calls(void)
{
	return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

unsigned long unit_cpu_waits(void)
{
	return __atomic_load_n(&waits, __ATOMIC_RELAXED);
}

unsigned int unit_cpu_waiting(void)
{
	return __atomic_load_n(&waiting, __ATOMIC_RELAXED);
}
