/* SPDX-License-Identifier: GPL-2.0 */
/* custom: an index that was not checked before ends the test */
#ifndef _UNIT_SHIM_LINUX_NOSPEC_H
#define _UNIT_SHIM_LINUX_NOSPEC_H

#include <linux/bug.h>
#define array_index_nospec(i, n) \
	({ typeof(i) __i = (i); BUG_ON(__i >= (n)); __i; })

#endif
