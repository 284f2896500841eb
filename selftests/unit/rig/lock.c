// SPDX-License-Identifier: GPL-2.0
/*
 * custom: locks with an owner, a mode and a memory.
 *
 * A lock in a kernel structure is a number; this table has what is behind it: a
 * real pthread lock, so that threads really exclude each other (and so that
 * ThreadSanitizer knows), and what the checks need. Checked here: initialised at
 * all, right type, taken twice, released by its holder in its mode, interrupts
 * on or off as the operation wants them, allowed in this context (hard interrupt,
 * PREEMPT_RT, sleeping). Order between locks: order.c.
 *
 * This file is not instrumented for ThreadSanitizer: what it remembers of a lock
 * is only read by holders or for messages, and must not order anything.
 */
#include <pthread.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "rig/cpu.h"
#include "rig/lock.h"

#define MAX_LOCKS	(1u << 22)	/* ever; numbers are not used twice */
#define FIRST_ID	0x10000u	/* small numbers are not locks */

struct unit_lock {
	struct unit_class *class;
	pthread_mutex_t mutex;
	pthread_rwlock_t rw;
	struct task_struct *owner;	/* exclusive holder */
	int readers;
};

static struct unit_lock *locks[MAX_LOCKS];
static uint32_t nr_locks;

static const char *const type_name[] = {
	"raw_spinlock_t", "spinlock_t", "rwlock_t", "mutex",
};

struct unit_class *unit_lock_class(struct unit_lock *lock)
{
	return lock->class;
}

const char *unit_lock_describe(struct unit_held *h, char *buf, size_t size)
{
	struct unit_class *c = h->lock->class;

	snprintf(buf, size, "%s (%s, %s) taken at %s", c->name,
		 type_name[c->type],
		 c->type == UNIT_RW ?
		 (h->mode == UNIT_SHARED ? "for read" : "for write") :
		 "exclusive", h->where);
	return buf;
}

void unit_lock_init(uint32_t *id, struct unit_class *class)
{
	struct unit_lock *l = calloc(1, sizeof(*l));
	pthread_rwlockattr_t attr;
	uint32_t nr = __atomic_fetch_add(&nr_locks, 1, __ATOMIC_RELAXED);

	if (!l || nr >= MAX_LOCKS)
		unit_fail("rig", "no room for another lock");
	l->class = class;
	pthread_mutex_init(&l->mutex, NULL);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr,
			PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&l->rw, &attr);
	__atomic_store_n(&locks[nr], l, __ATOMIC_RELEASE);
	__atomic_store_n(id, FIRST_ID + nr, __ATOMIC_RELEASE);
}

/* A lock with a static initialiser becomes one when it is first used. */
static void meet_static_lock(uint32_t *id, enum unit_lock_type type,
			     const char *where)
{
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	struct unit_class *c;

	pthread_mutex_lock(&once);
	if (__atomic_load_n(id, __ATOMIC_ACQUIRE) == UNIT_LOCK_STATIC) {
		c = calloc(1, sizeof(*c));
		c->name = "a static lock";
		c->where = where;
		c->type = type;
		unit_lock_init(id, c);
	}
	pthread_mutex_unlock(&once);
}

static struct unit_lock *find_lock(uint32_t *id, int type, const char *where)
{
	uint32_t nr = __atomic_load_n(id, __ATOMIC_RELAXED);
	struct unit_lock *l = NULL;

	if (nr == UNIT_LOCK_STATIC && type >= 0) {
		meet_static_lock(id, type, where);
		nr = __atomic_load_n(id, __ATOMIC_RELAXED);
	}
	if (nr >= FIRST_ID && nr - FIRST_ID < MAX_LOCKS)
		l = __atomic_load_n(&locks[nr - FIRST_ID], __ATOMIC_ACQUIRE);
	if (!l)
		unit_fail("lock", "not initialised (%#x) at %s", nr, where);
	if (type >= 0 && l->class->type != (enum unit_lock_type)type)
		unit_fail("lock", "%s is a %s, used as a %s at %s",
			  l->class->name, type_name[l->class->type],
			  type_name[type], where);
	return l;
}

static struct unit_held *find_held(struct unit_lock *l)
{
	int i;

