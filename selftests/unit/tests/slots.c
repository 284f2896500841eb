// SPDX-License-Identifier: GPL-2.0
/*
 * Memslot changes: those that leave a cache's user address alone must not be felt
 * (W8), all others must.
 */
#include <linux/kvm.h>
#include "world.h"

static struct world w;
static struct gfn_to_pfn_cache *gpc;

static void slots_begin(void)
{
	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 0x2010, 8), 0);
}

static void slots_end(void)
{
	gpc_gone(gpc);
	world_end(&w);
}

/* Still usable with no refresh, nothing resolved, nothing locked for write. */
static void expect_not_felt(void)
{
	unsigned long writes = unit_ops[UNIT_LOCK_WRITE];

	EXPECT(usable(gpc));
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 1);
	EXPECT_EQ(unit_ops[UNIT_LOCK_WRITE], writes);
}

TEST_RT(slot_generation, "slots: a new generation alone is not felt (W8)")
{
	slots_begin();
	for (int i = 0; i < 20; i++) {
		unit_slots_touch(w.kvm);
		expect_not_felt();
	}
	slots_end();
}

TEST_RT(slot_dirty_log, "slots: dirty logging on and off is not felt (W8)")
{
	slots_begin();
	unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA,
		      KVM_MEM_LOG_DIRTY_PAGES);
	expect_not_felt();
	unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
	expect_not_felt();
	slots_end();
}

TEST_RT(slot_others, "slots: other slots that come, move and go are not felt (W8)")
{
	slots_begin();
	unit_slot_set(w.kvm, 1, 0x100000, 16, FREE_HVA, 0);
	expect_not_felt();
	unit_slot_set(w.kvm, 1, 0x200000, 16, FREE_HVA, 0);
	expect_not_felt();
	unit_slot_set(w.kvm, 1, 0, 0, 0, 0);
	expect_not_felt();
	slots_end();
}

TEST_RT(slot_readonly, "slots: a read-only slot makes the cache unusable, -EFAULT, and back (W8)")
{
	slots_begin();
	/* KVM only allows that through a deletion. */
	unit_slot_set(w.kvm, 0, 0, 0, 0, 0);
	unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA,
		      KVM_MEM_READONLY);
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), -EFAULT);
	EXPECT(gpc->active && !gpc->valid && !gpc->khva);
	unit_slot_set(w.kvm, 0, 0, 0, 0, 0);
	unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	slots_end();
}

TEST_RT(slot_delete, "slots: a slot being deleted is unusable at once, and after (W8)")
{
	slots_begin();
	unit_slot_mark_invalid(w.kvm, 0);
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), -EFAULT);
	unit_slot_set(w.kvm, 0, 0, 0, 0, 0);
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), -EFAULT);
	unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	slots_end();
}

TEST_RT(slot_move, "slots: a slot moved away in guest memory takes the cache's page along (W8)")
{
	slots_begin();
	unit_slot_set(w.kvm, 0, SLOT_GFN + 0x40000, SLOT_PAGES, SLOT_HVA, 0);
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), -EFAULT);
	unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	slots_end();
}

TEST_RT(slot_shift, "slots: a guest address that means another page now is found out (W8)")
{
	slots_begin();
	unit_slot_set(w.kvm, 0, SLOT_GFN - 1, SLOT_PAGES, SLOT_HVA, 0);
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT_EQ(gpc->uhva, SLOT_HVA + 0x3010);
	EXPECT(usable(gpc));
	unit_mm_zap(w.mm, SLOT_HVA + 0x2000, SLOT_HVA + 0x3000);
	EXPECT(usable(gpc));
	unit_mm_zap(w.mm, SLOT_HVA + 0x3000, SLOT_HVA + 0x4000);
	EXPECT(!usable(gpc));
	slots_end();
}

TEST_RT(slot_replaced, "slots: the same guest address over other memory is found out (W8)")
{
	slots_begin();
	unit_slot_set(w.kvm, 0, 0, 0, 0, 0);
	unit_slot_set(w.kvm, 0, SLOT_GFN, 16, FREE_HVA, 0);
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT_EQ(gpc->uhva, FREE_HVA + 0x2010);
	EXPECT(usable(gpc));
	slots_end();
}

TEST_RT(slot_hva, "slots: an HVA cache needs none: the slot's end costs it a refresh at most")
{
	slots_begin();
	EXPECT_EQ(activate_hva(gpc, SLOT_HVA + 0x2010, 8), 0);
	unit_slot_set(w.kvm, 0, 0, 0, 0, 0);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	EXPECT(w.mm->gups <= 2);
	EXPECT_EQ(activate_hva(gpc, FREE_HVA, 8), 0);
	unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
	unit_slot_set(w.kvm, 0, 0, 0, 0, 0);
	EXPECT(usable(gpc));
	slots_end();
}

TEST(slot_hardirq, "slots: a hard interrupt follows a memslot change by itself (W8)")
{
	unsigned long flags;
	int idx;

	slots_begin();
	unit_slots_touch(w.kvm);
	unit_hardirq_enter();
	idx = srcu_read_lock(&w.kvm->srcu);
	EXPECT(read_trylock(&gpc->lock));
	EXPECT(kvm_gpc_check(gpc, 8));
	unit_touch(gpc->khva, gpc->uhva, true);
	read_unlock(&gpc->lock);
	read_lock_irqsave(&gpc->lock, flags);
	EXPECT(kvm_gpc_check(gpc, 8));
	read_unlock_irqrestore(&gpc->lock, flags);
	srcu_read_unlock(&w.kvm->srcu, idx);
	unit_hardirq_exit();
	slots_end();
}

TEST(slot_unmapped_too, "slots: following a memslot change does not revive an unmapped page")
{
	slots_begin();
	unit_mm_zap(w.mm, SLOT_HVA + 0x2000, SLOT_HVA + 0x3000);
	unit_slots_touch(w.kvm);
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	slots_end();
}
