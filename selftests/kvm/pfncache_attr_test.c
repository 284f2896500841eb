// SPDX-License-Identifier: GPL-2.0
/*
 * The attributes by which a VMM places shared_info, vcpu_info, the time and the
 * runstate areas: which addresses are taken, what is answered to the others, what
 * reads back, and that what is written lands there and nowhere else.
 *
 * These promises are the user space ABI that every VMM was written against; they
 * hold on the stock modules and must go on to hold.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "xvm.h"

#define PORT		11
#define NPAGES		8
#define RO_GPA		0x200000
#define UNMAPPED_GPA	0x400000
#define OFF		KVM_XEN_INVALID_GPA

#define VCPU_INFO	KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO
#define VCPU_INFO_HVA	KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA
#define TIME_INFO	KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO
#define RUNSTATE	KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR

FIXTURE(attr) {
	struct xvm vm;
	struct xvm_mem mem;
	uint8_t *readonly;
};

FIXTURE_SETUP(attr)
{
	xvm_mem_create(&self->mem, NPAGES);
	self->readonly = xvm_anon(1);
	xvm_create(&self->vm, true);
	xvm_add_cpu(&self->vm, 0);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	xvm_slot(&self->vm, 1, KVM_MEM_READONLY, RO_GPA, XVM_PAGE,
		 self->readonly);
}

FIXTURE_TEARDOWN(attr)
{
	xvm_destroy(&self->vm);
}

TEST_F(attr, shinfo_gfn_reads_back)
{
	EXPECT_EQ(KVM_XEN_INVALID_GFN, xvm_get_shinfo_gfn(&self->vm));
	EXPECT_EQ(0, xvm_shinfo_gfn(&self->vm, 1));
	EXPECT_EQ(1, xvm_get_shinfo_gfn(&self->vm));
	EXPECT_EQ(0, xvm_get_shinfo_hva(&self->vm));
	EXPECT_EQ(0, xvm_shinfo_gfn(&self->vm, KVM_XEN_INVALID_GFN));
	EXPECT_EQ(KVM_XEN_INVALID_GFN, xvm_get_shinfo_gfn(&self->vm));
	/* Twice is as good as once. */
	EXPECT_EQ(0, xvm_shinfo_gfn(&self->vm, KVM_XEN_INVALID_GFN));
}

TEST_F(attr, shinfo_hva_reads_back)
{
	EXPECT_EQ(0, xvm_get_shinfo_hva(&self->vm));
	EXPECT_EQ(0, xvm_shinfo_hva(&self->vm, self->mem.map));
	EXPECT_EQ((uintptr_t)self->mem.map, xvm_get_shinfo_hva(&self->vm));
	EXPECT_EQ(KVM_XEN_INVALID_GFN, xvm_get_shinfo_gfn(&self->vm));
	EXPECT_EQ(0, xvm_shinfo_hva(&self->vm, NULL));
	EXPECT_EQ(0, xvm_get_shinfo_hva(&self->vm));
}

TEST_F(attr, shinfo_bad_addresses_are_refused)
{
	uint8_t *hole = xvm_anon(1);

	ASSERT_EQ(0, munmap(hole, XVM_PAGE));
	EXPECT_EQ(-EINVAL, xvm_shinfo_hva(&self->vm, self->mem.map + 8));
	EXPECT_EQ(-EINVAL, xvm_shinfo_hva(&self->vm,
					  (void *)0xffff888000000000UL));
	EXPECT_EQ(-EFAULT, xvm_shinfo_hva(&self->vm, hole));
	EXPECT_EQ(-EFAULT, xvm_shinfo_gfn(&self->vm, UNMAPPED_GPA / XVM_PAGE));
	EXPECT_EQ(-EFAULT, xvm_shinfo_gfn(&self->vm, RO_GPA / XVM_PAGE));
}

/* What could be looked up once is remembered, and used when it is there again. */
TEST_F(attr, shinfo_becomes_live_with_its_slot)
{
	uint64_t gfn = UNMAPPED_GPA / XVM_PAGE;
	struct xvm_mem late;

	xvm_mem_create(&late, 1);
	xvm_slot(&self->vm, 2, 0, UNMAPPED_GPA, XVM_PAGE, late.map);
	EXPECT_EQ(0, xvm_shinfo_gfn(&self->vm, gfn));
	xvm_slot(&self->vm, 2, 0, 0, 0, NULL);
	EXPECT_EQ(gfn, xvm_get_shinfo_gfn(&self->vm));
	EXPECT_EQ(-EFAULT, xvm_send(&self->vm, PORT, 0));
	xvm_slot(&self->vm, 2, 0, UNMAPPED_GPA, XVM_PAGE, late.map);
	EXPECT_EQ(0, xvm_send(&self->vm, PORT, 0));
	EXPECT_TRUE(xvm_pending(late.witness, PORT));
}

