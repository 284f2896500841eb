// SPDX-License-Identifier: GPL-2.0
/*
 * What an invalidation does to caches, to those it overlaps and to those it does
 * not, and what it costs.
 */
#include "world.h"

TEST_RT(inv_basic, "invalidate: unusable from the start of an unmap until it is refreshed")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 0x3008, 8), 0);
	unit_mn_start(w.mm, SLOT_HVA + 0x3000, SLOT_HVA + 0x4000, true);
	EXPECT(!usable(gpc));
	unit_mn_zap(w.mm, SLOT_HVA + 0x3000, SLOT_HVA + 0x4000);
	EXPECT(!usable(gpc));
	unit_mn_end(w.mm, SLOT_HVA + 0x3000, SLOT_HVA + 0x4000, true);
	EXPECT(!usable(gpc));
	EXPECT(gpc->active);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(inv_nonblock, "invalidate: a range that must not block is taken like any other")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate_hva(gpc, FREE_HVA, 8), 0);
	unit_mn_start(w.mm, 0, ~0UL, false);
	unit_mn_zap(w.mm, 0, ~0UL);
	EXPECT(!usable(gpc));
	unit_mn_end(w.mm, 0, ~0UL, false);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

TEST(inv_edges, "invalidate: the end of a range is exclusive, to the page")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;
	unsigned long a = SLOT_HVA + 5 * PAGE_SIZE;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 5 * PAGE_SIZE + 0x800, 8), 0);
	unit_mm_zap(w.mm, a - PAGE_SIZE, a);
	EXPECT(usable(gpc));
	unit_mm_zap(w.mm, a + PAGE_SIZE, a + 2 * PAGE_SIZE);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 1);
	unit_mm_zap(w.mm, a, a + PAGE_SIZE);
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), 0);
	unit_mm_zap(w.mm, a - 100 * PAGE_SIZE, a + 1 * PAGE_SIZE);
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), 0);
	unit_mm_zap(w.mm, a, a + 100 * PAGE_SIZE);
	EXPECT(!usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

TEST(inv_unaligned, "invalidate: a range within the cache's page takes it, wherever in the page")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;
	struct bg bg;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 0x800, 8), 0);
	unit_mn_start(w.mm, SLOT_HVA + 0x10, SLOT_HVA + 0x20, true);
	EXPECT(!usable(gpc));
	bg_refresh(&bg, &w, gpc);
	expect_sleepers(1);
	unit_mn_end(w.mm, SLOT_HVA + 0x10, SLOT_HVA + 0x20, true);
	EXPECT_EQ(bg_wait(&bg), 0);
	EXPECT(usable(gpc));
	/* An empty range is nobody's. */
	unit_mn_start(w.mm, SLOT_HVA + 0x1000, SLOT_HVA + 0x1000, true);
	EXPECT(usable(gpc));
	unit_mn_end(w.mm, SLOT_HVA + 0x1000, SLOT_HVA + 0x1000, true);
	gpc_gone(gpc);
	world_end(&w);
}

TEST(inv_precheck, "invalidate: a cache that is unusable already is not locked again (W6)")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;
	unsigned long writes;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	writes = unit_ops[UNIT_LOCK_WRITE];
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	EXPECT_EQ(unit_ops[UNIT_LOCK_WRITE] - writes, 1);
	writes = unit_class_count("&gpc->lock");
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + 2 * PAGE_SIZE, true);
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + 3 * PAGE_SIZE, true);
	EXPECT_EQ(unit_class_count("&gpc->lock") - writes, 0);
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + 3 * PAGE_SIZE, true);
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + 2 * PAGE_SIZE, true);
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	gpc_gone(gpc);
	world_end(&w);
}

struct reader {
	struct gfn_to_pfn_cache *gpc;
	bool in, leave, started;
	struct world *w;
};

static void reader_main(void *arg)
{
	struct reader *r = arg;
	int idx = srcu_read_lock(&r->gpc->kvm->srcu);
	int i;

	read_lock_irq(&r->gpc->lock);
	EXPECT(kvm_gpc_check(r->gpc, 8));
	__atomic_store_n(&r->in, true, __ATOMIC_RELEASE);
	for (i = 0; i < 200 || !__atomic_load_n(&r->leave, __ATOMIC_ACQUIRE);
	     i++)
		unit_touch(r->gpc->khva, r->gpc->uhva, true);
	read_unlock_irq(&r->gpc->lock);
	srcu_read_unlock(&r->gpc->kvm->srcu, idx);
}

