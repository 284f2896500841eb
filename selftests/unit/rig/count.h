/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts of what the code under test asked of the kernel, per thread. A test
 * takes them before and after, and so measures cost without a clock.
 */
#ifndef _UNIT_COUNT_H
#define _UNIT_COUNT_H

enum unit_op {
	UNIT_ONCE,		/* READ_ONCE(), WRITE_ONCE(), plain atomics */
	UNIT_RMW,		/* atomic read-modify-write, full fences */
	UNIT_DEREF,		/* rcu_dereference(): steps of a tree walk */
	UNIT_RCU,		/* rcu_read_lock() */
	UNIT_LOCK_RAW,
	UNIT_LOCK_SPIN,
	UNIT_LOCK_READ,		/* rwlock for read */
	UNIT_LOCK_WRITE,	/* rwlock for write */
	UNIT_LOCK_MUTEX,
	UNIT_ALLOC,
	UNIT_SLEEP,		/* times a wait queue really put us to sleep */
	UNIT_WAKE,		/* wake-ups that found a sleeper */
	UNIT_OPS,
};

extern __thread unsigned long unit_ops[UNIT_OPS];

/* JITTER=n: a thread may stay at any of its steps for a while; 0: none does. */
extern unsigned int unit_jitter_n;
void unit_jitter_step(void);

/* Where the scheduler may come in: rig/lock.c. */
void unit_sched_point(void);

/* A step that is not counted. */
static inline void unit_jitter(void)
{
	if (__builtin_expect(unit_jitter_n, 0))
		unit_jitter_step();
}

static inline void unit_tick(enum unit_op op)
{
	unit_ops[op]++;
	unit_jitter();
}

void unit_data_race_begin(void);
void unit_data_race_end(void);

#endif
