/* SPDX-License-Identifier: GPL-2.0 */
/* custom: a WARN or a BUG ends the test, unless the test said it expects one */
#ifndef _UNIT_SHIM_LINUX_BUG_H
#define _UNIT_SHIM_LINUX_BUG_H

#include <linux/compiler.h>
#include <linux/build_bug.h>
#include "rig/rig.h"

#define __unit_warn(cond, fmt, ...) \
	({ bool __w = !!(cond); \
	   if (unlikely(__w)) \
		unit_warn(UNIT_HERE, fmt, ##__VA_ARGS__); \
	   unlikely(__w); })
#define WARN_ON(cond)		__unit_warn(cond, "%s", #cond)
#define WARN_ON_ONCE(cond)	__unit_warn(cond, "%s", #cond)
#define WARN(cond, fmt, ...)	__unit_warn(cond, fmt, ##__VA_ARGS__)
#define WARN_ONCE(cond, fmt, ...) __unit_warn(cond, fmt, ##__VA_ARGS__)
#define VM_WARN_ON_ONCE(cond)	WARN_ON_ONCE(cond)
#define BUG_ON(cond) \
	do { if (unlikely(cond)) \
		unit_fail("BUG", "%s at %s", #cond, UNIT_HERE); } while (0)
#define BUG()			BUG_ON(1)

#endif
