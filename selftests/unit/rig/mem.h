/* SPDX-License-Identifier: GPL-2.0 */
/* Allocation: checked for context, counted, made to fail on demand. */
#ifndef _UNIT_MEM_H
#define _UNIT_MEM_H

#include "rig/rig.h"

struct kmem_cache;

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
unsigned long unit_alloc_count(void);
long unit_alloc_outstanding(void);

#endif
