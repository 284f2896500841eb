// SPDX-License-Identifier: GPL-2.0
/*
 * custom: RCU. A reader notes the period in which it began; a grace period
 * raises the number and waits until no reader is left from before. Pointers are
 * published with release and read with acquire, in this file, so that
 * ThreadSanitizer sees the edge even where the reader is the uninstrumented
 * XArray.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <linux/bitops.h>
#include <linux/types.h>
#include <asm/barrier.h>
#include "rig/rcu.h"
#include "rig/mem.h"

#define MAX_SRCU	8

static struct unit_gp rcu = { .seq = 1 };
static struct unit_gp *srcus[MAX_SRCU];
static pthread_mutex_t srcus_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned long fence_word;

void unit_fence(void)
{
	unit_tick(UNIT_RMW);
	__atomic_fetch_add(&fence_word, 1, __ATOMIC_SEQ_CST);
}

void unit_fence_release(void)
{
	unit_jitter();
	__atomic_fetch_add(&fence_word, 1, __ATOMIC_RELEASE);
}

void unit_fence_acquire(void)
{
	unit_jitter();
	__atomic_fetch_add(&fence_word, 0, __ATOMIC_ACQUIRE);
}

void unit_publish(void **p, void *v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

void *unit_dereference(void **p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/*
 * The XArray's file is not instrumented: it reads marks by the word, plainly, while
 * others change them. So that a reader can be ordered after what it does not find
 * any more, every change of the tree counts as a release that a later acquiring
 * fence of the reader pairs with.
 */
void unit_publish_node(void **p, void *v)
{
	unit_fence_release();
	unit_publish(p, v);
}

