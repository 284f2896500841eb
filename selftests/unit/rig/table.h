/* SPDX-License-Identifier: GPL-2.0 */
/* The memory of page tables, which is known to be one or not to be one any more. */
#ifndef _UNIT_TABLE_H
#define _UNIT_TABLE_H

#include <linux/types.h>
#include "rig/mm.h"

#define UNIT_TABLE_ENTRIES	512

unsigned long unit_table_alloc(unsigned int gfp, const char *where);
void unit_table_free(unsigned long addr, const char *where);
struct page *unit_table_page(u64 addr);
/* For whoever goes by physical addresses: fails if there is no table there. */
u64 *unit_table_at(u64 addr, const char *who);
/* Tables that are allocated now. */
long unit_tables_live(void);

#endif
