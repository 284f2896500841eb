// SPDX-License-Identifier: GPL-2.0
/*
 * custom: the fake mm. One page table, pages of real memory, hva_to_pfn() that
 * resolves under the page-table lock, and a zap between the notifier's start and
 * end that takes the pages away for good: a page that was zapped is overwritten
 * and then protected (poisoned for AddressSanitizer, else PROT_NONE), until it is
 * used again, at another address as a rule, with another tag.
 *
 * So an access after an invalidation shows in one of four ways: a report of
 * AddressSanitizer, a SIGSEGV that is explained, a wrong tag, or, for
 * ThreadSanitizer, a race between the reader and the one who overwrites.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/io.h>
#include <linux/kvm_host.h>
#include "rig/mm.h"
#include "../kvm_mm.h"

#define NR_PAGES	5120
#define NR_IO		64
#define FIRST_PFN	0x1000ull
#define FIRST_IO_PFN	0x800000ull
#define NR_ALIASES	256
#define TAG_MAGIC	0x6b766d2d78656e21ull
#define POISON		0x6b6b6b6b6b6b6b6bull

void __asan_poison_memory_region(void const volatile *p, size_t n)
	__attribute__((__weak__));
void __asan_unpoison_memory_region(void const volatile *p, size_t n)
	__attribute__((__weak__));

struct pte {
	struct page *page;
	bool mapped;
	bool io;
	bool cow, cow_always;
	u64 epoch;
};

static struct page pages[NR_PAGES + NR_IO];
static struct pte ptes[UNIT_UPAGES];
static pthread_mutex_t ptl = PTHREAD_MUTEX_INITIALIZER;
static char *arena;
static int arena_fd = -1;
static unsigned int next_page, next_io;

static struct alias {
	void *addr;
	struct page *page;
} aliases[NR_ALIASES];

static struct pte *pte_of(unsigned long uhva)
{
	if (uhva < UNIT_UADDR || uhva >= UNIT_UEND)
		return NULL;
	return &ptes[(uhva - UNIT_UADDR) >> PAGE_SHIFT];
}

/* ptl held. The aliases of the page follow. */
static void protect(struct page *page, bool forbid)
{
	int prot = forbid ? PROT_NONE : PROT_READ | PROT_WRITE;

	for (int i = 0; i < NR_ALIASES; i++)
		if (aliases[i].page == page)
			mprotect(aliases[i].addr, PAGE_SIZE, prot);
	if (!__asan_poison_memory_region)
		mprotect(page->mem, PAGE_SIZE, prot);
	else if (forbid)
		__asan_poison_memory_region(page->mem, PAGE_SIZE);
	else
		__asan_unpoison_memory_region(page->mem, PAGE_SIZE);
}

static struct page *page_at(const void *khva)
{
	const char *p = khva;

	if (p >= arena && p < arena + sizeof(pages) / sizeof(pages[0]) *
				      PAGE_SIZE)
		return &pages[(p - arena) >> PAGE_SHIFT];
	for (int i = 0; i < NR_ALIASES; i++) {
		const char *a = __atomic_load_n(&aliases[i].addr,
						__ATOMIC_RELAXED);

		if (a && p >= a && p < a + PAGE_SIZE)
			return __atomic_load_n(&aliases[i].page,
					       __ATOMIC_RELAXED);
	}
	return NULL;
}

static void on_segv(int sig, siginfo_t *info, void *ctx)
{
	struct page *page = page_at(info->si_addr);

	(void)sig;
	(void)ctx;
	if (page && page->state != UNIT_PAGE_LIVE)
		unit_fail("access", "page %#llx, once at %#lx, used after invalidate_start had returned",
			  (unsigned long long)page->pfn, page->uhva);
	unit_fail("crash", "access to %p", info->si_addr);
}