void *unit_dereference_node(void **p)
{
	if (unit_mutants.find_blind && current->notifier)
		return NULL;
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

bool unit_test_bit(unsigned long nr, const unsigned long *p);
void unit_set_bit(unsigned long nr, unsigned long *p);
void unit_clear_bit(unsigned long nr, unsigned long *p);
bool unit_test_and_clear_bit(unsigned long nr, unsigned long *p);

bool unit_test_bit(unsigned long nr, const unsigned long *p)
{
	return __atomic_load_n(p + BIT_WORD(nr), __ATOMIC_RELAXED) &
	       BIT_MASK(nr);
}

void unit_set_bit(unsigned long nr, unsigned long *p)
{
	__atomic_fetch_or(p + BIT_WORD(nr), BIT_MASK(nr), __ATOMIC_RELAXED);
}

void unit_clear_bit(unsigned long nr, unsigned long *p)
{
	unit_fence_release();
	__atomic_fetch_and(p + BIT_WORD(nr), ~BIT_MASK(nr), __ATOMIC_RELAXED);
}

bool unit_test_and_clear_bit(unsigned long nr, unsigned long *p)
{
	unit_fence_release();
	return __atomic_fetch_and(p + BIT_WORD(nr), ~BIT_MASK(nr),
				  __ATOMIC_RELAXED) & BIT_MASK(nr);
}

static void gp_lock(struct unit_gp *gp)
{
	if (!__atomic_fetch_add(&gp->reader[current->slot].nest, 1,
				__ATOMIC_RELAXED))
		__atomic_exchange_n(&gp->reader[current->slot].since,
			__atomic_load_n(&gp->seq, __ATOMIC_SEQ_CST),
			__ATOMIC_SEQ_CST);
}

static void gp_unlock(struct unit_gp *gp, const char *where)
{
	int was = __atomic_fetch_sub(&gp->reader[current->slot].nest, 1,
				     __ATOMIC_RELAXED);

	if (was <= 0)
		unit_fail("rcu", "left a read-side section it was not in, at %s",
			  where);
	if (was == 1)
		__atomic_store_n(&gp->reader[current->slot].since, 0,
				 __ATOMIC_RELEASE);
}

static void gp_wait(struct unit_gp *gp)
{
	unsigned long now, since;

	now = __atomic_add_fetch(&gp->seq, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < UNIT_MAX_TASKS; i++)
		for (;;) {
			since = __atomic_load_n(&gp->reader[i].since,
						__ATOMIC_SEQ_CST);
			if (!since || since >= now)
				break;
			sched_yield();
		}
}

void unit_rcu_read_lock(void)
{
	unit_tick(UNIT_RCU);
	current->rcu++;
	gp_lock(&rcu);
}

void unit_rcu_read_unlock(const char *where)
{
	gp_unlock(&rcu, where);
	current->rcu--;
}

void unit_synchronize_rcu(const char *where)
{
	unit_might_sleep(where);
	gp_wait(&rcu);
}

/* Callbacks: a queue, and a thread that waits a period and then runs them. */
static pthread_mutex_t cb_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cb_cond = PTHREAD_COND_INITIALIZER;
static struct callback_head *cb_first;
static unsigned long cb_pending;
static bool cb_running, cb_stop;
static pthread_t cb_thread;

void (*unit_call_rcu_handler)(void);

static void run_callbacks(struct callback_head *h)
{
	while (h) {
		struct callback_head *next = h->next;

		unit_jitter();
		h->func(h);
		h = next;
		__atomic_fetch_sub(&cb_pending, 1, __ATOMIC_RELEASE);
	}
}

static void *cb_main(void *unused)
{
	struct callback_head *h;

	(void)unused;
	unit_task_begin("rcu", NULL);
	pthread_mutex_lock(&cb_lock);
	while (!cb_stop || cb_first) {
		h = cb_first;
		cb_first = NULL;
		if (!h) {
			pthread_cond_wait(&cb_cond, &cb_lock);
			continue;
		}
		pthread_mutex_unlock(&cb_lock);
		if (!unit_mutants.rcu_early)
			gp_wait(&rcu);
		run_callbacks(h);
		pthread_mutex_lock(&cb_lock);
	}
	pthread_mutex_unlock(&cb_lock);
	unit_task_end();
	return NULL;
}

void unit_call_rcu(struct callback_head *h,
		   void (*fn)(struct callback_head *h))
{
	__atomic_fetch_add(&cb_pending, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&cb_lock);
	if (!cb_running) {
		cb_running = true;
		if (pthread_create(&cb_thread, NULL, cb_main, NULL))
			unit_fail("rig", "cannot start the RCU thread");
	}
	h->func = fn;
	h->next = cb_first;
	cb_first = h;
	pthread_cond_signal(&cb_cond);
	pthread_mutex_unlock(&cb_lock);
	if (unit_call_rcu_handler)
		unit_call_rcu_handler();
}

bool unit_rcu_pending(void)
{
	return __atomic_load_n(&cb_pending, __ATOMIC_ACQUIRE);
}

struct kfree_later {
	struct callback_head head;
	void *p;
};

static void do_kfree(struct callback_head *h)
{
	struct kfree_later *k = (struct kfree_later *)h;

	unit_free(k->p, "kfree_rcu()");
	free(k);
}

void unit_kfree_rcu(struct callback_head *h, void *p)
{
	struct kfree_later *k = malloc(sizeof(*k));

	(void)h;
	k->p = p;
	unit_call_rcu(&k->head, do_kfree);
}

void unit_rcu_barrier(const char *where)
{
	unit_might_sleep(where);
	while (unit_rcu_pending())
		unit_relax();
}

void unit_rcu_stop(void)
{
	pthread_mutex_lock(&cb_lock);
	cb_stop = true;
	pthread_cond_signal(&cb_cond);
	pthread_mutex_unlock(&cb_lock);
	if (cb_running)
		pthread_join(cb_thread, NULL);
	cb_running = cb_stop = false;
}

int unit_srcu_init(struct srcu_struct *s)
{
	s->gp = calloc(1, sizeof(*s->gp));
	s->gp->seq = 1;
	pthread_mutex_lock(&srcus_lock);
	for (int i = 0; i < MAX_SRCU; i++)
		if (!srcus[i]) {
			srcus[i] = s->gp;
			pthread_mutex_unlock(&srcus_lock);
			return 0;
		}
	unit_fail("rig", "more than %d SRCU domains", MAX_SRCU);
}

void unit_srcu_cleanup(struct srcu_struct *s, const char *where)
{
	for (int i = 0; i < UNIT_MAX_TASKS; i++)
		if (__atomic_load_n(&s->gp->reader[i].since,
				    __ATOMIC_ACQUIRE))
			unit_fail("srcu", "destroyed with a reader in it at %s",
				  where);
	pthread_mutex_lock(&srcus_lock);
	for (int i = 0; i < MAX_SRCU; i++)
		if (srcus[i] == s->gp)
			srcus[i] = NULL;
	pthread_mutex_unlock(&srcus_lock);
	free(s->gp);
	s->gp = NULL;
}

int unit_srcu_lock(struct srcu_struct *s)
{
	gp_lock(s->gp);
	return 1;
}

void unit_srcu_unlock(struct srcu_struct *s, int idx, const char *where)
{
	if (idx != 1)
		unit_fail("srcu", "unlock with an index of nobody's at %s",
			  where);
	gp_unlock(s->gp, where);
}

bool unit_srcu_held(struct srcu_struct *s)
{
	return __atomic_load_n(&s->gp->reader[current->slot].nest,
			       __ATOMIC_RELAXED) > 0;
}

bool unit_srcu_held_any(void)
{
	bool held = false;

	pthread_mutex_lock(&srcus_lock);
	for (int i = 0; i < MAX_SRCU; i++)
		held |= srcus[i] &&
			__atomic_load_n(&srcus[i]->reader[current->slot].nest,
					__ATOMIC_RELAXED) > 0;
	pthread_mutex_unlock(&srcus_lock);
	return held;
}

void unit_srcu_synchronize(struct srcu_struct *s, const char *where)
{
	unit_might_sleep(where);
	if (unit_srcu_held(s))
		unit_fail("srcu", "waits for its own read-side section at %s",
			  where);
	gp_wait(s->gp);
}