static void zapper_main(void *arg)
{
	struct reader *r = arg;

	unit_mn_start(r->w->mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	__atomic_store_n(&r->started, true, __ATOMIC_RELEASE);
	unit_mn_zap(r->w->mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	unit_mn_end(r->w->mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
}

static bool is_set(void *flag)
{
	return __atomic_load_n((bool *)flag, __ATOMIC_ACQUIRE);
}

TEST(inv_waits, "invalidate: start does not return while a reader is inside")
{
	struct world w;
	struct reader r = { .w = &w };
	struct unit_thread *reader, *zapper;

	world_begin(&w);
	r.gpc = gpc_new(&w);
	EXPECT_EQ(activate(r.gpc, SLOT_GPA, 8), 0);
	reader = unit_thread_start("reader", w.mm, reader_main, &r);
	EXPECT(unit_wait_until(is_set, &r.in, 5000));
	zapper = unit_thread_start("zapper", w.mm, zapper_main, &r);
	EXPECT(!unit_wait_until(is_set, &r.started, 50));
	__atomic_store_n(&r.leave, true, __ATOMIC_RELEASE);
	unit_thread_join(reader);
	unit_thread_join(zapper);
	EXPECT(!usable(r.gpc));
	gpc_gone(r.gpc);
	world_end(&w);
}

TEST_RT(inv_shared_page, "invalidate: many caches on one page go together, and stay findable")
{
	enum { N = 40 };
	struct world w;
	struct gfn_to_pfn_cache *gpc[N];
	int i, round;

	world_begin(&w);
	for (i = 0; i < N; i++) {
		gpc[i] = gpc_new(&w);
		EXPECT_EQ(activate(gpc[i], SLOT_GPA + i * 64, 8), 0);
	}
	/* First, last, middle leave in turn, through deactivation or a move. */
	for (round = 0; round < N - 1; round++) {
		int k = round % 3 == 0 ? 0 : round % 3 == 1 ? N - 1 : N / 2;

		while (!gpc[k])
			k = (k + 1) % N;
		if (round & 1)
			EXPECT_EQ(activate(gpc[k], SLOT_GPA + PAGE_SIZE, 8), 0);
		gpc_gone(gpc[k]);
		gpc[k] = NULL;
		unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
		for (i = 0; i < N; i++) {
			if (!gpc[i])
				continue;
			EXPECT(!usable(gpc[i]));
			EXPECT_EQ(refresh(gpc[i], 8), 0);
			EXPECT(usable(gpc[i]));
		}
	}
	for (i = 0; i < N; i++)
		if (gpc[i])
			gpc_gone(gpc[i]);
	world_end(&w);
}

TEST_RT(inv_everything, "invalidate: one range over 200 pages takes every cache in it")
{
	enum { N = 200 };
	struct world w;
	struct gfn_to_pfn_cache *gpc[N], *far;
	int i;

	world_begin(&w);
	far = gpc_new(&w);
	EXPECT_EQ(activate_hva(far, FREE_HVA + 500 * PAGE_SIZE, 8), 0);
	for (i = 0; i < N; i++) {
		gpc[i] = gpc_new(&w);
		EXPECT_EQ(activate(gpc[i], SLOT_GPA + 3 * i * PAGE_SIZE, 8), 0);
	}
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + SLOT_PAGES * PAGE_SIZE);
	for (i = 0; i < N; i++) {
		EXPECT(!usable(gpc[i]));
		EXPECT_EQ(refresh(gpc[i], 8), 0);
	}
	EXPECT(usable(far));
	unit_mm_zap(w.mm, 0, ~0UL);
	for (i = 0; i < N; i++) {
		EXPECT(!usable(gpc[i]));
		gpc_gone(gpc[i]);
	}
	EXPECT(!usable(far));
	gpc_gone(far);
	world_end(&w);
}

/* What one event costs, in everything that is counted. */
static void cost_of(struct mm_struct *mm, unsigned long start,
		    unsigned long end, unsigned long cost[UNIT_OPS])
{
	unsigned long before[UNIT_OPS];

	memcpy(before, unit_ops, sizeof(before));
	unit_mn_start(mm, start, end, true);
	unit_mn_end(mm, start, end, true);
	for (int i = 0; i < UNIT_OPS; i++)
		cost[i] = unit_ops[i] - before[i];
}

static void expect_same_cost(const unsigned long *one,
			     const unsigned long *many, int ops_from)
{
	for (int i = ops_from; i < UNIT_OPS; i++) {
		if (one[i] != many[i])
			unit_log("operation %d: %lu with 1 cache, %lu with many\n",
				 i, one[i], many[i]);
		EXPECT_EQ(one[i], many[i]);
	}
}

TEST_RT(inv_cost, "invalidate: a miss costs the same with 1 cache as with 4096, and locks none (W6 G5)")
{
	enum { N = 4096, PER_PAGE = 64 };
	struct world w;
	static struct gfn_to_pfn_cache *gpc[N];
	unsigned long one[4][UNIT_OPS], many[4][UNIT_OPS], locks;
	/* Beside the caches, far off, elsewhere at all, and a long stretch. */
	const unsigned long range[4][2] = {
		{ SLOT_HVA + 200 * PAGE_SIZE, SLOT_HVA + 201 * PAGE_SIZE },
		{ FREE_HVA + 0x105000, FREE_HVA + 0x109000 },
		{ 0x7fff00105000, 0x7fff00106000 },
		{ FREE_HVA, FREE_HVA + FREE_PAGES * PAGE_SIZE },
	};
	int i, k;

	world_begin(&w);
	for (i = 0; i < N; i++) {
		gpc[i] = gpc_new(&w);
		EXPECT_EQ(activate(gpc[i], SLOT_GPA + i / PER_PAGE * PAGE_SIZE +
				   i % PER_PAGE * 64, 8), 0);
		if (!i)
			for (k = 0; k < 4; k++)
				cost_of(w.mm, range[k][0], range[k][1], one[k]);
	}
	locks = unit_class_count("&gpc->lock");
	for (k = 0; k < 4; k++)
		cost_of(w.mm, range[k][0], range[k][1], many[k]);
	EXPECT_EQ(unit_class_count("&gpc->lock") - locks, 0);
	for (k = 0; k < 4; k++)
		expect_same_cost(one[k], many[k], 0);
	for (i = 0; i < N; i++) {
		EXPECT(usable(gpc[i]));
		gpc_gone(gpc[i]);
	}
	world_end(&w);
}

TEST_RT(inv_cost_bound, "invalidate: among caches on 4096 pages a miss costs a bounded lookup and no lock more (W6 G5)")
{
	enum { N = 4096 };
	struct world w;
	static struct gfn_to_pfn_cache *gpc[N];
	unsigned long one[UNIT_OPS], cost[UNIT_OPS], locks;
	uint64_t rnd = 1;
	int i;

	world_begin(&w);
	/* Two of every three pages: holes everywhere, and no counter is zero. */
	for (i = 0; i < N; i++) {
		gpc[i] = gpc_new(&w);
		EXPECT_EQ(activate(gpc[i], SLOT_GPA + i * 3 / 2 * PAGE_SIZE, 8),
			  0);
		if (!i)
			cost_of(w.mm, SLOT_HVA + 2 * PAGE_SIZE,
				SLOT_HVA + 3 * PAGE_SIZE, one);
	}
	locks = unit_class_count("&gpc->lock");
	for (i = 0; i < 2000; i++) {
		unsigned long page = unit_rand(&rnd) % (N * 3 / 2) / 3 * 3 + 2;

		cost_of(w.mm, SLOT_HVA + page * PAGE_SIZE,
			SLOT_HVA + (page + 1) * PAGE_SIZE, cost);
		expect_same_cost(one, cost, UNIT_RCU + 1);
		/* 36 bits of page number, 6 a level, twice read a level. */
		EXPECT(cost[UNIT_DEREF] <= 2 * 6 + 4);
		EXPECT(cost[UNIT_ONCE] <= one[UNIT_ONCE] + 8);
		EXPECT(cost[UNIT_RMW] == one[UNIT_RMW]);
	}
	EXPECT_EQ(unit_class_count("&gpc->lock") - locks, 0);
	for (i = 0; i < N; i++)
		gpc_gone(gpc[i]);
	world_end(&w);
}

TEST(inv_cost_hit, "invalidate: a hit locks the caches it hits, each once, and no other (W6)")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc[100];
	unsigned long cost[UNIT_OPS];
	int i;

	world_begin(&w);
	for (i = 0; i < 100; i++) {
		gpc[i] = gpc_new(&w);
		EXPECT_EQ(activate(gpc[i], SLOT_GPA + i * PAGE_SIZE, 8), 0);
	}
	cost_of(w.mm, SLOT_HVA + 7 * PAGE_SIZE, SLOT_HVA + 10 * PAGE_SIZE,
		cost);
	/* The other write lock is the rig's mmu_lock, at the end. */
	EXPECT_EQ(cost[UNIT_LOCK_WRITE], 3 + 1);
	EXPECT_EQ(cost[UNIT_LOCK_READ], 0);
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(usable(gpc[i]), i < 7 || i >= 10);
		gpc_gone(gpc[i]);
	}
	world_end(&w);
}

