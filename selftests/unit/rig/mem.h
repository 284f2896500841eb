/* SPDX-License-Identifier: GPL-2.0 */
/* Allocation: checked for context, counted, made to fail on demand. */
#ifndef _UNIT_MEM_H
#define _UNIT_MEM_H

#include "rig/rig.h"

struct kmem_cache {
	size_t size;
	bool is_xa_node;
};

void unit_might_alloc(unsigned int gfp, const char *where);
void *unit_alloc(size_t size, unsigned int gfp, const char *where);
void *unit_cache_alloc(struct kmem_cache *c, unsigned int gfp,
		       const char *where);
void unit_free(const void *p, const char *where);

/*
 * Let every allocation that may sleep fail after @n more of them; those that may
 * not sleep fail at once. ~0: none fails any more.
 */
void unit_alloc_fail_after(unsigned long n);
/* Let the @nth allocation from now on fail, and no other. 0: none. */
void unit_alloc_fail_nth(unsigned long n);
/*
 * Asked once by every place that needs memory: shall it do without? For memory
 * that the caches make others take (a page, a mapping) this is all there is.
 */
bool unit_alloc_denied(unsigned int gfp);
/* How often the answer was yes, by the count and not for not sleeping. */
unsigned long unit_alloc_denials(void);
unsigned long unit_alloc_count(void);
long unit_alloc_outstanding(void);

#endif
