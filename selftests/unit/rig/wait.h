/* SPDX-License-Identifier: GPL-2.0 */
/* Wait queues. A sleeper really sleeps; who wakes whom can be counted. */
#ifndef _UNIT_WAIT_H
#define _UNIT_WAIT_H

#include "rig/rig.h"

struct unit_wq;
typedef struct wait_queue_head {
	struct unit_wq *wq;
} wait_queue_head_t;

struct unit_waiter {
	struct unit_wq *wq;
	unsigned long seen;
};

void unit_wq_init(wait_queue_head_t *q);
bool unit_wq_has_sleeper(wait_queue_head_t *q, bool full_barrier);
void unit_wake_up(wait_queue_head_t *q, const char *where);
void unit_wait_begin(wait_queue_head_t *q, struct unit_waiter *w);
void unit_wait_prepare(struct unit_waiter *w);
void unit_wait_sleep(struct unit_waiter *w);
void unit_wait_finish(struct unit_waiter *w);
/* All wait queues are forgotten; nobody may be asleep. */
void unit_wait_end(void);

/* Sleepers in any queue now, and what happened since the test began. */
unsigned int unit_sleepers(void);
unsigned long unit_wait_sleeps(void);
unsigned long unit_wait_wakeups(void);

#endif
