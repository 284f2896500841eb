/* SPDX-License-Identifier: GPL-2.0 */
/* Wait queues whose sleepers sleep in the kernel, and are woken by it. */
#ifndef _UNIT_WAIT_H
#define _UNIT_WAIT_H

#include "rig/rig.h"

typedef struct wait_queue_head {
	uint32_t wakes;
	uint32_t sleepers;
} wait_queue_head_t;

struct unit_waiter {
	wait_queue_head_t *wq;
	uint32_t seen;
};

#define unit_wq_init(q)		(*(q) = (wait_queue_head_t){})
bool unit_wq_has_sleeper(wait_queue_head_t *q, bool full_barrier);
void unit_wake_up(wait_queue_head_t *q, const char *where);
void unit_wait_begin(wait_queue_head_t *q, struct unit_waiter *w);
void unit_wait_prepare(struct unit_waiter *w);
void unit_wait_sleep(struct unit_waiter *w);
void unit_wait_finish(struct unit_waiter *w);

#endif
