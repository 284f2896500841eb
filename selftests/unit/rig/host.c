// SPDX-License-Identifier: GPL-2.0
/*
 * custom: a process whose memory is a guest's. Its own page table is an array; what
 * kvm_main.c's notifier is told, and when, is as in mm/: the notifier first, then the
 * entry under the page-table lock, then the page. A page that goes must not be used
 * any more, and must have been told dirty if a guest wrote to it.
 */
#include <pthread.h>
#include <string.h>
#include <linux/mmu_notifier.h>
#include "rig/host.h"
#include "rig/rcu.h"

#define PFN(alt, i)	(0x100000UL + (alt) * 0x1000UL + (i))
#define PTE_WRITE	1UL

struct host_policy host_policy;

static struct mm_struct *mm;
static struct host_page pages[2][HOST_PAGES];
static u64 ptes[HOST_PAGES];		/* pfn << 1 | PTE_WRITE; 0: none */
static struct page refs[2][HOST_PAGES];
static bool huge[HOST_REGIONS + 1];
static u64 folios[HOST_REGIONS + 1];
static pthread_mutex_t ptl[HOST_REGIONS + 1];

struct host_page *host_page(kvm_pfn_t pfn)
{
	unsigned long i = pfn & 0xfff;

	if (pfn >> 13 != PFN(0, 0) >> 13 || i >= HOST_PAGES)
		unit_fail("use", "pfn %#llx is no page", (unsigned long long)pfn);
	return &pages[pfn >> 12 & 1][i];
}

static unsigned long index_of(gfn_t gfn)
{
	if (gfn < HOST_GFN || gfn >= HOST_GFN + HOST_PAGES)
		unit_fail("rig", "gfn %#llx is not in the memslot",
			  (unsigned long long)gfn);
	return gfn - HOST_GFN;
}

/* Written with ptl held, and read without by who cannot wait. */
static void pte_write(unsigned long i, u64 pte)
{
	__atomic_store_n(&ptes[i], pte, __ATOMIC_RELEASE);
}

/* ptl held for these three. */
static void page_comes(unsigned long i, int alt, bool write, u64 folio)
{
	struct host_page *p = &pages[alt][i];

	memset(p->word, 0, sizeof(p->word));
	__atomic_store_n(&p->written, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&p->dirty, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&p->folio, folio, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p->life, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&p->owner, HOST_GFN + i + 1, __ATOMIC_RELEASE);
	pte_write(i, PFN(alt, i) << 1 | (write ? PTE_WRITE : 0));
}

static void page_checked(struct host_page *p, unsigned long i)
{
	if (__atomic_load_n(&p->written, __ATOMIC_RELAXED) &&
	    !__atomic_load_n(&p->dirty, __ATOMIC_RELAXED))
		unit_fail("dirty", "gfn %#lx: its page goes, was written to and was never told dirty",
			  HOST_GFN + i);
}

static void page_goes(unsigned long i)
{
	struct host_page *p;

	if (!ptes[i])
		return;
	p = host_page(ptes[i] >> 1);
	pte_write(i, 0);
	__atomic_store_n(&p->owner, 0, __ATOMIC_RELAXED);
	page_checked(p, i);
	for (int g = 0; g < HOST_GUESTS; g++)
		p->word[g] = ~0ull;
}

static int next_alt(unsigned long i)
{
	return pages[0][i].life > pages[1][i].life;
}

/* Asked without a lock, while no invalidation of the region is in flight. */
static bool is_huge(unsigned long r)
{
	return __atomic_load_n(&huge[r], __ATOMIC_RELAXED);
}

static void set_huge(unsigned long r, bool yes)
{
	__atomic_store_n(&huge[r], yes, __ATOMIC_RELAXED);
}

static void notify(bool end, gfn_t start_gfn, gfn_t end_gfn, bool blockable)
{
	struct mmu_notifier_range r = {
		.mm = mm,
		.start = HOST_HVA + index_of(start_gfn) * PAGE_SIZE,
		.end = HOST_HVA + (index_of(end_gfn - 1) + 1) * PAGE_SIZE,
		.flags = blockable ? MMU_NOTIFIER_RANGE_BLOCKABLE : 0,
	};
	int idx = unit_srcu_lock(&mm->srcu);
	struct mmu_notifier *mn = __atomic_load_n(&mm->mn, __ATOMIC_ACQUIRE);

	/* A sleep is a bug in one that must not block, and only there. */
	current->notifier += !blockable;
	if (end)
		mn->ops->invalidate_range_end(mn, &r);
	else
		mn->ops->invalidate_range_start(mn, &r);
	current->notifier -= !blockable;
	unit_srcu_unlock(&mm->srcu, idx, "notify");
}

