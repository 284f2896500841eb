/* SPDX-License-Identifier: GPL-2.0 */
/* custom: milliseconds, or shorter ones where a test is in a hurry */
#ifndef _UNIT_SHIM_LINUX_JIFFIES_H
#define _UNIT_SHIM_LINUX_JIFFIES_H

#include "rig/cpu.h"

#define jiffies			unit_jiffies()
#define msecs_to_jiffies(ms)	((unsigned long)(ms))
#define time_before(a, b)	((long)((a) - (b)) < 0)

#endif