TEST_F(attr, shinfo_can_be_moved_while_in_use)
{
	uint8_t *w = self->mem.witness;
	int i;

	for (i = 0; i < 3 * (NPAGES - 1); i++) {
		unsigned int port = PORT + i;
		int page = 1 + i % (NPAGES - 1), j;

		ASSERT_EQ(0, i & 1 ? xvm_shinfo_gfn(&self->vm, page) :
				     xvm_shinfo_hva(&self->vm, self->mem.map +
						    page * XVM_PAGE));
		ASSERT_EQ(0, xvm_send(&self->vm, port, 0));
		for (j = 0; j < NPAGES; j++)
			EXPECT_EQ(j == page, xvm_pending(w + j * XVM_PAGE, port));
	}
}

TEST_F(attr, disabled_shinfo_is_not_written)
{
	uint8_t before[XVM_PAGE];

	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, 1));
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, KVM_XEN_INVALID_GFN));
	memcpy(before, self->mem.witness + XVM_PAGE, XVM_PAGE);
	EXPECT_EQ(-EINVAL, xvm_send(&self->vm, PORT + 1, 0));
	EXPECT_EQ(0, memcmp(before, self->mem.witness + XVM_PAGE, XVM_PAGE));
}

TEST_F(attr, vcpu_info_addresses)
{
	uintptr_t hva = (uintptr_t)self->mem.map;
	uint64_t value;

	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, VCPU_INFO, XVM_PAGE + 4));
	ASSERT_EQ(0, xvm_get_cpu_attr(&self->vm, 0, VCPU_INFO, &value));
	EXPECT_EQ(XVM_PAGE + 4, value);
	/* The last place it fits in, and the first it does not. */
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, VCPU_INFO,
				  2 * XVM_PAGE - XEN_VCPU_INFO_SIZE));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&self->vm, 0, VCPU_INFO,
					2 * XVM_PAGE - XEN_VCPU_INFO_SIZE + 4));
	EXPECT_EQ(-ENXIO, xvm_cpu_attr(&self->vm, 0, VCPU_INFO, XVM_PAGE + 2));
	EXPECT_EQ(-EFAULT, xvm_cpu_attr(&self->vm, 0, VCPU_INFO, UNMAPPED_GPA));
	EXPECT_EQ(-EFAULT, xvm_cpu_attr(&self->vm, 0, VCPU_INFO, RO_GPA));
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, VCPU_INFO, OFF));
	ASSERT_EQ(0, xvm_get_cpu_attr(&self->vm, 0, VCPU_INFO, &value));
	EXPECT_EQ(OFF, value);

	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, VCPU_INFO_HVA, hva + 4));
	ASSERT_EQ(0, xvm_get_cpu_attr(&self->vm, 0, VCPU_INFO_HVA, &value));
	EXPECT_EQ(hva + 4, value);
	ASSERT_EQ(0, xvm_get_cpu_attr(&self->vm, 0, VCPU_INFO, &value));
	EXPECT_EQ(OFF, value);
	EXPECT_EQ(-ENXIO, xvm_cpu_attr(&self->vm, 0, VCPU_INFO_HVA, hva + 2));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&self->vm, 0, VCPU_INFO_HVA,
					hva + XVM_PAGE - 4));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&self->vm, 0, VCPU_INFO_HVA,
					0xffff888000000000UL));
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, VCPU_INFO_HVA, 0));
	ASSERT_EQ(0, xvm_get_cpu_attr(&self->vm, 0, VCPU_INFO_HVA, &value));
	EXPECT_EQ(0, value);
}

