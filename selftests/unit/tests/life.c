// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a cache: activation, refresh, check and deactivation, errno by
 * errno. The numbers are those of the contract's list of rules.
 */
#include "world.h"

TEST_RT(life_activate, "life: an activated GPA cache is usable at its offset")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT(!usable(gpc));
	EXPECT_EQ(activate(gpc, SLOT_GPA + 16, 8), 0);
	EXPECT(kvm_gpc_is_gpa_active(gpc) && !kvm_gpc_is_hva_active(gpc));
	EXPECT_EQ(gpc->uhva, SLOT_HVA + 16);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 1);
	EXPECT_EQ(w.mm->maps, 1);
	gpc_gone(gpc);
	EXPECT_EQ(w.mm->unmaps, 1);
	world_end(&w);
}

TEST_RT(life_activate_hva, "life: an HVA cache needs no memslot")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate_hva(gpc, FREE_HVA + 64, 64), 0);
	EXPECT(kvm_gpc_is_hva_active(gpc) && !kvm_gpc_is_gpa_active(gpc));
	EXPECT_EQ(gpc->uhva, FREE_HVA + 64);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_length, "life: 1: an access must lie within one page")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 4092, 8), -EINVAL);
	EXPECT_EQ(activate_hva(gpc, FREE_HVA + 1, 4096), -EINVAL);
	EXPECT(!gpc->active);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 4096), 0);
	EXPECT(usable_for(gpc, 4096));
	EXPECT_EQ(activate(gpc, SLOT_GPA + 4088, 8), 0);
	EXPECT(usable_for(gpc, 8));
	EXPECT(!usable_for(gpc, 9));
	EXPECT_EQ(refresh(gpc, 9), -EINVAL);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable_for(gpc, 8));
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_bad_keeps, "life: 1: a refused activation changes nothing")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 8, 8), 0);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 0x5ff9, 8), -EINVAL);
	EXPECT_EQ(gpc->gpa, SLOT_GPA + 8);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 1);
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_invalid_gpa, "life: 2: INVALID_GPA is a bug of the caller")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	unit_expect_warnings(1);
	EXPECT_EQ(activate(gpc, INVALID_GPA, 8), -EINVAL);
	EXPECT(!gpc->active);
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_access_ok, "life: 2: an HVA outside user space is refused")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate_hva(gpc, PAGE_OFFSET, 8), -EINVAL);
	EXPECT_EQ(activate_hva(gpc, ~0UL - 4095, 8), -EINVAL);
	EXPECT(!gpc->active);
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_inactive, "life: refresh of an inactive cache is -EINVAL")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(refresh(gpc, 8), -EINVAL);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	kvm_gpc_deactivate(gpc);
	EXPECT_EQ(refresh(gpc, 8), -EINVAL);
	EXPECT(!usable(gpc));
	EXPECT_EQ(w.mm->gups, 1);
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_deactivate, "life: deactivation is idempotent, unmaps, and leaves the address")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	kvm_gpc_deactivate(gpc);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 0x1010, 8), 0);
	kvm_gpc_deactivate(gpc);
	EXPECT(!gpc->active && !gpc->valid && !gpc->khva);
	EXPECT(is_error_noslot_pfn(gpc->pfn));
	EXPECT_EQ(gpc->gpa, SLOT_GPA + 0x1010);
	EXPECT_EQ(w.mm->unmaps, 1);
	kvm_gpc_deactivate(gpc);
	EXPECT_EQ(w.mm->unmaps, 1);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 0x1010, 8), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_bugged, "life: 5: valid before its first activation is a KVM bug, -EIO")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	gpc->valid = true;
	unit_expect_warnings(1);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), -EIO);
	EXPECT(w.kvm->vm_bugged);
	gpc->valid = false;
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(life_no_slot, "life: 6: no memslot: -EFAULT, active, and alive once there is one")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;
	gpa_t gpa = 0x100000000ull;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, gpa + 24, 8), -EFAULT);
	EXPECT(kvm_gpc_is_gpa_active(gpc));
	EXPECT_EQ(gpc->gpa, gpa + 24);
	EXPECT(!gpc->valid && !gpc->khva && is_error_noslot_pfn(gpc->pfn));
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), -EFAULT);
	EXPECT_EQ(w.mm->gups, 0);
	unit_slot_set(w.kvm, 1, gpa >> PAGE_SHIFT, 1, FREE_HVA, 0);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_gup_fails, "life: 6: page not there: -EFAULT, active, the old mapping gone")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate_hva(gpc, NOWHERE_HVA, 8), -EFAULT);
	EXPECT(kvm_gpc_is_hva_active(gpc));
	EXPECT(!gpc->valid && !gpc->khva && is_error_noslot_pfn(gpc->pfn));
	EXPECT_EQ(activate_hva(gpc, FREE_HVA, 8), 0);
	EXPECT_EQ(w.mm->maps, 1);
	EXPECT_EQ(activate_hva(gpc, NOWHERE_HVA, 8), -EFAULT);
	EXPECT_EQ(w.mm->unmaps, 1);
	EXPECT(!usable(gpc));
	unit_mm_map(w.mm, NOWHERE_HVA, 1, false);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_map_fails, "life: 6: a mapping that fails is -EFAULT and drops the page")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	w.mm->map_fails = true;
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), -EFAULT);
	EXPECT_EQ(activate_hva(gpc, IO_HVA, 8), -EFAULT);
	EXPECT(gpc->active && !usable(gpc));
	w.mm->map_fails = false;
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_cheap_refresh, "life: 8: refresh of a valid cache resolves and maps nothing")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;
	int i;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 8, 8), 0);
	for (i = 0; i < 10; i++) {
		unit_slots_touch(w.kvm);
		EXPECT_EQ(refresh(gpc, 8), 0);
		EXPECT(usable(gpc));
	}
	EXPECT_EQ(w.mm->gups, 1);
	EXPECT_EQ(w.mm->maps, 1);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(life_repoint, "life: an active cache follows to another page, old mapping undone")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;
	int i;

	world_begin(&w);
	gpc = gpc_new(&w);
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(activate(gpc, SLOT_GPA + i * PAGE_SIZE + 40, 8), 0);
		EXPECT_EQ(gpc->uhva, SLOT_HVA + i * PAGE_SIZE + 40);
		EXPECT(usable(gpc));
		EXPECT_EQ(w.mm->maps - w.mm->unmaps, 1);
	}
	/* Found at its new address only. */
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + 7 * PAGE_SIZE);
	EXPECT(usable(gpc));
	unit_mm_zap(w.mm, SLOT_HVA + 7 * PAGE_SIZE, SLOT_HVA + 8 * PAGE_SIZE);
	EXPECT(!usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_offset, "life: another offset in the same page costs no resolution")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 8, 8), 0);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 128, 8), 0);
	EXPECT_EQ(gpc->uhva, SLOT_HVA + 128);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 1);
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_switch, "life: a cache turns from GPA to HVA and back")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 8, 8), 0);
	EXPECT_EQ(activate_hva(gpc, FREE_HVA + 16, 8), 0);
	EXPECT(kvm_gpc_is_hva_active(gpc) && usable(gpc));
	EXPECT_EQ(gpc->gpa, INVALID_GPA);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 24, 8), 0);
	EXPECT(kvm_gpc_is_gpa_active(gpc) && usable(gpc));
	/* The same page under the other kind of address. */
	EXPECT_EQ(activate_hva(gpc, SLOT_HVA + 32, 8), 0);
	EXPECT(kvm_gpc_is_hva_active(gpc) && usable(gpc));
	EXPECT_EQ(gpc->uhva, SLOT_HVA + 32);
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_not_pinned, "life: 9: the page is not pinned")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	EXPECT_EQ(unit_mm_page(w.mm, SLOT_HVA)->refs, 1);
	gpc_gone(gpc);
	world_end(&w);
}