	for (i = current->nr_held; i-- > 0; )
		if (current->held[i].lock == l)
			return &current->held[i];
	return NULL;
}

void unit_lock_destroy(uint32_t *id, const char *where)
{
	struct unit_lock *l = find_lock(id, -1, where);

	if (l->owner || __atomic_load_n(&l->readers, __ATOMIC_RELAXED))
		unit_fail("lock", "%s destroyed while held at %s",
			  l->class->name, where);
	__atomic_store_n(&locks[*id - FIRST_ID], NULL, __ATOMIC_RELEASE);
	*id = 0;
	pthread_mutex_destroy(&l->mutex);
	pthread_rwlock_destroy(&l->rw);
	free(l);
}

/* What the context forbids, whatever the lock's state. */
static void check_context(struct unit_lock *l, enum unit_lock_mode mode,
			  enum unit_lock_irq irq, bool try, const char *where)
{
	struct unit_class *c = l->class;
	bool sleeps_on_rt = c->type == UNIT_SPIN || c->type == UNIT_RW;

	if (c->type == UNIT_MUTEX) {
		if (current->hardirq)
			unit_fail("context", "mutex %s in a hard interrupt at %s",
				  c->name, where);
		if (!try)
			unit_might_sleep(where);
		return;
	}
	if (unit_rt && sleeps_on_rt) {
		int i;

		if (current->hardirq)
			unit_fail("rt", "%s is a sleeping lock, taken in a hard interrupt at %s",
				  c->name, where);
		for (i = 0; i < current->nr_held; i++)
			if (current->held[i].lock->class->type == UNIT_RAW)
				unit_fail("rt", "%s is a sleeping lock, taken under raw %s at %s",
					  c->name,
					  current->held[i].lock->class->name,
					  where);
		if (current->irqs_off || current->preempt)
			unit_fail("rt", "%s is a sleeping lock, taken with %s off at %s",
				  c->name,
				  current->irqs_off ? "interrupts" : "preemption",
				  where);
	}
	if (current->hardirq) {
		if (irq == UNIT_IRQ_OFF)
			unit_fail("context", "%s: its unlock would turn interrupts on in a hard interrupt, at %s",
				  c->name, where);
		if (c->type == UNIT_RW && mode == UNIT_EXCL)
			unit_fail("context", "%s for write in a hard interrupt at %s",
				  c->name, where);
		/* Of a raw lock rig/order.c sees how all others take it. */
		if (!try && irq != UNIT_IRQ_SAVE && c->type != UNIT_RAW)
			unit_fail("context", "%s in a hard interrupt with neither trylock nor irqsave at %s",
				  c->name, where);
	} else if (irq == UNIT_IRQ_OFF && current->irqs_off) {
		unit_fail("irq", "%s_irq with interrupts off already: its unlock would turn them on, at %s",
			  c->name, where);
	}
}

static void push_held(struct unit_lock *l, enum unit_lock_mode mode,
		      int subclass, bool try, bool not_really, bool nested,
		      const char *where)
{
	struct unit_held *h = &current->held[current->nr_held];

	if (current->nr_held == UNIT_MAX_HELD)
		unit_fail("lock", "more than %d locks held at %s",
			  UNIT_MAX_HELD, where);
	h->lock = l;
	h->mode = mode;
	h->subclass = subclass;
	h->try = try;
	h->not_really = not_really;
	h->nested_read = nested;
	h->where = where;
	current->nr_held++;
	if (mode == UNIT_SHARED)
		__atomic_fetch_add(&l->readers, 1, __ATOMIC_RELAXED);
	else if (!not_really)
		l->owner = current;
	if (l->class->type == UNIT_RAW ||
	    (!unit_rt && l->class->type != UNIT_MUTEX))
		current->preempt++;
}

static bool changes_irqs(struct unit_lock *l)
{
	return !unit_rt || l->class->type == UNIT_RAW;
}

static const enum unit_op op_of[4][2] = {
	[UNIT_RAW] = { UNIT_LOCK_RAW, UNIT_LOCK_RAW },
	[UNIT_SPIN] = { UNIT_LOCK_SPIN, UNIT_LOCK_SPIN },
	[UNIT_RW] = { UNIT_LOCK_WRITE, UNIT_LOCK_READ },
	[UNIT_MUTEX] = { UNIT_LOCK_MUTEX, UNIT_LOCK_MUTEX },
};