static void make_arena(void)
{
	struct sigaction sa = { .sa_sigaction = on_segv,
				.sa_flags = SA_SIGINFO };
	size_t n = NR_PAGES + NR_IO;

	arena_fd = memfd_create("pages", 0);
	if (arena_fd < 0 || ftruncate(arena_fd, n * PAGE_SIZE))
		unit_fail("rig", "cannot make pages");
	arena = mmap(NULL, n * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		     arena_fd, 0);
	if (arena == MAP_FAILED)
		unit_fail("rig", "cannot map pages");
	for (size_t i = 0; i < n; i++) {
		pages[i].mem = arena + i * PAGE_SIZE;
		pages[i].io = i >= NR_PAGES;
		pages[i].pfn = pages[i].io ? FIRST_IO_PFN + i - NR_PAGES :
					     FIRST_PFN + i;
	}
	/* The sanitizer's own report is better where it has one. */
	if (!__asan_poison_memory_region)
		sigaction(SIGSEGV, &sa, NULL);
}

/* ptl held. */
static struct page *new_page(struct pte *pte, unsigned long uhva)
{
	unsigned int n = pte->io ? NR_IO : NR_PAGES, i;
	unsigned int *next = pte->io ? &next_io : &next_page;
	struct page *page = NULL;
	struct unit_tag *tag;

	for (i = 0; i < n && !page; i++) {
		page = &pages[(pte->io ? NR_PAGES : 0) + (*next + i) % n];
		if (page->state != UNIT_PAGE_FREE)
			page = NULL;
	}
	if (!page)
		unit_fail("rig", "out of fake pages");
	/* Short reuse distance, so that a stale mapping meets its successor. */
	*next = (*next + i) % (pte->io ? 8 : 64);
	protect(page, false);
	tag = page->mem;
	tag->magic = TAG_MAGIC;
	tag->uhva = uhva & PAGE_MASK;
	tag->epoch = ++pte->epoch;
	tag->touched = 0;
	page->uhva = uhva & PAGE_MASK;
	page->epoch = pte->epoch;
	page->refs = 1;
	__atomic_store_n(&page->dirty, false, __ATOMIC_RELAXED);
	__atomic_store_n(&page->state, UNIT_PAGE_LIVE, __ATOMIC_RELAXED);
	pte->page = page;
	return page;
}

/* ptl held. */
static void put_ref(struct page *page, const char *who)
{
	if (page->refs-- <= 0)
		unit_fail("page", "reference of page %#llx dropped twice by %s",
			  (unsigned long long)page->pfn, who);
	if (!page->refs)
		__atomic_store_n(&page->state, UNIT_PAGE_FREE,
				 __ATOMIC_RELAXED);
}

/* ptl held. */
static void drop_page(struct pte *pte)
{
	struct page *page = pte->page;
	struct unit_tag *tag = page->mem;

	pte->page = NULL;
	__atomic_store_n(&page->state, UNIT_PAGE_DEAD, __ATOMIC_RELAXED);
	/* Plain stores, one by one: ThreadSanitizer misses an inlined memset(). */
	tag->magic = POISON;
	tag->uhva = POISON;
	tag->epoch = POISON;
	tag->touched = POISON;
	protect(page, true);
	put_ref(page, "the page table");
}

struct mm_struct *unit_mm_create(void)
{
	struct mm_struct *mm = calloc(1, sizeof(*mm));

	if (!arena)
		make_arena();
	mm->users = 1;
	unit_srcu_init(&mm->srcu);
	return mm;
}

void unit_mm_wait_exit(struct mm_struct *mm)
{
	if (mm->exiting)
		unit_thread_join(mm->exiting);
	mm->exiting = NULL;
}