TEST_RT(inv_nested, "invalidate: 200 ranges in flight at once, ended in another order")
{
	enum { N = 200 };
	struct world w;
	struct gfn_to_pfn_cache *gpc, *other;
	struct bg bg;
	int i, k;

	world_begin(&w);
	gpc = gpc_new(&w);
	other = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 300 * PAGE_SIZE, 8), 0);
	EXPECT_EQ(activate(other, SLOT_GPA + 500 * PAGE_SIZE, 8), 0);
	/* The cache's page is in range 150 only, beyond any table's end. */
	for (i = 0; i < N; i++)
		unit_mn_start(w.mm, SLOT_HVA + 2 * i * PAGE_SIZE,
			      SLOT_HVA + (2 * i + 1) * PAGE_SIZE, true);
	EXPECT(!usable(gpc));
	EXPECT(usable(other));
	bg_refresh(&bg, &w, gpc);
	expect_sleepers(1);
	for (i = 0; i < N; i++) {
		k = (i * 77 + 3) % N;
		if (k != 150)
			unit_mn_end(w.mm, SLOT_HVA + 2 * k * PAGE_SIZE,
				    SLOT_HVA + (2 * k + 1) * PAGE_SIZE, true);
	}
	EXPECT(!unit_wait_until(is_set, &bg.done, 20));
	EXPECT(!usable(gpc));
	unit_mn_end(w.mm, SLOT_HVA + 300 * PAGE_SIZE,
		    SLOT_HVA + 301 * PAGE_SIZE, true);
	EXPECT_EQ(bg_wait(&bg), 0);
	EXPECT(usable(gpc) && usable(other));
	/* Nothing is left behind that a refresh would wait for. */
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + SLOT_PAGES * PAGE_SIZE);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT_EQ(refresh(other, 8), 0);
	gpc_gone(gpc);
	gpc_gone(other);
	world_end(&w);
}

