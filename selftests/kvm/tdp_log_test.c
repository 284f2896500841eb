// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log of a memslot that begins within a page table, and within 64 pages of
 * what the MMU goes by.
 *
 * Affected: a VMM that migrates its guest. Tried: pages of three tables written to, the
 * log cleared in parts. A right system logs the pages that were written to, and no
 * others.
 */
#include <string.h>

#include "kselftest_harness.h"
#include "visitor.h"
#include "xvm.h"

#define SECONDS		300
#define LOW_PAGES	32		/* slot 0: the visitor's own */
#define VISITOR		16
#define GPA		0x1000000UL
#define ODD		37		/* pages before a memslot */
#define ODD_PAGES	1536
#define NPAGES		(ODD + ODD_PAGES)
#define ODD_WORDS	(ODD_PAGES / 64)

FIXTURE(log) {
	struct xvm vm;
	struct xvm_mem low;
	struct visitor v;
	uint8_t *mem;
};

FIXTURE_SETUP(log)
{
	xvm_mem_create(&self->low, LOW_PAGES);
	self->mem = xvm_anon(NPAGES);
	memset(self->mem, 1, NPAGES * XVM_PAGE);
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->low.size, self->low.map);
	xvm_manual_log(&self->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	visitor_create(&self->v, &self->vm, 0, VISITOR * XVM_PAGE,
		       self->low.map + VISITOR * XVM_PAGE);
	visitor_settle(&self->v);
}

FIXTURE_TEARDOWN(log)
{
	visitor_destroy(&self->v);
	xvm_destroy(&self->vm);
}

/* Write to every @step-th page from @first on; those are the bits of @want. */
static void write_pages(FIXTURE_DATA(log) *self, uint64_t gpa, unsigned int first,
			unsigned int nr, unsigned int step, uint64_t *want)
{
	static uint32_t list[VISITOR_MAX];
	unsigned int i, n = 0;

	for (i = first; i < nr; i += step) {
		list[n++] = gpa + i * XVM_PAGE;
		want[i / 64] |= 1ULL << i % 64;
	}
	visitor_visit(&self->v, VISIT_WRITE, 5, list, n);
}

TEST_F_TIMEOUT(log, exact_from_the_middle_of_a_table_on, SECONDS)
{
	uint64_t log[ODD_WORDS], want[ODD_WORDS] = {}, all[ODD_WORDS];
	uint64_t gpa = GPA + ODD * XVM_PAGE;
	unsigned int i, half = ODD_WORDS / 2;

	memset(all, 0xff, sizeof(all));
	xvm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, gpa, ODD_PAGES * XVM_PAGE,
		 self->mem + ODD * XVM_PAGE);
	write_pages(self, gpa, 0, ODD_PAGES, 1, want);
	xvm_clear_log(&self->vm, 1, 0, ODD_PAGES, all);
	memset(want, 0, sizeof(want));

	for (i = 0; i < 7; i++) {
		write_pages(self, gpa, i, ODD_PAGES, 7, want);
		xvm_dirty_log(&self->vm, 1, log);
		EXPECT_EQ(0, memcmp(want, log, sizeof(log)));
		/* Bits of pages that are not dirty ask for nothing. */
		xvm_clear_log(&self->vm, 1, i % 2 * half * 64, half * 64, all);
		memset(want + i % 2 * half, 0, sizeof(want) / 2);
	}
}

TEST_HARNESS_MAIN
