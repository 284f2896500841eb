/* SPDX-License-Identifier: GPL-2.0 */
/* custom: kernel mappings of pages, counted */
#ifndef _UNIT_SHIM_LINUX_HIGHMEM_H
#define _UNIT_SHIM_LINUX_HIGHMEM_H

#include <linux/io.h>
#include <linux/mm.h>
#define kmap(page)	unit_kmap(page, UNIT_HERE)
#define kunmap(page)	unit_kunmap(page, UNIT_HERE)
#define page_address(page) ((page)->mem)

#endif
