/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The 2-level event channel ABI: bits in shared_info and vcpu_info, as Xen's
 * public xen.h and event_channel.h define them. Pure functions over mapped guest
 * memory; they know neither KVM nor who may look.
 *
 * Every locked access is four bytes wide at a multiple of four, whatever the word
 * of the guest: dwords of little-endian words are at the same bits, vcpu_info may
 * begin at any multiple of four, and eight bytes there could cross a cache line,
 * which is a split lock in the host. All of them order everything (x86 LOCK).
 */
#ifndef __KVM_XEN_TWO_LEVEL_H__
#define __KVM_XEN_TWO_LEVEL_H__

#include <linux/bitops.h>
#include <linux/bits.h>
#include <linux/types.h>

#include "compat.h"
#include "guest_bits.h"

/* Set a port's pending bit. Return: whether it was set. */
static inline bool xen_2l_set_pending(void *shinfo, u32 port)
{
	u32 *pending = shinfo + offsetof(struct shared_info, evtchn_pending);

	return guest_test_and_set_bit(port % 32, &pending[port / 32]);
}

static inline bool xen_2l_pending(const void *shinfo, u32 port)
{
	const u32 *pending = shinfo + offsetof(struct shared_info,
					       evtchn_pending);

	return READ_ONCE(pending[port / 32]) & BIT(port % 32);
}

static inline u32 *xen_2l_mask_word(void *shinfo, u32 port, bool wide)
{
	u32 *mask = shinfo + (wide ? offsetof(struct shared_info, evtchn_mask) :
			      offsetof(struct compat_shared_info, evtchn_mask));

	return &mask[port / 32];
}

static inline bool xen_2l_masked(void *shinfo, u32 port, bool wide)
{
	return READ_ONCE(*xen_2l_mask_word(shinfo, port, wide)) &
	       BIT(port % 32);
}

static inline bool xen_2l_set_mask(void *shinfo, u32 port, bool wide)
{
	return guest_test_and_set_bit(port % 32,
				      xen_2l_mask_word(shinfo, port, wide));
}

static inline bool xen_2l_clear_mask(void *shinfo, u32 port, bool wide)
{
	return guest_test_and_clear_bit(port % 32,
					xen_2l_mask_word(shinfo, port, wide));
}

/* The word of evtchn_pending that a port is in: its selector. */
static inline u32 xen_2l_selector(u32 port, bool wide)
{
	return port / (wide ? 64 : 32);
}

/*
 * The selectors of the dwords of evtchn_pending in @dwords, of which the first is
 * number @first. What lies beyond the guest's ports is nobody's.
 */
static inline u64 xen_2l_selectors(unsigned long dwords, u32 first, bool wide)
{
	u64 sels = 0;
	u32 bit, sel;

	for_each_set_bit(bit, &dwords, BITS_PER_LONG) {
		sel = xen_2l_selector((first + bit) * 32, wide);
		if (wide || sel < 32)
			sels |= BIT_ULL(sel);
	}

	return sels;
}

static inline u32 *xen_2l_sel_word(void *vcpu_info, u32 sel, bool wide)
{
	if (wide)
		return (u32 *)(vcpu_info + offsetof(struct vcpu_info,
						    evtchn_pending_sel)) +
		       sel / 32;

	return vcpu_info + offsetof(struct compat_vcpu_info,
				    evtchn_pending_sel);
}

static inline void xen_2l_set_upcall(void *vcpu_info)
{
	WRITE_ONCE(*(u8 *)vcpu_info, 1);
}

static inline bool xen_2l_upcall_pending(const void *vcpu_info)
{
	return READ_ONCE(*(const u8 *)vcpu_info);
}

/* Tell a vCPU of a word with pending events. Return: whether it did not know. */
static inline bool xen_2l_raise(void *vcpu_info, u32 sel, bool wide)
{
	if (guest_test_and_set_bit(sel % 32,
				   xen_2l_sel_word(vcpu_info, sel, wide)))
		return false;

	xen_2l_set_upcall(vcpu_info);

	return true;
}

/* The same for many words at once. */
static inline void xen_2l_raise_many(void *vcpu_info, u64 sels, bool wide)
{
	if ((u32)sels)
		guest_or((u32)sels, xen_2l_sel_word(vcpu_info, 0, wide));
	if (wide && sels >> 32)
		guest_or(sels >> 32, xen_2l_sel_word(vcpu_info, 32, wide));

	xen_2l_set_upcall(vcpu_info);
}

#endif
