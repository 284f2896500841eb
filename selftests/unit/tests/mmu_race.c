// SPDX-License-Identifier: GPL-2.0
/* Races over page tables, in every format that processors have for them. */
#include <stdlib.h>
#include "mmu_race.h"
#include "rig/kvm.h"
#include "rig/mem.h"
#include "together.h"

void kvm_zap_gfn_range(struct kvm *kvm, gfn_t start, gfn_t end);

static struct mmu_race setup;
static struct mmu_race_result total;
static struct mm_struct *mm;
static struct kvm *kvm;
static struct guest *guests[HOST_GUESTS];
static bool slots_wanted;

/* KVM changes memslots between invalidations, and so needs a moment without. */
static void let_slots_change(void)
{
	while (__atomic_load_n(&slots_wanted, __ATOMIC_RELAXED) && !stopped())
		unit_relax();
}

/* At the ends of tables and of words of the log, and next to each other. */
static gfn_t hot_gfn(uint64_t *rnd)
{
	static const u16 hot[] = { 0, 1, 2, 3, 62, 63, 64, 255, 510, 511 };
	u64 r = unit_rand(rnd);

	if (setup.narrow)
		return host_gfn(HOST_REGION + hot[r % 4]);
	if (r % 64 == 0)
		return host_gfn((r >> 8) % HOST_PAGES);
	if (r % 16 == 1)
		return host_gfn(HOST_PAGES - 1 - (r >> 8) % 3);
	return host_gfn((r >> 8) % HOST_REGIONS * HOST_REGION +
			hot[(r >> 16) % ARRAY_SIZE(hot)]);
}

static void hot_range(uint64_t *rnd, gfn_t *start, gfn_t *end)
{
	gfn_t last = HOST_END;
	u64 r = unit_rand(rnd) % 16;

	*start = hot_gfn(rnd);
	*end = *start + 1 + unit_rand(rnd) % 4;
	if (!setup.narrow && r == 0) {
		*start = HOST_GFN;
		*end = last;
	} else if (!setup.narrow && r < 3) {
		*start &= -HOST_REGION;
		*end = *start + HOST_REGION;
	} else if (!setup.narrow && setup.giga && r == 3) {
		*start = HOST_GFN;
		*end = HOST_GFN + KVM_PAGES_PER_HPAGE(PG_LEVEL_1G);
	}
	*end = min(*end, last);
}

static gfn_t guest_gfn(struct guest *g)
{
	return unit_rand(&g->rnd) % 256 ? hot_gfn(&g->rnd) : HOST_GFN - 1;
}

static void pre_fault(struct guest *g)
{
	gfn_t gfn = hot_gfn(&g->rnd), end = gfn + 1 + unit_rand(&g->rnd) % 40;

	/* Between regions there may be nothing, but after the memslot. */
	if (gfn < host_gfn(HOST_REGIONS * HOST_REGION))
		end = min(end, (gfn | (HOST_REGION - 1)) + 1);
	guest_pre_fault(g, gfn, end - gfn);
}

static void guest_main(void *arg)
{
	struct guest *g = arg;

	while (!stopped()) {
		if (setup.modes && unit_rand(&g->rnd) % 4 == 0)
			guest_switch(g, unit_rand(&g->rnd) % GUEST_MODES);
		if (setup.pre_fault && unit_rand(&g->rnd) % 8 == 0)
			pre_fault(g);
		guest_run(g, 200, guest_gfn);
	}
	add(&total.pre_faults, g->pre_faults);
	add(&total.accesses, g->accesses);
	add(&total.faults, g->faults);
	add(&total.flushes, g->flushes);
	add(&total.emulated, g->emulated);
}

static void unmapper(void *arg)
{
	uint64_t rnd = my_seed();
	gfn_t start, end;

	while (!stopped()) {
		let_slots_change();
		hot_range(&rnd, &start, &end);
		host_unmap(start, end, unit_rand(&rnd) % 4);
		jitter(&rnd);
		add(&total.unmaps, 1);
	}
}

/* Leaves so many ranges open at a time that they are not known one by one. */
static void stormer(void *arg)
{
	enum { N = 40 };
	gfn_t start[N], end[N];
	uint64_t rnd = my_seed();

	while (!stopped()) {
		for (int i = 0; i < N; i++) {
			hot_range(&rnd, &start[i], &end[i]);
			host_unmap_begin(start[i], end[i]);
		}
		jitter(&rnd);
		for (int i = 0; i < N; i++)
			host_unmap_end(start[i], end[i]);
		unit_relax();
		add(&total.unmaps, N);
	}
}

