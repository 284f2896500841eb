// SPDX-License-Identifier: GPL-2.0
/* Page tables step by step: what a guest comes back for, and what it does not. */
#include <sched.h>
#include "mmu_race.h"
#include "rig/kvm.h"
#include "rig/mem.h"
#include "rig/rcu.h"
#include "rig/vcpu.h"
#include "mmu.h"
#include "x86.h"
#include "mmu_internal.h"
#include "tables.h"

void kvm_zap_gfn_range(struct kvm *kvm, gfn_t start, gfn_t end);
bool kvm_tdp_mmu_retry_gfn(struct kvm *kvm, unsigned long seq, gfn_t gfn);
int kvm_tdp_mmu_ring_reset(struct kvm *kvm, struct kvm_dirty_ring *ring);
void kvm_tdp_mmu_ring_push(struct kvm_vcpu *vcpu, u32 slot, u64 offset);

#define GFN	(HOST_GFN + HOST_REGION)

static struct mm_struct *mm;
static struct kvm *kvm;
static struct guest *g;

static bool with_rings;

static void begin(enum unit_format format, enum host_how huge)
{
	mm = unit_mm_create();
	current->mm = mm;
	host_policy.huge = huge;
	host_policy.shared = HOST_NEVER;
	host_begin(mm);
	kvm = unit_mmu_vm_create(mm, format);
	if (with_rings)
		unit_mmu_use_rings(kvm);
	g = guest_create(kvm);
}

static void end(void)
{
	unit_mmu_count(kvm);
	guest_destroy(g);
	unit_mmu_vm_destroy(kvm);
	host_end();
	unit_mm_destroy(mm);
	current->mm = NULL;
}

/* Faults that it takes to access @nr pages. */
static unsigned long faults(gfn_t gfn, int nr, bool write)
{
	unsigned long before = g->faults;

	while (nr--)
		EXPECT(guest_access(g, gfn++, write, false));
	return g->faults - before;
}

static long mapped(int level)
{
	return atomic64_read(&kvm->stat.pages[level - 1]);
}

static void populate(gfn_t gfn, int nr)
{
	bool writable;

	while (nr--)
		host_gup(gfn++, true, &writable);
}

TEST(mmu_step_around, "mmu: what the host has is mapped with its neighbour")
{
	begin(UNIT_NPT, HOST_NEVER);
	populate(GFN, 64);
	EXPECT_EQ(faults(GFN + 5, 1, false), 1);
	EXPECT_EQ(faults(GFN, 16, true), 0);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 16);
	EXPECT_EQ(faults(GFN + 16, 48, true), 3);
	end();
}

TEST(mmu_step_around_rarely, "mmu: who finds no neighbours looks for them ever more rarely")
{
	unsigned long looks;

	begin(UNIT_NPT, HOST_NEVER);
	looks = host_looks;
	EXPECT_EQ(faults(GFN, 200, true), 200);
	/* After 1, 2, 4 ..., and every 64; behind the page, and before it. */
	looks = host_looks - looks;
	unit_log("looks %lu\n", looks);
	EXPECT(looks >= 5 && looks <= 20);
	populate(GFN + 200, 312);
	/* Until somebody looks again, and from then on one for sixteen. */
	EXPECT_EQ(faults(GFN + 200, 56, true), 56);
	EXPECT_EQ(faults(GFN + 256, 256, true), 16);
	end();
}

TEST(mmu_step_around_next, "mmu: a table looks once, and then as rarely as the one before")
{
	unsigned long looks;

	begin(UNIT_NPT, HOST_NEVER);
	EXPECT_EQ(faults(GFN, 200, true), 200);
	looks = host_looks;
	EXPECT_EQ(faults(GFN + 512, 60, true), 60);
	looks = host_looks - looks;
	unit_log("looks %lu\n", looks);
	EXPECT(looks >= 1 && looks <= 2);
	/* That look may find them. */
	populate(HOST_GFN, HOST_REGION);
	EXPECT_EQ(faults(HOST_GFN, HOST_REGION, true), 32);
	end();
}

TEST(mmu_step_not_around, "mmu: what the host has not is not mapped with its neighbour")
{
	begin(UNIT_NPT, HOST_NEVER);
	populate(GFN, 2);
	EXPECT_EQ(faults(GFN, 1, false), 1);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 2);
	unit_mmu_log_writes(kvm, true, false);
	populate(GFN + 16, 16);
	EXPECT_EQ(faults(GFN + 16, 16, true), 16);
	end();
}

void mmu_neighbour_goes(void)
{
	begin(UNIT_NPT, HOST_NEVER);
	populate(GFN, 2);
	host_unmap_tell(GFN + 1, GFN + 2);
	EXPECT_EQ(faults(GFN, 1, false), 1);
	host_unmap_take(GFN + 1, GFN + 2);
	host_unmap_end(GFN + 1, GFN + 2);
	EXPECT_EQ(faults(GFN + 1, 1, false), 1);
	end();
}

TEST(mmu_step_neighbour_goes, "mmu: what is being unmapped is not mapped with its neighbour")
{
	mmu_neighbour_goes();
}

void mmu_unmap_again(bool high)
{
	host_lay_out(high, high);
	begin(UNIT_EPT, HOST_NEVER);
	for (int n = 0; n < 2000; n++) {
		EXPECT_EQ(faults(GFN, 1, true), 1);
		host_unmap(GFN, GFN + 1, true);
	}
	end();
}

TEST(mmu_step_unmap_again, "mmu: a page that comes and goes is a fault each time it has come")
{
	mmu_unmap_again(false);
}

TEST(mmu_step_unmap_again_high, "mmu: a page that comes and goes, with five levels")
{
	mmu_unmap_again(true);
}

/* Steps that it takes to have @nr pages mapped ahead. */
static unsigned long steps(gfn_t gfn, unsigned long nr)
{
	unsigned long before = g->pre_faults;

	EXPECT_EQ(guest_pre_fault(g, gfn, nr), nr);
	return g->pre_faults - before;
}

