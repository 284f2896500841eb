/* SPDX-License-Identifier: GPL-2.0 */
/* dup: from a member to its structure */
#ifndef _UNIT_SHIM_LINUX_CONTAINER_OF_H
#define _UNIT_SHIM_LINUX_CONTAINER_OF_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#define container_of(ptr, type, member) \
	((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - \
		  offsetof(type, member)))
#define container_of_const(ptr, type, member) container_of(ptr, type, member)

#endif
