/* SPDX-License-Identifier: GPL-2.0 */
/* custom: one worker, a thread of its own, that really comes later */
#ifndef _UNIT_SHIM_LINUX_WORKQUEUE_H
#define _UNIT_SHIM_LINUX_WORKQUEUE_H

#include <linux/types.h>
#include "rig/work.h"

struct work_struct {
	void (*fn)(struct work_struct *work);
};
struct delayed_work {
	struct work_struct work;
	int nr;
};

#define system_wq		NULL
#define INIT_DELAYED_WORK(w, f) \
	((w)->work.fn = (f), \
	 (w)->nr = unit_work_init((void (*)(void *))(f), &(w)->work))
#define queue_delayed_work(q, w, j)	unit_work_queue((w)->nr, j, false)
#define mod_delayed_work(q, w, j)	unit_work_queue((w)->nr, j, true)
#define cancel_delayed_work_sync(w)	unit_work_cancel((w)->nr, UNIT_HERE)

#endif