TEST(mmu_step_ahead, "mmu: what the host has is mapped ahead, sixteen a step and more")
{
	for (int format = 0; format < UNIT_FORMATS; format++) {
		begin(format, HOST_NEVER);
		populate(GFN, 700);
		/* Whoever is wanted meanwhile goes, but not with less. */
		EXPECT(steps(GFN + 20, 600) <= 600 / 17 + 2);
		EXPECT_EQ(mapped(PG_LEVEL_4K), 600);
		EXPECT(!host_young(GFN + 50, false, false));
		if (format != UNIT_EPT_NO_AD)
			EXPECT_EQ(faults(GFN + 20, 600, true), 0);
		end();
	}
}

TEST(mmu_step_ahead_bounds, "mmu: nothing is mapped ahead that was not asked for")
{
	begin(UNIT_NPT, HOST_NEVER);
	populate(HOST_GFN, HOST_PAGES);
	EXPECT_EQ(steps(GFN + 3, 1), 1);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 1);
	EXPECT(steps(GFN, 8) <= 8);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 8);
	/* The memslot ends here, in the middle of a table. */
	EXPECT_EQ(guest_pre_fault(g, HOST_GFN + HOST_PAGES - 5, 9), 5);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 13);
	end();
}

TEST(mmu_step_ahead_one_by_one, "mmu: what the host has not, or is logged, is mapped one by one")
{
	begin(UNIT_NPT, HOST_NEVER);
	EXPECT_EQ(steps(GFN, 40), 40);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 40);
	unit_mmu_log_writes(kvm, true, false);
	populate(GFN + 64, 40);
	EXPECT_EQ(steps(GFN + 64, 40), 40);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 80);
	unit_mmu_read_log(kvm, false);
	end();
}

static void ahead_is_no_write(enum unit_format format)
{
	begin(format, HOST_NEVER);
	unit_mmu_log_writes(kvm, true, false);
	populate(GFN, 16);
	EXPECT_EQ(guest_pre_fault(g, GFN, 16), 16);
	EXPECT_EQ(unit_mmu_nr_logged(kvm), 0);
	if (format != UNIT_EPT_NO_AD)
		EXPECT_EQ(faults(GFN, 16, false), 0);
	EXPECT_EQ(faults(GFN, 16, true), 16);
	EXPECT_EQ(unit_mmu_nr_logged(kvm), 16);
	unit_mmu_read_log(kvm, false);
	end();
}

TEST(mmu_step_ahead_logged, "mmu: what is mapped ahead has not been written to")
{
	for (int format = 0; format < UNIT_FORMATS; format++)
		ahead_is_no_write(format);
}

TEST(mmu_step_ahead_rings, "mmu: what is mapped ahead takes no room in dirty rings")
{
	with_rings = true;
	ahead_is_no_write(UNIT_NPT);
}

TEST(mmu_step_ahead_huge, "mmu: a huge page is mapped ahead by one step")
{
	begin(UNIT_EPT, HOST_ALWAYS);
	EXPECT_EQ(steps(GFN, 1024), 2);
	EXPECT_EQ(mapped(PG_LEVEL_2M), 2);
	EXPECT_EQ(faults(GFN, 1024, true), 0);
	end();
}

TEST(mmu_step_huge, "mmu: a huge page takes one fault, and is back in place after logging")
{
	begin(UNIT_NPT, HOST_ALWAYS);
	EXPECT_EQ(faults(GFN, 512, true), 1);
	EXPECT_EQ(mapped(PG_LEVEL_2M), 1);
	unit_mmu_log_writes(kvm, true, false);
	EXPECT_EQ(faults(GFN, 4, true), 4);
	EXPECT_EQ(mapped(PG_LEVEL_2M), 0);
	unit_mmu_read_log(kvm, false);
	unit_mmu_log_writes(kvm, false, false);
	EXPECT_EQ(mapped(PG_LEVEL_2M), 1);
	EXPECT_EQ(faults(GFN, 512, true), 0);
	end();
}

/* Pages of each size. */
static bool maps(long giga, long mega, long small)
{
	return mapped(PG_LEVEL_1G) == giga && mapped(PG_LEVEL_2M) == mega &&
	       mapped(PG_LEVEL_4K) == small;
}

static void step_giga(enum unit_format format, bool high)
{
	gfn_t last = HOST_REGIONS - 1;

	host_lay_out(true, high);
	host_policy.giga = HOST_ALWAYS;
	begin(format, HOST_ALWAYS);
	last = host_gfn(last * HOST_REGION);
	EXPECT_EQ(faults(HOST_GFN, 1024, true), 1);
	EXPECT_EQ(faults(last, 512, true), 0);
	EXPECT(maps(1, 0, 0));

	/* To small ones by way of those of 2M, and back by one. */
	unit_mmu_split(kvm, last, last + HOST_REGION);
	EXPECT(maps(0, 511, 512));
	kvm_flush_remote_tlbs(kvm);
	EXPECT_EQ(faults(HOST_GFN, 1024, true) + faults(last, 512, true), 0);
	unit_mmu_recover_huge(kvm);
	EXPECT(maps(1, 0, 0));
	EXPECT_EQ(faults(last, 512, true), 0);

	/* The same by faults, when writes are logged. */
	unit_mmu_log_writes(kvm, true, false);
	EXPECT_EQ(faults(last + 5, 3, true), 3);
	EXPECT(maps(0, 511, 512));
	unit_mmu_read_log(kvm, false);
	unit_mmu_log_writes(kvm, false, false);
	EXPECT(maps(1, 0, 0));
	EXPECT_EQ(faults(last, 512, true), 0);

	/* The host takes a page, and has 2M still where the others were. */
	host_unmap(HOST_GFN + 7, HOST_GFN + 8, true);
	EXPECT(maps(0, 0, 0));
	EXPECT_EQ(faults(last, 512, true), 1);
	EXPECT(maps(0, 1, 0));
	end();
}

