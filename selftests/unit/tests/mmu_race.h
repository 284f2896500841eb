/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest's processors, and everything that can happen to its page tables meanwhile.
 * What goes wrong is found by the processors, who use what they find in the tables;
 * by the host, whose pages go; and by counts at the end.
 */
#ifndef _UNIT_MMU_RACE_H
#define _UNIT_MMU_RACE_H

#include "rig/guest.h"
#include "rig/tap.h"

struct mmu_race {
	enum unit_format format;
	/* How many of each. */
	int guests, unmappers, cleaners, gfn_zappers, root_zappers, agers;
	int loggers, trackers, recoverers, splitters, converters, deleters;
	bool nx;			/* no huge page is executable */
	bool pre_fault;			/* guests have memory mapped ahead */
	bool modes;			/* guests go into SMM, and have guests */
	bool narrow;			/* all want the same few pages */
	bool giga;			/* there are pages of 1G */
	bool high;			/* there are five levels of tables */
	bool storm;			/* more unmaps in flight than are listed */
	bool rings;			/* writes are logged in rings */
	unsigned int ms;
};

struct mmu_race_result {
	unsigned long accesses, faults, flushes, emulated;
	unsigned long unmaps, cleans, gfn_zaps, root_zaps, ages, logs, tracks;
	unsigned long recoveries, splits, conversions, pre_faults, deletions;
};

/* A log is read between a fault that has logged a page and what it maps. */
void mmu_log_in_between(bool rings);

/* A tree goes, and with it a table of executable pages. */
void mmu_nx_goes(void);

/* Part of a huge page becomes private, and a guest is in the other part. */
void mmu_attrs_beside(void);

/* A guest comes to a page while its neighbour is being unmapped. */
void mmu_neighbour_goes(void);

/* A page goes while another zap has dropped it, and has not flushed yet. */
void mmu_unmap_unsettled(void);

/* One page goes and comes, many times; @high: with five levels of tables. */
void mmu_unmap_again(bool high);

/* Some of each, in small pages and huge ones. */
struct mmu_race mmu_everything(enum unit_format format);

void mmu_race_run(const struct mmu_race *race);

#endif
