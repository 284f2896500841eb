/* SPDX-License-Identifier: GPL-2.0 */
/* custom: timers that fire when a test says what time it is; see rig/hrtimer.c */
#ifndef _UNIT_SHIM_LINUX_HRTIMER_H
#define _UNIT_SHIM_LINUX_HRTIMER_H

#include <linux/types.h>

typedef s64 ktime_t;
#define KTIME_MAX	((s64)~(1ULL << 63))
#define NSEC_PER_MSEC	1000000L
#define NSEC_PER_SEC	1000000000L
#define CLOCK_MONOTONIC	1

enum hrtimer_mode { HRTIMER_MODE_ABS_HARD };
enum hrtimer_restart { HRTIMER_NORESTART, HRTIMER_RESTART };

struct hrtimer {
	enum hrtimer_restart (*function)(struct hrtimer *timer);
	ktime_t expires;
	bool armed;
	bool running;
	struct hrtimer *next;
};

static inline ktime_t ns_to_ktime(u64 ns) { return ns; }
static inline ktime_t ktime_add_ns(ktime_t t, u64 ns) { return t + ns; }
static inline ktime_t ktime_add_safe(ktime_t a, ktime_t b)
{
	ktime_t sum;

	return __builtin_add_overflow(a, b, &sum) ? KTIME_MAX : sum;
}

static inline void hrtimer_set_expires(struct hrtimer *t, ktime_t when)
{
	t->expires = when;
}

ktime_t ktime_get(void);
void hrtimer_init(struct hrtimer *t, int clock, enum hrtimer_mode mode);
void hrtimer_start(struct hrtimer *t, ktime_t when, enum hrtimer_mode mode);
void hrtimer_start_expires(struct hrtimer *t, enum hrtimer_mode mode);
int hrtimer_cancel(struct hrtimer *t);
u64 hrtimer_forward_now(struct hrtimer *t, ktime_t interval);

#endif
