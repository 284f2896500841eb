/* SPDX-License-Identifier: GPL-2.0 */
/* dup: ticks to nanoseconds, as the guest computes them */
#ifndef _UNIT_SHIM_ASM_PVCLOCK_H
#define _UNIT_SHIM_ASM_PVCLOCK_H

#include <linux/types.h>
#include <asm/pvclock-abi.h>

static inline u64 pvclock_scale_delta(u64 delta, u32 mul_frac, int shift)
{
	if (shift < 0)
		delta >>= -shift;
	else
		delta <<= shift;

	return (__uint128_t)delta * mul_frac >> 32;
}

#endif