TEST(inv_equal, "invalidate: equal ranges in flight are counted, not merged")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;
	struct bg bg;
	int i;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	for (i = 0; i < 3; i++)
		unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	bg_refresh(&bg, &w, gpc);
	expect_sleepers(1);
	for (i = 0; i < 2; i++) {
		unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
		EXPECT(!unit_wait_until(is_set, &bg.done, 10));
	}
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	EXPECT_EQ(bg_wait(&bg), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

static struct gfn_to_pfn_cache *irq_gpc;
static unsigned long irq_reads, irq_usable;

/* A timer's hard interrupt that delivers an event, wherever it may come. */
static void irq_reader(void)
{
	int idx = srcu_read_lock(&irq_gpc->kvm->srcu);
	unsigned long flags;

	irq_reads++;
	read_lock_irqsave(&irq_gpc->lock, flags);
	if (kvm_gpc_check(irq_gpc, 8)) {
		irq_usable++;
		unit_touch(irq_gpc->khva, irq_gpc->uhva, true);
	}
	read_unlock_irqrestore(&irq_gpc->lock, flags);
	srcu_read_unlock(&irq_gpc->kvm->srcu, idx);
}

TEST(inv_hardirq, "invalidate: hard interrupts may read at any moment of a cache's life")
{
	struct world w;
	int i;

	world_begin(&w);
	irq_gpc = gpc_new(&w);
	unit_irq_handler = irq_reader;
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(activate(irq_gpc, SLOT_GPA + i * PAGE_SIZE, 8), 0);
		unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + 8 * PAGE_SIZE);
		EXPECT_EQ(refresh(irq_gpc, 8), 0);
		EXPECT_EQ(activate_hva(irq_gpc, FREE_HVA + 8, 8), 0);
		unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
		unit_slots_touch(w.kvm);
	}
	kvm_gpc_deactivate(irq_gpc);
	unit_irq_handler = NULL;
	EXPECT(irq_reads > 100 && irq_usable > 10);
	EXPECT(irq_usable < irq_reads);
	free(irq_gpc);
	world_end(&w);
}
