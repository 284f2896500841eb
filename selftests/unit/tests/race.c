// SPDX-License-Identifier: GPL-2.0
/*
 * Races. The caches are few and close together, so that every thread is always in
 * the others' way.
 */
#include "live.h"
#include "race.h"
#include "together.h"

#define NR_CACHES	8
#define NR_PAGES	6	/* hot pages of each kind */

static struct world w;
static struct race setup;
static struct gfn_to_pfn_cache *caches[NR_CACHES];
static struct race_result total;

static __thread uint64_t gup_rnd;

static void gup_jitter(struct mm_struct *mm, unsigned long uhva)
{
	if (!gup_rnd)
		gup_rnd = my_seed();
	jitter(&gup_rnd);
}

static void memremap_notifies(struct mm_struct *mm, unsigned long uhva)
{
	unit_mn_start(mm, uhva, uhva + PAGE_SIZE, true);
	unit_mn_end(mm, uhva, uhva + PAGE_SIZE, true);
}

static unsigned long hot_hva(uint64_t *rnd)
{
	unsigned long page = unit_rand(rnd) % NR_PAGES * PAGE_SIZE;
	unsigned long kind = unit_rand(rnd) % (setup.io ? 3 : 2);

	return page + (kind == 0 ? SLOT_HVA : kind == 1 ? FREE_HVA : IO_HVA);
}

static int point_anywhere(struct gfn_to_pfn_cache *gpc, uint64_t *rnd)
{
	unsigned long hva = hot_hva(rnd);
	unsigned long offset = unit_rand(rnd) % 500 * 8;

	/* Not onto the tag's counter alone; any offset will do. */
	if (hva < FREE_HVA && unit_rand(rnd) % 8)
		return activate(gpc, SLOT_GPA + (hva - SLOT_HVA) + offset, 8);
	return activate_hva(gpc, hva + offset, 8);
}

/* -EINVAL is for a cache that a mover has just deactivated. */
static void expect_result(int r)
{
	EXPECT(!r || r == -EFAULT || (r == -EINVAL && setup.movers));
}

static void zapper(void *arg)
{
	uint64_t rnd = my_seed();
	unsigned long n = 0;

	while (!stopped()) {
		unsigned long start = hot_hva(&rnd), end;
		bool block = unit_rand(&rnd) % 4;

		end = start + (1 + unit_rand(&rnd) % 3) * PAGE_SIZE;
		if (unit_rand(&rnd) % 32 == 0) {
			start = 0;
			end = ~0UL;
		}
		if (setup.cow && unit_rand(&rnd) % 4 == 0)
			unit_mm_set_cow(w.mm, start ? start : SLOT_HVA, false);
		unit_mn_start(w.mm, start, end, block);
		jitter(&rnd);
		if (unit_rand(&rnd) % 8)
			unit_mn_zap(w.mm, start, end);
		jitter(&rnd);
		unit_mn_end(w.mm, start, end, block);
		jitter(&rnd);
		n++;
	}
	add(&total.zaps, n);
}

/* Leaves so many ranges open at a time that no table holds them. */
static void stormer(void *arg)
{
	enum { N = 40 };
	unsigned long range[N][2];
	uint64_t rnd = my_seed();
	unsigned long n = 0;
	int i;

	while (!stopped()) {
		for (i = 0; i < N; i++) {
			range[i][0] = hot_hva(&rnd);
			range[i][1] = range[i][0] +
				      (1 + unit_rand(&rnd) % 2) * PAGE_SIZE;
			unit_mn_start(w.mm, range[i][0], range[i][1], true);
			unit_mn_zap(w.mm, range[i][0], range[i][1]);
		}
		for (i = 0; i < N; i++)
			unit_mn_end(w.mm, range[i][0], range[i][1], true);
		unit_relax();
		n += N;
	}
	add(&total.zaps, n);
}