TEST_RT(life_io, "life: 9: memory without struct page is mapped, used and unmapped")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;

	world_begin(&w);
	unit_slot_set(w.kvm, 1, IO_GFN, IO_PAGES, IO_HVA, 0);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, (IO_GFN << PAGE_SHIFT) + 0x1100, 8), 0);
	EXPECT(usable(gpc));
	/* The page stays, only the notifier comes by: the mapping is kept. */
	unit_mn_start(w.mm, IO_HVA, IO_HVA + 0x4000, true);
	EXPECT(!usable(gpc));
	unit_mn_end(w.mm, IO_HVA, IO_HVA + 0x4000, true);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->maps, 1);
	unit_mm_zap(w.mm, IO_HVA, IO_HVA + 0x4000);
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

static void slow_gup(struct mm_struct *mm, unsigned long uhva)
{
	unit_relax();
	unit_relax();
}

TEST(life_one_refresher, "life: 11: of refreshes side by side one does the work")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;
	struct bg bg[6];
	int i;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	w.mm->before_gup = slow_gup;
	for (i = 0; i < 6; i++)
		bg_refresh(&bg[i], &w, gpc);
	for (i = 0; i < 6; i++)
		EXPECT_EQ(bg_wait(&bg[i]), 0);
	EXPECT(usable(gpc));
	EXPECT_EQ(w.mm->gups, 2);
	gpc_gone(gpc);
	world_end(&w);
}

