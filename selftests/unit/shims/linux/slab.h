/* SPDX-License-Identifier: GPL-2.0 */
/* custom: allocations are counted, checked for context, and can be made to fail */
#ifndef _UNIT_SHIM_LINUX_SLAB_H
#define _UNIT_SHIM_LINUX_SLAB_H

#include <linux/gfp.h>
#include <linux/err.h>
#include <linux/cleanup.h>
struct kmem_cache;
#define struct_size(p, m, n)	(sizeof(*(p)) + sizeof(*(p)->m) * (n))
#define kmalloc(n, f)		unit_alloc(n, f, UNIT_HERE)
#define kzalloc(n, f)		unit_alloc(n, (f) | __GFP_ZERO, UNIT_HERE)
#define kcalloc(n, s, f)	kzalloc((n) * (s), f)
#define kmalloc_array(n, s, f)	kmalloc((n) * (s), f)
#define kvzalloc(n, f)		kzalloc(n, f)
#define kvcalloc(n, s, f)	kcalloc(n, s, f)
#define kvfree(p)		kfree(p)
#define kfree(p)		unit_free(p, UNIT_HERE)
#define kmem_cache_alloc(c, f)	unit_cache_alloc(c, f, UNIT_HERE)
#define kmem_cache_zalloc(c, f)	unit_cache_alloc(c, (f) | __GFP_ZERO, UNIT_HERE)
#define kmem_cache_alloc_lru(c, l, f) unit_cache_alloc(c, f, UNIT_HERE)
#define kmem_cache_free(c, p)	unit_free(p, UNIT_HERE)
DEFINE_FREE(kfree, void *, if (!IS_ERR_OR_NULL(_T)) kfree(_T))

#endif