TEST(mmu_step_modes, "mmu: each mode has its own tree, and an unmap takes from all")
{
	begin(UNIT_EPT_PML, HOST_NEVER);
	for (int mode = 0; mode < GUEST_MODES; mode++) {
		guest_switch(g, mode);
		EXPECT_EQ(faults(GFN, 1, true), 1);
		EXPECT_EQ(mapped(PG_LEVEL_4K), mode + 1);
	}
	for (int mode = 0; mode < GUEST_MODES; mode++) {
		guest_switch(g, mode);
		EXPECT_EQ(faults(GFN, 1, true), 0);
	}
	host_unmap(GFN, GFN + 1, true);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 0);
	end();
}

TEST(mmu_step_unmap_flush, "mmu: an unmap that memslots share flushes once")
{
	unsigned long flushes;

	for (int format = 0; format < UNIT_FORMATS; format++) {
		begin(format, HOST_NEVER);
		for (int mode = 0; mode < GUEST_MODES; mode++) {
			guest_switch(g, mode);
			EXPECT_EQ(faults(GFN, 1, true), 1);
		}
		flushes = unit_mmu_flushes;
		/* One that must not let others in meanwhile. */
		host_unmap(GFN, GFN + 1, false);
		EXPECT_EQ(unit_mmu_flushes - flushes, 1);
		EXPECT_EQ(mapped(PG_LEVEL_4K), 0);
		/* And if there is nothing, it does not. */
		host_unmap(GFN, GFN + 1, false);
		EXPECT_EQ(unit_mmu_flushes - flushes, 1);
		end();
	}
}

TEST(mmu_step_smm_slot, "mmu: a memslot that goes alone leaves the other address space alone")
{
	begin(UNIT_NPT, HOST_NEVER);
	kvm->arch.disabled_quirks = KVM_X86_QUIRK_SLOT_ZAP_ALL;
	for (int mode = 0; mode < GUEST_MODES; mode++) {
		guest_switch(g, mode);
		EXPECT_EQ(faults(GFN, 1, true), 1);
	}
	unit_slot_set(kvm, 0, HOST_GFN, 0, HOST_HVA, 0);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 1);
	EXPECT_EQ(faults(GFN, 1, true), 0);
	guest_switch(g, GUEST_NESTED);
	EXPECT(!guest_access(g, GFN, true, false));
	end();
}

TEST(mmu_step_giga, "mmu: a page of 1G becomes small ones, and one again")
{
	for (int format = 0; format < UNIT_FORMATS; format++)
		step_giga(format, false);
}

TEST(mmu_step_high, "mmu: the same with five levels of tables")
{
	for (int format = 0; format < UNIT_FORMATS; format++)
		step_giga(format, true);
}

TEST(mmu_step_cow, "mmu: a write that breaks copy-on-write is one fault")
{
	begin(UNIT_NPT, HOST_NEVER);
	host_policy.shared = HOST_ALWAYS;
	EXPECT_EQ(faults(GFN, 1, false), 1);
	/* Whoever is wanted meanwhile goes: need_resched() comes by chance. */
	for (gfn_t gfn = GFN, once = 0; ; gfn++) {
		EXPECT(gfn < GFN + 64);
		if (faults(gfn, 1, true) == 1 && ++once == 16)
			break;
	}
	end();
}

static void split_without(unsigned long nth)
{
	begin(UNIT_NPT, HOST_ALWAYS);
	EXPECT_EQ(faults(GFN, 1, true), 1);
	EXPECT_EQ(faults(GFN + HOST_REGION, 1, true), 1);
	unit_alloc_fail_nth(nth);
	unit_mmu_split(kvm, HOST_GFN, HOST_END);
	unit_alloc_fail_nth(0);
	unit_mmu_count(kvm);
	EXPECT_EQ(faults(GFN, 1024, true), 0);
	end();
}

TEST(mmu_step_split_nomem, "mmu: splitting stops without memory, and nothing is lost")
{
	/* Tables and their headers: the first is for the first huge page. */
	for (unsigned long nth = 1; nth < 8; nth++)
		split_without(nth);
}

TEST(mmu_step_split, "mmu: split pages are accessed without a fault")
{
	begin(UNIT_EPT_NO_AD, HOST_ALWAYS);
	EXPECT_EQ(faults(GFN, 1, true), 1);
	unit_mmu_split(kvm, GFN, GFN + HOST_REGION);
	EXPECT_EQ(mapped(PG_LEVEL_2M), 0);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 512);
	kvm_flush_remote_tlbs(kvm);
	EXPECT_EQ(faults(GFN, 512, true), 0);
	end();
}

TEST(mmu_step_unmap, "mmu: an unmap takes what it covers and nothing else")
{
	begin(UNIT_EPT, HOST_NEVER);
	populate(GFN, 16);
	EXPECT_EQ(faults(GFN, 16, true), 1);
	host_unmap(GFN + 3, GFN + 5, true);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 14);
	EXPECT_EQ(faults(GFN, 3, true), 0);
	EXPECT_EQ(faults(GFN + 5, 11, true), 0);
	end();
}

TEST(mmu_step_unmap_tables, "mmu: an unmap of several tables asks once for each who waits")
{
	unsigned long asked;

	begin(UNIT_NPT, HOST_NEVER);
	faults(HOST_GFN, HOST_PAGES, true);
	/* The end of a table, the next one, and the beginning of the one after that. */
	asked = unit_mmu_wanted_asked;
	host_unmap(GFN - 2, GFN + HOST_REGION + 3, true);
	asked = unit_mmu_wanted_asked - asked;
	EXPECT_EQ(mapped(PG_LEVEL_4K), HOST_PAGES - HOST_REGION - 5);
	EXPECT_EQ(faults(HOST_GFN, HOST_REGION - 2, true), 0);
	EXPECT_EQ(faults(GFN + HOST_REGION + 3, HOST_REGION - 3, true), 0);
	/* And for each memslot. */
	unit_log("asked %lu\n", asked);
	EXPECT(asked >= 1 && asked <= 8);
	end();
}

