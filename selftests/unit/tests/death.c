// SPDX-License-Identifier: GPL-2.0
/*
 * The end of the address space and of the VM: no cache stays usable, no refresh
 * hangs, nothing leaks, whatever order things end in.
 */
#include "world.h"

static struct world w;
static struct gfn_to_pfn_cache *gpc;

TEST_RT(death_release, "death: when the address space goes, every cache is unusable (W1)")
{
	struct gfn_to_pfn_cache *hva;

	world_begin(&w);
	gpc = gpc_new(&w);
	hva = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 8, 8), 0);
	EXPECT_EQ(activate_hva(hva, FREE_HVA + 8, 8), 0);
	unit_mm_release(w.mm);
	EXPECT(!usable(gpc) && !usable(hva));
	EXPECT(gpc->active);
	EXPECT_EQ(refresh(gpc, 8), -EFAULT);
	EXPECT_EQ(refresh(hva, 8), -EFAULT);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 0x1000, 8), -EFAULT);
	EXPECT_EQ(activate_hva(hva, FREE_HVA + 0x1000, 8), -EFAULT);
	EXPECT(!usable(gpc) && !usable(hva));
	EXPECT_EQ(w.mm->gups, 2);
	gpc_gone(gpc);
	gpc_gone(hva);
	world_end(&w);
}

TEST_RT(death_wakes, "death: a refresh that waits is woken when the address space goes (W1)")
{
	struct bg bg;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	bg_refresh(&bg, &w, gpc);
	expect_sleepers(1);
	/* The range's end will never come. */
	unit_mm_release(w.mm);
	EXPECT_EQ(bg_wait(&bg), -EFAULT);
	EXPECT(!usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

static void release_main(void *arg)
{
	unit_mm_release(w.mm);
}

static void release_by_another(struct mm_struct *mm, unsigned long uhva)
{
	unit_thread_join(unit_thread_start("exit", mm, release_main, NULL));
}

TEST_RT(death_in_gup, "death: a page resolved just before the end does not become usable (W1)")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	w.mm->after_gup = release_by_another;
	EXPECT_EQ(activate_hva(gpc, FREE_HVA, 8), -EFAULT);
	EXPECT(!usable(gpc));
	EXPECT_EQ(w.mm->gups, 1);
	gpc_gone(gpc);
	world_end(&w);
}

static void kthread_main(void *arg)
{
	current->flags |= PF_KTHREAD;
	*(int *)arg = refresh(gpc, 8);
}

TEST(death_kthread, "death: a kernel thread does not resolve in an address space without users (W1)")
{
	int r = 1;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	mmput(w.mm);
	EXPECT(!usable(gpc));
	unit_thread_join(unit_thread_start("kthread", w.mm, kthread_main, &r));
	EXPECT_EQ(r, -EFAULT);
	EXPECT_EQ(w.mm->gups, 1);
	gpc_gone(gpc);
	world_end(&w);
}

/* The VMM dies while a kernel thread has just borrowed its address space. */
static void vmm_dies(struct mm_struct *mm, unsigned long uhva)
{
	__atomic_sub_fetch(&mm->users, 1, __ATOMIC_SEQ_CST);
}

static bool mm_gone(void *mm)
{
	return !__atomic_load_n(&((struct mm_struct *)mm)->mn,
				__ATOMIC_ACQUIRE);
}

TEST(death_borrowed, "death: a kernel thread's refresh that outlives the VMM leaves no usable cache (W1)")
{
	int r = 1;

	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	w.mm->after_gup = vmm_dies;
	unit_thread_join(unit_thread_start("kthread", w.mm, kthread_main, &r));
	EXPECT(!r || r == -EFAULT);
	EXPECT(unit_wait_until(mm_gone, w.mm, 5000));
	EXPECT(!usable(gpc));
	gpc_gone(gpc);
	world_end(&w);
}

static void late_timer(struct kvm *kvm)
{
	/* Between the notifier's end and the vCPUs', a timer may still fire. */
	EXPECT(!usable(gpc));
	EXPECT_EQ(refresh(gpc, 8), -EFAULT);
	gpc_gone(gpc);
}

TEST_RT(death_vm_order, "death: caches outlive the notifier, unusable, and leave nothing (W1)")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_vm_destroy(w.kvm, late_timer);
	unit_mm_destroy(w.mm);
	current->mm = NULL;
}

static struct gfn_to_pfn_cache *three[3];

static void all_three(struct kvm *kvm)
{
	int i;

	EXPECT(!usable(three[0]) && !usable(three[1]));
	/* Never active before, and too late now. */
	EXPECT_EQ(activate(three[2], SLOT_GPA, 8), -EFAULT);
	for (i = 0; i < 3; i++)
		gpc_gone(three[i]);
}

TEST_RT(death_last_cache, "death: the last of several caches takes the rest of the state with it")
{
	int i;

	world_begin(&w);
	for (i = 0; i < 3; i++)
		three[i] = gpc_new(&w);
	EXPECT_EQ(activate(three[0], SLOT_GPA, 8), 0);
	EXPECT_EQ(activate(three[1], SLOT_GPA + 64, 8), 0);
	unit_vm_destroy(w.kvm, all_three);
	unit_mm_destroy(w.mm);
	current->mm = NULL;
}

static void activate_none(struct kvm *kvm)
{
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), -EFAULT);
	EXPECT(!usable(gpc));
	gpc_gone(gpc);
}

TEST(death_too_late, "death: activation after the notifier's end is -EFAULT")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	unit_vm_destroy(w.kvm, activate_none);
	unit_mm_destroy(w.mm);
	current->mm = NULL;
}

TEST_RT(death_released_first, "death: process first, VM later, as when its descriptor is held elsewhere (W1)")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	mmput(w.mm);
	EXPECT(!usable(gpc));
	unit_vm_destroy(w.kvm, late_timer);
	unit_mm_destroy(w.mm);
	current->mm = NULL;
}

TEST(death_open_range, "death: a range still open when the notifier goes is no trouble")
{
	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA, 8), 0);
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	unit_vm_destroy(w.kvm, late_timer);
	/* The mm has nobody to tell by now. */
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	unit_mm_destroy(w.mm);
	current->mm = NULL;
}

TEST(death_no_vm, "death: a VM without memory for its caches is not made, and leaves nothing")
{
	w.mm = unit_mm_create();
	current->mm = w.mm;
	unit_alloc_fail_after(0);
	EXPECT(!unit_vm_create(w.mm));
	unit_alloc_fail_after(~0ul);
	unit_mm_destroy(w.mm);
	current->mm = NULL;
}

TEST(death_idle_vm, "death: a VM that never had a cache leaves nothing")
{
	world_begin(&w);
	unit_mm_zap(w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	world_end(&w);
}
