/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Threads that do to caches everything that can be done to them, for a while.
 * What goes wrong is found by the readers, who touch what they are told is valid,
 * by the lock checks, and by the sanitizers.
 */
#ifndef _UNIT_RACE_H
#define _UNIT_RACE_H

#include "world.h"

struct race {
	/* How many of each. */
	int zappers, readers, irq_readers, refreshers, movers, newborns;
	int slot_changers, live_readers;
	bool cow, io, storm_of_ranges;
	bool release;		/* the address space goes half way through */
	unsigned int ms;
};

struct race_result {
	unsigned long zaps, reads, hits, refreshes, moves, births, slot_changes;
	unsigned long gups, live_reads;
};

void race_run(const struct race *race);
/*
 * Again and again until at least that much has happened, as on a busy machine not
 * every thread gets far in one; a test that fails if it never does.
 */
void race_until(const struct race *race, const struct race_result *least);

#endif
