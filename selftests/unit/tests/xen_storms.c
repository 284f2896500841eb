// SPDX-License-Identifier: GPL-2.0
/* Storms, and the bugs that they find. */
#include "xen_storm.h"

#define STORM(func, title, ...) \
	__UNIT_TEST(func, "xen: storm: " title, 0, NULL, 300) \
	{ \
		storm_run(&(struct storm){ __VA_ARGS__ }); \
	}

STORM(storm_wide, "64-bit layout, the VM's vector", .vectors = false)
STORM(storm_narrow, "32-bit layout, a vector of each vCPU", .narrow = true, .vectors = true)
STORM(storm_vectors, "64-bit layout, no one flushes but vCPUs and worker", .vectors = true, .no_flusher = true)
STORM(storm_still, "pages that stay", .still = true)

#define LOST	"storm: event lost on port"

#define STORM_BUG(func, mutant, title, text, ...) \
	__UNIT_TEST(func, "planted: xen: " title, 0, text, 60) \
	{ \
		unit_mutants.mutant = true; \
		storm_run(&(struct storm){ .events = 2000000, .stuck_ms = 700, __VA_ARGS__ }); \
	}

STORM_BUG(b_latch, latch_forgotten, "an event that is not latched; the storm sees it", LOST, .no_flusher = true)
STORM_BUG(b_words, words_first, "an event announced before it is latched; the storm sees it", LOST, .no_flusher = false)
STORM_BUG(b_relatch, relatch_forgotten, "a flush that forgets what it cannot deliver; the storm sees it", LOST, .no_flusher = true)
STORM_BUG(b_parked, parked_forgotten, "a selector that is not parked; the storm sees it", LOST, .no_flusher = true)
STORM_BUG(b_kick, kick_lost, "vCPUs that are not woken; the storm sees it", LOST, .still = true)
STORM_BUG(b_sleeper, sleeper_unseen, "vCPUs that nobody sees asleep; the storm sees it", LOST, .still = true)
/* Senders that stand still for a while show it sooner. */
STORM_BUG(b_quiesce, quiesce_nothing = unit_mutants.readers_stall, "pages taken from senders that are still writing; the storm sees it", LOST "|used after invalidate_start had returned|use-after-poison|ThreadSanitizer: data race|seen, and not sent|for an event that is the only one", .narrow = true)