TEST(life_no_memory, "life: an allocation that fails leaves a cache that can be tried again")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc;
	unsigned long n;
	int r = -1;

	world_begin(&w);
	for (n = 0; n < 30; n++) {
		gpc = gpc_new(&w);
		unit_alloc_fail_after(n);
		r = activate(gpc, SLOT_GPA + 8, 8);
		unit_alloc_fail_after(~0ul);
		if (!r) {
			EXPECT(usable(gpc));
			gpc_gone(gpc);
			break;
		}
		EXPECT(r == -ENOMEM || r == -EFAULT);
		EXPECT(!usable(gpc));
		EXPECT_EQ(refresh(gpc, 8), 0);
		EXPECT(usable(gpc));
		unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
		EXPECT(!usable(gpc));
		gpc_gone(gpc);
	}
	EXPECT_EQ(r, 0);
	world_end(&w);
}

struct elsewhere {
	struct gfn_to_pfn_cache *gpc;
	int ret;
};

static void refresh_elsewhere(void *arg)
{
	struct elsewhere *e = arg;

	e->ret = refresh(e->gpc, 8);
}

TEST(life_other_mm, "life: refresh from another address space resolves nothing there")
{
	struct world w;
	struct elsewhere e;
	struct mm_struct other = { .users = 1 };

	world_begin(&w);
	e.gpc = gpc_new(&w);
	EXPECT_EQ(activate(e.gpc, SLOT_GPA, 8), 0);
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	unit_thread_join(unit_thread_start("stranger", &other,
					   refresh_elsewhere, &e));
	EXPECT_EQ(e.ret, -EFAULT);
	EXPECT_EQ(other.gups, 0);
	EXPECT_EQ(refresh(e.gpc, 8), 0);
	EXPECT(usable(e.gpc));
	gpc_gone(e.gpc);
	world_end(&w);
}

static void refresh_as_kthread(void *arg)
{
	current->flags |= PF_KTHREAD;
	refresh_elsewhere(arg);
}

TEST(life_kthread, "life: a kernel thread that borrows the address space can refresh")
{
	struct world w;
	struct elsewhere e;

	world_begin(&w);
	e.gpc = gpc_new(&w);
	EXPECT_EQ(activate(e.gpc, SLOT_GPA, 8), 0);
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	unit_thread_join(unit_thread_start("kthread", w.mm,
					   refresh_as_kthread, &e));
	EXPECT_EQ(e.ret, 0);
	EXPECT(usable(e.gpc));
	EXPECT_EQ(w.mm->users, 1);
	gpc_gone(e.gpc);
	world_end(&w);
}
