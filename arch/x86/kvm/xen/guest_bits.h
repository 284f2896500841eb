/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Locked operations on a dword of guest memory. The kernel's own bit operations
 * are eight bytes wide, and its atomic_fetch_or() loops for as long as somebody
 * else, here a guest, changes the word.
 */
#ifndef __KVM_XEN_GUEST_BITS_H__
#define __KVM_XEN_GUEST_BITS_H__

#include <asm/alternative.h>
#include <asm/rmwcc.h>

static __always_inline bool guest_test_and_set_bit(u32 bit, u32 *word)
{
	bool was;

	asm volatile(LOCK_PREFIX "btsl %[bit], %[word]"
		     : "=@ccc" (was), [word] "+m" (*word)
		     : [bit] "r" (bit) : "memory");

	return was;
}

static __always_inline bool guest_test_and_clear_bit(u32 bit, u32 *word)
{
	bool was;

	asm volatile(LOCK_PREFIX "btrl %[bit], %[word]"
		     : "=@ccc" (was), [word] "+m" (*word)
		     : [bit] "r" (bit) : "memory");

	return was;
}

static __always_inline void guest_or(u32 bits, u32 *word)
{
	asm volatile(LOCK_PREFIX "orl %[bits], %[word]"
		     : [word] "+m" (*word) : [bits] "r" (bits) : "memory");
}

/* Write @new if the word is @old; else @old is what it is. Return: whether it was. */
static __always_inline bool guest_try_cmpxchg(u32 *word, u32 *old, u32 new)
{
	bool was;

	asm volatile(LOCK_PREFIX "cmpxchgl %[new], %[word]"
		     : "=@ccz" (was), [word] "+m" (*word), "+a" (*old)
		     : [new] "r" (new) : "memory");

	return was;
}

#endif
