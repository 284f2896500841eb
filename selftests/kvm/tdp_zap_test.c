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
#include <pthread.h>
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

/* A thread that discards memory when it is told to. */
struct discarder {
	pthread_t thread;
	uint8_t *mem;
	size_t size;
	pid_t tid;		/* atomic: set by the thread */
	int go;			/* atomic */
	int r;
};

static void *discarder_thread(void *arg)
{
	struct discarder *d = arg;

	__atomic_store_n(&d->tid, xvm_tid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&d->go, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	d->r = madvise(d->mem, d->size, MADV_DONTNEED);
	return NULL;
}

/* Returns with the memory's mappings gone and its pages not: held open. */
static void discard_begin(struct discarder *d, int window, uint8_t *mem,
			  size_t size)
{
	*d = (struct discarder){ .mem = mem, .size = size };
	if (pthread_create(&d->thread, NULL, discarder_thread, d))
		xvm_die("pthread_create");
	while (!__atomic_load_n(&d->tid, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	probe_hold(window, PROBE_RECLAIMED, d->tid, HOLD_MS);
	__atomic_store_n(&d->go, 1, __ATOMIC_RELEASE);
	if (!probe_wait_held(window, 5000))
		xvm_die("no invalidation came");
}

static void discard_end(struct discarder *d, int window)
{
	probe_release(window);
	if (pthread_join(d->thread, NULL) || d->r)
		xvm_die("madvise");
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
	discard_end(&d, self->window);
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
	discard_end(&d, self->window);
	EXPECT_EQ(0, visitor_read(&self->v, FIRST_GPA));
}

/* A thread whose guest writes to one page. */
struct writer {
	struct visitor *v;
	uint32_t gpa;
	pthread_t thread;
	pid_t tid;		/* atomic: set by the thread */
	int go;			/* atomic */
};

static void *writer_thread(void *arg)
{
	struct writer *w = arg;

	__atomic_store_n(&w->tid, xvm_tid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&w->go, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	visitor_write(w->v, w->gpa, 5);
	return NULL;
}

/* Have it write, its calls counted, and hold it when the page has been looked up. */
static bool write_and_hold(struct writer *w, int probe, int window)
{
	if (pthread_create(&w->thread, NULL, writer_thread, w))
		xvm_die("pthread_create");
	while (!__atomic_load_n(&w->tid, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	probe_count(probe, w->tid);
	probe_hold(window, PROBE_HVA_TO_PFN, w->tid, HOLD_MS);
	__atomic_store_n(&w->go, 1, __ATOMIC_RELEASE);
	return probe_wait_held(window, 5000);
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
	probe_release(self->window);
	ASSERT_EQ(0, pthread_join(w.thread, NULL));
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
	probe_release(self->window);
	ASSERT_EQ(0, pthread_join(w.thread, NULL));
	EXPECT_LE(2, probe_calls(self->probe, PROBE_HVA_TO_PFN));
	EXPECT_EQ(5, page[0]);
	EXPECT_EQ(0, page[1]);
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
