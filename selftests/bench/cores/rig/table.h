/* SPDX-License-Identifier: GPL-2.0 */
/* Page tables: a page of entries, and behind it what struct page says of it. */
#ifndef _UNIT_TABLE_H
#define _UNIT_TABLE_H

#include <linux/types.h>
#include "rig/mm.h"

#define UNIT_TABLE_ENTRIES	512

struct cores_table {
	u64 entry[UNIT_TABLE_ENTRIES];
	struct page page;
} __attribute__((__aligned__(8192)));

static inline struct page *unit_table_page(u64 addr)
{
	return &((struct cores_table *)(addr & ~8191ULL))->page;
}

unsigned long unit_table_alloc(unsigned int gfp, const char *where);
void unit_table_free(unsigned long addr, const char *where);

#endif
