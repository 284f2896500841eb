/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests: each is a function, runs in a process of its own, and passes if it
 * comes back and left nothing behind.
 */
#ifndef _UNIT_TAP_H
#define _UNIT_TAP_H

#include "rig/rig.h"

enum {
	UNIT_T_RT = 1,		/* run again by the rules of PREEMPT_RT */
	UNIT_T_address = 2,	/* needs AddressSanitizer */
	UNIT_T_thread = 4,	/* needs ThreadSanitizer */
};

struct unit_test {
	const char *name;
	const char *expect;	/* planted: what it must die with; a|b: either */
	int flags;
	unsigned int limit;	/* seconds, where it is not the run's */
	void (*fn)(void);
	struct unit_test *next;
};

void unit_test_register(struct unit_test *t);

#define __UNIT_TEST(func, title, fl, dies, secs)			\
	static void func(void);						\
	static struct unit_test __test_##func = {			\
		.name = title, .expect = dies, .flags = fl, .fn = func,	\
		.limit = secs,						\
	};								\
	static void __attribute__((__constructor__)) __reg_##func(void)	\
	{								\
		unit_test_register(&__test_##func);			\
	}								\
	static void func(void)

/* A promise; TEST_RT() holds it by both sets of context rules. */
#define TEST(func, title)	__UNIT_TEST(func, title, 0, NULL, 0)
#define TEST_RT(func, title)	__UNIT_TEST(func, title, UNIT_T_RT, NULL, 0)
/* A planted bug: passes only if it dies with this text in its last words. */
#define PLANTED(func, title, dies) \
	__UNIT_TEST(func, "planted: " title, 0, dies, 0)
#define PLANTED_FOR(san, func, title, dies) \
	__UNIT_TEST(func, "planted: " title, UNIT_T_##san, dies, 0)
/* A planted bug that shows as a hang, which is found after a second. */
#define PLANTED_HANG(func, title) \
	__UNIT_TEST(func, "planted: " title, 0, "unit: hang:", 1)

#define EXPECT(cond)							\
	do {								\
		if (!(cond))						\
			unit_fail("expected", "%s at %s", #cond,	\
				  UNIT_HERE);				\
	} while (0)
#define EXPECT_EQ(a, b)							\
	do {								\
		long long __a = (long long)(a), __b = (long long)(b);	\
		if (__a != __b)						\
			unit_fail("expected", "%s == %s, got %lld and %lld at %s", \
				  #a, #b, __a, __b, UNIT_HERE);		\
	} while (0)

/* For the race tests: the run's seed, and how long each may take. */
extern uint64_t unit_seed;
extern unsigned int unit_race_ms;
extern uint64_t unit_jitter_seed;

#endif