/* One look at a cache, as an event's delivery. */
static bool look(struct gfn_to_pfn_cache *gpc, bool try, int touches)
{
	int idx = srcu_read_lock(&gpc->kvm->srcu);
	unsigned long flags = 0;
	bool ok = false;

	if (try) {
		if (!read_trylock(&gpc->lock))
			goto out;
	} else {
		read_lock_irqsave(&gpc->lock, flags);
	}
	ok = kvm_gpc_check(gpc, 8);
	while (ok && touches--)
		unit_touch(gpc->khva, gpc->uhva, true);
	if (try)
		read_unlock(&gpc->lock);
	else
		read_unlock_irqrestore(&gpc->lock, flags);
out:
	srcu_read_unlock(&gpc->kvm->srcu, idx);
	return ok;
}

static void reader(void *arg)
{
	uint64_t rnd = my_seed();
	unsigned long n = 0, hits = 0;

	while (!stopped()) {
		struct gfn_to_pfn_cache *gpc =
			caches[unit_rand(&rnd) % NR_CACHES];

		n++;
		if (look(gpc, false, 1 + unit_rand(&rnd) % 20))
			hits++;
		else if (unit_rand(&rnd) % 2)
			expect_result(refresh(gpc, 8));
		else
			jitter(&rnd);
	}
	add(&total.reads, n);
	add(&total.hits, hits);
}

/* Without a lock, as events are sent; every other time from a hard interrupt. */
static void live_reader(void *arg)
{
	uint64_t rnd = my_seed();
	unsigned long n = 0;

	while (!stopped()) {
		struct gfn_to_pfn_cache *gpc =
			caches[unit_rand(&rnd) % NR_CACHES];
		int touches = 1 + unit_rand(&rnd) % 40;
		bool irq = unit_rand(&rnd) % 2;

		if (irq)
			unit_hardirq_enter();
		n += live_look(gpc, touches);
		if (irq)
			unit_hardirq_exit();
		if (unit_rand(&rnd) % 64 == 0)
			unit_relax();
	}
	add(&total.live_reads, n);
}

static void irq_reader(void *arg)
{
	uint64_t rnd = my_seed();
	unsigned long n = 0, hits = 0;

	while (!stopped()) {
		unit_hardirq_enter();
		hits += look(caches[unit_rand(&rnd) % NR_CACHES],
			     unit_rand(&rnd) % 2, 1 + unit_rand(&rnd) % 10);
		unit_hardirq_exit();
		if (++n % 64 == 0)
			unit_relax();
	}
	add(&total.reads, n);
	add(&total.hits, hits);
}

static void refresher(void *arg)
{
	uint64_t rnd = my_seed();
	unsigned long n = 0;

	while (!stopped()) {
		expect_result(refresh(caches[unit_rand(&rnd) % NR_CACHES], 8));
		jitter(&rnd);
		n++;
	}
	add(&total.refreshes, n);
}

static void mover(void *arg)
{
	uint64_t rnd = my_seed();
	unsigned long n = 0;

	while (!stopped()) {
		struct gfn_to_pfn_cache *gpc =
			caches[unit_rand(&rnd) % NR_CACHES];

		if (unit_rand(&rnd) % 4 == 0)
			kvm_gpc_deactivate(gpc);
		expect_result(point_anywhere(gpc, &rnd));
		jitter(&rnd);
		n++;
	}
	add(&total.moves, n);
}

/* Caches of its own, which are freed the moment deactivate() is back. */
static void newborn(void *arg)
{
	uint64_t rnd = my_seed();
	unsigned long n = 0;

	while (!stopped()) {
		struct gfn_to_pfn_cache *gpc = gpc_new(&w);

		expect_result(point_anywhere(gpc, &rnd));
		look(gpc, false, 2);
		if (unit_rand(&rnd) % 2)
			expect_result(refresh(gpc, 8));
		look(gpc, true, 2);
		gpc_gone(gpc);
		n++;
	}
	add(&total.births, n);
}

/* What the memslots say now, and nobody changes, is what the caches mean. */
static void expect_slots_followed(void)
{
	int idx = srcu_read_lock(&w.kvm->srcu);
	unsigned long flags;

	for (int i = 0; i < NR_CACHES; i++) {
		struct gfn_to_pfn_cache *gpc = caches[i];

		read_lock_irqsave(&gpc->lock, flags);
		if (kvm_gpc_check(gpc, 8) && !kvm_is_error_gpa(gpc->gpa))
			EXPECT_EQ(gpc->uhva & PAGE_MASK, gfn_to_hva_memslot(
				  __gfn_to_memslot(kvm_memslots(w.kvm),
						   gpa_to_gfn(gpc->gpa)),
				  gpa_to_gfn(gpc->gpa)));
		read_unlock_irqrestore(&gpc->lock, flags);
	}
	srcu_read_unlock(&w.kvm->srcu, idx);
}

