// SPDX-License-Identifier: GPL-2.0
/*
 * custom: tasks, contexts, and the one way in which a check fails.
 *
 * Every thread of a test has a task_struct. It says in what context the thread
 * pretends to be (hard interrupt, notifier, interrupts off), which is what the
 * other checks ask.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "rig/cpu.h"
#include "rig/lock.h"
#include "rig/rcu.h"
#include "rig/tap.h"
#include "rig/wait.h"

struct task_struct unit_tasks[UNIT_MAX_TASKS];
__thread struct task_struct *unit_current;
__thread unsigned long unit_ops[UNIT_OPS];
bool unit_rt;
struct unit_mutants unit_mutants;

static unsigned int warnings_expected, warnings_seen;
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;

/* The sanitizers' own, where linked in. */
void __sanitizer_print_stack_trace(void) __attribute__((__weak__));
void AnnotateIgnoreReadsBegin(const char *f, int l) __attribute__((__weak__));
void AnnotateIgnoreReadsEnd(const char *f, int l) __attribute__((__weak__));

void unit_data_race_begin(void)
{
	if (AnnotateIgnoreReadsBegin)
		AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
}

void unit_data_race_end(void)
{
	if (AnnotateIgnoreReadsEnd)
		AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

void unit_log(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

static void log_task(struct task_struct *t)
{
	char buf[200];

	fprintf(stderr, "  task %s: irqs %s, preempt %u, rcu %u%s%s%s\n",
		t->comm, t->irqs_off ? "off" : "on", t->preempt, t->rcu,
		t->hardirq ? ", in a hard interrupt" : "",
		t->notifier ? ", in a notifier" : "",
		t->waiting ? ", asleep" : "");
	for (int i = 0; i < t->nr_held; i++)
		fprintf(stderr, "    holds %s\n",
			unit_lock_describe(&t->held[i], buf, sizeof(buf)));
}

/* For the runner's SIGUSR1 to a test that hangs; as good as it gets there. */
void unit_log_tasks(void)
{
	for (int i = 0; i < UNIT_MAX_TASKS; i++)
		if (unit_tasks[i].used)
			log_task(&unit_tasks[i]);
}

void unit_fail(const char *kind, const char *fmt, ...)
{
	static char once;
	va_list ap;

	/* The first one counts; the others would only garble it. */
	if (__atomic_test_and_set(&once, __ATOMIC_SEQ_CST))
		for (;;)
			pause();
	fflush(stdout);
	fprintf(stderr, "unit: %s: ", kind);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	if (current)
		log_task(current);
	if (__sanitizer_print_stack_trace)
		__sanitizer_print_stack_trace();
	_exit(UNIT_EXIT_FAILED);
}

void unit_warn(const char *where, const char *fmt, ...)
{
	char buf[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (__atomic_add_fetch(&warnings_seen, 1, __ATOMIC_RELAXED) >
	    __atomic_load_n(&warnings_expected, __ATOMIC_RELAXED))
		unit_fail("WARN", "%s at %s", buf, where);
	unit_log("expected warning: %s at %s\n", buf, where);
}

void unit_expect_warnings(unsigned int n)
{
	__atomic_add_fetch(&warnings_expected, n, __ATOMIC_RELAXED);
}

unsigned int unit_warnings_seen(void)
{
	return __atomic_load_n(&warnings_seen, __ATOMIC_RELAXED);
}

void unit_expect_check(void)
{
	if (warnings_seen != warnings_expected)
		unit_fail("WARN", "%u warnings expected, %u came",
			  warnings_expected, warnings_seen);
}

void unit_might_sleep(const char *where)
{
	struct task_struct *t = current;
	int i;

	for (i = 0; i < t->nr_held; i++)
		if (unit_lock_class(t->held[i].lock)->type != UNIT_MUTEX)
			unit_fail("sleep", "while holding %s, at %s",
				  unit_lock_class(t->held[i].lock)->name,
				  where);
	if (t->hardirq)
		unit_fail("sleep", "in a hard interrupt, at %s", where);
	if (t->irqs_off)
		unit_fail("sleep", "with interrupts off, at %s", where);
	if (t->preempt)
		unit_fail("sleep", "with preemption off, at %s", where);
	if (t->rcu)
		unit_fail("sleep", "in an RCU read-side section, at %s", where);
	if (t->notifier)
		unit_fail("sleep", "in the MMU notifier, at %s", where);
	if (t->waiting_cond)
		unit_fail("sleep", "in the condition of a wait, at %s", where);
}

bool unit_fatal_signal_pending(struct task_struct *t)
{
	return __atomic_load_n(&t->fatal, __ATOMIC_ACQUIRE);
}

void unit_relax(void)
{
	struct timespec ts = { .tv_nsec = 50 * 1000 };

	nanosleep(&ts, NULL);
}

void unit_hardirq_enter(void)
{
	if (current->irqs_off)
		unit_fail("rig", "a hard interrupt with interrupts off");
	current->hardirq++;
	current->irqs_off = 1;
	unit_cpu_close();
	current->preempt++;
}

void unit_hardirq_exit(void)
{
	current->preempt--;
	unit_cpu_open();
	current->irqs_off = 0;
	current->hardirq--;
}

/*
 * Half of the threads stay at a step now and then, a step in n, 4n or 16n, for 25 us to
 * 3.2 ms; the rest are as quick as they are, so that whatever one of them does in two
 * steps another sees half done. The more a thread has slept the less often it sleeps: the
 * races go on.
 */
#define JITTER_US	25
#define JITTER_OFTEN	(100 * 1000)	/* microseconds asleep until half as often */

unsigned int unit_jitter_n;
uint64_t unit_jitter_seed;

static struct jitter {
	uint64_t rnd;
	unsigned long left;	/* steps to the next */
	unsigned long every;	/* 0: not this thread */
	unsigned long slept;
} jitters[UNIT_MAX_TASKS];

static void jitter_begin(struct jitter *j)
{
	static unsigned int nr;

	j->rnd = unit_jitter_seed +
		 ((uint64_t)__atomic_add_fetch(&nr, 1, __ATOMIC_RELAXED) << 40);
	j->slept = 0;
	j->every = (unsigned long)unit_jitter_n << unit_rand(&j->rnd) % 3 * 2;
	if (unit_rand(&j->rnd) % 2)
		j->every = 0;
	j->left = unit_rand(&j->rnd) % (2 * j->every + 1);
}

void unit_jitter_step(void)
{
	struct jitter *j = current ? &jitters[current->slot] : NULL;
	unsigned long us;
	struct timespec ts;

	if (!j || !j->every || j->left--)
		return;
	us = JITTER_US << unit_rand(&j->rnd) % 8;
	ts.tv_sec = 0;
	ts.tv_nsec = us * 1000;
	nanosleep(&ts, NULL);
	j->slept += us;
	if (j->slept > JITTER_OFTEN) {
		j->slept = 0;
		j->every *= 2;
	}
	j->left = unit_rand(&j->rnd) % (2 * j->every);
}

void unit_task_begin(const char *comm, struct mm_struct *mm)
{
	struct task_struct *t = NULL;

	pthread_mutex_lock(&slots_lock);
	for (int i = 0; i < UNIT_MAX_TASKS && !t; i++)
		if (!unit_tasks[i].used)
			t = &unit_tasks[i];
	if (!t)
		unit_fail("rig", "more than %d tasks", UNIT_MAX_TASKS);
	memset(t, 0, sizeof(*t));
	t->used = true;
	t->slot = t - unit_tasks;
	t->pid = 1000 + t->slot;
	t->mm = mm;
	snprintf(t->comm, sizeof(t->comm), "%s", comm);
	pthread_mutex_unlock(&slots_lock);
	current = t;
	if (unit_jitter_n)
		jitter_begin(&jitters[t->slot]);
}

void unit_task_end(void)
{
	struct task_struct *t = current;
	char buf[200];

	if (t->nr_held)
		unit_fail("exit", "task %s ends holding %s", t->comm,
			  unit_lock_describe(&t->held[0], buf, sizeof(buf)));
	if (t->rcu || unit_srcu_held_any())
		unit_fail("exit", "task %s ends inside an RCU or SRCU section",
			  t->comm);
	if (t->irqs_off || t->preempt)
		unit_fail("exit", "task %s ends with interrupts or preemption off",
			  t->comm);
	current = NULL;
	pthread_mutex_lock(&slots_lock);
	t->used = false;
	pthread_mutex_unlock(&slots_lock);
}

struct unit_thread {
	pthread_t thread;
	struct task_struct *task;
	char comm[24];
	struct mm_struct *mm;
	void (*fn)(void *arg);
	void *arg;
};

static void *thread_main(void *arg)
{
	struct unit_thread *t = arg;

	unit_task_begin(t->comm, t->mm);
	__atomic_store_n(&t->task, current, __ATOMIC_RELEASE);
	unit_jitter();
	t->fn(t->arg);
	unit_task_end();
	return NULL;
}

struct unit_thread *unit_thread_start(const char *comm, struct mm_struct *mm,
				      void (*fn)(void *arg), void *arg)
{
	struct unit_thread *t = calloc(1, sizeof(*t));

	snprintf(t->comm, sizeof(t->comm), "%s", comm);
	t->mm = mm;
	t->fn = fn;
	t->arg = arg;
	if (pthread_create(&t->thread, NULL, thread_main, t))
		unit_fail("rig", "cannot start thread %s", comm);
	while (!__atomic_load_n(&t->task, __ATOMIC_ACQUIRE))
		unit_relax();
	return t;
}

struct task_struct *unit_thread_task(struct unit_thread *t)
{
	return t->task;
}

void unit_thread_join(struct unit_thread *t)
{
	pthread_join(t->thread, NULL);
	free(t);
}

uint64_t unit_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

bool unit_wait_until(bool (*cond)(void *arg), void *arg, unsigned int ms)
{
	uint64_t limit = unit_now_ns() + ms * 1000000ull;

	while (!cond(arg)) {
		if (unit_now_ns() > limit)
			return false;
		unit_relax();
	}
	return true;
}

bool unit_now_and_then(unsigned int n)
{
	static __thread uint64_t rnd;

	if (!rnd)
		rnd = unit_seed ^ (uint64_t)(current->slot + 1) << 40;
	return unit_rand(&rnd) % n == 0;
}

void unit_stall(void)
{
	unit_jitter();
	/* A CPU may stand still anywhere: its hypervisor has others. */
	if (unit_mutants.readers_stall && unit_now_and_then(256))
		sched_yield();
}

uint64_t unit_rand(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}
