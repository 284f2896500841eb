/* SPDX-License-Identifier: GPL-2.0 */
/* custom: preemption of the current thread, checked by might_sleep() */
#ifndef _UNIT_SHIM_LINUX_PREEMPT_H
#define _UNIT_SHIM_LINUX_PREEMPT_H

#include "rig/rig.h"
#define preempt_disable()	(unit_sched_point(), (void)(current->preempt++))
#define preempt_enable() \
	do { if (!current->preempt--) \
		unit_fail("preempt", "enabled once too often at %s", \
			  UNIT_HERE); \
	     unit_sched_point(); } while (0)
#define in_hardirq()		(current->hardirq != 0)
#define in_task()		(!in_hardirq())
#define in_atomic()		(current->preempt != 0)
#define preemptible()		(!in_atomic() && !in_hardirq() && !current->irqs_off)

#endif
