// SPDX-License-Identifier: GPL-2.0
/* The index of caches, seen by who asks it without its lock. */
#include <pfncache/pfncache.h>
#include "rig/rcu.h"
#include "world.h"

static struct {
	struct world w;
	unsigned long hva;
	unsigned int asked;
	bool any;
} ix;

static bool nothing_pending(void *unused)
{
	(void)unused;
	return !unit_rcu_pending();
}

/*
 * The XArray has given an empty node to call_rcu() and still leads to it. Nobody
 * reads at this moment, so the node is freed. Then somebody comes.
 */
static void ask_late(void)
{
	EXPECT(unit_wait_until(nothing_pending, NULL, 5000));
	ix.any = gpc_index_any(gpc_manager(ix.w.kvm), ix.hva, ix.hva + PAGE_SIZE);
	ix.asked++;
}

static void cache_goes(unsigned long hva, bool another)
{
	struct gfn_to_pfn_cache *gpc, *other = NULL;

	world_begin(&ix.w);
	gpc = gpc_new(&ix.w);
	ix.hva = hva;
	EXPECT_EQ(activate_hva(gpc, hva, 8), 0);
	if (another) {
		other = gpc_new(&ix.w);
		EXPECT_EQ(activate(other, SLOT_GPA, 8), 0);
	}
	unit_call_rcu_handler = ask_late;
	kvm_gpc_deactivate(gpc);
	unit_call_rcu_handler = NULL;
	EXPECT(ix.asked > 0);
	EXPECT(ix.any);
	EXPECT(!gpc_index_any(gpc_manager(ix.w.kvm), hva, hva + PAGE_SIZE));
	gpc_gone(gpc);
	if (another)
		gpc_gone(other);
	world_end(&ix.w);
}

TEST_RT(index_erase, "index: who asks while the last cache goes does not touch what is freed")
{
	cache_goes(FREE_HVA + 3 * PAGE_SIZE, false);
}

TEST_RT(index_erase_node, "index: who asks while the last cache of a node goes does not touch what is freed")
{
	cache_goes(FREE_HVA + 3 * PAGE_SIZE, true);
}