static void lock_region(unsigned long i)
{
	pthread_mutex_lock(&ptl[i / HOST_REGION]);
}

static void unlock_region(unsigned long i)
{
	pthread_mutex_unlock(&ptl[i / HOST_REGION]);
}

static bool region_empty(unsigned long r)
{
	for (unsigned long i = 0; i < HOST_REGION; i++)
		if (ptes[r * HOST_REGION + i])
			return false;
	return true;
}

static void break_cow(unsigned long i)
{
	notify(false, HOST_GFN + i, HOST_GFN + i + 1, true);
	lock_region(i);
	if (ptes[i] && !(ptes[i] & PTE_WRITE)) {
		page_goes(i);
		page_comes(i, next_alt(i), true, 0);
	}
	unlock_region(i);
	notify(true, HOST_GFN + i, HOST_GFN + i + 1, true);
}

static bool happens(enum host_how how, unsigned int once_in)
{
	return how == HOST_CHANCE ? unit_now_and_then(once_in) : how == HOST_ALWAYS;
}

kvm_pfn_t host_gup(gfn_t gfn, bool write, bool *writable)
{
	unsigned long i = index_of(gfn), r = i / HOST_REGION;
	u64 pte;

	for (;;) {
		lock_region(i);
		if (!ptes[i] && r < HOST_REGIONS &&
		    happens(host_policy.huge, 2) && region_empty(r)) {
			int alt = unit_now_and_then(2);
			u64 folio = ++folios[r];

			for (unsigned long n = 0; n < HOST_REGION; n++)
				page_comes(r * HOST_REGION + n, alt, true,
					   folio);
			set_huge(r, true);
		} else if (!ptes[i]) {
			page_comes(i, next_alt(i),
				   write || !happens(host_policy.shared, 4), 0);
		}
		pte = ptes[i];
		unlock_region(i);
		if (!write || pte & PTE_WRITE)
			break;
		break_cow(i);
	}
	*writable = pte & PTE_WRITE;
	return pte >> 1;
}

/* As far as it goes without waiting: what is there, and can be written to. */
int gfn_to_page_many_atomic(struct kvm_memory_slot *slot, gfn_t gfn,
			    struct page **pages, int nr)
{
	unsigned long i = index_of(gfn);
	struct page *page;
	u64 pte;
	int n;

	index_of(gfn + nr - 1);
	for (n = 0; n < nr; n++, i++) {
		pte = __atomic_load_n(&ptes[i], __ATOMIC_ACQUIRE);
		if (!(pte & PTE_WRITE))
			break;
		page = &refs[pte >> 13 & 1][i];
		__atomic_fetch_add(&page->refs, 1, __ATOMIC_RELAXED);
		pages[n] = page;
	}
	return n;
}

void put_page(struct page *page)
{
	if (__atomic_fetch_sub(&page->refs, 1, __ATOMIC_RELAXED) <= 0)
		unit_fail("use", "a page reference is dropped that nobody has");
}

int host_level(gfn_t gfn)
{
	unsigned long r = index_of(gfn) / HOST_REGION;

	return is_huge(r) ? PG_LEVEL_2M : PG_LEVEL_4K;
}

static void split_begin(unsigned long r)
{
	gfn_t gfn = HOST_GFN + r * HOST_REGION;

	notify(false, gfn, gfn + HOST_REGION, true);
}

static void split_end(unsigned long r)
{
	gfn_t gfn = HOST_GFN + r * HOST_REGION;

	lock_region(r * HOST_REGION);
	set_huge(r, false);
	unlock_region(r * HOST_REGION);
	notify(true, gfn, gfn + HOST_REGION, true);
}

/* A huge page becomes small ones before part of it goes. */
static void split_region(unsigned long r)
{
	if (!is_huge(r))
		return;
	split_begin(r);
	split_end(r);
}

/* What happens to a huge page happens to all of it, or it is split before. */
static bool is_part_of_huge(unsigned long r, unsigned long from, unsigned long to)
{
	return is_huge(r) && (from > r * HOST_REGION ||
			      to < (r + 1) * HOST_REGION);
}

static void zap(unsigned long from, unsigned long to)
{
	for (unsigned long i = from; i < to; i++) {
		lock_region(i);
		/* Not by this event, if it is about a part only. */
		if (!is_part_of_huge(i / HOST_REGION, from, to)) {
			set_huge(i / HOST_REGION, false);
			page_goes(i);
		}
		unlock_region(i);
	}
}

void host_unmap_begin(gfn_t start, gfn_t end)
{
	notify(false, start, end, true);
	zap(index_of(start), index_of(end - 1) + 1);
}

