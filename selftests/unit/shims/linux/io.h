/* SPDX-License-Identifier: GPL-2.0 */
/* custom: mappings of memory without struct page, each at an address of its own */
#ifndef _UNIT_SHIM_LINUX_IO_H
#define _UNIT_SHIM_LINUX_IO_H

#include <linux/mm.h>
enum { MEMREMAP_WB = 1, MEMREMAP_WT = 2 };
#define memremap(phys, size, how)	unit_memremap(phys, size, how, UNIT_HERE)
#define memunmap(addr)			unit_memunmap(addr, UNIT_HERE)

#endif
