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

/* Two of each page. A page of 1G is 2^18 of them, and some follow. */
#define PFN_BASE	0x100000UL
#define PFN_SHIFT	19
#define PTE_WRITE	1UL

#define GIGA_REGIONS	512UL
#define GIGA_PAGES	(GIGA_REGIONS * HOST_REGION)

struct host_policy host_policy;
struct host_layout host_layout;

static struct mm_struct *mm;
static struct host_page pages[2][HOST_PAGES];
static u64 ptes[HOST_PAGES];		/* pfn << 1 | PTE_WRITE; 0: none */
static struct page refs[2][HOST_PAGES];
static int level_of[HOST_REGIONS + 1];	/* of the region's pages, with ptl held or not */
static u64 nr_folios;
static pthread_mutex_t ptl[HOST_REGIONS + 1];

void host_lay_out(bool giga, bool high)
{
	static const unsigned long apart[] = { 0, 1, GIGA_REGIONS - 1, GIGA_REGIONS };

	host_layout.gfn = giga ? GIGA_PAGES : 0x400;
	/* Beyond what four levels translate. */
	if (high)
		host_layout.gfn += 1UL << 36;
	host_layout.pages = giga ? GIGA_PAGES + 8 : HOST_PAGES;
	host_layout.giga = giga;
	for (unsigned long r = 0; r <= HOST_REGIONS; r++)
		host_layout.region[r] = giga ? apart[r] : r;
}

gfn_t host_gfn(unsigned long i)
{
	return HOST_GFN + host_layout.region[i / HOST_REGION] * HOST_REGION +
	       i % HOST_REGION;
}

/* The first page of a guest's that is at @gfn or behind. */
static unsigned long index_from(gfn_t gfn)
{
	unsigned long r = 0;

	while (r < HOST_REGIONS && host_gfn((r + 1) * HOST_REGION) <= gfn)
		r++;
	if (gfn < host_gfn(r * HOST_REGION))
		return r * HOST_REGION;
	return min(gfn - host_gfn(r * HOST_REGION) + r * HOST_REGION,
		   r < HOST_REGIONS ? (r + 1) * HOST_REGION : HOST_PAGES);
}

unsigned long host_index(gfn_t gfn)
{
	unsigned long i = index_from(gfn);

	if (i >= HOST_PAGES || host_gfn(i) != gfn)
		unit_fail("rig", "gfn %#llx is nothing that there is a page for",
			  (unsigned long long)gfn);
	return i;
}

static kvm_pfn_t page_pfn(int alt, unsigned long i)
{
	return PFN_BASE + ((kvm_pfn_t)alt << PFN_SHIFT) + (host_gfn(i) - HOST_GFN);
}

static int pfn_alt(kvm_pfn_t pfn)
{
	return (pfn - PFN_BASE) >> PFN_SHIFT & 1;
}

/* Which page of a guest's it is; HOST_PAGES if it is between those of a huge page. */
static unsigned long pfn_index(kvm_pfn_t pfn)
{
	gfn_t gfn = HOST_GFN + ((pfn - PFN_BASE) & (BIT(PFN_SHIFT) - 1));
	unsigned long i = index_from(gfn);

	if (pfn < PFN_BASE || (pfn - PFN_BASE) >> PFN_SHIFT > 1 || gfn >= HOST_END)
		unit_fail("use", "pfn %#llx is no page", (unsigned long long)pfn);
	return i < HOST_PAGES && host_gfn(i) == gfn ? i : HOST_PAGES;
}

struct host_page *host_page(kvm_pfn_t pfn)
{
	unsigned long i = pfn_index(pfn);

	if (i == HOST_PAGES)
		unit_fail("use", "pfn %#llx is no page of a guest's",
			  (unsigned long long)pfn);
	return &pages[pfn_alt(pfn)][i];
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
	__atomic_store_n(&p->owner, host_gfn(i) + 1, __ATOMIC_RELEASE);
	pte_write(i, page_pfn(alt, i) << 1 | (write ? PTE_WRITE : 0));
}