TEST(mmu_step_slot, "mmu: a memslot that goes takes its pages at once, if the rest is to stay")
{
	begin(UNIT_NPT, HOST_CHANCE);
	kvm->arch.disabled_quirks = KVM_X86_QUIRK_SLOT_ZAP_ALL;
	faults(HOST_GFN, HOST_PAGES, true);
	unit_slot_set(kvm, 0, HOST_GFN, 0, HOST_HVA, 0);
	EXPECT_EQ(mapped(PG_LEVEL_4K) + mapped(PG_LEVEL_2M), 0);
	unit_slot_set(kvm, 0, HOST_GFN, HOST_PAGES, HOST_HVA, 0);
	EXPECT(faults(GFN, 1, true));
	end();
}

/* The guest executes at the begin of so many regions, which the host has as huge pages. */
static void execute(int regions)
{
	nx_huge_pages = 1;
	for (int i = 0; i < regions; i++)
		EXPECT(guest_access(g, HOST_GFN + i * HOST_REGION, false, true));
	EXPECT_EQ(mapped(PG_LEVEL_4K), regions);
	EXPECT_EQ(kvm->stat.nx_lpage_splits, regions);
}

TEST(mmu_step_nx, "mmu: a turn of NX recovery takes its part of the tables, the oldest first")
{
	begin(UNIT_NPT, HOST_ALWAYS);
	execute(3);
	unit_nx_ratio = 0;
	unit_mmu_recover_nx(kvm);
	EXPECT_EQ(kvm->stat.nx_lpage_splits, 3);
	unit_nx_ratio = 2;
	unit_mmu_recover_nx(kvm);
	EXPECT_EQ(kvm->stat.nx_lpage_splits, 1);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 1);
	EXPECT_EQ(faults(HOST_GFN, 1024, true), 2);
	EXPECT_EQ(mapped(PG_LEVEL_2M), 2);
	EXPECT_EQ(faults(HOST_GFN + 2 * HOST_REGION, 1, false), 0);
	end();
}

TEST(mmu_step_nx_shadow, "mmu: the shadow MMU's turn of NX recovery takes its part of its own")
{
	begin(UNIT_NPT, HOST_ALWAYS);
	execute(3);
	unit_nx_ratio = 2;
	unit_mmu_recover_nx(kvm);
	EXPECT_EQ(unit_nx_of_base, 0);
	EXPECT_EQ(kvm->stat.nx_lpage_splits, 1);
	/* As if there were five shadow pages. */
	kvm->stat.nx_lpage_splits += 5;
	unit_mmu_recover_nx(kvm);
	EXPECT_EQ(unit_nx_of_base, 3);
	EXPECT_EQ(kvm->stat.nx_lpage_splits, 5);
	kvm->stat.nx_lpage_splits = 0;
	end();
}

void mmu_nx_goes(void)
{
	begin(UNIT_NPT, HOST_ALWAYS);
	execute(1);
	unit_mmu_zap_all_fast(kvm);
	end();
}

TEST(mmu_step_nx_goes, "mmu: a table of executable pages goes with its tree, and is forgotten")
{
	mmu_nx_goes();
}

TEST(mmu_step_nx_logged, "mmu: NX recovery leaves small pages alone while they are logged")
{
	begin(UNIT_NPT, HOST_ALWAYS);
	execute(1);
	unit_mmu_log_writes(kvm, true, false);
	unit_mmu_recover_nx(kvm);
	EXPECT_EQ(kvm->stat.nx_lpage_splits, 0);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 1);
	unit_mmu_log_writes(kvm, false, false);
	EXPECT_EQ(faults(HOST_GFN, 512, true), 1);
	EXPECT_EQ(mapped(PG_LEVEL_2M), 1);
	end();
}

TEST(mmu_step_nx_slot_gone, "mmu: a memslot that goes alone leaves nothing to NX recovery")
{
	begin(UNIT_NPT, HOST_ALWAYS);
	kvm->arch.disabled_quirks = KVM_X86_QUIRK_SLOT_ZAP_ALL;
	execute(2);
	unit_slot_set(kvm, 0, HOST_GFN, 0, HOST_HVA, 0);
	atomic_set(&kvm->nr_memslots_dirty_logging, 1);
	EXPECT_EQ(kvm->stat.nx_lpage_splits, 0);
	unit_mmu_recover_nx(kvm);
	EXPECT_EQ(kvm->stat.nx_lpage_splits, 0);
	end();
}

static long tables(void)
{
	unit_mmu_count(kvm);
	return atomic64_read(&kvm->arch.tdp_mmu_pages);
}

TEST(mmu_step_slot_tables, "mmu: a memslot that goes takes the tables that no other is in")
{
	begin(UNIT_NPT, HOST_NEVER);
	kvm->arch.disabled_quirks = KVM_X86_QUIRK_SLOT_ZAP_ALL;
	faults(HOST_GFN, HOST_PAGES, true);
	/* Two higher ones, and one for each region. */
	EXPECT_EQ(tables(), 2 + HOST_REGIONS + 1);
	unit_slot_set(kvm, 0, HOST_GFN, 0, HOST_HVA, 0);
	EXPECT_EQ(tables(), 0);
	host_unmap(HOST_GFN, HOST_END, true);
	EXPECT(!guest_access(g, GFN, false, false));
	unit_slot_set(kvm, 0, HOST_GFN, HOST_PAGES, HOST_HVA, 0);
	EXPECT(guest_access(g, GFN, true, false));
	/* Where there is no memory there is no memslot, and a table of its own. */
	EXPECT(!guest_access(g, HOST_GFN - 1, false, false));
	EXPECT_EQ(tables(), 4);
	unit_slot_set(kvm, 0, HOST_GFN, 0, HOST_HVA, 0);
	EXPECT_EQ(tables(), 3);
	end();
}

TEST(mmu_step_slot_shared, "mmu: a table that another memslot is in stays")
{
	begin(UNIT_EPT, HOST_NEVER);
	kvm->arch.disabled_quirks = KVM_X86_QUIRK_SLOT_ZAP_ALL;
	/* In the last table, behind a gap. */
	unit_slot_set(kvm, 1, HOST_GFN + HOST_PAGES + 8, 8,
		      HOST_HVA + (HOST_PAGES + 8) * PAGE_SIZE, 0);
	faults(HOST_GFN, HOST_PAGES, true);
	EXPECT_EQ(tables(), 2 + HOST_REGIONS + 1);
	unit_slot_set(kvm, 0, HOST_GFN, 0, HOST_HVA, 0);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 0);
	EXPECT_EQ(tables(), 3);
	end();
}

