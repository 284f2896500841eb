/* SPDX-License-Identifier: GPL-2.0 */
/* custom: a branch that is not patched but asked */
#ifndef _UNIT_SHIM_LINUX_JUMP_LABEL_RATELIMIT_H
#define _UNIT_SHIM_LINUX_JUMP_LABEL_RATELIMIT_H

#include <linux/types.h>
struct static_key_false { bool on; };
struct static_key_false_deferred { struct static_key_false key; };
#define static_branch_unlikely(k)	((k)->on)

#endif
