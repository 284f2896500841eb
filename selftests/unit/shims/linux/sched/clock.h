/* SPDX-License-Identifier: GPL-2.0 */
/* custom: nanoseconds */
#ifndef _UNIT_SHIM_LINUX_SCHED_CLOCK_H
#define _UNIT_SHIM_LINUX_SCHED_CLOCK_H

#include "rig/rig.h"

#define local_clock()		unit_now_ns()

#endif
