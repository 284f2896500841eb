/* SPDX-License-Identifier: GPL-2.0 */
/*
 * custom: arch/x86/kvm/xen/guest_bits.h for the sanitizers, who cannot see what
 * assembly does. Force-included where events are sent; the assembly itself is
 * tested by tests/xen_bits.c.
 */
#ifndef __KVM_XEN_GUEST_BITS_H__
#define __KVM_XEN_GUEST_BITS_H__

#include <linux/bits.h>
#include <linux/types.h>
#include "rig/rig.h"

static inline bool guest_test_and_set_bit(u32 bit, u32 *word)
{
	unit_stall();

	return __atomic_fetch_or(word, 1u << bit, __ATOMIC_SEQ_CST) >> bit & 1;
}

static inline bool guest_test_and_clear_bit(u32 bit, u32 *word)
{
	unit_jitter();

	return __atomic_fetch_and(word, ~(1u << bit), __ATOMIC_SEQ_CST) >> bit & 1;
}

static inline void guest_or(u32 bits, u32 *word)
{
	unit_jitter();
	__atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
}

static inline bool guest_try_cmpxchg(u32 *word, u32 *old, u32 new)
{
	unit_jitter();

	return __atomic_compare_exchange_n(word, old, new, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

#endif
