/* SPDX-License-Identifier: GPL-2.0 */
/* custom: allocation flags, and the check that the context allows them */
#ifndef _UNIT_SHIM_LINUX_GFP_H
#define _UNIT_SHIM_LINUX_GFP_H

#include <linux/types.h>
#include "rig/mem.h"
#define __GFP_IO		0x40u
#define __GFP_FS		0x80u
#define __GFP_ZERO		0x100u
#define __GFP_HIGH		0x20u
#define __GFP_DIRECT_RECLAIM	0x400u
#define __GFP_KSWAPD_RECLAIM	0x800u
#define __GFP_NOWARN		0x2000u
#define __GFP_NOFAIL		0x8000u
#define __GFP_ACCOUNT		0x400000u
#define __GFP_BITS_SHIFT	26
#define GFP_ATOMIC	(__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
#define GFP_NOWAIT	(__GFP_KSWAPD_RECLAIM | __GFP_NOWARN)
#define GFP_KERNEL	(__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM | \
			 __GFP_IO | __GFP_FS)
#define GFP_KERNEL_ACCOUNT (GFP_KERNEL | __GFP_ACCOUNT)
#define gfpflags_allow_blocking(f) (!!((f) & __GFP_DIRECT_RECLAIM))
#define might_alloc(f)		unit_might_alloc(f, UNIT_HERE)

#endif
