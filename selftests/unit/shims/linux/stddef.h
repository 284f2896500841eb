/* SPDX-License-Identifier: GPL-2.0 */
/* dup: offsets inside structures */
#ifndef _UNIT_SHIM_LINUX_STDDEF_H
#define _UNIT_SHIM_LINUX_STDDEF_H

#include_next <linux/stddef.h>
#include <stddef.h>
#include <stdbool.h>
#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define offsetofend(type, member) \
	(offsetof(type, member) + sizeof_field(type, member))

#endif
