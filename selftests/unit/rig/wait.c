// SPDX-License-Identifier: GPL-2.0
/*
 * custom: wait queues. A waiter queues itself, looks at its condition, and
 * sleeps until the queue's number moves or a fatal signal comes. A wake-up that
 * never comes leaves it asleep: the runner's time limit then says who hangs.
 */
#include <pthread.h>
#include <stdlib.h>
#include "rig/wait.h"
#include "rig/lock.h"

#define MAX_WQ	64

struct unit_wq {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned long woken;
	unsigned int queued;
	unsigned int asleep;
};

static struct unit_wq *wqs[MAX_WQ];
static pthread_mutex_t wqs_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long total_sleeps, total_wakeups;
static unsigned int total_asleep;

void unit_wq_init(wait_queue_head_t *q)
{
	struct unit_wq *wq = calloc(1, sizeof(*wq));
	int i;

	pthread_mutex_init(&wq->lock, NULL);
	pthread_cond_init(&wq->cond, NULL);
	pthread_mutex_lock(&wqs_lock);
	for (i = 0; i < MAX_WQ && wqs[i]; i++)
		;
	if (i == MAX_WQ)
		unit_fail("rig", "more than %d wait queues", MAX_WQ);
	wqs[i] = wq;
	pthread_mutex_unlock(&wqs_lock);
	q->wq = wq;
}

static struct unit_wq *wq_of(wait_queue_head_t *q, const char *where)
{
	if (!q->wq)
		unit_fail("wait", "wait queue not initialised, at %s", where);
	return q->wq;
}

bool unit_wq_has_sleeper(wait_queue_head_t *q, bool full_barrier)
{
	void unit_fence(void);

	if (full_barrier)
		unit_fence();
	return __atomic_load_n(&wq_of(q, "wq_has_sleeper()")->queued,
			       __ATOMIC_RELAXED);
}

void unit_wake_up(wait_queue_head_t *q, const char *where)
{
	struct unit_wq *wq = wq_of(q, where);

	/* The queue's own lock is a spinlock that sleeps on PREEMPT_RT. */
	if (unit_rt && (current->irqs_off || current->preempt))
		unit_fail("rt", "wake-up with interrupts or preemption off at %s",
			  where);
	if (unit_mutants.wake_lost)
		return;
	pthread_mutex_lock(&wq->lock);
	if (__atomic_load_n(&wq->queued, __ATOMIC_RELAXED)) {
		unit_tick(UNIT_WAKE);
		__atomic_fetch_add(&total_wakeups, 1, __ATOMIC_RELAXED);
	}
	wq->woken++;
	pthread_cond_broadcast(&wq->cond);
	pthread_mutex_unlock(&wq->lock);
}

void unit_wait_begin(wait_queue_head_t *q, struct unit_waiter *w)
{
	w->wq = wq_of(q, "wait_event()");
	__atomic_fetch_add(&w->wq->queued, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&current->waiting, w, __ATOMIC_RELEASE);
}

void unit_wait_prepare(struct unit_waiter *w)
{
	pthread_mutex_lock(&w->wq->lock);
	w->seen = w->wq->woken;
	pthread_mutex_unlock(&w->wq->lock);
	current->waiting_cond = 1;
}

void unit_wait_sleep(struct unit_waiter *w)
{
	struct unit_wq *wq = w->wq;

	current->waiting_cond = 0;
	unit_tick(UNIT_SLEEP);
	__atomic_fetch_add(&total_sleeps, 1, __ATOMIC_RELAXED);
	if (unit_mutants.wait_does_not_wait)
		return;
	pthread_mutex_lock(&wq->lock);
	wq->asleep++;
	__atomic_fetch_add(&total_asleep, 1, __ATOMIC_RELAXED);
	while (wq->woken == w->seen && !unit_fatal_signal_pending(current))
		pthread_cond_wait(&wq->cond, &wq->lock);
	wq->asleep--;
	__atomic_fetch_sub(&total_asleep, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&wq->lock);
}

void unit_wait_finish(struct unit_waiter *w)
{
	current->waiting_cond = 0;
	__atomic_store_n(&current->waiting, NULL, __ATOMIC_RELEASE);
	__atomic_fetch_sub(&w->wq->queued, 1, __ATOMIC_SEQ_CST);
}

void unit_send_fatal_signal(struct task_struct *t)
{
	__atomic_store_n(&t->fatal, true, __ATOMIC_SEQ_CST);
	/* Whatever queue it sleeps in: all of them, no harm to the others. */
	pthread_mutex_lock(&wqs_lock);
	for (int i = 0; i < MAX_WQ; i++)
		if (wqs[i]) {
			pthread_mutex_lock(&wqs[i]->lock);
			pthread_cond_broadcast(&wqs[i]->cond);
			pthread_mutex_unlock(&wqs[i]->lock);
		}
	pthread_mutex_unlock(&wqs_lock);
}

void unit_wait_end(void)
{
	for (int i = 0; i < MAX_WQ; i++) {
		if (!wqs[i])
			continue;
		if (wqs[i]->queued)
			unit_fail("wait", "a task is still in a wait queue");
		free(wqs[i]);
		wqs[i] = NULL;
	}
}

unsigned int unit_sleepers(void)
{
	return __atomic_load_n(&total_asleep, __ATOMIC_ACQUIRE);
}

unsigned long unit_wait_sleeps(void)
{
	return __atomic_load_n(&total_sleeps, __ATOMIC_RELAXED);
}

unsigned long unit_wait_wakeups(void)
{
	return __atomic_load_n(&total_wakeups, __ATOMIC_RELAXED);
}
