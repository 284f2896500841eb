/* SPDX-License-Identifier: GPL-2.0 */
/* custom: see sched.h */
#ifndef _UNIT_SHIM_LINUX_SCHED_TASK_H
#define _UNIT_SHIM_LINUX_SCHED_TASK_H

#include <linux/sched.h>
#include <linux/gfp.h>

#endif
