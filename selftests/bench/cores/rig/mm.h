/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An address space that is a table: from user addresses to pages, any of which can
 * be given another at any time. To look a page up is to look into the table.
 */
#ifndef _UNIT_MM_H
#define _UNIT_MM_H

#include <linux/types.h>
#include "rig/rig.h"
#include "rig/rcu.h"

#define UNIT_UADDR	0x40000000UL
#define UNIT_UPAGES	8192UL
#define CORES_FRAMES	(UNIT_UPAGES + 8)	/* some to spare */

struct mmu_notifier;

struct page {
	u64 pfn;
	void *mem;
	unsigned long owner;
};

struct mm_struct {
	struct mmu_notifier *mn;
	struct page *page[UNIT_UPAGES];		/* atomic */
	struct page frame[CORES_FRAMES];
};

struct mm_struct *cores_mm_create(void);
void cores_mm_destroy(struct mm_struct *mm);

static inline bool mmget_not_zero(struct mm_struct *mm)
{
	return true;
}

static inline void mmput_async(struct mm_struct *mm) {}

/* Page frame numbers are the frames' own, so that all of them are valid. */
extern struct mm_struct *cores_mm;
#define unit_pfn_valid(pfn)		((pfn) < CORES_FRAMES)
#define unit_pfn_to_page(pfn, where)	(&cores_mm->frame[pfn])
#define unit_kmap(page, where)		((page)->mem)
#define unit_kunmap(page, where)	((void)(page))
#define unit_memremap(phys, size, how, where)	((void)(phys), NULL)
#define unit_memunmap(addr, where)	((void)(addr))

#endif
