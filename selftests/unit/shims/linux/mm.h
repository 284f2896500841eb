/* SPDX-License-Identifier: GPL-2.0 */
/* custom: fake pages: see rig/mm.h */
#ifndef _UNIT_SHIM_LINUX_MM_H
#define _UNIT_SHIM_LINUX_MM_H

#include <linux/kernel.h>
#include <linux/sched.h>
#include <asm/page.h>
#include "rig/mm.h"
#define offset_in_page(p)	((unsigned long)(p) & ~PAGE_MASK)
#define PAGE_ALIGN_DOWN(a)	ALIGN_DOWN(a, PAGE_SIZE)
#define PAGE_ALIGN(a)		ALIGN(a, PAGE_SIZE)
#define PHYS_PFN(x)		((unsigned long)((x) >> PAGE_SHIFT))
#define PFN_PHYS(x)		((phys_addr_t)(x) << PAGE_SHIFT)
#define pfn_valid(pfn)		unit_pfn_valid(pfn)
#define pfn_to_page(pfn)	unit_pfn_to_page(pfn, UNIT_HERE)
#define page_to_pfn(page)	((page)->pfn)

#endif
