// SPDX-License-Identifier: GPL-2.0
/*
 * Bugs planted to see that a page used after it is gone, a leak, and a race are
 * found; and rigs planted with a bug of their own, in which the caches as they are
 * must fail the tests that are to catch such a bug in the caches.
 */
#include "race.h"

static struct world w;
static struct gfn_to_pfn_cache *gpc;

static void pages_begin(void)
{
	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate_hva(gpc, FREE_HVA, 8), 0);
}

/* A reader that kept what it should have checked again. */
PLANTED(p_stale_touch, "a reader that goes on after an invalidation", "access: page 0x1000, once at 0x42000000, used after invalidate_start had returned")
{
	void *khva;

	pages_begin();
	khva = gpc->khva;
	unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
	unit_touch(khva, FREE_HVA, false);
}

PLANTED(p_stale_reused, "a reader that meets its page at another address", "access: page 0x1000 is at")
{
	void *khva;
	int i;

	pages_begin();
	khva = gpc->khva;
	unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
	for (i = 1; i < 200; i++) {
		EXPECT_EQ(activate_hva(gpc, FREE_HVA + i * PAGE_SIZE, 8), 0);
		if (gpc->khva == khva)
			break;
	}
	EXPECT_EQ(gpc->khva == khva, true);
	unit_touch(khva, FREE_HVA, false);
}

PLANTED(p_stale_raw, "a plain write to a page that is gone", "use-after-poison|used after invalidate_start had returned")
{
	volatile u64 *khva;

	pages_begin();
	khva = gpc->khva;
	unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
	khva[8] = 1;
}

PLANTED(p_stale_io, "a write to a page without struct page that is gone", "used after invalidate_start had returned|SEGV")
{
	volatile u64 *khva;

	pages_begin();
	EXPECT_EQ(activate_hva(gpc, IO_HVA, 8), 0);
	khva = gpc->khva;
	unit_mm_zap(w.mm, IO_HVA, IO_HVA + PAGE_SIZE);
	khva[8] = 1;
}

PLANTED(p_touch_offset, "an access at the wrong offset", "access: offset in the page is wrong")
{
	pages_begin();
	unit_touch(gpc->khva + 8, gpc->uhva, false);
}

PLANTED(p_touch_nothing, "an access through what maps nothing", "which maps nothing")
{
	pages_begin();
	unit_touch(NULL, gpc->uhva, false);
}

PLANTED(p_kunmap, "a page unmapped twice", "page: kunmap() of a page that is not mapped")
{
	pages_begin();
	unit_kunmap(unit_mm_page(w.mm, FREE_HVA), "here");
	kvm_gpc_deactivate(gpc);
}

PLANTED(p_memunmap, "memunmap() of what was never mapped", "page: memunmap(")
{
	pages_begin();
	unit_memunmap((void *)0x1234000, "here");
}

PLANTED(p_memremap_ram, "memremap() of memory that has a struct page", "page: memremap(0x1000000")
{
	pages_begin();
	unit_memremap(0x1000000, PAGE_SIZE, 1, "here");
}

PLANTED(p_kmap_unref, "kmap() of a page without a reference", "page: kmap() of a page without a reference")
{
	struct page *page;

	pages_begin();
	page = unit_mm_page(w.mm, FREE_HVA);
	unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
	unit_kmap(page, "here");
}

PLANTED(p_release, "a page's reference dropped twice", "dropped twice by")
{
	struct page *page;

	pages_begin();
	page = unit_mm_page(w.mm, FREE_HVA);
	kvm_release_pfn_clean(page->pfn);
	unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
}

PLANTED(p_release_error, "the release of an error pfn", "page: release of an error pfn")
{
	kvm_release_pfn_clean(KVM_PFN_ERR_FAULT);
}