static void slot_changer(void *arg)
{
	uint64_t rnd = my_seed();
	unsigned long n = 0;

	while (!stopped()) {
		switch (unit_rand(&rnd) % 4) {
		case 0:
			unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA,
				      unit_rand(&rnd) % 2 ?
				      KVM_MEM_LOG_DIRTY_PAGES : 0);
			break;
		case 1:
			unit_slot_set(w.kvm, 0, SLOT_GFN -
				      unit_rand(&rnd) % 3, SLOT_PAGES, SLOT_HVA,
				      0);
			break;
		default:
			unit_slots_touch(w.kvm);
		}
		if (setup.slot_changers == 1)
			expect_slots_followed();
		n++;
		unit_relax();
	}
	add(&total.slot_changes, n);
}

/*
 * An address space goes when its last user does, so whoever is still about then
 * has only borrowed it.
 */
static void worker(void *arg)
{
	void (*fn)(void *arg) = arg;

	if (setup.release)
		current->flags |= PF_KTHREAD;
	fn(NULL);
}

static void start_all(struct unit_thread **t, int *n, int count,
		      const char *comm, void (*fn)(void *arg))
{
	while (count--)
		t[(*n)++] = unit_thread_start(comm, w.mm, worker, fn);
}

void race_run(const struct race *race)
{
	struct unit_thread *t[40];
	uint64_t rnd = unit_seed;
	int n = 0, i;

	setup = *race;
	start_over();
	world_begin(&w);
	w.mm->after_gup = gup_jitter;
	if (setup.io)
		w.mm->in_memremap = memremap_notifies;
	for (i = 0; i < NR_CACHES; i++) {
		caches[i] = gpc_new(&w);
		expect_result(point_anywhere(caches[i], &rnd));
	}
	start_all(t, &n, setup.zappers, "zapper",
		  setup.storm_of_ranges ? stormer : zapper);
	start_all(t, &n, setup.readers, "reader", reader);
	start_all(t, &n, setup.irq_readers, "irq", irq_reader);
	start_all(t, &n, setup.live_readers, "live", live_reader);
	start_all(t, &n, setup.refreshers, "refresher", refresher);
	start_all(t, &n, setup.movers, "mover", mover);
	start_all(t, &n, setup.newborns, "newborn", newborn);
	start_all(t, &n, setup.slot_changers, "slots", slot_changer);

	sleep_ms(setup.ms / (setup.release ? 2 : 1));
	if (setup.release) {
		mmput(w.mm);
		sleep_ms(setup.ms / 2);
	}
	stop_all();
	while (n--)
		unit_thread_join(t[n]);
	unit_mm_wait_exit(w.mm);

	/* KVM, too, changes no slot while a range is open that never ends. */
	if (!setup.release)
		unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
	for (i = 0; i < NR_CACHES; i++) {
		/* The dust has settled: no cache is lost or stuck. */
		int r = point_anywhere(caches[i], &rnd);

		EXPECT_EQ(r, setup.release ? -EFAULT : 0);
		EXPECT_EQ(usable(caches[i]), !setup.release);
		gpc_gone(caches[i]);
	}
	total.gups += w.mm->gups;
	world_end(&w);
	unit_log("zaps %lu reads %lu hits %lu live %lu refreshes %lu moves %lu births %lu slot changes %lu page resolutions %lu\n",
		 total.zaps, total.reads, total.hits, total.live_reads,
		 total.refreshes, total.moves, total.births, total.slot_changes,
		 total.gups);
}

void race_until(const struct race *race, const struct race_result *least)
{
	uint64_t end = unit_now_ns() + PATIENCE_NS;
	struct race longer = *race;
	bool reached;

	/* What was too short for one of them is so again. */
	for (;; longer.ms *= 2) {
		race_run(&longer);
		reached = all_reached(&total, least, sizeof(total));
		if (reached || unit_now_ns() > end)
			break;
	}
	EXPECT(reached);
}