static void cleaner(void *arg)
{
	uint64_t rnd = my_seed();
	gfn_t start, end;

	while (!stopped()) {
		let_slots_change();
		hot_range(&rnd, &start, &end);
		host_clean(start, end);
		jitter(&rnd);
		add(&total.cleans, 1);
	}
}

static void gfn_zapper(void *arg)
{
	uint64_t rnd = my_seed();
	gfn_t start, end;

	while (!stopped()) {
		hot_range(&rnd, &start, &end);
		kvm_zap_gfn_range(kvm, start, end);
		jitter(&rnd);
		add(&total.gfn_zaps, 1);
	}
}

static void root_zapper(void *arg)
{
	while (!stopped()) {
		unit_mmu_zap_all_fast(kvm);
		unit_relax();
		add(&total.root_zaps, 1);
	}
}

static void ager(void *arg)
{
	uint64_t rnd = my_seed();
	gfn_t start, end;

	while (!stopped()) {
		hot_range(&rnd, &start, &end);
		if (unit_rand(&rnd) % 4 == 0)
			unit_mmu_age(kvm, start, end, unit_rand(&rnd) % 2);
		else
			host_young(start, unit_rand(&rnd) % 4, unit_rand(&rnd) % 2);
		jitter(&rnd);
		add(&total.ages, 1);
	}
}

static void logger(void *arg)
{
	uint64_t rnd = my_seed();

	while (!stopped()) {
		__atomic_store_n(&slots_wanted, true, __ATOMIC_RELAXED);
		unit_mmu_log_writes(kvm, true,
				    !setup.rings && unit_rand(&rnd) % 2);
		__atomic_store_n(&slots_wanted, false, __ATOMIC_RELAXED);
		for (int n = unit_rand(&rnd) % 20; n-- && !stopped(); ) {
			unit_mmu_read_log(kvm, unit_rand(&rnd) % 4 == 0);
			jitter(&rnd);
			add(&total.logs, 1);
		}
		__atomic_store_n(&slots_wanted, true, __ATOMIC_RELAXED);
		unit_mmu_log_writes(kvm, false, false);
		__atomic_store_n(&slots_wanted, false, __ATOMIC_RELAXED);
		unit_relax();
	}
}

static void tracker(void *arg)
{
	uint64_t rnd = my_seed();

	while (!stopped()) {
		gfn_t gfn = host_gfn(HOST_REGION + 2);

		unit_mmu_track(kvm, gfn);
		unit_relax();
		unit_mmu_untrack(kvm, gfn);
		jitter(&rnd);
		add(&total.tracks, 1);
	}
}

static void recoverer(void *arg)
{
	while (!stopped()) {
		add(&total.recoveries, unit_mmu_recover_nx(kvm));
		unit_relax();
	}
}

static void converter(void *arg)
{
	uint64_t rnd = my_seed();
	gfn_t start, end;

	while (!stopped()) {
		hot_range(&rnd, &start, &end);
		unit_mmu_set_attrs(kvm, start, end, unit_rand(&rnd) % 2, NULL);
		jitter(&rnd);
		add(&total.conversions, 1);
	}
}

static void splitter(void *arg)
{
	uint64_t rnd = my_seed();
	gfn_t start, end;

	while (!stopped()) {
		hot_range(&rnd, &start, &end);
		/* A gigabyte of small pages is more than a test has time for. */
		start &= -HOST_REGION;
		unit_mmu_split(kvm, start, setup.giga ? start + HOST_REGION : end);
		unit_relax();
		add(&total.splits, 1);
	}
}

/* The memslot goes, alone, and comes back with other pages. */
static void deleter(void *arg)
{
	while (!stopped()) {
		__atomic_store_n(&slots_wanted, true, __ATOMIC_RELAXED);
		unit_slot_set(kvm, 0, HOST_GFN, 0, HOST_HVA, 0);
		__atomic_store_n(&slots_wanted, false, __ATOMIC_RELAXED);
		/* Nobody tells KVM of this any more. */
		host_unmap(HOST_GFN, HOST_END, true);
		unit_relax();
		__atomic_store_n(&slots_wanted, true, __ATOMIC_RELAXED);
		unit_slot_set(kvm, 0, HOST_GFN, host_layout.pages, HOST_HVA, 0);
		__atomic_store_n(&slots_wanted, false, __ATOMIC_RELAXED);
		for (int n = 0; n < 20 && !stopped(); n++)
			unit_relax();
		add(&total.deletions, 1);
	}
}

static void start_all(struct unit_thread **t, int *n, int count,
		      const char *comm, void (*fn)(void *arg))
{
	while (count--)
		t[(*n)++] = unit_thread_start(comm, mm, fn, NULL);
}

