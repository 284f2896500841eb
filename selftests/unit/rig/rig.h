/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The harness's core: the task that every thread stands for, and how a test
 * fails. Included by the shims, so it may use no kernel header itself.
 */
#ifndef _UNIT_RIG_H
#define _UNIT_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "rig/count.h"

#define __UNIT_STR(x)	#x
#define _UNIT_STR(x)	__UNIT_STR(x)
#define UNIT_HERE	__FILE__ ":" _UNIT_STR(__LINE__)

#define UNIT_MAX_TASKS	64
#define UNIT_MAX_HELD	32

/* How a test's process ends when a check fails; anything else is a crash. */
#define UNIT_EXIT_FAILED	70
#define UNIT_EXIT_SKIPPED	71

#define PF_KTHREAD	0x00200000

struct unit_lock;
struct mm_struct;
struct unit_waiter;

struct unit_held {
	struct unit_lock *lock;
	int mode;
	int subclass;
	bool try;
	bool not_really;	/* a planted lock that locks nothing */
	bool nested_read;	/* taken on top of our own read lock */
	const char *where;
};

/* Written by its own thread, but for @fatal and @waiting. */
struct task_struct {
	int slot;
	pid_t pid;
	unsigned int flags;
	struct mm_struct *mm;
	char comm[24];
	bool used;

	unsigned int preempt;
	unsigned int irqs_off;
	unsigned int rcu;
	unsigned int hardirq;
	unsigned int notifier;
	unsigned int waiting_cond;	/* between prepare and sleep */
	bool asleep;			/* about to be, in a run loop */
	struct {
		unsigned long long run_delay;
	} sched_info;
	bool fatal;
	struct unit_waiter *waiting;

	int nr_held;
	struct unit_held held[UNIT_MAX_HELD];
};

extern struct task_struct unit_tasks[UNIT_MAX_TASKS];
extern __thread struct task_struct *unit_current;
#define current unit_current

/* PREEMPT_RT's rules instead of the plain kernel's. */
extern bool unit_rt;

/* Bugs planted in the rig, to show that a race test would find them. */
struct unit_mutants {
	bool write_does_not_wait;	/* write lock ignores readers */
	bool invalidate_skipped;	/* notifier never tells the caches */
	bool invalidate_after_zap;	/* notifier tells them too late */
	bool end_skipped;		/* range end never told */
	bool end_early;			/* range end told before the zap */
	bool release_skipped;		/* mm dies silently */
	bool find_blind;		/* rcu_dereference() may return NULL */
	bool wake_lost;			/* wake-ups wake nobody */
	bool wait_does_not_wait;	/* waits return at once */
	bool call_does_not_wait;	/* calls to other CPUs, too */
	bool said_unheard;		/* nor do waits for what a CPU says */
	bool readers_stall;		/* no bug, but others show sooner */
	bool rcu_early;			/* callbacks wait for no reader */
	bool kick_lost;			/* vCPUs are not woken */
	bool sleeper_unseen;		/* nobody sees that one sleeps */
	bool work_lost;			/* nobody comes later */
	bool latch_forgotten;		/* latched events are not */
	bool words_first;		/* the announcement before the event */
	bool relatch_forgotten;		/* what a flush cannot deliver */
	bool parked_forgotten;		/* selectors that could not be raised */

	/* Planted between the caches' own files: rig/mutants.c */
	bool wait_never;		/* refresh waits for no range */
	bool any_never;			/* the index says there is no cache */
	bool any_one_page;		/* it looks at the first page only */
	bool invalidate_nothing;	/* caches found, none taken */
	bool unmap_nothing;
	bool quiesce_nothing;		/* readers without a lock not waited for */
	bool taken_unheard;		/* nor those that another waits for */
	bool reader_unknown;		/* readers in no mask */
	bool live_kept;			/* caches taken, their readers not told */
	bool insert_unheard;		/* no memory for the index: never mind */
	bool map_unheard;		/* no page: never mind */

	/* In the TDP MMU and under it: rig/tdp_mutants.c, rig/tdp.c */
	bool flush_lost;		/* now and then TLBs are not flushed */
	bool spte_stored;		/* entries are stored, not exchanged */
	bool stats_dropped;		/* mappings that go are not counted now and then */
	bool lpage_allowed;		/* pages stay huge while attributes change */
	bool zap_nothing;		/* now and then a range is not zapped */
	bool nx_untracked;		/* a table goes, and stays on its list */
	bool table_uncounted;		/* a table comes, and is not counted */
	bool unsettled_unseen;		/* who finds nothing does not wait */
	bool log_unlooked;		/* a fault does not look at the log again */
	bool retry_never;		/* no fault is ever stale */
	bool smm_passed_over;		/* trees of the other address space */
	bool overlaps_never;		/* no gfn is ever being invalidated */
	bool walk_skips;		/* now and then an entry is passed over */
	bool dirty_untold;		/* now and then a page is not told dirty */
	bool log_untold;		/* now and then a write is not logged */
};
extern struct unit_mutants unit_mutants;

/* Fail the test: say why, what is held, where we are; does not return. */
void unit_fail(const char *kind, const char *fmt, ...)
	__attribute__((__noreturn__, __format__(printf, 2, 3)));
void unit_log(const char *fmt, ...)
	__attribute__((__format__(printf, 1, 2)));
void unit_warn(const char *where, const char *fmt, ...)
	__attribute__((__format__(printf, 2, 3)));
/* Expect exactly @n warnings from here to the end of the test. */
void unit_expect_warnings(unsigned int n);
unsigned int unit_warnings_seen(void);
void unit_expect_check(void);
void unit_log_tasks(void);

void unit_might_sleep(const char *where);
bool unit_fatal_signal_pending(struct task_struct *t);
void unit_send_fatal_signal(struct task_struct *t);
void unit_relax(void);
/* True in one of @n calls of a thread, which ones is chance. */
bool unit_now_and_then(unsigned int n);

/* Where a reader has looked and not touched yet: with readers_stall it may stay a while. */
void unit_stall(void);

unsigned long unit_irq_off(const char *where);
void unit_irq_restore(unsigned long flags, const char *where);
void unit_assert_irqs(bool off, const char *where);

/* A thread of the test; it must hold nothing when it ends. */
struct unit_thread;
struct unit_thread *unit_thread_start(const char *comm, struct mm_struct *mm,
				      void (*fn)(void *arg), void *arg);
void unit_thread_join(struct unit_thread *t);
struct task_struct *unit_thread_task(struct unit_thread *t);
void unit_task_begin(const char *comm, struct mm_struct *mm);
void unit_task_end(void);
/* Poll until @cond or a limit in milliseconds; false when it ran out. */
bool unit_wait_until(bool (*cond)(void *arg), void *arg, unsigned int ms);

/* Make the current thread a CPU in a hard interrupt, and back. */
void unit_hardirq_enter(void);
void unit_hardirq_exit(void);

uint64_t unit_rand(uint64_t *state);
uint64_t unit_now_ns(void);

#endif
