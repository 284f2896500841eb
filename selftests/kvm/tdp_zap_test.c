// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory that is unmapped, and what that costs a guest that is elsewhere.
 *
 * Affected: guests whose VMM balloons, migrates or discards memory while they run.
 * Tried: an invalidation is held open by the probe, or begins and ends while a fault
 * resolves its page, and the guest visits memory that it does not cover. A right
 * system lets the guest go on, resolves each page once, and turns away only who is
 * inside the range.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "probe.h"
#include "visitor.h"
#include "xvm.h"

#define SECONDS		120
#define LOW_PAGES	32		/* slot 0: the visitor's own */
#define VISITOR		16
#define PART_PAGES	64
#define PART_SIZE	(PART_PAGES * XVM_PAGE)
#define FIRST_GPA	0x1000000UL	/* slot 1: first half of what is discarded */
#define BETWEEN_GPA	0x2000000UL	/* slot 2: not discarded */
#define LAST_GPA	0x3000000UL	/* slot 3: second half */
#define MANY_GPA	0x4000000UL	/* one page at many places */
#define MANY_MAX	200
#define HOLD_MS		200

FIXTURE(zap) {
	struct xvm vm;
	struct xvm_mem low;
	struct visitor v;
	uint8_t *parts;		/* slots 1 and 3, one after the other */
	uint8_t *between;
	int probe;		/* counts */
	int window;		/* holds */
};

FIXTURE_SETUP(zap)
{
	self->probe = probe_open();
	self->window = probe_open();
	xvm_mem_create(&self->low, LOW_PAGES);
	self->parts = xvm_anon(2 * PART_PAGES);
	self->between = xvm_anon(PART_PAGES);
	memset(self->parts, 1, 2 * PART_SIZE);
	memset(self->between, 2, PART_SIZE);
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->low.size, self->low.map);
	xvm_slot(&self->vm, 1, 0, FIRST_GPA, PART_SIZE, self->parts);
	xvm_slot(&self->vm, 2, 0, BETWEEN_GPA, PART_SIZE, self->between);
	xvm_slot(&self->vm, 3, 0, LAST_GPA, PART_SIZE, self->parts + PART_SIZE);
	visitor_create(&self->v, &self->vm, 0, VISITOR * XVM_PAGE,
		       self->low.map + VISITOR * XVM_PAGE);
	/* Its own pages, and the tables of all slots, are there from here on. */
	visitor_settle(&self->v);
	visitor_write(&self->v, FIRST_GPA, 3);
	visitor_write(&self->v, BETWEEN_GPA, 3);
	visitor_write(&self->v, LAST_GPA, 3);
}

FIXTURE_TEARDOWN(zap)
{
	visitor_destroy(&self->v);
	xvm_destroy(&self->vm);
	close(self->probe);
	close(self->window);
}

struct discarder {
	struct probe_task task;
	uint8_t *mem;
	size_t size;
};

static void discard(void *arg)
{
	struct discarder *d = arg;

	if (madvise(d->mem, d->size, MADV_DONTNEED))
		xvm_die("madvise");
}

static void discard_prepare(struct discarder *d, int window, uint8_t *mem,
			    size_t size)
{
	*d = (struct discarder){ .mem = mem, .size = size };
	probe_task_create(&d->task, discard, d);
	probe_hold(window, PROBE_RECLAIMED, d->task.tid, HOLD_MS);
}

/* Returns with the memory's mappings gone and its pages not: held open. */
static void discard_go(struct discarder *d, int window)
{
	probe_task_go(&d->task);
	if (!probe_wait_held(window, 5000))
		xvm_die("no invalidation came");
}

static void discard_begin(struct discarder *d, int window, uint8_t *mem,
			  size_t size)
{
	discard_prepare(d, window, mem, size);
	discard_go(d, window);
}

TEST_F_TIMEOUT(zap, guest_goes_on_between_two_ranges, SECONDS)
{
	uint64_t taken;
	struct discarder d;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	taken = visitor_stat(&self->v, "pf_taken");
	discard_begin(&d, self->window, self->parts, 2 * PART_SIZE);
	visitor_write(&self->v, BETWEEN_GPA + 37 * XVM_PAGE, 4);
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	EXPECT_EQ(taken + 1, visitor_stat(&self->v, "pf_taken"));
	probe_task_end(&d.task, self->window);
	EXPECT_EQ(4, self->between[37 * XVM_PAGE]);
}

