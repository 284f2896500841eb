/* SPDX-License-Identifier: GPL-2.0 */
/* A fake address space over pages that bite when used after they are gone. */
#ifndef _UNIT_MM_H
#define _UNIT_MM_H

#include <linux/types.h>
#include "rig/rig.h"
#include "rig/rcu.h"

#define UNIT_UADDR	0x40000000UL	/* the fake user addresses begin here */
#define UNIT_UPAGES	16384UL
#define UNIT_UEND	(UNIT_UADDR + UNIT_UPAGES * 4096)

struct mmu_notifier;

enum unit_page_state { UNIT_PAGE_FREE, UNIT_PAGE_LIVE, UNIT_PAGE_DEAD };

/* All but @pfn and @mem are written under the page-table lock or atomically. */
struct page {
	u64 pfn;
	void *mem;
	bool io;		/* no struct page, as far as the kernel knows */
	bool dirty;		/* the host was told that it is written to; atomic */
	int refs;		/* the page table's and hva_to_pfn()'s */
	int kmaps;
	int state;
	unsigned long uhva;
	u64 epoch;
	unsigned long owner;	/* page_private() of a page table */
};

/* The first bytes of a live page say which it is. */
struct unit_tag {
	u64 magic;
	u64 uhva;
	u64 epoch;
	u64 touched;
};

struct mm_struct {
	int users;
	int grabs;
	struct mmu_notifier *mn;
	struct srcu_struct srcu;
	bool gone;
	struct unit_thread *exiting;	/* begun by mmput_async() */

	/*
	 * What happens inside hva_to_pfn() and memremap(), for one test or the
	 * other. Hooks run in the resolving task with nothing held.
	 */
	void (*before_gup)(struct mm_struct *mm, unsigned long uhva);
	void (*after_gup)(struct mm_struct *mm, unsigned long uhva);
	void (*in_memremap)(struct mm_struct *mm, unsigned long uhva);
	unsigned int gup_failures;	/* this many calls fail */
	bool map_fails;
	bool zeroed;			/* new pages are, but for the tag */
	unsigned long gups;
	unsigned long maps, unmaps;	/* kmap() and memremap() together */
};

struct mm_struct *unit_mm_create(void);
/* Once nobody borrows it any more: what the last mmput_async() began is done. */
void unit_mm_wait_exit(struct mm_struct *mm);
void unit_mm_destroy(struct mm_struct *mm);	/* checks counts, too */
/* Make addresses resolvable; @io: to memory without struct page. */
void unit_mm_map(struct mm_struct *mm, unsigned long uhva, unsigned long pages,
		 bool io);
/* The next write to the page breaks copy-on-write, with notifier events. */
void unit_mm_set_cow(struct mm_struct *mm, unsigned long uhva, bool always);

/* The three steps of an unmap, and all of them. */
void unit_mn_start(struct mm_struct *mm, unsigned long start,
		   unsigned long end, bool blockable);
void unit_mn_zap(struct mm_struct *mm, unsigned long start, unsigned long end);
void unit_mn_end(struct mm_struct *mm, unsigned long start, unsigned long end,
		 bool blockable);
void unit_mm_zap(struct mm_struct *mm, unsigned long start, unsigned long end);

/* The page moves, with what is in it: no write to it may be under way. */
void unit_mm_migrate(struct mm_struct *mm, unsigned long uhva);

/* The last thread of the process exits: release, then every page goes. */
void unit_mm_release(struct mm_struct *mm);
bool mmget_not_zero(struct mm_struct *mm);
void mmput(struct mm_struct *mm);
void mmput_async(struct mm_struct *mm);

/* The page @uhva has now, or NULL. */
struct page *unit_mm_page(struct mm_struct *mm, unsigned long uhva);
/* Access a page as a cache's reader does; fails the test if it may not. */
void unit_touch(void *khva, unsigned long uhva, bool write);

/*
 * The same for a reader without a lock, who has no user address to compare: all
 * accesses with one @seen, zeroes at first, must meet one page.
 */
struct unit_seen {
	u64 uhva;
	u64 epoch;
};
void unit_touch_live(void *khva, struct unit_seen *seen);

bool unit_pfn_valid(u64 pfn);
struct page *unit_pfn_to_page(u64 pfn, const char *where);
void *unit_kmap(struct page *page, const char *where);
void unit_kunmap(struct page *page, const char *where);
void *unit_memremap(u64 phys, size_t size, int how, const char *where);
void unit_memunmap(void *addr, const char *where);

#endif