static void page_checked(struct host_page *p, unsigned long i)
{
	if (__atomic_load_n(&p->written, __ATOMIC_RELAXED) &&
	    !__atomic_load_n(&p->dirty, __ATOMIC_RELAXED))
		unit_fail("dirty", "gfn %#lx: its page goes, was written to and was never told dirty",
			  (unsigned long)host_gfn(i));
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
static int region_level(unsigned long r)
{
	return __atomic_load_n(&level_of[r], __ATOMIC_RELAXED);
}

static void set_level(unsigned long r, int level)
{
	__atomic_store_n(&level_of[r], level, __ATOMIC_RELAXED);
}

/* The regions that are in one page of @level with region @r: from, and up to. */
static unsigned long first_with(unsigned long r, int level)
{
	return level == PG_LEVEL_1G ? 0 : r;
}

static unsigned long last_with(unsigned long r, int level)
{
	return level == PG_LEVEL_1G ? HOST_REGIONS - 1 : r;
}

/* The gfns of a page of @level in region @r. */
static gfn_t level_gfn(unsigned long r, int level)
{
	return host_gfn(first_with(r, level) * HOST_REGION);
}

static void notify(bool end, gfn_t start_gfn, gfn_t end_gfn, bool blockable)
{
	struct mmu_notifier_range r = {
		.mm = mm,
		.start = HOST_HVA + (start_gfn - HOST_GFN) * PAGE_SIZE,
		.end = HOST_HVA + (end_gfn - HOST_GFN) * PAGE_SIZE,
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

/* With pages of 1G there is one lock for all. */
static pthread_mutex_t *lock_of(unsigned long i)
{
	return &ptl[host_layout.giga ? 0 : i / HOST_REGION];
}

static void lock_region(unsigned long i)
{
	pthread_mutex_lock(lock_of(i));
}

static void unlock_region(unsigned long i)
{
	pthread_mutex_unlock(lock_of(i));
}

static bool regions_empty(unsigned long first, unsigned long last)
{
	for (unsigned long i = first * HOST_REGION; i < (last + 1) * HOST_REGION; i++)
		if (ptes[i])
			return false;
	return true;
}

static void break_cow(unsigned long i)
{
	notify(false, host_gfn(i), host_gfn(i) + 1, true);
	lock_region(i);
	if (ptes[i] && !(ptes[i] & PTE_WRITE)) {
		page_goes(i);
		page_comes(i, next_alt(i), true, 0);
	}
	unlock_region(i);
	notify(true, host_gfn(i), host_gfn(i) + 1, true);
}

static bool happens(enum host_how how, unsigned int once_in)
{
	return how == HOST_CHANCE ? unit_now_and_then(once_in) : how == HOST_ALWAYS;
}

/* ptl held: a huge page comes, if there is room for one and it is wanted. */
static bool huge_comes(unsigned long r)
{
	int level = host_layout.giga && happens(host_policy.giga, 2) ?
		    PG_LEVEL_1G : PG_LEVEL_2M;
	int alt = unit_now_and_then(2);
	unsigned long first, last;
	u64 folio;

	if (r == HOST_REGIONS || !happens(host_policy.huge, 2))
		return false;
	if (!regions_empty(first_with(r, level), last_with(r, level)))
		level = PG_LEVEL_2M;
	first = first_with(r, level);
	last = last_with(r, level);
	if (!regions_empty(first, last))
		return false;
	folio = __atomic_add_fetch(&nr_folios, 1, __ATOMIC_RELAXED);
	for (unsigned long i = first * HOST_REGION; i < (last + 1) * HOST_REGION; i++)
		page_comes(i, alt, true, folio);
	for (r = first; r <= last; r++)
		set_level(r, level);
	return true;
}

kvm_pfn_t host_gup(gfn_t gfn, bool write, bool *writable)
{
	unsigned long i = host_index(gfn);
	u64 pte;

	for (;;) {
		lock_region(i);
		if (!ptes[i] && !huge_comes(i / HOST_REGION))
			page_comes(i, next_alt(i),
				   write || !happens(host_policy.shared, 4), 0);
		pte = ptes[i];
		unlock_region(i);
		if (!write || pte & PTE_WRITE)
			break;
		break_cow(i);
	}
	*writable = pte & PTE_WRITE;
	return pte >> 1;
}

unsigned long host_looks;

/* As far as it goes without waiting: what is there, and can be written to. */
int gfn_to_page_many_atomic(struct kvm_memory_slot *slot, gfn_t gfn,
			    struct page **pages, int nr)
{
	unsigned long i = host_index(gfn);
	struct page *page;
	u64 pte;
	int n;

	__atomic_fetch_add(&host_looks, 1, __ATOMIC_RELAXED);
	host_index(gfn + nr - 1);
	for (n = 0; n < nr; n++, i++) {
		pte = __atomic_load_n(&ptes[i], __ATOMIC_ACQUIRE);
		if (!(pte & PTE_WRITE))
			break;
		page = &refs[pfn_alt(pte >> 1)][i];
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
	unsigned long i = index_from(gfn);

	/* Between a guest's pages there is but what is left of a page of 1G. */
	if (i >= HOST_PAGES || host_gfn(i) != gfn)
		return region_level(0) == PG_LEVEL_1G ? PG_LEVEL_1G : PG_LEVEL_4K;
	return region_level(i / HOST_REGION);
}

/* A huge page becomes smaller ones, of 2M if it was of 1G. Between the two it is huge. */
static int split_begin(unsigned long r)
{
	int level = region_level(r);
	gfn_t gfn = level_gfn(r, level);

	notify(false, gfn, gfn + KVM_PAGES_PER_HPAGE(level), true);
	return level;
}

static void split_end(unsigned long r, int level)
{
	gfn_t gfn = level_gfn(r, level);

	lock_region(r * HOST_REGION);
	for (unsigned long n = first_with(r, level); n <= last_with(r, level); n++)
		if (region_level(n) == level)
			set_level(n, level - 1);
	unlock_region(r * HOST_REGION);
	notify(true, gfn, gfn + KVM_PAGES_PER_HPAGE(level), true);
}

/* Before part of it goes. */
static void split_region(unsigned long r)
{
	if (region_level(r) > PG_LEVEL_4K)
		split_end(r, split_begin(r));
}

/* What happens to a huge page happens to all of it, or it is split before. */
static bool is_part_of_huge(unsigned long r, unsigned long from, unsigned long to)
{
	int level = region_level(r);

	return level > PG_LEVEL_4K &&
	       (from > first_with(r, level) * HOST_REGION ||
		to < (last_with(r, level) + 1) * HOST_REGION);
}

/* ptl held: what is left of a page is small. */
static void set_small(unsigned long r)
{
	int level = region_level(r);

	for (unsigned long n = first_with(r, level); n <= last_with(r, level); n++)
		set_level(n, PG_LEVEL_4K);
}

static void zap(unsigned long from, unsigned long to)
{
	for (unsigned long i = from; i < to; i++) {
		lock_region(i);
		/* Not by this event, if it is about a part only. */
		if (!is_part_of_huge(i / HOST_REGION, from, to)) {
			set_small(i / HOST_REGION);
			page_goes(i);
		}
		unlock_region(i);
	}
}

void host_unmap_tell(gfn_t start, gfn_t end)
{
	notify(false, start, end, true);
}

void host_unmap_take(gfn_t start, gfn_t end)
{
	zap(index_from(start), index_from(end));
}

void host_unmap_begin(gfn_t start, gfn_t end)
{
	host_unmap_tell(start, end);
	host_unmap_take(start, end);
}

void host_unmap_end(gfn_t start, gfn_t end)
{
	notify(true, start, end, true);
}

static int discarded_level;

void host_discard_begin(gfn_t gfn)
{
	notify(false, gfn, gfn + 1, true);
	discarded_level = split_begin(host_index(gfn) / HOST_REGION);
}

void host_discard_end(gfn_t gfn)
{
	unsigned long i = host_index(gfn);

	split_end(i / HOST_REGION, discarded_level);
	zap(i, i + 1);
	notify(true, gfn, gfn + 1, true);
}

void host_unmap(gfn_t start, gfn_t end, bool blockable)
{
	unsigned long from = index_from(start), to = index_from(end);

	notify(false, start, end, blockable);
	zap(from, to);
	notify(true, start, end, blockable);
	/* The next one can have a part. */
	split_region(min(from, HOST_PAGES - 1) / HOST_REGION);
	if (to)
		split_region((to - 1) / HOST_REGION);
}

void host_clean(gfn_t start, gfn_t end)
{
	unsigned long from = index_from(start), to = index_from(end);
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
	unsigned long hva = HOST_HVA + (gfn - HOST_GFN) * PAGE_SIZE;
	unsigned long i = host_index(gfn);
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
	if (!host_layout.pages)
		host_lay_out(false, false);
	for (unsigned long r = 0; r <= HOST_REGIONS; r++) {
		pthread_mutex_init(&ptl[r], NULL);
		set_level(r, PG_LEVEL_4K);
	}
	for (unsigned long i = 0; i < HOST_PAGES; i++)
		for (int alt = 0; alt < 2; alt++)
			refs[alt][i].pfn = page_pfn(alt, i);
}

void host_end(void)
{
	for (unsigned long i = 0; i < HOST_PAGES; i++) {
		page_goes(i);
		if (refs[0][i].refs || refs[1][i].refs)
			unit_fail("leak", "gfn %#lx: a reference to its page is left",
				  (unsigned long)host_gfn(i));
	}
}

/* The page that stands for @pfn, which is mapped with it. */
static struct host_page *page_told(kvm_pfn_t pfn, const char *what)
{
	unsigned long i = pfn_index(pfn);
	struct host_page *p = &pages[pfn_alt(pfn)][i < HOST_PAGES ? i : 0];

	if (!__atomic_load_n(&p->owner, __ATOMIC_RELAXED))
		unit_fail("use", "pfn %#llx is told %s after it has gone",
			  (unsigned long long)pfn, what);
	return p;
}

void kvm_set_pfn_dirty(kvm_pfn_t pfn)
{
	struct host_page *p;
	u64 folio;

	if (unit_mutants.dirty_untold && unit_now_and_then(16))
		return;
	p = page_told(pfn, "dirty");
	folio = __atomic_load_n(&p->folio, __ATOMIC_RELAXED);
	if (!folio) {
		__atomic_store_n(&p->dirty, 1, __ATOMIC_RELAXED);
		return;
	}
	p = pages[pfn_alt(pfn)];
	for (unsigned long i = 0; i < HOST_REGIONS * HOST_REGION; i++)
		if (__atomic_load_n(&p[i].folio, __ATOMIC_RELAXED) == folio)
			__atomic_store_n(&p[i].dirty, 1, __ATOMIC_RELAXED);
}

void kvm_set_pfn_accessed(kvm_pfn_t pfn)
{
	page_told(pfn, "accessed");
}
