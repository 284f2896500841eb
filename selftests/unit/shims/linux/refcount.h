/* SPDX-License-Identifier: GPL-2.0 */
/* custom: reference counts that end the test when raised from zero or dropped below it */
#ifndef _UNIT_SHIM_LINUX_REFCOUNT_H
#define _UNIT_SHIM_LINUX_REFCOUNT_H

#include <linux/atomic.h>
#include <linux/bug.h>
typedef struct refcount_struct { atomic_t refs; } refcount_t;
#define REFCOUNT_INIT(n) { .refs = ATOMIC_INIT(n) }
static inline void refcount_set(refcount_t *r, int n) { atomic_set(&r->refs, n); }
static inline unsigned int refcount_read(const refcount_t *r)
{
	return atomic_read(&r->refs);
}
static inline void refcount_inc(refcount_t *r)
{
	if (atomic_inc_return(&r->refs) <= 1)
		unit_fail("refcount", "raised from zero");
}
static inline bool refcount_inc_not_zero(refcount_t *r)
{
	int old = atomic_read(&r->refs), seen;

	while (old) {
		seen = atomic_cmpxchg(&r->refs, old, old + 1);
		if (seen == old)
			return true;
		old = seen;
	}
	return false;
}
static inline bool refcount_dec_and_test(refcount_t *r)
{
	int now = atomic_dec_return(&r->refs);

	if (now < 0)
		unit_fail("refcount", "dropped below zero");
	return !now;
}

#endif
