/* SPDX-License-Identifier: GPL-2.0 */
/* dup: what a removed list entry's pointers hold */
#ifndef _UNIT_SHIM_LINUX_POISON_H
#define _UNIT_SHIM_LINUX_POISON_H

#define LIST_POISON1  ((void *)0xdead000000000100UL)
#define LIST_POISON2  ((void *)0xdead000000000122UL)

#endif
