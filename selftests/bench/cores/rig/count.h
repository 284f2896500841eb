/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the shims count and order by. Of all that is counted in the unit harness
 * only locks are, and only in the objects that are built to count.
 */
#ifndef _UNIT_COUNT_H
#define _UNIT_COUNT_H

enum unit_op {
	UNIT_ONCE, UNIT_RMW, UNIT_DEREF, UNIT_RCU, UNIT_LOCK_RAW, UNIT_LOCK_SPIN,
	UNIT_LOCK_READ, UNIT_LOCK_WRITE, UNIT_LOCK_MUTEX, UNIT_ALLOC,
};

/* Locks this thread has taken, of any kind. */
extern __thread unsigned long cores_locks;

static inline void unit_tick(enum unit_op op)
{
#ifdef CORES_COUNT
	if (op >= UNIT_LOCK_RAW && op <= UNIT_LOCK_MUTEX)
		cores_locks++;
#endif
}

/* Nothing comes between two steps here but what comes by itself. */
static inline void unit_jitter(void) {}
static inline void unit_sched_point(void) {}

static inline void unit_data_race_begin(void) {}
static inline void unit_data_race_end(void) {}

/* x86: only a store followed by a load can be seen in another order. */
static inline void unit_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void unit_fence_release(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void unit_fence_acquire(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

#endif
