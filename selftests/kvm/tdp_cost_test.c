// SPDX-License-Identifier: GPL-2.0
/*
 * What watching a guest's writes costs.
 *
 * Affected: every guest that is migrated, for as long as that takes. Tried: a log in
 * which every page is dirty is cleared, and its price a page is told, in ticks of the
 * TSC. A right system does not look the table of each page up anew.
 */
#include <string.h>
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

TEST_HARNESS_MAIN