void unit_mm_destroy(struct mm_struct *mm)
{
	size_t i;

	unit_mm_wait_exit(mm);
	if (mm->mn)
		unit_fail("rig", "the mm's notifier is still registered");
	if (mm->grabs)
		unit_fail("leak", "mmgrab() without mmdrop()");
	pthread_mutex_lock(&ptl);
	for (i = 0; i < UNIT_UPAGES; i++)
		if (ptes[i].page)
			drop_page(&ptes[i]);
	for (i = 0; i < NR_PAGES + NR_IO; i++) {
		if (pages[i].refs)
			unit_fail("leak", "page %#llx still has a reference",
				  (unsigned long long)pages[i].pfn);
		if (pages[i].kmaps)
			unit_fail("leak", "page %#llx is still mapped %d times",
				  (unsigned long long)pages[i].pfn,
				  pages[i].kmaps);
	}
	for (i = 0; i < NR_ALIASES; i++)
		if (aliases[i].addr)
			unit_fail("leak", "memremap() without memunmap() of page %#llx",
				  (unsigned long long)aliases[i].page->pfn);
	memset(ptes, 0, sizeof(ptes));
	pthread_mutex_unlock(&ptl);
	unit_srcu_cleanup(&mm->srcu, "mm");
	free(mm);
}

void unit_mm_map(struct mm_struct *mm, unsigned long uhva, unsigned long n,
		 bool io)
{
	(void)mm;
	pthread_mutex_lock(&ptl);
	for (; n--; uhva += PAGE_SIZE) {
		pte_of(uhva)->mapped = true;
		pte_of(uhva)->io = io;
	}
	pthread_mutex_unlock(&ptl);
}

void unit_mm_set_cow(struct mm_struct *mm, unsigned long uhva, bool always)
{
	(void)mm;
	pthread_mutex_lock(&ptl);
	pte_of(uhva)->cow = true;
	pte_of(uhva)->cow_always = always;
	pthread_mutex_unlock(&ptl);
}

struct page *unit_mm_page(struct mm_struct *mm, unsigned long uhva)
{
	struct page *page;

	(void)mm;
	pthread_mutex_lock(&ptl);
	page = pte_of(uhva)->page;
	pthread_mutex_unlock(&ptl);
	return page;
}

/* Call the notifier as the mm does: it may be unregistered at any time. */
static void notify(struct mm_struct *mm, int what,
		   struct mmu_notifier_range *range)
{
	int idx = unit_srcu_lock(&mm->srcu);
	struct mmu_notifier *mn = __atomic_load_n(&mm->mn, __ATOMIC_ACQUIRE);

	if (mn) {
		current->notifier++;
		if (what == 0)
			mn->ops->invalidate_range_start(mn, range);
		else if (what == 1)
			mn->ops->invalidate_range_end(mn, range);
		else
			mn->ops->release(mn, mm);
		current->notifier--;
	}
	unit_srcu_unlock(&mm->srcu, idx, "notify");
}

void unit_mn_start(struct mm_struct *mm, unsigned long start,
		   unsigned long end, bool blockable)
{
	struct mmu_notifier_range r = {
		.mm = mm, .start = start, .end = end,
		.flags = blockable ? MMU_NOTIFIER_RANGE_BLOCKABLE : 0,
	};

	if (unit_mutants.invalidate_after_zap)
		unit_mn_zap(mm, start, end);
	notify(mm, 0, &r);
	if (unit_mutants.end_early)
		notify(mm, 1, &r);
}

void unit_mn_end(struct mm_struct *mm, unsigned long start, unsigned long end,
		 bool blockable)
{
	struct mmu_notifier_range r = {
		.mm = mm, .start = start, .end = end,
		.flags = blockable ? MMU_NOTIFIER_RANGE_BLOCKABLE : 0,
	};

	if (!unit_mutants.end_skipped && !unit_mutants.end_early)
		notify(mm, 1, &r);
}

void unit_mn_zap(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	unsigned long a = start < UNIT_UADDR ? UNIT_UADDR : start & PAGE_MASK;

	(void)mm;
	pthread_mutex_lock(&ptl);
	for (; a < end && a < UNIT_UEND; a += PAGE_SIZE)
		if (pte_of(a)->page)
			drop_page(pte_of(a));
	pthread_mutex_unlock(&ptl);
}

void unit_mm_zap(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	unit_mn_start(mm, start, end, true);
	unit_mn_zap(mm, start, end);
	unit_mn_end(mm, start, end, true);
}

