// SPDX-License-Identifier: GPL-2.0
/*
 * custom: delayed work. Each piece has a time when it is due, or none; one thread, a
 * kernel thread with no address space of its own, does what is due. Work that is
 * queued while it is done is done again. May be queued from any context.
 */
#include <pthread.h>
#include "rig/work.h"

#define MAX_WORKS	16

static struct work {
	void (*fn)(void *work);
	void *work;
	uint64_t due;		/* 0: not queued */
	bool running;
} works[MAX_WORKS];

static int nr_works;
static bool stop;
static struct unit_thread *worker;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int unit_work_init(void (*fn)(void *work), void *work)
{
	int nr;

	pthread_mutex_lock(&lock);
	nr = nr_works++;
	if (nr == MAX_WORKS)
		unit_fail("rig", "more than %d pieces of work", MAX_WORKS);
	works[nr] = (struct work){ .fn = fn, .work = work };
	pthread_mutex_unlock(&lock);

	return nr;
}

bool unit_work_queue(int nr, unsigned long ms, bool move)
{
	struct work *w = &works[nr];
	bool queued;

	if (__atomic_load_n(&unit_mutants.work_lost, __ATOMIC_RELAXED))
		return true;
	pthread_mutex_lock(&lock);
	queued = w->due;
	if (!queued || move)
		w->due = unit_now_ns() + ms * 1000000ull;
	pthread_mutex_unlock(&lock);

	return move ? queued : !queued;
}

bool unit_work_cancel(int nr, const char *where)
{
	struct work *w = &works[nr];
	bool queued;

	unit_might_sleep(where);
	pthread_mutex_lock(&lock);
	queued = w->due;
	do {
		w->due = 0;
		if (!w->running)
			break;
		pthread_mutex_unlock(&lock);
		unit_relax();
		pthread_mutex_lock(&lock);
	} while (true);
	pthread_mutex_unlock(&lock);

	return queued;
}

bool unit_work_idle(void)
{
	bool idle = true;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < nr_works; i++)
		idle &= !works[i].due && !works[i].running;
	pthread_mutex_unlock(&lock);

	return idle;
}

static void run_one(struct work *w)
{
	pthread_mutex_lock(&lock);
	w->running = w->due && w->due <= unit_now_ns();
	if (w->running)
		w->due = 0;
	pthread_mutex_unlock(&lock);
	if (!w->running)
		return;
	unit_jitter();
	w->fn(w->work);
	unit_jitter();
	pthread_mutex_lock(&lock);
	w->running = false;
	pthread_mutex_unlock(&lock);
}

static void worker_main(void *unused)
{
	int n;

	current->flags |= PF_KTHREAD;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		pthread_mutex_lock(&lock);
		n = nr_works;
		pthread_mutex_unlock(&lock);
		while (n--)
			run_one(&works[n]);
		unit_relax();
	}
}

void unit_worker_start(void)
{
	stop = false;
	worker = unit_thread_start("kworker", NULL, worker_main, NULL);
}

void unit_worker_stop(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	unit_thread_join(worker);
	for (int i = 0; i < nr_works; i++)
		if (works[i].due)
			unit_fail("work", "still queued when the worker ends");
	nr_works = 0;
}
