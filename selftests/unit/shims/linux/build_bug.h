/* SPDX-License-Identifier: GPL-2.0 */
/* dup: compile-time assertions */
#ifndef _UNIT_SHIM_LINUX_BUILD_BUG_H
#define _UNIT_SHIM_LINUX_BUILD_BUG_H

#include <assert.h>
#include <linux/compiler.h>
#define BUILD_BUG_ON(cond)	_Static_assert(!(cond), #cond)
#define BUILD_BUG_ON_ZERO(e)	((int)(sizeof(struct { int:(-!!(e)); })))
#define BUILD_BUG_ON_MSG(cond, msg) _Static_assert(!(cond), msg)
#ifndef static_assert
#define static_assert _Static_assert
#endif

#endif
