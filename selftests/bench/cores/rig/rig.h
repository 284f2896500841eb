/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rig under the unit harness's shims, for measuring: the same names, and
 * nothing that checks. A thread is a CPU, bound to a processor of its own.
 */
#ifndef _UNIT_RIG_H
#define _UNIT_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "rig/count.h"

#define UNIT_HERE	""
#define UNIT_MAX_TASKS	64
#define PF_KTHREAD	0x00200000
#define CORES_SPINS	4096

struct mm_struct;

/*
 * Written by its own thread, read by others: @section is odd while interrupts are
 * off, @rcu and @srcu say how many sections of readers it is in. Written by others:
 * @called, how many wait for it or run a function in its place.
 */
struct task_struct {
	int slot;
	pid_t pid;
	unsigned int flags;
	unsigned int preempt;
	unsigned int hardirq;
	struct mm_struct *mm;
	unsigned long section;
	unsigned int called;
	unsigned long rcu;
	unsigned long srcu;
} __attribute__((__aligned__(128)));

extern struct task_struct unit_tasks[UNIT_MAX_TASKS];
extern __thread struct task_struct *unit_current;
#define current		unit_current

/* No bug is planted here. */
struct unit_mutants {
	bool invalidate_skipped;
	bool said_unheard;
};

extern struct unit_mutants unit_mutants;

/* Says why and ends the program: what was to be measured is broken. */
void unit_fail(const char *kind, const char *fmt, ...)
	__attribute__((__noreturn__, __format__(printf, 2, 3)));
#define unit_warn(where, ...)	unit_fail("warning", __VA_ARGS__)
#define unit_log(...)		((void)0)

static inline unsigned int unit_warnings_seen(void)
{
	return 0;
}

#define unit_might_sleep(where)		((void)0)
#define unit_fatal_signal_pending(t)	false
#define unit_now_and_then(n)		((void)(n), false)

static inline void cores_pause(void)
{
	__builtin_ia32_pause();
}

void cores_yield(void);
uint64_t unit_now_ns(void);

/*
 * Waits a little. A thread can lose its processor, which a CPU of the kernel does
 * not while it holds a spinning lock: who waited long gives its own away.
 */
static inline void cores_spin(unsigned int *n)
{
	if (++*n % CORES_SPINS)
		cores_pause();
	else
		cores_yield();
}

#define unit_relax()		cores_pause()

/* Who is called takes that interrupt before it turns interrupts off. */
void cores_called(void);

/*
 * Interrupts off and on. The store is plain, as the instruction has no barrier for
 * others: who wants to know makes one on each CPU, see unit_call_cpus().
 */
static inline unsigned long unit_irq_off(const char *where)
{
	unsigned long was = current->section & 1;

	if (!was)
		__atomic_store_n(&current->section, current->section + 1,
				 __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(!was && __atomic_load_n(&current->called,
						     __ATOMIC_RELAXED), 0))
		cores_called();
	return was;
}

static inline void unit_irq_restore(unsigned long was, const char *where)
{
	if (!was)
		__atomic_store_n(&current->section, current->section + 1,
				 __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void unit_assert_irqs(bool off, const char *where) {}

#endif
