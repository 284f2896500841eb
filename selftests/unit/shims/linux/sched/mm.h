/* SPDX-License-Identifier: GPL-2.0 */
/* custom: references to the fake mm; the last mmput() ends it */
#ifndef _UNIT_SHIM_LINUX_SCHED_MM_H
#define _UNIT_SHIM_LINUX_SCHED_MM_H

#include <linux/sched.h>
#include <linux/gfp.h>
#include "rig/mm.h"

#endif