PLANTED(p_leak_page, "a page's reference never dropped", "leak: page 0x1000 still has a reference")
{
	pages_begin();
	unit_mm_page(w.mm, FREE_HVA)->refs++;
	gpc_gone(gpc);
	world_end(&w);
}

PLANTED(p_leak_kmap, "a mapping never undone", "leak: page 0x1000 is still mapped 1 times")
{
	pages_begin();
	unit_kmap(unit_mm_page(w.mm, FREE_HVA), "here");
	gpc_gone(gpc);
	world_end(&w);
}

PLANTED(p_leak_memremap, "a memremap() never undone", "leak: memremap() without memunmap()")
{
	pages_begin();
	EXPECT_EQ(activate_hva(gpc, IO_HVA, 8), 0);
	unit_memremap(gpc->pfn << PAGE_SHIFT, PAGE_SIZE, 1, "here");
	gpc_gone(gpc);
	world_end(&w);
}

PLANTED(p_leak_alloc, "an allocation never freed", "leak: 1 allocations never freed")
{
	static void *volatile kept;

	kept = kzalloc(32, GFP_KERNEL);
	EXPECT(kept);
}

PLANTED(p_leak_cache, "a cache still active when its VM ends", "leak: kvm->gpc_list is not empty")
{
	pages_begin();
	world_end(&w);
}

PLANTED_FOR(address, p_lsan, "memory that nothing points to any more", "LeakSanitizer: detected memory leaks")
{
	volatile char *p = malloc(100);

	p[0] = 1;
	p = NULL;
}

PLANTED_FOR(address, p_asan, "a cache used after it was freed", "AddressSanitizer: heap-use-after-free")
{
	pages_begin();
	gpc_gone(gpc);
	usable(gpc);
}

PLANTED_FOR(address, p_ubsan, "undefined behaviour", "runtime error: shift exponent")
{
	volatile int n = 70;
	volatile unsigned long x = 1;

	x <<= n;
}

static int racy, racers;

static void race_with_me(void *arg)
{
	/* Relaxed: the meeting makes no order. */
	__atomic_fetch_add(&racers, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&racers, __ATOMIC_RELAXED) < 2)
		unit_relax();
	racy++;
}

PLANTED_FOR(thread, p_tsan, "two tasks writing one word", "ThreadSanitizer: data race")
{
	struct unit_thread *t[2];

	t[0] = unit_thread_start("one", NULL, race_with_me, NULL);
	t[1] = unit_thread_start("two", NULL, race_with_me, NULL);
	unit_thread_join(t[0]);
	unit_thread_join(t[1]);
}

PLANTED(p_memslots, "memslots looked at outside SRCU", "rcu: (gpc->kvm)->memslots read without protection|read without protection")
{
	pages_begin();
	kvm_gpc_activate(gpc, SLOT_GPA, 8);
}

PLANTED(p_check_unlocked, "kvm_gpc_check() without the cache's lock", "lockdep_assert: &gpc->lock must be held")
{
	pages_begin();
	kvm_gpc_check(gpc, 8);
}

PLANTED(p_gup_dead, "a page resolved in an address space that is gone", "gup: page resolved in an address space that is gone")
{
	kvm_pfn_t hva_to_pfn(unsigned long addr, bool atomic, bool intr,
			     bool *async, bool write, bool *writable);

	pages_begin();
	unit_mm_release(w.mm);
	hva_to_pfn(FREE_HVA, false, false, NULL, true, NULL);
}

PLANTED(p_gup_no_mm, "a page resolved by a task without an address space", "gup: no address space to resolve in")
{
	kvm_pfn_t hva_to_pfn(unsigned long addr, bool atomic, bool intr,
			     bool *async, bool write, bool *writable);

	hva_to_pfn(FREE_HVA, false, false, NULL, true, NULL);
}

PLANTED(p_gup_read, "a page resolved for read only", "gup: a cache resolves for write")
{
	kvm_pfn_t hva_to_pfn(unsigned long addr, bool atomic, bool intr,
			     bool *async, bool write, bool *writable);

	pages_begin();
	hva_to_pfn(FREE_HVA, false, false, NULL, false, NULL);
}