TEST(mmu_step_age, "mmu: an access is told once, and a write is not forgotten with it")
{
	for (int format = 0; format < UNIT_FORMATS; format++) {
		begin(format, HOST_NEVER);
		EXPECT_EQ(faults(GFN, 1, true), 1);
		EXPECT(host_young(GFN, false, false));
		EXPECT(host_young(GFN, true, true));
		EXPECT(!host_young(GFN, false, false));
		EXPECT(!host_young(GFN, true, false));
		EXPECT(guest_access(g, GFN, false, false));
		EXPECT(host_young(GFN, false, false));
		end();
	}
}

static unsigned long seq_before;

/* Half of a huge page is about to become private; the other half goes on, small. */
static void around_half(void)
{
	EXPECT_EQ(mapped(PG_LEVEL_2M), 1);
	EXPECT_EQ(faults(GFN + 300, 1, true), 1);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 1);
	/* One for the access that is turned away: in the range, and not beside it. */
	EXPECT(kvm_tdp_mmu_retry_gfn(kvm, kvm->mmu_invalidate_seq, GFN + 255));
	EXPECT(!kvm_tdp_mmu_retry_gfn(kvm, kvm->mmu_invalidate_seq, GFN + 256));
	seq_before = kvm->mmu_invalidate_seq;
}

void mmu_attrs_beside(void)
{
	begin(UNIT_NPT, HOST_ALWAYS);
	kvm->arch.has_private_mem = true;
	/* A range of two memslots, with a hole between them. */
	unit_slot_set(kvm, 1, HOST_GFN + 4 * HOST_REGION, 8,
		      HOST_HVA + 64 * HOST_PAGES * PAGE_SIZE, 0);
	EXPECT_EQ(faults(HOST_GFN, 512, true), 1);
	EXPECT_EQ(faults(GFN, 512, true), 1);
	unit_mmu_set_attrs(kvm, GFN, GFN + 256, true, around_half);
	EXPECT_EQ(kvm->mmu_invalidate_seq, seq_before + 1);
	EXPECT(kvm_tdp_mmu_retry_gfn(kvm, seq_before, GFN + 255));
	EXPECT(!kvm_tdp_mmu_retry_gfn(kvm, seq_before, GFN + 256));
	EXPECT(!kvm_tdp_mmu_retry_gfn(kvm, seq_before, GFN - 1));
	EXPECT_EQ(faults(GFN, 256, true), 256);
	EXPECT_EQ(mapped(PG_LEVEL_2M), 1);

	seq_before = kvm->mmu_invalidate_seq;
	unit_mmu_set_attrs(kvm, GFN, HOST_GFN + 5 * HOST_REGION, false, NULL);
	EXPECT_EQ(kvm->mmu_invalidate_seq, seq_before + 2);
	EXPECT(!kvm_tdp_mmu_retry_gfn(kvm, seq_before, GFN - 1));
	EXPECT(kvm_tdp_mmu_retry_gfn(kvm, seq_before, GFN));
	EXPECT(kvm_tdp_mmu_retry_gfn(kvm, seq_before, HOST_GFN + 4 * HOST_REGION + 7));
	EXPECT(!kvm_tdp_mmu_retry_gfn(kvm, seq_before, HOST_GFN + 4 * HOST_REGION + 8));
	EXPECT_EQ(faults(GFN, 512, true), 1);
	EXPECT_EQ(faults(HOST_GFN, 512, true), 0);

	/* With shadow pages it is the base's way, which is told apart by nobody. */
	kvm->arch.shadow_root_allocated = true;
	unit_mmu_set_attrs(kvm, GFN, GFN + 1, true, NULL);
	EXPECT_EQ(mapped(PG_LEVEL_2M), 1);
	kvm->arch.shadow_root_allocated = false;
	EXPECT_EQ(faults(GFN, 1, true), 1);
	end();
}

TEST(mmu_step_was_mmio, "mmu: a page that was MMIO, and is tracked, is not written to")
{
	begin(UNIT_NPT, HOST_NEVER);
	unit_slot_set(kvm, 0, HOST_GFN, 0, HOST_HVA, 0);
	EXPECT(!guest_access(g, GFN, false, false));
	unit_slot_set(kvm, 0, HOST_GFN, host_layout.pages, HOST_HVA, 0);
	unit_mmu_track(kvm, GFN);
	EXPECT_EQ(faults(GFN, 1, false), 1);
	/* Neither by the guest itself, nor without the host's noticing. */
	EXPECT(!guest_access(g, GFN, true, false));
	unit_mmu_untrack(kvm, GFN);
	EXPECT_EQ(faults(GFN, 1, true), 1);
	end();
}

TEST(mmu_step_attrs, "mmu: what becomes private goes, and what is beside it goes on")
{
	mmu_attrs_beside();
}

static int log_wanted, log_read;

static void log_reader(void *arg)
{
	while (!__atomic_load_n(&log_wanted, __ATOMIC_ACQUIRE))
		unit_relax();
	unit_mmu_read_log(kvm, false);
	__atomic_store_n(&log_read, 1, __ATOMIC_RELEASE);
}

static void read_now(void)
{
	unit_mmu_logged = NULL;
	__atomic_store_n(&log_wanted, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&log_read, __ATOMIC_ACQUIRE))
		sched_yield();
}

void mmu_log_in_between(bool rings)
{
	struct unit_thread *t;

	with_rings = rings;
	begin(UNIT_NPT, HOST_NEVER);
	unit_mmu_log_writes(kvm, true, false);
	t = unit_thread_start("reader", mm, log_reader, NULL);
	unit_mmu_logged = read_now;
	EXPECT_EQ(faults(GFN, 1, true), 1);
	EXPECT(log_read);
	unit_thread_join(t);
	unit_mmu_read_log(kvm, false);
	EXPECT_EQ(faults(GFN, 1, true), 1);
	unit_mmu_read_log(kvm, false);
	end();
}