/* And in the range it does not, nor does it find what was there. */
TEST_F_TIMEOUT(zap, guest_waits_in_the_range, SECONDS)
{
	struct discarder d;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	discard_begin(&d, self->window, self->parts, 2 * PART_SIZE);
	EXPECT_EQ(0, visitor_read(&self->v, LAST_GPA));
	EXPECT_EQ(PROBE_EXPIRED, probe_state(self->window));
	probe_task_end(&d.task, self->window);
	EXPECT_EQ(0, visitor_read(&self->v, FIRST_GPA));
}

/* A look at what the guest's task has done so far; then the one that is held goes on. */
struct look {
	struct probe_task task;
	FIXTURE_DATA(zap) *self;
	uint64_t taken, resolved, locks;
	enum kvm_xen_probe_state state;
};

static void look_and_release(void *arg)
{
	struct look *l = arg;

	xvm_sleep_ms(HOLD_MS / 4);
	l->taken = visitor_stat(&l->self->v, "pf_taken");
	l->resolved = probe_calls(l->self->probe, PROBE_HVA_TO_PFN);
	l->locks = probe_calls(l->self->probe, PROBE_RWLOCK);
	l->state = probe_state(l->self->window);
	probe_release(l->self->window);
}

/*
 * It is turned away before its page is asked for, which would be in the way of who takes
 * the page, and before mmu_lock; and so each time that it comes, until the end.
 */
TEST_F_TIMEOUT(zap, guest_in_the_range_asks_for_nothing, SECONDS)
{
	uint8_t *page = self->parts + PART_SIZE + 55 * XVM_PAGE;
	struct look l = { .self = self };
	struct discarder d;
	uint64_t taken;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	/* These wait for every CPU, and for the address space: nobody is held yet. */
	probe_rwlocks(self->probe, true);
	discard_prepare(&d, self->window, self->parts, 2 * PART_SIZE);
	probe_task_create(&l.task, look_and_release, &l);
	taken = visitor_stat(&self->v, "pf_taken");

	discard_go(&d, self->window);
	probe_count(self->probe, xvm_tid());
	probe_task_go(&l.task);
	visitor_write(&self->v, LAST_GPA + 55 * XVM_PAGE, 5);
	probe_task_join(&l.task);
	probe_task_join(&d.task);
	EXPECT_EQ(PROBE_HELD, l.state);
	EXPECT_LT(taken + 1, l.taken);
	EXPECT_EQ(0, l.resolved);
	EXPECT_EQ(0, l.locks);
	/* In the end it needs both, so both do count. */
	EXPECT_EQ(1, probe_calls(self->probe, PROBE_HVA_TO_PFN));
	EXPECT_LE(1, probe_calls(self->probe, PROBE_RWLOCK));
	probe_rwlocks(self->probe, false);
	EXPECT_EQ(5, page[0]);
	EXPECT_EQ(0, page[1]);
}

/* A guest that writes to one page. */
struct writer {
	struct probe_task task;
	struct visitor *v;
	uint32_t gpa;
};

static void write_once(void *arg)
{
	struct writer *w = arg;

	visitor_write(w->v, w->gpa, 5);
}

/* Have it write, its calls counted, and hold it when the page has been looked up. */
static bool write_and_hold(struct writer *w, int probe, int window)
{
	probe_task_create(&w->task, write_once, w);
	probe_count(probe, w->task.tid);
	return probe_task_hold(&w->task, window, PROBE_HVA_TO_PFN, HOLD_MS);
}

TEST_F_TIMEOUT(zap, what_goes_elsewhere_does_not_repeat_a_fault, SECONDS)
{
	struct writer w = {
		.v = &self->v,
		.gpa = BETWEEN_GPA + 55 * XVM_PAGE,
	};
	uint64_t taken;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	taken = visitor_stat(&self->v, "pf_taken");
	ASSERT_TRUE(write_and_hold(&w, self->probe, self->window));
	ASSERT_EQ(0, madvise(self->parts, XVM_PAGE, MADV_DONTNEED));
	ASSERT_EQ(PROBE_HELD, probe_state(self->window));
	probe_task_end(&w.task, self->window);
	EXPECT_EQ(1, probe_calls(self->probe, PROBE_HVA_TO_PFN));
	EXPECT_EQ(taken + 1, visitor_stat(&self->v, "pf_taken"));
	EXPECT_EQ(5, self->between[55 * XVM_PAGE]);
}

