/* SPDX-License-Identifier: GPL-2.0 */
/* dup: smaller and larger */
#ifndef _UNIT_SHIM_LINUX_MINMAX_H
#define _UNIT_SHIM_LINUX_MINMAX_H

#ifndef min
#define min(a, b) \
	({ typeof(a) __a = (a); typeof(b) __b = (b); __a < __b ? __a : __b; })
#define max(a, b) \
	({ typeof(a) __a = (a); typeof(b) __b = (b); __a > __b ? __a : __b; })
#endif
#define min3(a, b, c)	min(min(a, b), c)
#define min_t(t, a, b)	min((t)(a), (t)(b))
#define max_t(t, a, b)	max((t)(a), (t)(b))
#define clamp_t(t, v, lo, hi)	min_t(t, max_t(t, v, lo), hi)
#define swap(a, b) \
	do { typeof(a) __t = (a); (a) = (b); (b) = __t; } while (0)

#endif