TEST(mmu_step_log, "mmu: a log that is read before its page can be written to is not the last")
{
	mmu_log_in_between(false);
}

TEST(mmu_step_ring, "mmu: a ring that is reset before its page can be written to has it again")
{
	mmu_log_in_between(true);
}

static gfn_t pushed;

static void push_next(void)
{
	gfn_t gfn = HOST_GFN + pushed++;

	mark_page_dirty_in_slot(kvm, __gfn_to_memslot(kvm_memslots(kvm), gfn),
				gfn);
}

/* The vCPU is scheduled out, and what is written then is logged. */
static void push_in_scheduler(void)
{
	current->preempt++;
	push_next();
	current->preempt--;
}

TEST(mmu_step_push, "mmu: a ring misses no page when its vCPU is scheduled out while it logs one")
{
	struct kvm_dirty_ring *ring;
	u64 seen = 0;
	gfn_t i;
	int idx;

	with_rings = true;
	begin(UNIT_NPT, HOST_NEVER);
	unit_mmu_log_writes(kvm, true, false);
	unit_running_vcpu = &g->vcpu;
	idx = srcu_read_lock(&kvm->srcu);
	for (i = 0; i < 10; i++) {
		unit_sched_handler = push_in_scheduler;
		push_next();
		unit_sched_handler = NULL;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	/* It did come in between. */
	EXPECT(pushed > 10 && pushed < 64);
	ring = &g->vcpu.dirty_ring;
	EXPECT_EQ(ring->dirty_index, pushed);
	for (i = 0; i < pushed; i++) {
		EXPECT_EQ(ring->dirty_gfns[i].flags, KVM_DIRTY_GFN_F_DIRTY);
		seen |= BIT(ring->dirty_gfns[i].offset);
	}
	EXPECT_EQ(seen, BIT(pushed) - 1);
	end();
}

/* What a VMM may write to a ring: pages, no such memslot or memory, beyond the end. */
static void ring_fill(struct kvm_dirty_ring *ring)
{
	struct kvm_dirty_gfn *e;

	for (u32 i = 0; i < ring->size; i++) {
		e = &ring->dirty_gfns[i];
		e->slot = i % 4 == 1 ? UNIT_SLOTS : i % 4 == 2 ? 7 << 16 : 0;
		e->offset = i % 4 == 3 ? host_layout.pages + i :
					 i * (HOST_REGION + 1) % host_layout.pages;
		e->flags = KVM_DIRTY_GFN_F_RESET;
	}
	ring->dirty_index = ring->reset_index + ring->size;
}

static u32 ring_left(struct kvm_dirty_ring *ring)
{
	u32 left = 0;

	for (u32 i = 0; i < ring->size; i++)
		left += ring->dirty_gfns[i].flags == KVM_DIRTY_GFN_F_RESET;
	return left;
}

static u32 ring_filled;
static int ring_turns;

/* What has just been taken out is put in again, and given back. */
static void ring_fill_again(void)
{
	struct kvm_dirty_ring *ring = &g->vcpu.dirty_ring;

	for (; ring_filled != ring->reset_index; ring_filled++) {
		ring->dirty_gfns[ring_filled & (ring->size - 1)].flags =
			KVM_DIRTY_GFN_F_RESET;
		ring->dirty_index++;
	}
}

static void ring_kill(void)
{
	if (++ring_turns == 100)
		unit_send_fatal_signal(current);
}

static int ring_reset(void (*meanwhile)(void))
{
	int nr;

	ring_turns = 0;
	mutex_lock(&kvm->slots_lock);
	unit_irq_handler = meanwhile;
	nr = kvm_tdp_mmu_ring_reset(kvm, &g->vcpu.dirty_ring);
	unit_irq_handler = NULL;
	mutex_unlock(&kvm->slots_lock);
	kvm_flush_remote_tlbs(kvm);
	return nr;
}

TEST(mmu_step_ring_filled, "mmu: a ring that is filled while it is reset is reset once around")
{
	struct kvm_dirty_ring *ring;
	int nr, left;

	with_rings = true;
	begin(UNIT_NPT, HOST_NEVER);
	unit_mmu_log_writes(kvm, true, false);
	EXPECT_EQ(faults(HOST_GFN, 1, true), 1);
	EXPECT_EQ(faults(HOST_GFN, 1, true), 0);
	ring = &g->vcpu.dirty_ring;
	ring_filled = ring->reset_index;
	ring_fill(ring);
	EXPECT_EQ(ring_reset(ring_fill_again), ring->size);
	/* What has come behind is there for the next. */
	left = ring_left(ring);
	EXPECT(left > (int)ring->size / 2);
	EXPECT_EQ(ring_reset(NULL), left);
	/* What it said is watched, where there is such memory. */
	EXPECT_EQ(faults(HOST_GFN, 1, true), 1);

	/* Who is killed leaves it to others. */
	ring_fill(ring);
	nr = ring_reset(ring_kill);
	EXPECT(ring_turns >= 100);
	EXPECT(nr > 0 && nr < (int)ring->size);
	EXPECT_EQ(ring_left(ring), ring->size - nr);
	current->fatal = false;
	EXPECT_EQ(ring_reset(NULL), ring->size - nr);
	EXPECT_EQ(ring_left(ring), 0);
	end();
}

/* Each entry is given back, whatever it was. */
static void ring_scribble(struct kvm_dirty_ring *ring)
{
	for (u32 i = 0; i < ring->size; i++)
		ring->dirty_gfns[i].flags = KVM_DIRTY_GFN_F_RESET;
}

TEST(mmu_step_ring_unpushed, "mmu: a reset takes no more out of a ring than was put in")
{
	struct kvm_dirty_ring *ring;

	with_rings = true;
	begin(UNIT_NPT, HOST_NEVER);
	unit_mmu_log_writes(kvm, true, false);
	ring = &g->vcpu.dirty_ring;
	ring_scribble(ring);
	EXPECT_EQ(ring_reset(NULL), 0);
	EXPECT_EQ(faults(HOST_GFN, 3, true), 3);
	EXPECT_EQ(ring->dirty_index, 3);
	/* These are the VMM's to give back, and were not, whatever their flags had been. */
	for (u32 i = 0; i < 3; i++)
		EXPECT_EQ(ring->dirty_gfns[i].flags, KVM_DIRTY_GFN_F_DIRTY);
	EXPECT_EQ(ring_reset(NULL), 0);
	EXPECT_EQ(faults(HOST_GFN, 3, true), 0);
	ring_scribble(ring);
	EXPECT_EQ(ring_reset(NULL), 3);
	EXPECT_EQ(ring->reset_index, ring->dirty_index);
	EXPECT(!kvm_test_request(KVM_REQ_DIRTY_RING_SOFT_FULL, &g->vcpu));
	EXPECT_EQ(faults(HOST_GFN, 3, true), 3);
	EXPECT_EQ(ring->dirty_index, 6);
	end();
}

TEST(mmu_step_ring_full, "mmu: a ring that is full stays as it is")
{
	struct kvm_dirty_ring *ring;
	int idx;

	with_rings = true;
	begin(UNIT_NPT, HOST_NEVER);
	unit_mmu_log_writes(kvm, true, false);
	unit_running_vcpu = &g->vcpu;
	ring = &g->vcpu.dirty_ring;
	idx = srcu_read_lock(&kvm->srcu);
	for (u32 i = 0; i < ring->size + 3; i++) {
		pushed = i % 64;
		push_next();
		EXPECT_EQ(kvm_test_request(KVM_REQ_DIRTY_RING_SOFT_FULL, &g->vcpu),
			  i + 1 >= ring->soft_limit);
	}
	EXPECT_EQ(ring->dirty_index, ring->size);
	for (u32 i = 0; i < ring->size; i++) {
		EXPECT_EQ(ring->dirty_gfns[i].flags, KVM_DIRTY_GFN_F_DIRTY);
		EXPECT_EQ(ring->dirty_gfns[i].offset, i % 64);
	}
	/* There is a place when one has been given back. */
	ring->dirty_gfns[0].flags = KVM_DIRTY_GFN_F_RESET;
	EXPECT_EQ(ring_reset(NULL), 1);
	pushed = 7;
	push_next();
	EXPECT_EQ(ring->dirty_index, ring->size + 1);
	EXPECT_EQ(ring->dirty_gfns[0].offset, 7);
	srcu_read_unlock(&kvm->srcu, idx);
	end();
}

static int ring_was_reset;

static void ring_resetter(void *arg)
{
	(void)arg;
	g->vcpu.dirty_ring.dirty_gfns[0].flags = KVM_DIRTY_GFN_F_RESET;
	ring_was_reset = ring_reset(NULL);
}

/* The ring of a vCPU that is loaded here. */
static struct kvm_dirty_ring *begin_ring(void)
{
	with_rings = true;
	begin(UNIT_NPT, HOST_NEVER);
	unit_mmu_log_writes(kvm, true, false);
	unit_running_vcpu = &g->vcpu;
	g->vcpu.cpu = current->slot;

	return &g->vcpu.dirty_ring;
}

TEST(mmu_step_ring_early, "mmu: what is given back of a ring before it is counted is taken out")
{
	struct kvm_dirty_ring *ring = begin_ring();
	struct unit_thread *t;
	unsigned long flags;

	/* A push, as it is between its last two stores. */
	local_irq_save(flags);
	ring->dirty_gfns[0].flags = KVM_DIRTY_GFN_F_DIRTY;
	t = unit_thread_start("resetter", mm, ring_resetter, NULL);
	while (!unit_cpu_waiting())
		sched_yield();
	EXPECT_EQ(ring->reset_index, 0);
	/* Pairs with smp_load_acquire() in tdp_ring_has_next(). */
	smp_store_release(&ring->dirty_index, 1);
	local_irq_restore(flags);
	unit_thread_join(t);
	EXPECT_EQ(ring_was_reset, 1);
	EXPECT_EQ(ring->reset_index, 1);
	end();
}

static void resetter(void *unused)
{
	ring_was_reset = ring_reset(NULL);
}

TEST(mmu_step_ring_stale, "mmu: what is put in while a reset looks at flags scribbled before is not given back")
{
	struct kvm_dirty_ring *ring = begin_ring();
	struct unit_thread *t;
	unsigned long flags;

	ring->dirty_gfns[0].flags = KVM_DIRTY_GFN_F_RESET;
	local_irq_save(flags);
	t = unit_thread_start("resetter", mm, resetter, NULL);
	while (!unit_cpu_waiting())
		sched_yield();
	kvm_tdp_mmu_ring_push(&g->vcpu, 0, 5);
	local_irq_restore(flags);
	unit_thread_join(t);
	EXPECT_EQ(ring_was_reset, 0);
	EXPECT_EQ(ring->dirty_gfns[0].flags, KVM_DIRTY_GFN_F_DIRTY);
	end();
}

static struct unit_thread *discards;
static int discard_step;

static void discard_wait_for(int step)
{
	while (__atomic_load_n(&discard_step, __ATOMIC_ACQUIRE) != step)
		sched_yield();
}

static void discarder(void *arg)
{
	(void)arg;
	host_discard_begin(GFN + 3);
	__atomic_store_n(&discard_step, 1, __ATOMIC_RELEASE);
	discard_wait_for(2);
	host_discard_end(GFN + 3);
	EXPECT_EQ(faults(GFN + 8, 1, false), 1);
}

static void discard_now(void)
{
	unit_mmu_level_asked = NULL;
	__atomic_store_n(&discard_step, 2, __ATOMIC_RELEASE);
	unit_thread_join(discards);
}

TEST(mmu_step_discard, "mmu: a huge page that the host has broken up meanwhile does not come back")
{
	begin(UNIT_NPT, HOST_ALWAYS);
	EXPECT_EQ(faults(GFN, 1, true), 1);
	unit_mmu_split(kvm, GFN, GFN + HOST_REGION);
	discards = unit_thread_start("discarder", mm, discarder, NULL);
	discard_wait_for(1);
	unit_mmu_level_asked = discard_now;
	unit_mmu_recover_huge(kvm);
	EXPECT(!unit_mmu_level_asked);
	EXPECT_EQ(mapped(PG_LEVEL_2M), 0);
	EXPECT_EQ(faults(GFN + 3, 1, true), 1);
	end();
}

/* What the unmap has come to: listed, let go on, over. */
static int unmap_step;

static void unmap_is(int step)
{
	__atomic_store_n(&unmap_step, step, __ATOMIC_RELEASE);
}

static bool unmap_comes_to(int step, int ms)
{
	for (uint64_t end = unit_now_ns() + ms * 1000000ull; ; sched_yield()) {
		if (__atomic_load_n(&unmap_step, __ATOMIC_ACQUIRE) == step)
			return true;
		if (unit_now_ns() > end)
			return false;
	}
}

static void unmap_listed(void)
{
	unit_mmu_unmaps = NULL;
	unmap_is(1);
	EXPECT(unmap_comes_to(2, 10000));
}

static void one_unmapper(void *arg)
{
	(void)arg;
	host_unmap(GFN, GFN + 1, true);
	unmap_is(3);
}

static void flush_due(void)
{
	unit_mmu_flush_due = NULL;
	unmap_is(2);
	/* It has to wait for this flush; a planted one that does not has all the time. */
	if (unmap_comes_to(3, unit_mutants.unsettled_unseen ? 10000 : 200))
		guest_access(g, GFN, true, false);
}

void mmu_unmap_unsettled(void)
{
	struct unit_thread *t;

	begin(UNIT_EPT, HOST_NEVER);
	EXPECT_EQ(faults(GFN, 1, true), 1);
	unit_mmu_unmaps = unmap_listed;
	unit_mmu_flush_due = flush_due;
	t = unit_thread_start("unmapper", mm, one_unmapper, NULL);
	EXPECT(unmap_comes_to(1, 10000));
	kvm_zap_gfn_range(kvm, GFN, GFN + 1);
	EXPECT(!unit_mmu_flush_due);
	unit_thread_join(t);
	EXPECT_EQ(faults(GFN, 1, true), 1);
	end();
}

TEST(mmu_step_unsettled, "mmu: an unmap that finds nothing waits for who took it")
{
	mmu_unmap_unsettled();
}

TEST(mmu_step_beyond, "mmu: what a tree has no bits for is emulated, and not mapped elsewhere")
{
	s64 tables;
	int idx;

	begin(UNIT_EPT, HOST_NEVER);
	EXPECT_EQ(faults(GFN + HOST_REGION, 1, true), 1);
	tables = atomic64_read(&kvm->arch.tdp_mmu_pages);
	idx = srcu_read_lock(&kvm->srcu);
	EXPECT_EQ(unit_mmu_fault(&g->vcpu, 1ULL << 48, PFERR_WRITE_MASK),
		  RET_PF_EMULATE);
	EXPECT_EQ(unit_mmu_fault(&g->vcpu, ((u64)GFN << PAGE_SHIFT) | 1ULL << 51,
				 PFERR_WRITE_MASK), RET_PF_EMULATE);
	srcu_read_unlock(&kvm->srcu, idx);
	EXPECT_EQ(atomic64_read(&kvm->arch.tdp_mmu_pages), tables);
	EXPECT_EQ(faults(GFN, 1, true), 1);
	end();
}

TEST(mmu_step_ahead_new, "mmu: pages are mapped ahead in a new tree once the old one has gone")
{
	begin(UNIT_EPT, HOST_NEVER);
	EXPECT_EQ(guest_pre_fault(g, GFN, 2), 2);
	unit_mmu_zap_all_fast(kvm);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 0);
	EXPECT_EQ(guest_pre_fault(g, GFN, 2), 2);
	EXPECT_EQ(mapped(PG_LEVEL_4K), 2);
	end();
}

