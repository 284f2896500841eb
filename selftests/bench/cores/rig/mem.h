/* SPDX-License-Identifier: GPL-2.0 */
/* The allocator is that of the C library. */
#ifndef _UNIT_MEM_H
#define _UNIT_MEM_H

#include "rig/rig.h"

struct kmem_cache;

#define unit_might_alloc(gfp, where)	((void)(gfp))
void *unit_alloc(size_t size, unsigned int gfp, const char *where);
void *unit_cache_alloc(struct kmem_cache *c, unsigned int gfp,
		       const char *where);
void unit_free(const void *p, const char *where);

#endif
