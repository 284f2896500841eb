/* SPDX-License-Identifier: GPL-2.0 */
/* CLOCK_MONOTONIC, which stands still until it is set. */
#ifndef _UNIT_HRTIMER_H
#define _UNIT_HRTIMER_H

#include <linux/hrtimer.h>

/* It is @now: what is due fires, in a hard interrupt of the caller. */
void unit_time_set(ktime_t now);

#endif
