// SPDX-License-Identifier: GPL-2.0
/*
 * custom: timers. Time is what the test says; whoever says it is the CPU that takes
 * the interrupts. A cancel waits for a callback that runs, as the kernel's.
 */
#include <pthread.h>
#include "rig/hrtimer.h"
#include "rig/rig.h"

static struct hrtimer *timers;
static ktime_t time_now;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

ktime_t ktime_get(void)
{
	return __atomic_load_n(&time_now, __ATOMIC_RELAXED);
}

void hrtimer_init(struct hrtimer *t, int clock, enum hrtimer_mode mode)
{
	*t = (struct hrtimer){ 0 };
}

static void arm(struct hrtimer *t)
{
	if (!t->armed) {
		t->next = timers;
		timers = t;
	}
	t->armed = true;
}

static bool disarm(struct hrtimer *t)
{
	struct hrtimer **p = &timers;

	if (!t->armed)
		return false;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	t->armed = false;

	return true;
}

void hrtimer_start(struct hrtimer *t, ktime_t when, enum hrtimer_mode mode)
{
	pthread_mutex_lock(&lock);
	t->expires = when;
	arm(t);
	pthread_mutex_unlock(&lock);
}

void hrtimer_start_expires(struct hrtimer *t, enum hrtimer_mode mode)
{
	pthread_mutex_lock(&lock);
	arm(t);
	pthread_mutex_unlock(&lock);
}

int hrtimer_cancel(struct hrtimer *t)
{
	bool was;

	if (current->hardirq)
		unit_fail("hrtimer", "cancelled in a hard interrupt");
	pthread_mutex_lock(&lock);
	while (t->running) {
		pthread_mutex_unlock(&lock);
		unit_relax();
		pthread_mutex_lock(&lock);
	}
	was = disarm(t);
	pthread_mutex_unlock(&lock);

	return was;
}

/* Of a callback: the next time that is not past. */
u64 hrtimer_forward_now(struct hrtimer *t, ktime_t interval)
{
	ktime_t now = ktime_get();
	u64 n = 0;

	if (interval <= 0)
		unit_fail("hrtimer", "a period of %lld", (long long)interval);
	if (t->expires <= now) {
		n = (now - t->expires) / interval + 1;
		t->expires += n * interval;
	}

	return n;
}

static struct hrtimer *first_due(void)
{
	for (struct hrtimer *t = timers; t; t = t->next)
		if (t->expires <= time_now)
			return t;

	return NULL;
}

static void fire(struct hrtimer *t)
{
	disarm(t);
	t->running = true;
	pthread_mutex_unlock(&lock);
	unit_hardirq_enter();
	unit_jitter();
	if (t->function(t) == HRTIMER_RESTART)
		hrtimer_start_expires(t, HRTIMER_MODE_ABS_HARD);
	unit_hardirq_exit();
	pthread_mutex_lock(&lock);
	t->running = false;
}

void unit_time_set(ktime_t now)
{
	struct hrtimer *t;

	pthread_mutex_lock(&lock);
	__atomic_store_n(&time_now, now, __ATOMIC_RELAXED);
	while ((t = first_due()) != NULL)
		fire(t);
	pthread_mutex_unlock(&lock);
}