void host_unmap_end(gfn_t start, gfn_t end)
{
	notify(true, start, end, true);
}

void host_discard_begin(gfn_t gfn)
{
	notify(false, gfn, gfn + 1, true);
	split_begin(index_of(gfn) / HOST_REGION);
}

void host_discard_end(gfn_t gfn)
{
	unsigned long i = index_of(gfn);

	split_end(i / HOST_REGION);
	zap(i, i + 1);
	notify(true, gfn, gfn + 1, true);
}

void host_unmap(gfn_t start, gfn_t end, bool blockable)
{
	unsigned long from = index_of(start), to = index_of(end - 1) + 1;

	notify(false, start, end, blockable);
	zap(from, to);
	notify(true, start, end, blockable);
	/* The next one can have a part. */
	split_region(from / HOST_REGION);
	split_region((to - 1) / HOST_REGION);
}

void host_clean(gfn_t start, gfn_t end)
{
	unsigned long from = index_of(start), to = index_of(end - 1) + 1;
	struct host_page *p;

	notify(false, start, end, true);
	for (unsigned long i = from; i < to; i++) {
		lock_region(i);
		if (ptes[i] && !is_part_of_huge(i / HOST_REGION, from, to)) {
			p = host_page(ptes[i] >> 1);
			page_checked(p, i);
			__atomic_store_n(&p->written, 0, __ATOMIC_RELAXED);
			__atomic_store_n(&p->dirty, 0, __ATOMIC_RELAXED);
		}
		unlock_region(i);
	}
	notify(true, start, end, true);
}

bool host_young(gfn_t gfn, bool clear, bool flush)
{
	unsigned long i = index_of(gfn), hva = HOST_HVA + i * PAGE_SIZE;
	const struct mmu_notifier_ops *ops;
	struct mmu_notifier *mn;
	int young = 0, idx;

	/* The page is mapped as long as its entry is locked. */
	idx = unit_srcu_lock(&mm->srcu);
	mn = __atomic_load_n(&mm->mn, __ATOMIC_ACQUIRE);
	ops = mn->ops;
	lock_region(i);
	if (ptes[i]) {
		if (!clear && ops->test_young)
			young = ops->test_young(mn, mm, hva);
		else if (clear && flush && ops->clear_flush_young)
			young = ops->clear_flush_young(mn, mm, hva, hva + PAGE_SIZE);
		else if (clear && !flush && ops->clear_young)
			young = ops->clear_young(mn, mm, hva, hva + PAGE_SIZE);
	}
	unlock_region(i);
	unit_srcu_unlock(&mm->srcu, idx, "young");
	return young;
}

void host_begin(struct mm_struct *the_mm)
{
	mm = the_mm;
	for (unsigned long r = 0; r <= HOST_REGIONS; r++)
		pthread_mutex_init(&ptl[r], NULL);
	for (unsigned long i = 0; i < HOST_PAGES; i++)
		for (int alt = 0; alt < 2; alt++)
			refs[alt][i].pfn = PFN(alt, i);
}

void host_end(void)
{
	for (unsigned long r = 0; r < HOST_REGIONS; r++)
		set_huge(r, false);
	for (unsigned long i = 0; i < HOST_PAGES; i++) {
		page_goes(i);
		if (refs[0][i].refs || refs[1][i].refs)
			unit_fail("leak", "gfn %#lx: a reference to its page is left",
				  HOST_GFN + i);
	}
}

void kvm_set_pfn_dirty(kvm_pfn_t pfn)
{
	struct host_page *p = host_page(pfn), *first = host_page(pfn & ~511ULL);
	u64 folio;

	if (unit_mutants.dirty_untold && unit_now_and_then(16))
		return;
	if (!__atomic_load_n(&p->owner, __ATOMIC_RELAXED))
		unit_fail("use", "pfn %#llx is told dirty after it has gone",
			  (unsigned long long)pfn);
	folio = __atomic_load_n(&p->folio, __ATOMIC_RELAXED);
	if (!folio)
		__atomic_store_n(&p->dirty, 1, __ATOMIC_RELAXED);
	else
		for (unsigned long n = 0; n < HOST_REGION; n++)
			if (__atomic_load_n(&first[n].folio, __ATOMIC_RELAXED) == folio)
				__atomic_store_n(&first[n].dirty, 1, __ATOMIC_RELAXED);
}

void kvm_set_pfn_accessed(kvm_pfn_t pfn)
{
	if (!__atomic_load_n(&host_page(pfn)->owner, __ATOMIC_RELAXED))
		unit_fail("use", "pfn %#llx is told accessed after it has gone",
			  (unsigned long long)pfn);
}
