// SPDX-License-Identifier: GPL-2.0
/*
 * Planted bugs in the TDP MMU and under it. Each has the races run until they find it;
 * a second of them is enough as a rule, and ten are allowed.
 */
#include "mmu_race.h"

/* Long enough for the bug to bite: it ends the test when it does. */
#define PLANTED_MS	10000

static void everything(void)
{
	struct mmu_race race = mmu_everything(UNIT_NPT);

	race.ms = PLANTED_MS;
	mmu_race_run(&race);
}

static void unmaps(void)
{
	mmu_race_run(&(struct mmu_race){ .format = UNIT_EPT, .guests = 3,
					 .unmappers = 5, .narrow = true,
					 .ms = PLANTED_MS });
}

/* Little enough to be counted at the end, as often as it takes. */
static void counts(void)
{
	for (int ms = 0; ms < PLANTED_MS; ms += unit_race_ms)
		mmu_race_run(&(struct mmu_race){ .guests = 2, .unmappers = 1,
						 .root_zappers = 1,
						 .ms = unit_race_ms });
}

PLANTED(p_flush_lost, "mmu: TLB flushes that are left out now and then",
	"after the page has gone|data race|reads a table that was freed")
{
	unit_mutants.flush_lost = true;
	mmu_unmap_again(false);
}

PLANTED(p_unsettled, "mmu: an unmap that finds nothing, and does not wait for who took it",
	"after the page has gone|data race|was never told dirty")
{
	unit_mutants.unsettled_unseen = true;
	mmu_unmap_unsettled();
}

PLANTED(p_retry, "mmu: faults that map what they resolved before an unmap",
	"after the page has gone|after it has gone|was never told dirty|not in a huge page any more|data race|KVM_BUG_ON")
{
	unit_mutants.retry_never = true;
	unmaps();
}

PLANTED(p_overlaps, "mmu: neighbours that are mapped while they are being unmapped",
	"after the page has gone|after it has gone|KVM_BUG_ON")
{
	unit_mutants.overlaps_never = true;
	mmu_neighbour_goes();
}

PLANTED(p_smm, "mmu: trees of the other address space that are passed over",
	"after the page has gone|after it has gone|was never told dirty|data race|not in a huge page any more|KVM_BUG_ON")
{
	unit_mutants.smm_passed_over = true;
	mmu_race_run(&(struct mmu_race){ .format = UNIT_EPT, .guests = 3,
					 .unmappers = 3, .modes = true,
					 .narrow = true, .ms = PLANTED_MS });
}

PLANTED(p_flush_lost_giga, "mmu: TLB flushes that are left out, with pages of 1G",
	"after the page has gone|data race|reads a table that was freed|unit: dirty: |unit: log: ")
{
	unit_mutants.flush_lost = true;
	mmu_race_run(&(struct mmu_race){ .guests = 3, .unmappers = 3, .giga = true,
					 .splitters = 1, .loggers = 1,
					 .ms = PLANTED_MS });
}

PLANTED(p_walk_skips_high, "mmu: walks that pass over an entry, with five levels",
	"after the page has gone|after it has gone|was never told dirty|data race|unit: count: |unit: log: |not in a huge page any more|KVM_BUG_ON")
{
	unit_mutants.walk_skips = true;
	mmu_unmap_again(true);
}

PLANTED(p_spte_stored, "mmu: entries that are stored, not exchanged",
	"unit: use: |unit: count: |unit: dirty: |unit: log: |unit: WARN: |unit: table: |unit: leak: |Sanitizer")
{
	unit_mutants.spte_stored = true;
	everything();
}

PLANTED(p_rcu_early, "mmu: tables that are freed before the grace period",
	"Sanitizer|unit: table: ")
{
	unit_mutants.rcu_early = true;
	unit_mutants.readers_stall = true;
	everything();
}

PLANTED(p_walk_skips, "mmu: walks that pass over an entry now and then",
	"after the page has gone|after it has gone|was never told dirty|data race|unit: count: |unit: log: |not in a huge page any more|KVM_BUG_ON")
{
	unit_mutants.walk_skips = true;
	mmu_unmap_again(false);
}

PLANTED(p_stats, "mmu: mappings that go and are not counted", "mappings of level")
{
	unit_mutants.stats_dropped = true;
	counts();
}

PLANTED(p_table_uncounted, "mmu: tables that come and are not counted",
	"tables, counted as|tdp_mmu_pages")
{
	unit_mutants.table_uncounted = true;
	counts();
}

static void conversions(void)
{
	mmu_race_run(&(struct mmu_race){ .guests = 3, .converters = 2,
					 .ms = PLANTED_MS });
}

PLANTED(p_attrs_unzapped, "mmu: attributes that change, and what was mapped stays",
	"while its attribute changes|after the page has gone|after it has gone|KVM_BUG_ON")
{
	unit_mutants.zap_nothing = true;
	conversions();
}

PLANTED(p_attrs_huge, "mmu: pages that stay huge while attributes change in them",
	"expected: mapped|while its attribute changes")
{
	unit_mutants.lpage_allowed = true;
	mmu_attrs_beside();
}

PLANTED(p_nx_untracked, "mmu: tables that go and stay on the list of those to recover",
	"are still to be recovered|Sanitizer|unit: WARN: |unit: table: ")
{
	unit_mutants.nx_untracked = true;
	mmu_nx_goes();
}

PLANTED(p_dirty_untold, "mmu: pages that are not told dirty", "was never told dirty")
{
	unit_mutants.dirty_untold = true;
	unmaps();
}

PLANTED(p_log_untold, "mmu: writes that are not logged", "is in no log")
{
	unit_mutants.log_untold = true;
	mmu_race_run(&(struct mmu_race){ .guests = 3, .loggers = 1,
					 .ms = PLANTED_MS });
}

PLANTED(p_log_unlooked, "mmu: faults that log a page, and do not look whether it still is",
	"is in no log")
{
	unit_mutants.log_unlooked = true;
	mmu_log_in_between(false);
}

PLANTED(p_ring_unlooked, "mmu: faults that do not look whether the ring still has their page",
	"is in no log")
{
	unit_mutants.log_unlooked = true;
	mmu_log_in_between(true);
}
