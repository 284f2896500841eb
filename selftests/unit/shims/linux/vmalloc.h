/* SPDX-License-Identifier: GPL-2.0 */
/* custom: checked for context, like any allocation */
#ifndef _UNIT_SHIM_LINUX_VMALLOC_H
#define _UNIT_SHIM_LINUX_VMALLOC_H

#include <linux/slab.h>

#define vzalloc(size)		kzalloc(size, GFP_KERNEL)
#define vfree(p)		kfree(p)
#define vmalloc_to_page(p)	((struct page *)(p))

#endif