void unit_mm_migrate(struct mm_struct *mm, unsigned long uhva)
{
	unsigned long a = uhva & PAGE_MASK;
	struct pte *pte = pte_of(a);
	u64 *from, *to;

	unit_mn_start(mm, a, a + PAGE_SIZE, true);
	pthread_mutex_lock(&ptl);
	if (pte->page) {
		struct pte old = *pte;

		to = new_page(pte, a)->mem;
		from = old.page->mem;
		/* Plain, so that a write that goes on is a race. */
		for (size_t i = sizeof(struct unit_tag) / 8; i < PAGE_SIZE / 8; i++)
			to[i] = from[i];
		drop_page(&old);
	}
	pthread_mutex_unlock(&ptl);
	unit_mn_end(mm, a, a + PAGE_SIZE, true);
}

int mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm)
{
	might_sleep();
	if (mm->mn)
		unit_fail("rig", "one notifier per mm only");
	/* The first one makes the mm's list of them. */
	if (unit_alloc_denied(GFP_KERNEL))
		return -ENOMEM;
	mn->mm = mm;
	__atomic_fetch_add(&mm->grabs, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&mm->mn, mn, __ATOMIC_RELEASE);
	return 0;
}

static void unhash(struct mm_struct *mm)
{
	if (!unit_mutants.release_skipped)
		notify(mm, 2, NULL);
	__atomic_store_n(&mm->mn, NULL, __ATOMIC_RELEASE);
	unit_srcu_synchronize(&mm->srcu, "unhash");
}

void mmu_notifier_unregister(struct mmu_notifier *mn, struct mm_struct *mm)
{
	(void)mn;
	might_sleep();
	if (__atomic_load_n(&mm->mn, __ATOMIC_ACQUIRE))
		unhash(mm);
	unit_srcu_synchronize(&mm->srcu, "unregister");
	__atomic_fetch_sub(&mm->grabs, 1, __ATOMIC_RELAXED);
}

void unit_mm_release(struct mm_struct *mm)
{
	unhash(mm);
	unit_mn_zap(mm, UNIT_UADDR, UNIT_UEND);
	pthread_mutex_lock(&ptl);
	mm->gone = true;
	pthread_mutex_unlock(&ptl);
}

