/* SPDX-License-Identifier: GPL-2.0 */
/* dup: 64 bits are no matter here */
#ifndef _UNIT_SHIM_LINUX_MATH64_H
#define _UNIT_SHIM_LINUX_MATH64_H

#include <linux/types.h>

static inline u64 div64_u64(u64 dividend, u64 divisor)
{
	return dividend / divisor;
}

/* Leaves the quotient, returns the remainder. */
#define do_div(n, base) \
	({ u64 __n = (n); (n) = __n / (base); (u32)(__n % (base)); })

#endif