static bool departed;

static void last_reader(void *arg)
{
	struct gfn_to_pfn_cache *gpc = arg;

	EXPECT(look(gpc, false, 1));
	kvm_gpc_deactivate(gpc);
	/* Relaxed: no order but what the caches make. */
	__atomic_store_n(&departed, true, __ATOMIC_RELAXED);
}

/*
 * The page is zapped by a task that finds no cache any more. That it finds none
 * must order it after the last access; only ThreadSanitizer can tell.
 */
TEST(race_departed, "race: an unmap that finds the cache gone comes after its last access")
{
	struct gfn_to_pfn_cache *gpc;
	struct unit_thread *t;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate_hva(gpc, FREE_HVA, 8), 0);
	t = unit_thread_start("reader", w.mm, last_reader, gpc);
	while (!__atomic_load_n(&departed, __ATOMIC_RELAXED))
		unit_relax();
	unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
	unit_thread_join(t);
	gpc_gone(gpc);
	world_end(&w);
}

TEST(race_readers, "race: readers and hard interrupts against unmaps")
{
	race_until(&(struct race){ .zappers = 2, .readers = 2, .irq_readers = 2,
				   .ms = unit_race_ms },
		   &(struct race_result){ .zaps = 21, .hits = 21, .gups = 21 });
}

TEST(race_refresh, "race: refreshes against unmaps, many of each")
{
	race_until(&(struct race){ .zappers = 4, .readers = 1, .refreshers = 4,
				   .ms = unit_race_ms },
		   &(struct race_result){ .zaps = 21, .refreshes = 21,
					  .gups = 21 });
}

TEST(race_cow, "race: copy-on-write and mappings that invalidate themselves")
{
	race_until(&(struct race){ .zappers = 2, .readers = 2, .refreshers = 2,
				   .movers = 1, .cow = true, .io = true,
				   .ms = unit_race_ms },
		   &(struct race_result){ .zaps = 21, .hits = 21 });
}

TEST(race_life, "race: activation, moves and deactivation against unmaps")
{
	race_until(&(struct race){ .zappers = 2, .readers = 1, .irq_readers = 1,
				   .movers = 2, .newborns = 2, .ms = unit_race_ms },
		   &(struct race_result){ .zaps = 21, .moves = 21, .births = 21 });
}

TEST(race_slots, "race: memslot changes against readers and refreshes")
{
	race_until(&(struct race){ .zappers = 1, .readers = 2, .irq_readers = 1,
				   .refreshers = 1, .slot_changers = 2,
				   .ms = unit_race_ms },
		   &(struct race_result){ .slot_changes = 11, .hits = 21 });
}

TEST(race_one_slot, "race: after each memslot change the caches mean what it says")
{
	race_until(&(struct race){ .zappers = 1, .readers = 1, .live_readers = 1,
				   .refreshers = 2, .movers = 1, .slot_changers = 1,
				   .ms = unit_race_ms },
		   &(struct race_result){ .slot_changes = 1, .refreshes = 21 });
}

TEST(race_overflow, "race: more ranges in flight than are listed")
{
	/* More than the caches' first; how many is the machine's load. */
	race_until(&(struct race){ .zappers = 4, .readers = 2, .refreshers = 2,
				   .storm_of_ranges = true, .ms = unit_race_ms },
		   &(struct race_result){ .zaps = 21, .gups = NR_CACHES + 1 });
}

TEST(race_release, "race: the address space goes under everything's feet")
{
	race_run(&(struct race){ .zappers = 1, .readers = 2, .irq_readers = 1,
				 .refreshers = 2, .movers = 1, .newborns = 1,
				 .live_readers = 1, .release = true, .ms = unit_race_ms });
}

TEST_RT(race_all, "race: everything at once")
{
	race_until(&(struct race){ .zappers = 2, .readers = 2,
				   .irq_readers = unit_rt ? 0 : 1, .refreshers = 1,
				   .movers = 1, .newborns = 1, .live_readers = 1,
				   .slot_changers = 1, .cow = true, .io = true,
				   .ms = unit_race_ms },
		   &(struct race_result){ .zaps = 1, .reads = 1, .moves = 1,
					  .births = 1, .slot_changes = 1 });
}