/* A failed move does not take away a refused address's place: it reads back. */
TEST_F(attr, refused_alignment_leaves_vcpu_info_alone)
{
	uint64_t value;

	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, 1));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0, VCPU_INFO, 2 * XVM_PAGE));
	EXPECT_EQ(-ENXIO, xvm_cpu_attr(&self->vm, 0, VCPU_INFO, 3));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&self->vm, 0, VCPU_INFO, XVM_PAGE - 4));
	ASSERT_EQ(0, xvm_get_cpu_attr(&self->vm, 0, VCPU_INFO, &value));
	EXPECT_EQ(2 * XVM_PAGE, value);
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	EXPECT_EQ(1, self->mem.witness[2 * XVM_PAGE + XEN_VCPU_INFO_SEL]);
}

TEST_F(attr, time_info_addresses)
{
	uint64_t value;

	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, TIME_INFO, XVM_PAGE + 1));
	ASSERT_EQ(0, xvm_get_cpu_attr(&self->vm, 0, TIME_INFO, &value));
	EXPECT_EQ(XVM_PAGE + 1, value);
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, TIME_INFO,
				  2 * XVM_PAGE - XEN_TIME_INFO_SIZE));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&self->vm, 0, TIME_INFO,
					2 * XVM_PAGE - XEN_TIME_INFO_SIZE + 1));
	EXPECT_EQ(-EFAULT, xvm_cpu_attr(&self->vm, 0, TIME_INFO, UNMAPPED_GPA));
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, TIME_INFO, OFF));
	ASSERT_EQ(0, xvm_get_cpu_attr(&self->vm, 0, TIME_INFO, &value));
	EXPECT_EQ(OFF, value);
}

TEST_F(attr, runstate_addresses)
{
	uint64_t value;

	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, RUNSTATE, XVM_PAGE + 1));
	ASSERT_EQ(0, xvm_get_cpu_attr(&self->vm, 0, RUNSTATE, &value));
	EXPECT_EQ(XVM_PAGE + 1, value);
	/* It may lie across two pages, but both must be there. */
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, RUNSTATE, 2 * XVM_PAGE - 1));
	EXPECT_EQ(-EFAULT, xvm_cpu_attr(&self->vm, 0, RUNSTATE,
					NPAGES * XVM_PAGE - 1));
	/* This one attribute is off after a failure. */
	EXPECT_NE(0, xvm_get_cpu_attr(&self->vm, 0, RUNSTATE, &value));
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, RUNSTATE,
				  NPAGES * XVM_PAGE - XEN_RUNSTATE_SIZE));
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, RUNSTATE, OFF));
	EXPECT_NE(0, xvm_get_cpu_attr(&self->vm, 0, RUNSTATE, &value));
}

/* Every way the area can lie on a page's end: whole, and nothing else touched. */
TEST_F(attr, runstate_across_pages_is_written_exactly)
{
	const int room = 64;
	int off, i, state;
	uint8_t *area;

	for (off = 0; off <= XEN_RUNSTATE_SIZE; off++) {
		area = self->mem.witness + 2 * XVM_PAGE - off;
		memset(area - room, 0xee, XEN_RUNSTATE_SIZE + 2 * room);
		ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0, RUNSTATE,
					  2 * XVM_PAGE - off));
		state = off % 4;
		ASSERT_EQ(0, xvm_runstate(&self->vm, 0, state));
		EXPECT_EQ(state, area[0]);
		for (i = 1; i < 4; i++)
			EXPECT_EQ(0, area[i]);
		/* Padding: cleared or left alone, never the kernel's stack. */
		for (; i < 8; i++)
			EXPECT_TRUE(area[i] == 0 || area[i] == 0xee);
		for (i = 1; i <= room; i++) {
			EXPECT_EQ(0xee, area[-i]);
			EXPECT_EQ(0xee, area[XEN_RUNSTATE_SIZE + i - 1]);
		}
	}
}

/* Same page, two guests: what one gives up the other keeps. */
TEST_F(attr, guests_do_not_share_caches)
{
	struct xvm second;

	xvm_create(&second, true);
	xvm_add_cpu(&second, 0);
	ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, self->mem.map));
	ASSERT_EQ(0, xvm_shinfo_hva(&second, self->mem.map));
	ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, NULL));
	ASSERT_EQ(0, xvm_send(&second, PORT, 0));
	EXPECT_TRUE(xvm_pending(self->mem.witness, PORT));
	EXPECT_EQ(-EINVAL, xvm_send(&self->vm, PORT + 1, 0));
	EXPECT_FALSE(xvm_pending(self->mem.witness, PORT + 1));
	xvm_destroy(&second);
}

TEST_HARNESS_MAIN
