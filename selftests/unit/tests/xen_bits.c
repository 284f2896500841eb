// SPDX-License-Identifier: GPL-2.0
/*
 * Both ABIs, bit by bit, with the locked operations as the kernel has them.
 * Each dword is tried as the last of a page before memory that cannot be touched,
 * and as the first after it: an access that is wider, or elsewhere, dies.
 */
#include <sys/mman.h>
#include <linux/kvm_host.h>
#include "arch/x86/kvm/xen/fifo_words.h"
#include "arch/x86/kvm/xen/two_level.h"
#include "rig/tap.h"

#define PORTS_WIDE	4096
#define PORTS_NARROW	1024

static char *area;	/* nothing, a page, nothing */

static void area_begin(void)
{
	area = mmap(NULL, 3 * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	EXPECT(area != MAP_FAILED);
	area += PAGE_SIZE;
	EXPECT(!mprotect(area, PAGE_SIZE, PROT_READ | PROT_WRITE));
}

/* A structure whose dword at @offset is the first or the last of the page. */
static void *with_dword(unsigned long offset, bool last)
{
	return area + (last ? PAGE_SIZE - 4 : 0) - offset;
}

static u32 dword(bool last)
{
	return *(u32 *)(area + (last ? PAGE_SIZE - 4 : 0));
}

static void set_dword(bool last, u32 value)
{
	*(u32 *)(area + (last ? PAGE_SIZE - 4 : 0)) = value;
}

/* Where Xen's public headers say, in bytes; not computed from any structure. */
static unsigned long mask_offset(bool wide)
{
	return wide ? 0xa00 : 0x880;
}

static void port_bits(u32 port, bool wide, bool last)
{
	unsigned long at = port / 32 * 4;
	u32 bit = 1u << port % 32;
	void *s = with_dword(0x800 + at, last);

	set_dword(last, 0);
	EXPECT(!xen_2l_pending(s, port));
	EXPECT(!xen_2l_set_pending(s, port));
	EXPECT_EQ(dword(last), bit);
	EXPECT(xen_2l_set_pending(s, port) && xen_2l_pending(s, port));
	EXPECT_EQ(dword(last), bit);
	set_dword(last, ~bit);
	EXPECT(!xen_2l_pending(s, port) && !xen_2l_set_pending(s, port));
	EXPECT_EQ(dword(last), ~0u);

	s = with_dword(mask_offset(wide) + at, last);
	set_dword(last, 0);
	EXPECT(!xen_2l_masked(s, port, wide));
	EXPECT(!xen_2l_clear_mask(s, port, wide));
	EXPECT_EQ(dword(last), 0);
	EXPECT(!xen_2l_set_mask(s, port, wide) && xen_2l_masked(s, port, wide));
	EXPECT_EQ(dword(last), bit);
	set_dword(last, ~0u);
	EXPECT(xen_2l_set_mask(s, port, wide));
	EXPECT(xen_2l_clear_mask(s, port, wide) && !xen_2l_masked(s, port, wide));
	EXPECT_EQ(dword(last), ~bit);
}

TEST(xen_bits_ports, "xen: bits: pending and mask of every port, in its dword and no other")
{
	area_begin();
	for (u32 port = 0; port < PORTS_WIDE; port++)
		for (int last = 0; last < 2; last++) {
			port_bits(port, true, last);
			if (port < PORTS_NARROW)
				port_bits(port, false, last);
		}
}

TEST(xen_bits_selector, "xen: bits: selectors of every port, as the guest's words are")
{
	for (u32 port = 0; port < PORTS_WIDE; port++) {
		EXPECT_EQ(xen_2l_selector(port, true), port / 64);
		EXPECT_EQ(xen_2l_selector(port, false), port / 32);
	}
	EXPECT_EQ(xen_2l_selector(PORTS_WIDE - 1, true), 63);
	EXPECT_EQ(xen_2l_selector(PORTS_NARROW - 1, false), 31);
}

/* Where vcpu_info begins: any multiple of four, for a straddle to be possible. */
static void raise(u32 sel, bool wide, unsigned int align)
{
	u8 *v = (u8 *)area + 64 + align;
	unsigned long at = (wide ? 8 : 4) + sel / 32 * 4;

	memset(area, 0, 256);
	EXPECT(!xen_2l_upcall_pending(v));
	EXPECT(xen_2l_raise(v, sel, wide));
	EXPECT_EQ(v[0], 1);
	EXPECT(xen_2l_upcall_pending(v));
	EXPECT_EQ(*(u32 *)(v + at), 1u << sel % 32);
	/* Known already: the flag is the guest's affair now. */
	v[0] = 0;
	EXPECT(!xen_2l_raise(v, sel, wide));
	EXPECT_EQ(v[0], 0);
	/* Nothing else was written. */
	*(u32 *)(v + at) = 0;
	for (int i = 0; i < 256; i++)
		EXPECT_EQ(area[i], 0);
}

TEST(xen_bits_raise, "xen: bits: a selector goes to its bit, with the flag, at any alignment")
{
	area_begin();
	for (unsigned int align = 0; align < 64; align += 4) {
		for (u32 sel = 0; sel < 64; sel++)
			raise(sel, true, align);
		for (u32 sel = 0; sel < 32; sel++)
			raise(sel, false, align);
	}
}

TEST(xen_bits_raise_width, "xen: bits: a selector is raised by a dword and no more")
{
	area_begin();
	/* The last dword of a wide selector ends the page; the flag is before it. */
	for (u32 sel = 32; sel < 64; sel++) {
		void *v = with_dword(12, true);

		set_dword(true, 0);
		EXPECT(xen_2l_raise(v, sel, true));
		EXPECT_EQ(dword(true), 1u << (sel - 32));
	}
	for (u32 sel = 0; sel < 32; sel++) {
		set_dword(true, 0);
		EXPECT(xen_2l_raise(with_dword(4, true), sel, false));
		EXPECT_EQ(dword(true), 1u << sel);
	}
	/* And the flag by a byte: the page ends with it. */
	area[PAGE_SIZE - 1] = 0;
	xen_2l_set_upcall(area + PAGE_SIZE - 1);
	EXPECT_EQ(area[PAGE_SIZE - 1], 1);
}

static void raise_many(u64 sels, bool wide)
{
	u32 *v = (u32 *)(area + 68);

	memset(area, 0, 256);
	v[wide ? 2 : 1] = 0x10;
	xen_2l_raise_many(v, sels, wide);
	EXPECT_EQ(((u8 *)v)[0], 1);
	EXPECT_EQ(v[wide ? 2 : 1], (u32)sels | 0x10);
	EXPECT_EQ(v[wide ? 3 : 2], wide ? sels >> 32 : 0);
}

TEST(xen_bits_raise_many, "xen: bits: many selectors at once, beside those that are there")
{
	uint64_t rnd = unit_seed;

	area_begin();
	raise_many(~0ull, true);
	raise_many(1ull << 63, true);
	raise_many(1, true);
	/* Of a word parked for the other layout what fits. */
	raise_many(~0ull, false);
	for (int i = 0; i < 1000; i++) {
		raise_many(unit_rand(&rnd), true);
		raise_many(unit_rand(&rnd), false);
	}
}

#define P	(1u << 31)
#define M	(1u << 30)
#define L	(1u << 29)
#define B	(1u << 28)

static void append(bool last, u32 word, u32 port, int r, u32 then)
{
	set_dword(last, word);
	EXPECT_EQ(xen_fifo_append(with_dword(0, last), port), r);
	EXPECT_EQ(dword(last), then);
}

TEST(xen_bits_fifo, "xen: bits: FIFO words: a link goes behind a tail that is in its queue, and to no other")
{
	struct evtchn_fifo_control_block *cb;

	area_begin();
	for (int last = 0; last < 2; last++) {
		for (u32 port = 1; port < 1 << 17; port = port * 2 + 1) {
			append(last, L, port, 1, L | port);
			append(last, P | M | L, port, 1, P | M | L | port);
			/* What a guest has left there is nobody's. */
			append(last, L | B | 0x1ffff, port, 1, L | port);
			append(last, P | M, port, 0, P | M);
			append(last, 0x1ffff, port, 0, 0x1ffff);
		}
		set_dword(last, P);
		EXPECT(xen_fifo_test(with_dword(0, last), 31));
		EXPECT(!xen_fifo_test(with_dword(0, last), 30));
	}

	/* The last control block of a page, and each of its queues. */
	cb = (void *)(area + PAGE_SIZE - sizeof(*cb));
	for (u32 q = 0; q < 16; q++) {
		EXPECT(xen_fifo_set_ready(cb, q));
		EXPECT(!xen_fifo_set_ready(cb, q));
		EXPECT_EQ(cb->ready, (2u << q) - 1);
	}
}
