// SPDX-License-Identifier: GPL-2.0
/*
 * A refresh against invalidations that come while it resolves the page: what it
 * must not miss, what it must not wait for, and how often it may try.
 */
#include "world.h"

static struct world w;
static struct gfn_to_pfn_cache *gpc;
static int times;
static unsigned long at, end;

/* Something else in the process, a task of its own, unmaps meanwhile. */
static void zap_main(void *arg)
{
	unit_mm_zap(w.mm, at, end);
}

static void zap_by_another(struct mm_struct *mm, unsigned long uhva)
{
	if (times-- > 0)
		unit_thread_join(unit_thread_start("zapper", mm, zap_main,
						   NULL));
}

TEST_RT(res_uncovered, "resolve: an unmap of an HVA outside every memslot is not missed (W4 G4)")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	at = FREE_HVA;
	end = at + PAGE_SIZE;
	times = 1;
	w.mm->after_gup = zap_by_another;
	EXPECT_EQ(activate_hva(gpc, FREE_HVA + 8, 8), 0);
	/* The page that was resolved first is gone: usable() would touch it. */
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 2);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(res_covered, "resolve: an unmap between resolution and use is not missed")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	at = SLOT_HVA;
	end = at + PAGE_SIZE;
	times = 3;
	w.mm->after_gup = zap_by_another;
	EXPECT_EQ(activate(gpc, SLOT_GPA + 8, 8), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 4);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(res_unrelated, "resolve: unmaps elsewhere cost no second resolution (W7)")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	/* Both neighbours, and in the same memslot. */
	at = SLOT_HVA;
	end = at + 10 * PAGE_SIZE;
	times = 100;
	w.mm->after_gup = zap_by_another;
	w.mm->before_gup = zap_by_another;
	EXPECT_EQ(activate(gpc, SLOT_GPA + 10 * PAGE_SIZE, 8), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 1);
	EXPECT_EQ(times, 98);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(res_unrelated_inflight, "resolve: an unmap in flight elsewhere is not waited for (W7)")
{
	struct bg bg;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 5 * PAGE_SIZE, 8), 0);
	unit_mm_zap(w.mm, SLOT_HVA + 5 * PAGE_SIZE, SLOT_HVA + 6 * PAGE_SIZE);
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + 5 * PAGE_SIZE, true);
	unit_mn_start(w.mm, SLOT_HVA + 6 * PAGE_SIZE, ~0UL, true);
	bg_refresh(&bg, &w, gpc);
	EXPECT_EQ(bg_wait(&bg), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 2);
	EXPECT_EQ(unit_wait_sleeps(), 0);
	unit_mn_end(w.mm, SLOT_HVA + 6 * PAGE_SIZE, ~0UL, true);
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + 5 * PAGE_SIZE, true);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(res_sleeps, "resolve: an overlapping unmap is slept for, not spun for (W7)")
{
	struct bg bg;
	int i;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	bg_refresh(&bg, &w, gpc);
	expect_sleepers(1);
	/* The rest of the process goes on unmapping: no resolution for that. */
	for (i = 0; i < 20; i++)
		unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
	unit_mn_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	EXPECT(!bg_done(&bg));
	expect_sleepers(1);
	EXPECT_EQ(w.mm->gups, 1);
	EXPECT(!usable(gpc));
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	EXPECT_EQ(bg_wait(&bg), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 2);
	/* Woken for its own range's end, and by none of the others'. */
	EXPECT_EQ(unit_wait_sleeps(), 1);
	EXPECT_EQ(unit_wait_wakeups(), 1);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(res_wakes_all, "resolve: the end of an unmap wakes every refresh that waits for it")
{
	enum { N = 5 };
	struct gfn_to_pfn_cache *g[N];
	struct bg bg[N];
	int i;

	world_begin(&w);
	for (i = 0; i < N; i++) {
		g[i] = gpc_new(&w);
		EXPECT_EQ(activate(g[i], SLOT_GPA + i / 2 * PAGE_SIZE + i * 16,
				   8), 0);
	}
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + 8 * PAGE_SIZE, true);
	for (i = 0; i < N; i++)
		bg_refresh(&bg[i], &w, g[i]);
	expect_sleepers(N);
	unit_mn_zap(w.mm, SLOT_HVA, SLOT_HVA + 8 * PAGE_SIZE);
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + 8 * PAGE_SIZE, true);
	for (i = 0; i < N; i++) {
		EXPECT_EQ(bg_wait(&bg[i]), 0);
		EXPECT(usable(g[i]));
		gpc_gone(g[i]);
	}
	world_end(&w);
}

