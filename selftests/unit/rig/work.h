/* SPDX-License-Identifier: GPL-2.0 */
/* Delayed work, and the one thread that does it. */
#ifndef _UNIT_WORK_H
#define _UNIT_WORK_H

#include "rig/rig.h"

int unit_work_init(void (*fn)(void *work), void *work);
/* In @ms from now; @move: even if it is queued for another time already. */
bool unit_work_queue(int nr, unsigned long ms, bool move);
bool unit_work_cancel(int nr, const char *where);

/* Nothing is being done, and nothing is queued, for whatever time. */
bool unit_work_idle(void);

/* What is queued from now on nobody does; while the worker runs, too. */
static inline void unit_work_lose(bool lost)
{
	__atomic_store_n(&unit_mutants.work_lost, lost, __ATOMIC_RELAXED);
}

/* The worker begins and ends; nothing may be queued when it ends. */
void unit_worker_start(void);
void unit_worker_stop(void);

#endif