PLANTED(p_notifier_left, "an address space that ends with a notifier registered", "the mm's notifier is still registered")
{
	pages_begin();
	gpc_gone(gpc);
	unit_mm_destroy(w.mm);
}

PLANTED(p_pfn_to_page, "pfn_to_page() of memory without struct page", "has no struct page")
{
	pages_begin();
	(void)pfn_to_page(0x800000);
}

PLANTED(p_refresh_locked, "a refresh with the cache's lock held", "sleep: while holding &gpc->lock|with interrupts off")
{
	pages_begin();
	read_lock_irq(&gpc->lock);
	refresh(gpc, 8);
}

/* The rig with a bug, and a race test that must see it. */
static void race_for(unsigned int ms)
{
	race_run(&(struct race){ .zappers = 2, .readers = 3, .refreshers = 1,
				 .ms = ms });
}

#define FOUND_BY_READER \
	"used after invalidate_start had returned|access: page|access: through|use-after-poison|ThreadSanitizer: data race"

PLANTED(m_write, "rig: a write lock that does not wait for readers; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.write_does_not_wait = true;
	race_for(15000);
}

PLANTED(m_skip, "rig: unmaps that the caches never hear of; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.invalidate_skipped = true;
	unit_mutants.end_skipped = true;
	race_for(15000);
}

PLANTED(m_late, "rig: unmaps that the caches hear of too late; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.invalidate_after_zap = true;
	race_for(15000);
}

PLANTED(m_early, "rig: the end of an unmap told before the pages go; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.end_early = true;
	race_for(15000);
}

PLANTED(m_blind, "rig: an index in which nothing is found; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.find_blind = true;
	race_for(15000);
}

PLANTED(m_release, "rig: an address space that goes without a word; a reader sees it", FOUND_BY_READER)
{
	pages_begin();
	unit_mutants.release_skipped = true;
	unit_mm_release(w.mm);
	usable(gpc);
}

static void wait_for_end(void)
{
	struct bg bg;

	pages_begin();
	unit_mn_start(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE, true);
	bg_refresh(&bg, &w, gpc);
	expect_sleepers(1);
	unit_mn_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
	unit_mn_end(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE, true);
	EXPECT_EQ(bg_wait(&bg), 0);
}

PLANTED_HANG(m_no_end, "rig: the end of an unmap never told; its waiter hangs")
{
	unit_mutants.end_skipped = true;
	wait_for_end();
}

PLANTED_HANG(m_no_wake, "rig: a wake-up that wakes nobody; the waiter hangs")
{
	unit_mutants.wake_lost = true;
	wait_for_end();
}

PLANTED(m_no_wait, "rig: a wait that spins; the test that wants a sleeper sees it", "expected: unit_wait_until(somebody_sleeps|unit: hang:")
{
	unit_mutants.wait_does_not_wait = true;
	wait_for_end();
}

/* Mutants of the caches' own design: see rig/mutants.c. */
PLANTED(d_overlaps, "design: a refresh that waits for no unmap in flight; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.wait_never = true;
	race_for(15000);
}

PLANTED(d_any, "design: an index that says there is no cache; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.any_never = true;
	race_for(15000);
}

PLANTED(d_one_page, "design: a lookup of a range's first page only; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.any_one_page = true;
	race_for(15000);
}

PLANTED(d_nothing, "design: caches found and not taken; the race test sees it", FOUND_BY_READER)
{
	unit_mutants.invalidate_nothing = true;
	race_for(15000);
}

PLANTED(d_unmap, "design: a mapping that is never undone; the end of the test sees it", "is still mapped")
{
	unit_mutants.unmap_nothing = true;
	pages_begin();
	gpc_gone(gpc);
	world_end(&w);
}
