/* SPDX-License-Identifier: GPL-2.0 */
/* dup: pages of 4 KiB */
#ifndef _UNIT_SHIM_ASM_PAGE_H
#define _UNIT_SHIM_ASM_PAGE_H

#define PAGE_SHIFT	12
#ifndef PAGE_SIZE
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#endif
#ifndef PAGE_MASK
#define PAGE_MASK	(~(PAGE_SIZE - 1))
#endif
#define PAGE_OFFSET	0xffff888000000000UL

#endif