/*
 * A hard interrupt, where one could come: interrupts are on, so just before a lock
 * is taken, while it is held, and after it was released.
 */
void (*unit_irq_handler)(void);

static void irq_point(void)
{
	void (*handler)(void) = __atomic_load_n(&unit_irq_handler,
						__ATOMIC_RELAXED);

	if (!handler || unit_rt || current->irqs_off || current->hardirq)
		return;
	unit_hardirq_enter();
	handler();
	unit_hardirq_exit();
}

void (*unit_sched_handler)(void);

void unit_sched_point(void)
{
	if (unit_sched_handler && !current->preempt && !current->irqs_off &&
	    !current->hardirq)
		unit_sched_handler();
}

unsigned long unit_lock(uint32_t *id, enum unit_lock_type type,
			enum unit_lock_mode mode, enum unit_lock_irq irq,
			int subclass, const char *where)
{
	struct unit_lock *l = find_lock(id, type, where);
	struct unit_held *h = find_held(l);
	bool not_really = false, nested = false;
	unsigned long flags = 0;

	irq_point();
	unit_tick(op_of[type][mode]);
	__atomic_fetch_add(&l->class->taken, 1, __ATOMIC_RELAXED);
	check_context(l, mode, irq, false, where);
	if (h) {
		char buf[200];

		/* The kernel lets an interrupt's reader pass a reader. */
		nested = current->hardirq && mode == UNIT_SHARED &&
			 h->mode == UNIT_SHARED;
		if (!nested)
			unit_fail("deadlock", "%s taken again at %s; held: %s",
				  l->class->name, where,
				  unit_lock_describe(h, buf, sizeof(buf)));
	}
	if (irq != UNIT_IRQ_KEEP && changes_irqs(l))
		flags = unit_irq_off(where);
	unit_order_acquire(l->class, subclass, mode, false,
			   !current->irqs_off, where);

	if (type == UNIT_RW && !nested) {
		if (mode == UNIT_SHARED)
			pthread_rwlock_rdlock(&l->rw);
		else if (unit_mutants.write_does_not_wait &&
			 pthread_rwlock_trywrlock(&l->rw))
			not_really = true;
		else if (!unit_mutants.write_does_not_wait)
			pthread_rwlock_wrlock(&l->rw);
	} else if (type != UNIT_RW) {
		pthread_mutex_lock(&l->mutex);
	}
	push_held(l, mode, subclass, false, not_really, nested, where);
	irq_point();
	return flags;
}

bool unit_trylock(uint32_t *id, enum unit_lock_type type,
		  enum unit_lock_mode mode, const char *where)
{
	struct unit_lock *l = find_lock(id, type, where);
	struct unit_held *h = find_held(l);
	bool nested = false;
	int r = 0;

	unit_tick(op_of[type][mode]);
	__atomic_fetch_add(&l->class->taken, 1, __ATOMIC_RELAXED);
	check_context(l, mode, UNIT_IRQ_KEEP, true, where);
	if (h && (mode == UNIT_EXCL || h->mode == UNIT_EXCL))
		return false;
	nested = h;
	if (type == UNIT_RW && !nested)
		r = mode == UNIT_SHARED ? pthread_rwlock_tryrdlock(&l->rw) :
					  pthread_rwlock_trywrlock(&l->rw);
	else if (type != UNIT_RW)
		r = pthread_mutex_trylock(&l->mutex);
	if (r)
		return false;
	unit_order_acquire(l->class, 0, mode, true, !current->irqs_off, where);
	push_held(l, mode, 0, true, false, nested, where);
	return true;
}