static int reflected;

/* As the fault of a nested guest that its hypervisor has been told of. */
static int reflect(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	(void)fault;
	reflected++;
	vcpu->kvm->mmu_invalidate_seq++;
	return RET_PF_RETRY;
}

TEST(mmu_step_nested, "mmu: a fault that a nested guest's hypervisor was told of is not handled again")
{
	struct kvm_mmu *mmu;
	int idx;

	begin(UNIT_EPT, HOST_NEVER);
	mmu = g->vcpu.arch.mmu;
	mmu->page_fault = reflect;
	mmu->root_role.direct = 0;
	idx = srcu_read_lock(&kvm->srcu);
	EXPECT_EQ(unit_mmu_fault(&g->vcpu, (u64)GFN << PAGE_SHIFT, PFERR_WRITE_MASK),
		  RET_PF_RETRY);
	EXPECT_EQ(reflected, 1);
	/* One of its own would be. */
	mmu->root_role.direct = 1;
	EXPECT_EQ(unit_mmu_fault(&g->vcpu, (u64)GFN << PAGE_SHIFT, PFERR_WRITE_MASK),
		  RET_PF_RETRY);
	EXPECT(reflected > 2);
	srcu_read_unlock(&kvm->srcu, idx);
	mmu->page_fault = kvm_tdp_page_fault;
	end();
}

static int callbacks;

static void count_callback(void)
{
	callbacks++;
}

TEST(mmu_step_retire, "mmu: no RCU callback frees more tables than is good for it")
{
	struct tdp_tables t;

	tdp_tables_init(&t);
	EXPECT(tdp_tables_fill(&t, 2 * TDP_RETIRE_MAX + 1));
	EXPECT_EQ(t.nr, 2 * TDP_RETIRE_MAX + 1);
	unit_call_rcu_handler = count_callback;
	tdp_tables_retire(&t);
	unit_call_rcu_handler = NULL;
	EXPECT_EQ(callbacks, 3);
	EXPECT_EQ(t.nr, 0);
}
