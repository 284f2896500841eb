/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the header that brings the small ones along */
#ifndef _UNIT_SHIM_LINUX_KERNEL_H
#define _UNIT_SHIM_LINUX_KERNEL_H

#include <linux/types.h>
#include <linux/stddef.h>
#include <linux/align.h>
#include <linux/bits.h>
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/container_of.h>
#include <linux/limits.h>
#include <linux/printk.h>
#include <linux/bug.h>
#define memset64(p, v, n) \
	do { for (size_t __i = 0; __i < (n); __i++) (p)[__i] = (v); } while (0)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define might_sleep()	unit_might_sleep(UNIT_HERE)
#define might_sleep_if(c) do { if (c) might_sleep(); } while (0)
#define cond_resched()	({ might_sleep(); 0; })
#define upper_32_bits(n) ((u32)(((u64)(n)) >> 32))

#endif
