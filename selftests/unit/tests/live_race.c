// SPDX-License-Identifier: GPL-2.0
/* Races of readers without a lock, and the bugs that they would not survive. */
#include "live.h"
#include "race.h"

#define NR_FRESH	6

static struct world w;
static struct gfn_to_pfn_cache *gpc;

/* The first look of a CPU, and the only one. */
static void fresh_main(void *delay)
{
	for (unsigned long i = 0; i < (unsigned long)delay; i++)
		barrier();
	live_look(gpc, 30);
}

static void fresh_rounds(unsigned int ms)
{
	uint64_t end = unit_now_ns() + ms * 1000000ull, rnd = unit_seed;

	while (unit_now_ns() < end) {
		struct unit_thread *t[NR_FRESH];
		int i;

		world_begin(&w);
		gpc = gpc_new(&w);
		EXPECT_EQ(activate_hva(gpc, FREE_HVA, 8), 0);
		for (i = 0; i < NR_FRESH; i++)
			t[i] = unit_thread_start("fresh", w.mm, fresh_main,
					(void *)(unit_rand(&rnd) % 20000));
		for (i = 0; i < NR_FRESH; i++) {
			unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
			EXPECT_EQ(refresh(gpc, 8), 0);
		}
		for (i = 0; i < NR_FRESH; i++)
			unit_thread_join(t[i]);
		gpc_gone(gpc);
		world_end(&w);
		unit_wait_end();
	}
}

TEST(live_fresh, "race: CPUs that read for the first time against unmaps")
{
	fresh_rounds(unit_race_ms);
}

TEST(live_unmaps, "race: readers without a lock against unmaps")
{
	race_until(&(struct race){ .zappers = 2, .live_readers = 3, .refreshers = 2,
				   .ms = unit_race_ms },
		   &(struct race_result){ .zaps = 21, .live_reads = 21,
					  .gups = 21 });
}

TEST_RT(live_moves, "race: readers without a lock against moves and deactivation")
{
	race_until(&(struct race){ .zappers = 2, .live_readers = 3, .movers = 2,
				   .refreshers = 1, .newborns = 1, .io = true,
				   .ms = unit_race_ms },
		   &(struct race_result){ .zaps = 21, .live_reads = 21,
					  .moves = 21 });
}

TEST(live_slots, "race: readers without a lock against memslot changes")
{
	race_until(&(struct race){ .zappers = 1, .live_readers = 3, .refreshers = 2,
				   .slot_changers = 2, .ms = unit_race_ms },
		   &(struct race_result){ .slot_changes = 1, .live_reads = 21 });
}

static void live_race_for(unsigned int ms)
{
	unit_mutants.readers_stall = true;
	race_run(&(struct race){ .zappers = 2, .live_readers = 4,
				 .refreshers = 1, .ms = ms });
}

#define FOUND_BY_READER \
	"used after invalidate_start had returned|access: page|use-after-poison|ThreadSanitizer: data race"

PLANTED(m_call, "rig: a call to other CPUs that does not wait; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.call_does_not_wait = true;
	unit_jiffy_shift = UNIT_JIFFY_HASTY;
	live_race_for(15000);
}

PLANTED(d_quiesce, "design: readers without a lock not waited for; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.quiesce_nothing = true;
	live_race_for(15000);
}

PLANTED(d_said, "design: readers that say so not waited for; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.said_unheard = true;
	unit_jiffy_shift = UNIT_JIFFY_MS;
	live_race_for(15000);
}

PLANTED(d_live, "design: a cache taken whose readers are not told; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.live_kept = true;
	live_race_for(15000);
}

PLANTED(d_unknown, "design: readers who are not in the mask; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.reader_unknown = true;
	live_race_for(15000);
}

PLANTED(p_live_kept, "a reader who keeps the address over interrupts", FOUND_BY_READER)
{
	struct unit_seen seen = { 0 };
	struct gpc_read read;
	void *khva;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate_hva(gpc, FREE_HVA, 8), 0);
	read = kvm_gpc_read_begin(w.kvm);
	khva = kvm_gpc_live(gpc);
	unit_touch_live(khva, &seen);
	kvm_gpc_read_end(read);
	unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
	unit_touch_live(khva, &seen);
}

PLANTED(p_live_irqs, "kvm_gpc_live() with interrupts on", "lockdep_assert: interrupts must be off")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	kvm_gpc_live(gpc);
}

PLANTED(p_call_locked, "a wait for readers with a lock held that they may want", "cpu: call to other CPUs at")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	live_look(gpc, 0);
	read_lock(&gpc->lock);
	kvm_gpc_quiesce(w.kvm);
}

PLANTED(p_call_irqs, "a wait for readers with interrupts off", "interrupts must be on")
{
	unsigned long flags;

	world_begin(&w);
	local_irq_save(flags);
	kvm_gpc_quiesce(w.kvm);
	local_irq_restore(flags);
}

PLANTED(p_cpu_id, "the number of a CPU that may change at once", "cpu: the number of a CPU")
{
	EXPECT(smp_processor_id() >= 0);
}