bool mmget_not_zero(struct mm_struct *mm)
{
	int old = __atomic_load_n(&mm->users, __ATOMIC_RELAXED);

	while (old)
		if (__atomic_compare_exchange_n(&mm->users, &old, old + 1,
						false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

void mmput(struct mm_struct *mm)
{
	might_sleep();
	if (!__atomic_sub_fetch(&mm->users, 1, __ATOMIC_SEQ_CST))
		unit_mm_release(mm);
}

static void exit_main(void *arg)
{
	unit_mm_release(arg);
}

void mmput_async(struct mm_struct *mm)
{
	if (!__atomic_sub_fetch(&mm->users, 1, __ATOMIC_SEQ_CST))
		mm->exiting = unit_thread_start("mmput", NULL, exit_main, mm);
}

/* Copy-on-write: a new page for the address, told to the notifier. */
static void break_cow(struct mm_struct *mm, unsigned long uhva)
{
	unsigned long a = uhva & PAGE_MASK;

	unit_mn_start(mm, a, a + PAGE_SIZE, true);
	unit_mn_zap(mm, a, a + PAGE_SIZE);
	unit_mn_end(mm, a, a + PAGE_SIZE, true);
}

kvm_pfn_t hva_to_pfn(unsigned long addr, bool atomic, bool interruptible,
		     bool *async, bool write_fault, bool *writable)
{
	struct mm_struct *mm = current->mm;
	kvm_pfn_t pfn = KVM_PFN_ERR_FAULT;
	struct pte *pte = pte_of(addr);

	might_sleep();
	if (atomic || async || !write_fault || writable || interruptible)
		unit_fail("gup", "a cache resolves for write, asleep, uninterrupted");
	if (!mm)
		unit_fail("gup", "no address space to resolve in");
	__atomic_fetch_add(&mm->gups, 1, __ATOMIC_RELAXED);
	if (mm->before_gup)
		mm->before_gup(mm, addr);
	if (__atomic_load_n(&mm->gup_failures, __ATOMIC_RELAXED)) {
		__atomic_fetch_sub(&mm->gup_failures, 1, __ATOMIC_RELAXED);
		return KVM_PFN_ERR_FAULT;
	}
	if (!pte)
		return KVM_PFN_ERR_FAULT;
	pthread_mutex_lock(&ptl);
	if (mm->gone)
		unit_fail("gup", "page resolved in an address space that is gone");
	if ((pte->cow || !pte->page) && unit_alloc_denied(GFP_KERNEL)) {
		pthread_mutex_unlock(&ptl);
		return KVM_PFN_ERR_FAULT;
	}
	if (pte->cow) {
		if (!pte->page && pte->mapped)
			new_page(pte, addr);
		pte->cow = pte->cow_always;
		pthread_mutex_unlock(&ptl);
		break_cow(mm, addr);
		pthread_mutex_lock(&ptl);
	}
	if (!pte->page && pte->mapped) {
		new_page(pte, addr);
		if (mm->zeroed)
			memset(pte->page->mem + sizeof(struct unit_tag), 0,
			       PAGE_SIZE - sizeof(struct unit_tag));
	}
	if (pte->page) {
		pfn = pte->page->pfn;
		if (!pte->io)
			pte->page->refs++;
	}
	pthread_mutex_unlock(&ptl);
	if (mm->after_gup)
		mm->after_gup(mm, addr);
	return pfn;
}

void kvm_release_pfn_clean(kvm_pfn_t pfn)
{
	if (is_error_noslot_pfn(pfn))
		unit_fail("page", "release of an error pfn");
	if (!unit_pfn_valid(pfn))
		return;
	pthread_mutex_lock(&ptl);
	put_ref(unit_pfn_to_page(pfn, "release"), "kvm_release_pfn_clean()");
	pthread_mutex_unlock(&ptl);
}

void unit_set_pfn_dirty(kvm_pfn_t pfn)
{
	if (unit_pfn_valid(pfn))
		__atomic_store_n(&unit_pfn_to_page(pfn, "dirty")->dirty, true,
				 __ATOMIC_RELAXED);
}

static struct page *live_page_at(void *khva)
{
	struct page *page = page_at(khva);

	if (!page)
		unit_fail("access", "through %p, which maps nothing", khva);
	if (__atomic_load_n(&page->state, __ATOMIC_RELAXED) != UNIT_PAGE_LIVE)
		unit_fail("access", "page %#llx, once at %#lx, used after invalidate_start had returned",
			  (unsigned long long)page->pfn, page->uhva);
	return page;
}

void unit_touch(void *khva, unsigned long uhva, bool write)
{
	struct unit_tag *tag = (void *)((unsigned long)khva & PAGE_MASK);
	struct page *page = live_page_at(khva);

	if (((unsigned long)khva ^ uhva) & ~PAGE_MASK)
		unit_fail("access", "offset in the page is wrong: %p for %#lx",
			  khva, uhva);
	if (tag->magic != TAG_MAGIC || tag->uhva != (uhva & PAGE_MASK))
		unit_fail("access", "page %#llx is at %#llx now, used for %#lx",
			  (unsigned long long)page->pfn,
			  (unsigned long long)tag->uhva, uhva);
	if (write)
		__atomic_fetch_add(&tag->touched, 1, __ATOMIC_RELAXED);
}

void unit_touch_live(void *khva, struct unit_seen *seen)
{
	struct unit_tag *tag = (void *)((unsigned long)khva & PAGE_MASK);
	struct page *page = live_page_at(khva);

	if (!seen->epoch) {
		seen->uhva = tag->uhva;
		seen->epoch = tag->epoch;
	}
	if (tag->magic != TAG_MAGIC || tag->uhva != seen->uhva ||
	    tag->epoch != seen->epoch)
		unit_fail("access", "page %#llx, once at %#llx, used after invalidate_start had returned",
			  (unsigned long long)page->pfn,
			  (unsigned long long)seen->uhva);
	__atomic_fetch_add(&tag->touched, 1, __ATOMIC_RELAXED);
}

bool unit_pfn_valid(u64 pfn)
{
	return pfn >= FIRST_PFN && pfn < FIRST_PFN + NR_PAGES;
}

struct page *unit_pfn_to_page(u64 pfn, const char *where)
{
	if (!unit_pfn_valid(pfn))
		unit_fail("page", "pfn %#llx has no struct page, at %s",
			  (unsigned long long)pfn, where);
	return &pages[pfn - FIRST_PFN];
}

void *unit_kmap(struct page *page, const char *where)
{
	unit_might_sleep(where);
	if (current->mm && current->mm->map_fails)
		return NULL;
	pthread_mutex_lock(&ptl);
	if (page->refs <= 0)
		unit_fail("page", "kmap() of a page without a reference at %s",
			  where);
	pthread_mutex_unlock(&ptl);
	__atomic_fetch_add(&page->kmaps, 1, __ATOMIC_RELAXED);
	if (current->mm)
		__atomic_fetch_add(&current->mm->maps, 1, __ATOMIC_RELAXED);
	return page->mem;
}

void unit_kunmap(struct page *page, const char *where)
{
	unit_might_sleep(where);
	if (__atomic_fetch_sub(&page->kmaps, 1, __ATOMIC_RELAXED) <= 0)
		unit_fail("page", "kunmap() of a page that is not mapped at %s",
			  where);
	if (current->mm)
		__atomic_fetch_add(&current->mm->unmaps, 1, __ATOMIC_RELAXED);
}

void *unit_memremap(u64 phys, size_t size, int how, const char *where)
{
	u64 pfn = phys >> PAGE_SHIFT;
	unsigned long uhva;
	struct page *page;
	void *addr;
	int i;

	unit_might_sleep(where);
	if (pfn < FIRST_IO_PFN || pfn >= FIRST_IO_PFN + NR_IO ||
	    size != PAGE_SIZE || how != MEMREMAP_WB)
		unit_fail("page", "memremap(%#llx, %zu, %d) at %s",
			  (unsigned long long)phys, size, how, where);
	page = &pages[NR_PAGES + pfn - FIRST_IO_PFN];
	if (current->mm->map_fails || unit_alloc_denied(GFP_KERNEL))
		return NULL;
	if (current->mm->in_memremap) {
		pthread_mutex_lock(&ptl);
		uhva = page->uhva;
		pthread_mutex_unlock(&ptl);
		current->mm->in_memremap(current->mm, uhva);
	}
	addr = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		    arena_fd, (char *)page->mem - arena);
	pthread_mutex_lock(&ptl);
	for (i = 0; i < NR_ALIASES && aliases[i].addr; i++)
		;
	if (i == NR_ALIASES || addr == MAP_FAILED)
		unit_fail("rig", "too many memremap()s");
	__atomic_store_n(&aliases[i].page, page, __ATOMIC_RELAXED);
	__atomic_store_n(&aliases[i].addr, addr, __ATOMIC_RELAXED);
	if (page->state != UNIT_PAGE_LIVE)
		mprotect(addr, PAGE_SIZE, PROT_NONE);
	pthread_mutex_unlock(&ptl);
	__atomic_fetch_add(&current->mm->maps, 1, __ATOMIC_RELAXED);
	return addr;
}

void unit_memunmap(void *addr, const char *where)
{
	int i;

	unit_might_sleep(where);
	pthread_mutex_lock(&ptl);
	for (i = 0; i < NR_ALIASES && aliases[i].addr != addr; i++)
		;
	if (!addr || i == NR_ALIASES)
		unit_fail("page", "memunmap(%p) of what is not mapped at %s",
			  addr, where);
	munmap(addr, PAGE_SIZE);
	__atomic_store_n(&aliases[i].addr, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&aliases[i].page, NULL, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&ptl);
	if (current->mm)
		__atomic_fetch_add(&current->mm->unmaps, 1, __ATOMIC_RELAXED);
}