void mmu_race_run(const struct mmu_race *race)
{
	struct unit_thread *t[40];
	int n = 0, i;

	setup = *race;
	start_over();
	mm = unit_mm_create();
	current->mm = mm;
	host_lay_out(setup.giga, setup.high);
	host_begin(mm);
	nx_huge_pages = setup.nx;
	kvm = unit_mmu_vm_create(mm, setup.format);
	kvm->arch.has_private_mem = setup.converters;
	if (setup.deleters)
		kvm->arch.disabled_quirks = KVM_X86_QUIRK_SLOT_ZAP_ALL;
	if (setup.rings)
		unit_mmu_use_rings(kvm);
	for (i = 0; i < setup.guests; i++)
		guests[i] = guest_create(kvm);
	for (i = 0; i < setup.guests; i++)
		t[n++] = unit_thread_start("guest", mm, guest_main, guests[i]);
	start_all(t, &n, setup.unmappers, "unmapper",
		  setup.storm ? stormer : unmapper);
	start_all(t, &n, setup.cleaners, "cleaner", cleaner);
	start_all(t, &n, setup.gfn_zappers, "zapper", gfn_zapper);
	start_all(t, &n, setup.root_zappers, "roots", root_zapper);
	start_all(t, &n, setup.agers, "ager", ager);
	start_all(t, &n, setup.loggers, "logger", logger);
	start_all(t, &n, setup.trackers, "tracker", tracker);
	start_all(t, &n, setup.recoverers, "recoverer", recoverer);
	start_all(t, &n, setup.splitters, "splitter", splitter);
	start_all(t, &n, setup.converters, "converter", converter);
	start_all(t, &n, setup.deleters, "deleter", deleter);
	sleep_ms(setup.ms);
	stop_all();
	while (n--)
		unit_thread_join(t[n]);

	/* The dust has settled: everything works, and is counted. */
	unit_mmu_zap_all_fast(kvm);
	for (i = 0; i < setup.guests; i++)
		for (unsigned long n = 0; n < HOST_PAGES; n += 61)
			EXPECT(guest_access(guests[i], host_gfn(n), n % 2, false));
	unit_mmu_count(kvm);
	for (i = 0; i < setup.guests; i++)
		guest_destroy(guests[i]);
	unit_mmu_vm_destroy(kvm);
	host_end();
	unit_mm_destroy(mm);
	current->mm = NULL;
	unit_log("accesses %lu faults %lu flushes %lu emulated %lu unmaps %lu cleans %lu zaps %lu roots %lu ages %lu logs %lu tracks %lu recoveries %lu splits %lu conversions %lu steps ahead %lu deletions %lu\n",
		 total.accesses, total.faults, total.flushes, total.emulated,
		 total.unmaps, total.cleans, total.gfn_zaps, total.root_zaps,
		 total.ages, total.logs, total.tracks, total.recoveries,
		 total.splits, total.conversions, total.pre_faults,
		 total.deletions);
}

/* See race_until(). */
static void mmu_race_until(const struct mmu_race *race,
			   const struct mmu_race_result *least)
{
	uint64_t end = unit_now_ns() + PATIENCE_NS;
	struct mmu_race longer = *race;
	bool reached;

	/* What was too short for one of them is so again. */
	for (;; longer.ms *= 2) {
		mmu_race_run(&longer);
		reached = all_reached(&total, least, sizeof(total));
		if (reached || unit_now_ns() > end)
			break;
	}
	EXPECT(reached);
}

struct mmu_race mmu_everything(enum unit_format format)
{
	return (struct mmu_race){
		.format = format, .guests = 3, .unmappers = 2, .cleaners = 1,
		.gfn_zappers = 1, .root_zappers = 1, .agers = 1, .loggers = 1,
		.trackers = 1, .recoverers = 1, .splitters = 1, .nx = true,
		.pre_fault = true, .ms = unit_race_ms,
	};
}

static void everything_until(const struct mmu_race *race)
{
	mmu_race_until(race, &(struct mmu_race_result){ .accesses = 21, .unmaps = 1,
							.cleans = 1, .gfn_zaps = 1,
							.root_zaps = 1 });
}

