// SPDX-License-Identifier: GPL-2.0
/*
 * custom: pages that are page tables. A table that is freed is overwritten, poisoned
 * for AddressSanitizer, and not used again for a while: who still looks at it is a race
 * for ThreadSanitizer, an error for AddressSanitizer, and, if it is a processor, told
 * what it did.
 */
#include <pthread.h>
#include <stdlib.h>
#include <linux/gfp.h>
#include "rig/table.h"

#define UNUSED_FOR	512	/* frees of others until a table is used again */

enum { TABLE_LIVE = 1, TABLE_FREED };

struct table {
	u64 entry[UNIT_TABLE_ENTRIES];
	struct page page;
	u64 state;
	struct table *next;
} __attribute__((__aligned__(8192)));

void __asan_poison_memory_region(void const volatile *p, size_t n)
	__attribute__((__weak__));
void __asan_unpoison_memory_region(void const volatile *p, size_t n)
	__attribute__((__weak__));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct table *freed_first, **freed_last = &freed_first;
static unsigned int nr_freed;
static long nr_live;

/* Any address in the first page of a table, which is all that anybody has. */
static struct table *table_of(u64 addr)
{
	return (struct table *)(addr & ~(u64)(sizeof(struct table) - 1));
}

struct page *unit_table_page(u64 addr)
{
	return &table_of(addr)->page;
}

unsigned long unit_table_alloc(unsigned int gfp, const char *where)
{
	struct table *t = NULL;

	unit_might_alloc(gfp, where);
	if (unit_alloc_denied(gfp))
		return 0;
	pthread_mutex_lock(&lock);
	if (nr_freed > UNUSED_FOR) {
		t = freed_first;
		freed_first = t->next;
		nr_freed--;
	}
	pthread_mutex_unlock(&lock);
	if (!t)
		t = aligned_alloc(sizeof(*t), sizeof(*t));
	else if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(t->entry, sizeof(t->entry));
	if (!t)
		unit_fail("rig", "out of memory");
	t->page.owner = 0;
	__atomic_store_n(&t->state, TABLE_LIVE, __ATOMIC_RELAXED);
	__atomic_fetch_add(&nr_live, 1, __ATOMIC_RELAXED);
	return (unsigned long)t->entry;
}

void unit_table_free(unsigned long addr, const char *where)
{
	struct table *t = table_of(addr);

	if (__atomic_exchange_n(&t->state, TABLE_FREED, __ATOMIC_RELAXED) !=
	    TABLE_LIVE)
		unit_fail("table", "freed twice at %s", where);
	/* Plain: who reads it now is in a race. */
	for (int i = 0; i < UNIT_TABLE_ENTRIES; i++)
		t->entry[i] = 0x6b6b6b6b6b6b6000;
	if (__asan_poison_memory_region)
		__asan_poison_memory_region(t->entry, sizeof(t->entry));
	__atomic_fetch_sub(&nr_live, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&lock);
	t->next = NULL;
	if (!nr_freed++)
		freed_last = &freed_first;
	*freed_last = t;
	freed_last = &t->next;
	pthread_mutex_unlock(&lock);
}

u64 *unit_table_at(u64 addr, const char *who)
{
	struct table *t = table_of(addr);

	if (__atomic_load_n(&t->state, __ATOMIC_RELAXED) != TABLE_LIVE)
		unit_fail("table", "%s reads a table that was freed", who);
	return t->entry;
}

long unit_tables_live(void)
{
	return __atomic_load_n(&nr_live, __ATOMIC_RELAXED);
}
