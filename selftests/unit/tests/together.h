/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For threads that work against each other for a while. Relaxed throughout: how they
 * meet must not come from here. ThreadSanitizer then sees only the order that the code
 * under test makes.
 */
#ifndef _UNIT_TOGETHER_H
#define _UNIT_TOGETHER_H

#include <sched.h>
#include <time.h>
#include "rig/tap.h"

static bool together_stop;

static inline bool stopped(void)
{
	return __atomic_load_n(&together_stop, __ATOMIC_RELAXED);
}

static inline void stop_all(void)
{
	__atomic_store_n(&together_stop, true, __ATOMIC_RELAXED);
}

static inline void start_over(void)
{
	__atomic_store_n(&together_stop, false, __ATOMIC_RELAXED);
}

static inline void add(unsigned long *sum, unsigned long n)
{
	__atomic_fetch_add(sum, n, __ATOMIC_RELAXED);
}

/* How long a test waits for what a busy machine has not let happen yet. */
#define PATIENCE_NS	10000000000ull

/* Whether each count of @has is at least that of @least, structures of counts only. */
static inline bool all_reached(const void *has, const void *least, size_t size)
{
	const unsigned long *h = has, *l = least;

	for (size_t i = 0; i < size / sizeof(*h); i++)
		if (h[i] < l[i])
			return false;
	return true;
}

static inline uint64_t my_seed(void)
{
	return unit_seed ^ (uint64_t)current->slot << 32;
}

static inline void jitter(uint64_t *rnd)
{
	uint64_t r = unit_rand(rnd) % 64;

	if (r < 4)
		sched_yield();
	else if (r == 4)
		unit_relax();
}

static inline void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

#endif