int unit_mutex_killable(uint32_t *id, const char *where)
{
	struct unit_lock *l = find_lock(id, UNIT_MUTEX, where);

	if (find_held(l))
		unit_fail("deadlock", "%s taken again at %s", l->class->name,
			  where);
	unit_tick(UNIT_LOCK_MUTEX);
	__atomic_fetch_add(&l->class->taken, 1, __ATOMIC_RELAXED);
	check_context(l, UNIT_EXCL, UNIT_IRQ_KEEP, false, where);
	unit_order_acquire(l->class, 0, UNIT_EXCL, false, true, where);
	while (pthread_mutex_trylock(&l->mutex)) {
		if (unit_fatal_signal_pending(current))
			return -EINTR;
		unit_relax();
	}
	push_held(l, UNIT_EXCL, 0, false, false, false, where);
	return 0;
}

void unit_unlock(uint32_t *id, enum unit_lock_type type,
		 enum unit_lock_mode mode, enum unit_lock_irq irq,
		 unsigned long flags, const char *where)
{
	struct unit_lock *l = find_lock(id, type, where);
	struct unit_held *h = find_held(l), was;

	if (!h)
		unit_fail("unlock", "%s is not held by this task at %s",
			  l->class->name, where);
	if (type == UNIT_RW && h->mode != (int)mode)
		unit_fail("unlock", "%s held for %s, released for %s at %s",
			  l->class->name,
			  h->mode == UNIT_SHARED ? "read" : "write",
			  mode == UNIT_SHARED ? "read" : "write", where);
	unit_jitter();
	was = *h;
	memmove(h, h + 1, (char *)&current->held[current->nr_held] -
			  (char *)(h + 1));
	current->nr_held--;
	if (was.mode == UNIT_SHARED)
		__atomic_fetch_sub(&l->readers, 1, __ATOMIC_RELAXED);
	else if (!was.not_really)
		l->owner = NULL;
	if (type == UNIT_RAW || (!unit_rt && type != UNIT_MUTEX)) {
		if (!current->preempt--)
			unit_fail("preempt", "unbalanced at %s", where);
	}
	if (type != UNIT_RW)
		pthread_mutex_unlock(&l->mutex);
	else if (!was.not_really && !was.nested_read)
		pthread_rwlock_unlock(&l->rw);
	if (irq != UNIT_IRQ_KEEP && changes_irqs(l)) {
		if (!current->irqs_off)
			unit_fail("irq", "%s released with interrupts on already at %s",
				  l->class->name, where);
		unit_irq_restore(irq == UNIT_IRQ_SAVE ? flags : 0, where);
	}
	irq_point();
	unit_jitter();
}

bool unit_lock_held(const uint32_t *id, enum unit_lock_want want)
{
	struct unit_held *h = find_held(find_lock((uint32_t *)id, -1, "lockdep"));

	switch (want) {
	case UNIT_HELD_READ:
		return h && h->mode == UNIT_SHARED;
	case UNIT_HELD_WRITE:
		return h && h->mode == UNIT_EXCL;
	case UNIT_HELD_NOT:
		return !h;
	default:
		return h;
	}
}

bool unit_lock_busy(const uint32_t *id)
{
	struct unit_lock *l = find_lock((uint32_t *)id, -1, "lockdep");

	return __atomic_load_n(&l->owner, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&l->readers, __ATOMIC_RELAXED);
}

void unit_assert_held(const uint32_t *id, enum unit_lock_want want,
		      const char *text, const char *where)
{
	static const char *const how[] = {
		"held", "held for read", "held for write", "free of us",
	};

	if (!unit_lock_held(id, want))
		unit_fail("lockdep_assert", "%s must be %s at %s", text,
			  how[want], where);
}

unsigned long unit_irq_off(const char *where)
{
	unsigned long was;

	(void)where;
	unit_sched_point();
	was = current->irqs_off;
	current->irqs_off = 1;
	if (!was)
		unit_cpu_close();
	unit_jitter();
	return was;
}

void unit_irq_restore(unsigned long flags, const char *where)
{
	if (current->hardirq && !flags)
		unit_fail("irq", "interrupts turned on in a hard interrupt at %s",
			  where);
	unit_jitter();
	if (current->irqs_off && !flags)
		unit_cpu_open();
	current->irqs_off = flags;
	unit_sched_point();
}

void unit_assert_irqs(bool off, const char *where)
{
	if (!!current->irqs_off != off)
		unit_fail("lockdep_assert", "interrupts must be %s at %s",
			  off ? "off" : "on", where);
}
