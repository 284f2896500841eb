/* SPDX-License-Identifier: GPL-2.0 */
/* custom: wait queues that really block; sleeps and wake-ups are counted */
#ifndef _UNIT_SHIM_LINUX_WAIT_H
#define _UNIT_SHIM_LINUX_WAIT_H

#include <linux/kernel.h>
#include <linux/err.h>
#include "rig/wait.h"
#define init_waitqueue_head(q)	unit_wq_init(q)
#define DECLARE_WAIT_QUEUE_HEAD(n) wait_queue_head_t n = { NULL }
#define wq_has_sleeper(q)	unit_wq_has_sleeper(q, true)
#define waitqueue_active(q)	unit_wq_has_sleeper(q, false)
#define wake_up_all(q)		unit_wake_up(q, UNIT_HERE)
#define wake_up(q)		unit_wake_up(q, UNIT_HERE)
#define __unit_wait_event(q, cond, killable) \
	({ int __ret = 0; struct unit_waiter __wait; \
	   unit_might_sleep(UNIT_HERE); \
	   if (!(cond)) { \
		unit_wait_begin(&(q), &__wait); \
		for (;;) { \
			unit_wait_prepare(&__wait); \
			if (cond) \
				break; \
			if ((killable) && fatal_signal_pending(current)) { \
				__ret = -ERESTARTSYS; \
				break; \
			} \
			unit_wait_sleep(&__wait); \
		} \
		unit_wait_finish(&__wait); \
	   } \
	   __ret; })
#define wait_event(q, cond)	((void)__unit_wait_event(q, cond, false))
#define wait_event_killable(q, cond) __unit_wait_event(q, cond, true)
#define wait_event_interruptible(q, cond) __unit_wait_event(q, cond, true)

#endif
