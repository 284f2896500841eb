/* SPDX-License-Identifier: GPL-2.0 */
/* Locks that check how they are used. What is checked: see lock.c, order.c. */
#ifndef _UNIT_LOCK_H
#define _UNIT_LOCK_H

#include "rig/rig.h"

#define UNIT_LOCK_STATIC 0xffffffffu	/* a static lock, not yet met */

enum unit_lock_type { UNIT_RAW, UNIT_SPIN, UNIT_RW, UNIT_MUTEX };
enum unit_lock_mode { UNIT_EXCL, UNIT_SHARED };
enum unit_lock_irq { UNIT_IRQ_KEEP, UNIT_IRQ_OFF, UNIT_IRQ_SAVE };
enum unit_lock_want {
	UNIT_HELD_ANY, UNIT_HELD_READ, UNIT_HELD_WRITE, UNIT_HELD_NOT
};

/* All locks initialised in one place of the source are one class. */
struct unit_class {
	const char *name;
	const char *where;
	enum unit_lock_type type;
	int nr;				/* 0: not registered yet */
	unsigned int usage;		/* order.c: with interrupts on or in them */
	unsigned long taken;		/* by all threads, contended or not */
};

#define UNIT_LOCK_INIT(idp, ty, text)					\
	do {								\
		static struct unit_class __class = {			\
			.name = text, .where = UNIT_HERE, .type = ty,	\
		};							\
		unit_lock_init(idp, &__class);				\
	} while (0)

void unit_lock_init(uint32_t *id, struct unit_class *class);
void unit_lock_destroy(uint32_t *id, const char *where);
unsigned long unit_lock(uint32_t *id, enum unit_lock_type type,
			enum unit_lock_mode mode, enum unit_lock_irq irq,
			int subclass, const char *where);
bool unit_trylock(uint32_t *id, enum unit_lock_type type,
		  enum unit_lock_mode mode, const char *where);
int unit_mutex_killable(uint32_t *id, const char *where);
void unit_unlock(uint32_t *id, enum unit_lock_type type,
		 enum unit_lock_mode mode, enum unit_lock_irq irq,
		 unsigned long flags, const char *where);
bool unit_lock_held(const uint32_t *id, enum unit_lock_want want);
bool unit_lock_busy(const uint32_t *id);
void unit_assert_held(const uint32_t *id, enum unit_lock_want want,
		      const char *text, const char *where);

/*
 * Called as a hard interrupt, in every task, wherever one could come at a lock.
 * May take locks only as an interrupt may.
 */
extern void (*unit_irq_handler)(void);

/*
 * Called as the scheduler, which takes the CPU away and gives it back, in every task
 * that can be preempted, before and after it cannot be for a while, between two writes
 * that are ordered, and where it looks at a clock.
 */
extern void (*unit_sched_handler)(void);

/* Times a lock of the classes with this name was taken. */
unsigned long unit_class_count(const char *name);

/* order.c */
void unit_order_acquire(struct unit_class *class, int subclass,
			enum unit_lock_mode mode, bool try, bool irqs_on,
			const char *where);
struct unit_class *unit_lock_class(struct unit_lock *lock);
const char *unit_lock_describe(struct unit_held *h, char *buf, size_t size);

#endif