/* One race in every format. */
#define TEST_FORMATS(func, title)						\
	static void func(enum unit_format format);				\
	TEST(func##_npt, "mmu: " title " (NPT)") { func(UNIT_NPT); }		\
	TEST(func##_ept, "mmu: " title " (EPT)") { func(UNIT_EPT); }		\
	TEST(func##_pml, "mmu: " title " (EPT, PML)") { func(UNIT_EPT_PML); }	\
	TEST(func##_no_ad, "mmu: " title " (EPT without A/D)")			\
	{									\
		func(UNIT_EPT_NO_AD);						\
	}									\
	static void func(enum unit_format format)

TEST_FORMATS(mmu_unmap, "faults against unmaps of the same pages, many at once")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 2,
					   .unmappers = 4, .narrow = true,
					   .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21, .unmaps = 21,
						  .faults = 21 });
}

TEST_FORMATS(mmu_pages, "faults against unmaps and write-back, huge pages and small ones")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 2,
					   .unmappers = 2, .cleaners = 1,
					   .gfn_zappers = 1, .splitters = 1,
					   .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21, .unmaps = 1,
						  .cleans = 1, .gfn_zaps = 1 });
}

TEST_FORMATS(mmu_pre_fault, "what is mapped ahead against unmaps, splits and the log")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 2,
					   .unmappers = 2, .cleaners = 1,
					   .gfn_zappers = 1, .root_zappers = 1,
					   .splitters = 1, .loggers = 1,
					   .pre_fault = true, .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21, .unmaps = 1,
						  .pre_faults = 21 });
}

TEST_FORMATS(mmu_modes, "everything at once, with SMM and nested guests")
{
	struct mmu_race race = mmu_everything(format);

	race.modes = true;
	everything_until(&race);
}

TEST_FORMATS(mmu_giga, "pages of 1G, 2M and 4K against unmaps, write-back and splits")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .giga = true,
					   .guests = 3, .unmappers = 2,
					   .cleaners = 1, .gfn_zappers = 1,
					   .splitters = 1, .loggers = 1,
					   .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21, .unmaps = 1,
						  .splits = 1, .logs = 1 });
}

TEST_FORMATS(mmu_high, "everything at once, with five levels of tables and pages of 1G")
{
	struct mmu_race race = mmu_everything(format);

	race.giga = race.high = true;
	everything_until(&race);
}

TEST_FORMATS(mmu_deleted, "a memslot goes alone, and its tables with it")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 3,
					   .unmappers = 1, .gfn_zappers = 1,
					   .root_zappers = 1, .deleters = 1,
					   .pre_fault = true, .modes = true, .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21, .unmaps = 1,
						  .deletions = 2 });
}

TEST(mmu_storm, "mmu: more unmaps in flight than are known one by one")
{
	mmu_race_until(&(struct mmu_race){ .guests = 3, .unmappers = 4,
					   .storm = true, .gfn_zappers = 1,
					   .narrow = true, .ms = unit_race_ms },
		       &(struct mmu_race_result){ .unmaps = 1, .faults = 21 });
}

TEST_FORMATS(mmu_log, "no write is missing in the log")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 3,
					   .unmappers = 1, .agers = 1, .loggers = 1,
					   .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21, .logs = 1 });
}

TEST_FORMATS(mmu_ring, "no write is missing in dirty rings")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 3,
					   .unmappers = 1, .agers = 1, .loggers = 1,
					   .rings = true, .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21, .logs = 1 });
}

TEST_FORMATS(mmu_age, "ageing against faults and unmaps")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 2,
					   .unmappers = 2, .cleaners = 1,
					   .agers = 2, .narrow = true,
					   .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21, .unmaps = 1,
						  .ages = 1 });
}

TEST_FORMATS(mmu_roots, "trees go and come")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 2,
					   .unmappers = 1, .gfn_zappers = 1,
					   .root_zappers = 1, .agers = 1,
					   .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21, .root_zaps = 1 });
}

TEST_FORMATS(mmu_track, "a page that is tracked is not written to")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 3,
					   .unmappers = 1, .trackers = 1,
					   .narrow = true, .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21, .tracks = 1 });
}

TEST_FORMATS(mmu_nx, "tables of executable pages are recovered")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 2,
					   .unmappers = 1, .recoverers = 1,
					   .root_zappers = 1, .nx = true,
					   .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21,
						  .recoveries = 1 });
}

TEST_FORMATS(mmu_attrs, "attributes change, and nobody is there by the old ones")
{
	mmu_race_until(&(struct mmu_race){ .format = format, .guests = 3,
					   .unmappers = 1, .gfn_zappers = 1,
					   .converters = 2, .ms = unit_race_ms },
		       &(struct mmu_race_result){ .accesses = 21,
						  .conversions = 2 });
}

TEST_FORMATS(mmu_all, "everything at once")
{
	struct mmu_race race = mmu_everything(format);

	everything_until(&race);
}