TEST_RT(res_dirty, "resolve: the host knows that a page is written to, each time it has come")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 8, 8), 0);
	EXPECT(unit_mm_page(w.mm, SLOT_HVA)->dirty);
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(unit_mm_page(w.mm, SLOT_HVA)->dirty);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(res_cow, "resolve: its own copy-on-write costs no second resolution (G3)")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_mm_set_cow(w.mm, SLOT_HVA, false);
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 2);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(res_cow_always, "resolve: a page that is copied at every resolution is no livelock (G3)")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	unit_mm_set_cow(w.mm, SLOT_HVA, true);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 1);
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 2);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(res_cow_neighbour, "resolve: copy-on-write by one refresh takes the other caches of the page")
{
	struct gfn_to_pfn_cache *other;

	world_begin(&w);
	gpc = gpc_new(&w);
	other = gpc_new(&w);
	EXPECT_EQ(activate(other, SLOT_GPA + 64, 8), 0);
	unit_mm_set_cow(w.mm, SLOT_HVA, false);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	EXPECT(usable(gpc));
	EXPECT(!usable(other));
	EXPECT_EQ(refresh(other, 8), 0);
	EXPECT(usable(other) && usable(gpc));
	EXPECT_EQ(w.mm->gups, 3);
	gpc_gone(gpc);
	gpc_gone(other);
	world_end(&w);
}

TEST_RT(res_cow_and_other, "resolve: an unmap by another task beside our copy-on-write counts")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	unit_mm_set_cow(w.mm, SLOT_HVA, true);
	at = SLOT_HVA;
	end = at + PAGE_SIZE;
	times = 2;
	w.mm->after_gup = zap_by_another;
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 3);
	gpc_gone(gpc);
	world_end(&w);
}

/* Mapping makes the kernel tell every notifier about the page; it stays. */
static void memremap_notifies(struct mm_struct *mm, unsigned long uhva)
{
	unit_mn_start(mm, uhva, uhva + PAGE_SIZE, true);
	unit_mn_end(mm, uhva, uhva + PAGE_SIZE, true);
	times++;
}

TEST_RT(res_memremap, "resolve: a mapping that invalidates its own page is no livelock (G3)")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	times = 0;
	w.mm->in_memremap = memremap_notifies;
	unit_slot_set(w.kvm, 1, IO_GFN, IO_PAGES, IO_HVA, 0);
	EXPECT_EQ(activate(gpc, (IO_GFN + 1) << PAGE_SHIFT, 8), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(times, 1);
	EXPECT_EQ(w.mm->maps, 1);
	EXPECT(w.mm->gups <= 2);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(res_signal, "resolve: a fatal signal ends the wait with -EINTR (W7)")
{
	struct bg bg;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	bg_refresh(&bg, &w, gpc);
	expect_sleepers(1);
	unit_send_fatal_signal(unit_thread_task(bg.thread));
	EXPECT_EQ(bg_wait(&bg), -EINTR);
	EXPECT(gpc->active);
	EXPECT(!usable(gpc));
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

TEST(res_signal_queue, "resolve: a fatal signal also ends the queue behind another refresh (W7)")
{
	struct bg first, second;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	bg_refresh(&first, &w, gpc);
	expect_sleepers(1);
	bg_refresh(&second, &w, gpc);
	unit_send_fatal_signal(unit_thread_task(second.thread));
	EXPECT_EQ(bg_wait(&second), -EINTR);
	EXPECT(!bg_done(&first));
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	EXPECT_EQ(bg_wait(&first), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

static void signal_and_zap(struct mm_struct *mm, unsigned long uhva)
{
	unit_send_fatal_signal(current);
	zap_by_another(mm, uhva);
}

TEST(res_signal_storm, "resolve: a fatal signal ends a refresh that is raced for ever (W7)")
{
	struct bg bg;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	at = SLOT_HVA;
	end = at + PAGE_SIZE;
	times = 1000000;
	w.mm->after_gup = signal_and_zap;
	bg_refresh(&bg, &w, gpc);
	EXPECT_EQ(bg_wait(&bg), -EINTR);
	EXPECT(!usable(gpc));
	EXPECT(w.mm->gups <= 3);
	gpc_gone(gpc);
	world_end(&w);
}

static void start_and_leave_open(struct mm_struct *mm, unsigned long uhva)
{
	if (times-- > 0)
		unit_mn_start(mm, at, end, true);
}

static void open_main(void *arg)
{
	start_and_leave_open(w.mm, at);
}

static void open_by_another(struct mm_struct *mm, unsigned long uhva)
{
	if (times > 0)
		unit_thread_join(unit_thread_start("unmapper", mm, open_main,
						   NULL));
}

TEST_RT(res_open, "resolve: an unmap begun during resolution is waited for until its end")
{
	struct bg bg;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	at = SLOT_HVA - PAGE_SIZE;
	end = SLOT_HVA + 2 * PAGE_SIZE;
	times = 1;
	w.mm->after_gup = open_by_another;
	bg_refresh(&bg, &w, gpc);
	expect_sleepers(1);
	EXPECT(!usable(gpc));
	unit_mn_zap(w.mm, at, end);
	unit_mn_end(w.mm, at, end, true);
	EXPECT_EQ(bg_wait(&bg), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 3);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(res_move_while_open, "resolve: an unmap in flight is found by a cache that is pointed there")
{
	struct bg bg;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_slot_set(w.kvm, 1, SLOT_GFN + 0x10000, 16, FREE_HVA, 0);
	unit_mn_start(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE, true);
	/* A cache born after the start is in nobody's hit list. */
	gpc->gpa = SLOT_GPA + 0x10000000;
	bg_refresh(&bg, &w, gpc);
	expect_sleepers(1);
	unit_mn_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
	unit_mn_end(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE, true);
	EXPECT_EQ(bg_wait(&bg), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}
