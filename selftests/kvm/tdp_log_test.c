// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log of a memslot that begins within a page table, and within 64 pages of
 * what the MMU goes by.
 *
 * Affected: a VMM that migrates its guest. Tried: pages of three tables written to, the
 * log cleared in parts, and beside a guest that writes and faults. A right system logs the
 * pages that were written to, and no others.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "probe.h"
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
#define ODD_GPA		(GPA + ODD * XVM_PAGE)
#define ROUNDS		100
#define PASSES		5
#define GONE		10		/* parts of it that go in turn */
#define GONE_SIZE	(ODD_PAGES / GONE * XVM_PAGE)

FIXTURE(log) {
	struct xvm vm;
	struct xvm_mem low;
	struct visitor v;
	uint8_t *mem;
	int stop;		/* atomic */
	int passes;		/* atomic */
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
	unsigned int i, half = ODD_WORDS / 2;

	memset(all, 0xff, sizeof(all));
	xvm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, ODD_GPA,
		 ODD_PAGES * XVM_PAGE, self->mem + ODD * XVM_PAGE);
	write_pages(self, ODD_GPA, 0, ODD_PAGES, 1, want);
	xvm_clear_log(&self->vm, 1, 0, ODD_PAGES, all);
	memset(want, 0, sizeof(want));

	for (i = 0; i < 7; i++) {
		write_pages(self, ODD_GPA, i, ODD_PAGES, 7, want);
		xvm_dirty_log(&self->vm, 1, log);
		EXPECT_EQ(0, memcmp(want, log, sizeof(log)));
		/* Bits of pages that are not dirty ask for nothing. */
		xvm_clear_log(&self->vm, 1, i % 2 * half * 64, half * 64, all);
		memset(want + i % 2 * half, 0, sizeof(want) / 2);
	}
}

/* The guest writes to all of it, over and over, another value each time. */
static void write_on(void *arg)
{
	FIXTURE_DATA(log) *self = arg;
	static uint32_t list[ODD_PAGES];
	unsigned int i;

	for (i = 0; i < ODD_PAGES; i++)
		list[i] = ODD_GPA + i * XVM_PAGE;
	while (!__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE)) {
		visitor_visit(&self->v, VISIT_WRITE, self->passes + 1, list, ODD_PAGES);
		__atomic_fetch_add(&self->passes, 1, __ATOMIC_RELEASE);
	}
}

static int passes(FIXTURE_DATA(log) *self)
{
	return __atomic_load_n(&self->passes, __ATOMIC_ACQUIRE);
}

/* What the guest has written to since the last time, and how much that was. */
static unsigned int copy(FIXTURE_DATA(log) *self, const uint8_t *from, uint8_t *to)
{
	uint64_t log[ODD_WORDS];
	unsigned int i, n = 0;

	xvm_dirty_log(&self->vm, 1, log);
	xvm_clear_log(&self->vm, 1, 0, ODD_PAGES, log);
	for (i = 0; i < ODD_PAGES; i++) {
		if (!(log[i / 64] >> i % 64 & 1))
			continue;
		to[i] = *(volatile const uint8_t *)&from[i * XVM_PAGE];
		n++;
	}
	return n;
}

/*
 * Memory is copied while the guest writes to it, and some of it goes, so that there are
 * faults too. On host intel it is the processor that tells what was written to (PML).
 */
TEST_F_TIMEOUT(log, copy_is_what_the_guest_has, SECONDS)
{
	uint8_t *from = self->mem + ODD * XVM_PAGE, to[ODD_PAGES];
	unsigned int i, round, copied = 0;
	struct probe_task task;
	uint64_t taken;
	int until;

	if (!access("/sys/module/kvm_intel", F_OK))
		EXPECT_TRUE(xvm_param("kvm_intel/parameters/pml"));
	memset(to, 1, sizeof(to));
	xvm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, ODD_GPA,
		 ODD_PAGES * XVM_PAGE, from);
	taken = visitor_stat(&self->v, "pf_taken");
	probe_task_create(&task, write_on, self);
	probe_task_go(&task);
	for (round = 0; round < ROUNDS || passes(self) < PASSES; round++) {
		copied += copy(self, from, to);
		if (round % 10 == 0)
			EXPECT_EQ(0, madvise(from + round / 10 % GONE * GONE_SIZE,
					     GONE_SIZE, MADV_DONTNEED));
		xvm_sleep_ms(1);
	}
	/* What went last is written to once more. */
	until = passes(self) + 2;
	while (passes(self) < until)
		copied += copy(self, from, to);
	__atomic_store_n(&self->stop, 1, __ATOMIC_RELEASE);
	probe_task_join(&task);
	copied += copy(self, from, to);

	for (i = 0; i < ODD_PAGES && to[i] == from[i * XVM_PAGE]; i++)
		;
	EXPECT_EQ(ODD_PAGES, i) {
		TH_LOG("page %u has %u, and its copy %u, of %u passes", i,
		       from[i * XVM_PAGE], to[i], self->passes);
	}
	/* It was beside both. */
	EXPECT_LT(2 * ODD_PAGES, copied);
	EXPECT_LT(taken + ODD_PAGES, visitor_stat(&self->v, "pf_taken"));
	EXPECT_EQ(0, copy(self, from, to));
}

TEST_HARNESS_MAIN