/* What goes while its own page is being resolved does repeat it. */
TEST_F_TIMEOUT(zap, what_goes_here_repeats_the_fault, SECONDS)
{
	struct writer w = {
		.v = &self->v,
		.gpa = LAST_GPA + 55 * XVM_PAGE,
	};
	uint8_t *page = self->parts + PART_SIZE + 55 * XVM_PAGE;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	ASSERT_TRUE(write_and_hold(&w, self->probe, self->window));
	ASSERT_EQ(0, madvise(page, XVM_PAGE, MADV_DONTNEED));
	probe_task_end(&w.task, self->window);
	EXPECT_LE(2, probe_calls(self->probe, PROBE_HVA_TO_PFN));
	EXPECT_EQ(5, page[0]);
	EXPECT_EQ(0, page[1]);
}

/* A page that the VMM shows at many places goes from all of them by one flush. */
static void goes_from(struct __test_metadata *_metadata, FIXTURE_DATA(zap) *self,
		      unsigned int places)
{
	uint32_t at[MANY_MAX];
	uint64_t flushes, mapped;
	unsigned int i;
	uint8_t *page;

	page = xvm_anon(1);
	for (i = 0; i < places; i++) {
		at[i] = MANY_GPA + 3 * i * XVM_PAGE;
		xvm_slot(&self->vm, 10 + i, 0, at[i], XVM_PAGE, page);
	}
	/* Each new slot may take its trees with it. */
	visitor_settle(&self->v);
	mapped = visitor_stat(&self->v, "pages_4k");
	visitor_visit(&self->v, VISIT_WRITE, 7, at, places);
	EXPECT_EQ(mapped + places, visitor_stat(&self->v, "pages_4k"));
	flushes = visitor_stat(&self->v, "remote_tlb_flush_requests");
	ASSERT_EQ(0, madvise(page, XVM_PAGE, MADV_DONTNEED));
	flushes = visitor_stat(&self->v, "remote_tlb_flush_requests") - flushes;
	EXPECT_EQ(mapped, visitor_stat(&self->v, "pages_4k"));
	/* And one more if somebody wants the CPU meanwhile. */
	EXPECT_LE(1, flushes);
	EXPECT_GE(2, flushes);
	for (i = 0; i < places; i++)
		EXPECT_EQ(0, visitor_read(&self->v, at[i]));
}

TEST_F_TIMEOUT(zap, page_at_many_places_is_one_flush, SECONDS)
{
	goes_from(_metadata, self, MANY_MAX / 4);
}

/* More than are known one by one while they go. */
TEST_F_TIMEOUT(zap, page_at_more_places_is_one_flush, SECONDS)
{
	goes_from(_metadata, self, MANY_MAX);
}

/* What is unmapped is not counted any more, to the last page. */
TEST_F_TIMEOUT(zap, count_of_pages_is_exact, SECONDS)
{
	uint32_t all[2 * PART_PAGES];
	unsigned int i, round;
	uint64_t mapped;

	for (i = 0; i < PART_PAGES; i++) {
		all[i] = FIRST_GPA + i * XVM_PAGE;
		all[PART_PAGES + i] = LAST_GPA + i * XVM_PAGE;
	}
	ASSERT_EQ(0, madvise(self->parts, 2 * PART_SIZE, MADV_DONTNEED));
	mapped = visitor_stat(&self->v, "pages_4k");
	for (round = 0; round < 5; round++) {
		visitor_visit(&self->v, VISIT_WRITE, round, all, 2 * PART_PAGES);
		EXPECT_EQ(mapped + 2 * PART_PAGES,
			  visitor_stat(&self->v, "pages_4k"));
		ASSERT_EQ(0, madvise(self->parts, 2 * PART_SIZE, MADV_DONTNEED));
		EXPECT_EQ(mapped, visitor_stat(&self->v, "pages_4k"));
	}
}

TEST_HARNESS_MAIN
