// SPDX-License-Identifier: GPL-2.0
/*
 * What is done to a guest's pages by the thousand, and what it costs a page.
 *
 * Affected: every guest that is migrated, for as long as that takes, and every guest
 * whose memory is mapped before it starts. Tried: a log in which every page is dirty is
 * cleared; memory that the host has is mapped ahead. The price is told in ticks of the
 * TSC. A right system does not look the table of each page up anew.
 */
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "kselftest_harness.h"
#include "visitor.h"
#include "xvm.h"

#define SECONDS		300
#define LOW_PAGES	32		/* slot 0: the visitor's own */
#define VISITOR		16
#define GPA		0x1000000UL
#define NPAGES		VISITOR_MAX	/* 32 MiB */
#define ROUNDS		3
#define CLEAR_ALLOWED	125		/* a page */
#define AHEAD_GPA	0x8000000UL
#define AHEAD_ALLOWED	700		/* a page */

FIXTURE(cost) {
	struct xvm vm;
	struct xvm_mem low;
	struct visitor v;
	uint8_t *mem;
	uint32_t list[NPAGES];
};

FIXTURE_SETUP(cost)
{
	unsigned int i;

	if (!xvm_ticks_are_instructions())
		SKIP(return, "a tick of the TSC is not an instruction");
	xvm_mem_create(&self->low, LOW_PAGES);
	self->mem = xvm_anon(NPAGES);
	memset(self->mem, 1, NPAGES * XVM_PAGE);
	for (i = 0; i < NPAGES; i++)
		self->list[i] = GPA + i * XVM_PAGE;
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->low.size, self->low.map);
	xvm_manual_log(&self->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	xvm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, NPAGES * XVM_PAGE,
		 self->mem);
	visitor_create(&self->v, &self->vm, 0, VISITOR * XVM_PAGE,
		       self->low.map + VISITOR * XVM_PAGE);
	visitor_settle(&self->v);
}

FIXTURE_TEARDOWN(cost)
{
	if (!self->mem)
		return;
	visitor_destroy(&self->v);
	xvm_destroy(&self->vm);
}

TEST_F_TIMEOUT(cost, of_clearing_the_log, SECONDS)
{
	uint64_t all[NPAGES / 64], start, best = ~0ULL;
	unsigned int i;

	memset(all, 0xff, sizeof(all));
	for (i = 0; i < ROUNDS; i++) {
		visitor_visit(&self->v, VISIT_WRITE, 5, self->list, NPAGES);
		start = __rdtsc();
		xvm_clear_log(&self->vm, 1, 0, NPAGES, all);
		start = __rdtsc() - start;
		if (start < best)
			best = start;
	}
	TH_LOG("ticks: a page %llu", (unsigned long long)best / NPAGES);
	EXPECT_GE(CLEAR_ALLOWED, best / NPAGES);
}

/* Ticks a page to map a slot of @mem ahead, which goes again. */
static uint64_t ahead(struct __test_metadata *_metadata, FIXTURE_DATA(cost) *self,
		      uint8_t *mem)
{
	struct kvm_pre_fault_memory range = {
		.gpa = AHEAD_GPA,
		.size = NPAGES * XVM_PAGE,
	};
	uint64_t start, mapped;

	xvm_slot(&self->vm, 2, 0, AHEAD_GPA, NPAGES * XVM_PAGE, mem);
	mapped = visitor_stat(&self->v, "pages_4k");
	start = __rdtsc();
	EXPECT_EQ(0, ioctl(self->vm.cpu[0], KVM_PRE_FAULT_MEMORY, &range));
	start = __rdtsc() - start;
	EXPECT_EQ(0, range.size);
	EXPECT_EQ(mapped + NPAGES, visitor_stat(&self->v, "pages_4k"));
	xvm_slot(&self->vm, 2, 0, AHEAD_GPA, 0, mem);
	return start / NPAGES;
}

TEST_F_TIMEOUT(cost, of_mapping_ahead, SECONDS)
{
	uint64_t absent, now, best = ~0ULL;
	uint8_t *mem = xvm_anon(NPAGES);
	unsigned int i;

	absent = ahead(_metadata, self, mem);
	for (i = 0; i < ROUNDS; i++) {
		memset(mem, i, NPAGES * XVM_PAGE);
		now = ahead(_metadata, self, mem);
		if (now < best)
			best = now;
	}
	TH_LOG("ticks: a page %llu, one that the host has not %llu",
	       (unsigned long long)best, (unsigned long long)absent);
	EXPECT_GE(AHEAD_ALLOWED, best);
}

TEST_HARNESS_MAIN
