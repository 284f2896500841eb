/* SPDX-License-Identifier: GPL-2.0 */
/* A reader without a lock. The base kernel's caches have none. */
#ifndef _UNIT_LIVE_H
#define _UNIT_LIVE_H

#include "world.h"

#ifdef UNIT_STOCK
static inline bool live_look(struct gfn_to_pfn_cache *gpc, int touches)
{
	return true;
}
#else
#include <pfncache/gpc_live.h>

/* One look, as an event's delivery: was there a page? */
static inline bool live_look(struct gfn_to_pfn_cache *gpc, int touches)
{
	struct unit_seen seen = { 0 };
	struct gpc_read read;
	void *khva;

	read = kvm_gpc_read_begin(gpc->kvm);
	khva = kvm_gpc_live(gpc);
	while (khva && touches--) {
		unit_stall();
		unit_touch_live(khva, &seen);
	}
	kvm_gpc_read_end(read);

	return khva;
}
#endif

#endif
