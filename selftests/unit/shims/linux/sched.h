/* SPDX-License-Identifier: GPL-2.0 */
/* custom: current is the thread's stand-in for a task */
#ifndef _UNIT_SHIM_LINUX_SCHED_H
#define _UNIT_SHIM_LINUX_SCHED_H

#include <linux/kernel.h>
#include "rig/rig.h"
#define fatal_signal_pending(t)	unit_fatal_signal_pending(t)
#define signal_pending(t)	unit_fatal_signal_pending(t)
#define schedule()		unit_might_sleep(UNIT_HERE)
#define task_pid_nr(t)		((t)->pid)
#define task_is_running(t)	(!(t)->asleep)
#define need_resched()		unit_now_and_then(32)
#define cpu_relax()		unit_relax()

#endif
