/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the kernel's bit operations; relaxed atomics, since the XArray reads its marks without a lock */
#ifndef _UNIT_SHIM_LINUX_BITOPS_H
#define _UNIT_SHIM_LINUX_BITOPS_H

#include <linux/types.h>
#include <linux/bits.h>
#include "rig/count.h"
static inline unsigned long __ffs(unsigned long w)
{
	return __builtin_ctzl(w);
}
static inline unsigned long __fls(unsigned long w)
{
	return 63 - __builtin_clzl(w);
}
static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}
static inline int ilog2(unsigned long x)
{
	return 63 - __builtin_clzl(x);
}
/* The XArray's marks are changed in rig/rcu.c: see unit_publish_node(). */
#ifdef UNIT_XARRAY
bool unit_test_bit(unsigned long nr, const unsigned long *p);
void unit_set_bit(unsigned long nr, unsigned long *p);
void unit_clear_bit(unsigned long nr, unsigned long *p);
bool unit_test_and_clear_bit(unsigned long nr, unsigned long *p);
#define test_bit	unit_test_bit
#define set_bit		unit_set_bit
#define clear_bit	unit_clear_bit
#else
static inline bool test_bit(unsigned long nr, const unsigned long *p)
{
	return __atomic_load_n(p + BIT_WORD(nr), __ATOMIC_RELAXED) &
	       BIT_MASK(nr);
}
static inline void set_bit(unsigned long nr, unsigned long *p)
{
	unit_jitter();
	__atomic_fetch_or(p + BIT_WORD(nr), BIT_MASK(nr), __ATOMIC_RELAXED);
}
static inline void clear_bit(unsigned long nr, unsigned long *p)
{
	unit_jitter();
	__atomic_fetch_and(p + BIT_WORD(nr), ~BIT_MASK(nr), __ATOMIC_RELAXED);
}
#endif
#define test_bit_le		test_bit
static inline bool test_and_set_bit(unsigned long nr, unsigned long *p)
{
	unit_jitter();
	return __atomic_fetch_or(p + BIT_WORD(nr), BIT_MASK(nr),
				 __ATOMIC_SEQ_CST) & BIT_MASK(nr);
}
static inline bool test_and_clear_bit(unsigned long nr, unsigned long *p)
{
	unit_jitter();
	return __atomic_fetch_and(p + BIT_WORD(nr), ~BIT_MASK(nr),
				  __ATOMIC_SEQ_CST) & BIT_MASK(nr);
}
#define __set_bit		set_bit
#define __clear_bit		clear_bit
#define __test_and_set_bit	test_and_set_bit
#ifdef UNIT_XARRAY
#define __test_and_clear_bit	unit_test_and_clear_bit
#else
#define __test_and_clear_bit	test_and_clear_bit
#endif

#endif
