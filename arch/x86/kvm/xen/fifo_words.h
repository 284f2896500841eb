/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The FIFO event channel ABI: event words and control blocks, as Xen's public
 * event_channel.h defines them. Pure functions over mapped guest memory; they know
 * neither KVM nor who may look.
 *
 * A guest that keeps the protocol changes a word that is BUSY only by setting or
 * clearing PENDING and MASKED. One that does not harms itself: nothing that is read
 * from a word is ever used as a port, and nobody tries for ever.
 */
#ifndef __KVM_XEN_FIFO_WORDS_H__
#define __KVM_XEN_FIFO_WORDS_H__

#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/types.h>

#include <asm/xen/interface.h>
#include <xen/interface/xen.h>
#include <xen/interface/event_channel.h>

#include "guest_bits.h"

/* Event words in a page of the event array. */
#define XEN_FIFO_WORDS		(PAGE_SIZE / sizeof(event_word_t))

/* Tries to link to a tail whose word goes on changing: before and while BUSY. */
#define XEN_FIFO_LINK_TRIES	4
#define XEN_FIFO_BUSY_TRIES	64

static inline bool xen_fifo_test(const u32 *word, u32 bit)
{
	return READ_ONCE(*word) & BIT(bit);
}

/* Return: 1 linked; 0 the tail is in no queue any more; -EAGAIN it changes. */
static inline int xen_fifo_try_link(u32 *tail, u32 port, int tries)
{
	u32 word = READ_ONCE(*tail);

	while (tries--) {
		if (!(word & BIT(EVTCHN_FIFO_LINKED)))
			return 0;
		if (guest_try_cmpxchg(tail, &word,
				      (word & ~(BIT(EVTCHN_FIFO_BUSY) |
						EVTCHN_FIFO_LINK_MASK)) | port))
			return 1;
	}

	return -EAGAIN;
}

/* Append a port to what is the last of its queue, if the guest has not taken it. */
static inline int xen_fifo_append(u32 *tail, u32 port)
{
	int r = xen_fifo_try_link(tail, port, XEN_FIFO_LINK_TRIES);

	if (r >= 0)
		return r;

	guest_test_and_set_bit(EVTCHN_FIFO_BUSY, tail);
	r = xen_fifo_try_link(tail, port, XEN_FIFO_BUSY_TRIES);
	if (r <= 0)
		guest_test_and_clear_bit(EVTCHN_FIFO_BUSY, tail);

	return r;
}

/* Tell the guest of a queue. Return: whether it did not know. */
static inline bool xen_fifo_set_ready(struct evtchn_fifo_control_block *cb,
				      u32 priority)
{
	return !guest_test_and_set_bit(priority, &cb->ready);
}

static_assert(sizeof(struct evtchn_fifo_control_block) == 72);
static_assert(offsetof(struct evtchn_fifo_control_block, head) == 8);

#endif
