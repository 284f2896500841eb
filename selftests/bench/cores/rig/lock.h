/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Locks that spin as the kernel's do, and are as fair.
 *
 * spinlock_t, raw_spinlock_t: tickets; first come, first served, one locked
 *	instruction to take it and a store to let it go, as with the kernel's queued
 *	spinlock when nobody waits
 * rwlock_t: one locked instruction for a reader to come, one to go; a writer takes
 *	it with one and lets it go with a store. Who does not get it at once waits
 *	in line behind a spinlock; a writer at the head of the line holds new readers
 *	off; a reader in an interrupt passes the line, and waits for a writer that
 *	has the lock only. Those are the kernel's rules for its queued rwlock
 * struct mutex: spins; the kernel's spins too while its owner runs
 */
#ifndef _UNIT_LOCK_H
#define _UNIT_LOCK_H

#include "rig/rig.h"

#define UNIT_LOCK_STATIC	0

enum unit_lock_type { UNIT_RAW, UNIT_SPIN, UNIT_RW, UNIT_MUTEX };
enum unit_lock_mode { UNIT_EXCL, UNIT_SHARED };
enum unit_lock_irq { UNIT_IRQ_KEEP, UNIT_IRQ_OFF, UNIT_IRQ_SAVE };
enum unit_lock_want {
	UNIT_HELD_ANY, UNIT_HELD_READ, UNIT_HELD_WRITE, UNIT_HELD_NOT
};

#define UNIT_LOCK_INIT(idp, ty, text)	(*(idp) = 0, (idp)[(ty) == UNIT_RW] = 0)
#define unit_lock_destroy(id, where)	((void)(id))
#define unit_lock_held(id, want)	((void)(id), true)
#define unit_lock_busy(id)		((void)(id), false)
#define unit_assert_held(id, want, text, where)	((void)(id))

/* A spinlock's word: the ticket being served below, the next one above. */
#define TICKET		0x10000u

/* Out of line, as the kernel's: who need not wait has no use for its registers. */
void cores_spin_wait(uint32_t *id, uint16_t ticket);

static inline void cores_spin_lock(uint32_t *id)
{
	uint32_t was = __atomic_fetch_add(id, TICKET, __ATOMIC_ACQUIRE);

	if (__builtin_expect((uint16_t)was != was >> 16, 0))
		cores_spin_wait(id, was >> 16);
}

static inline bool cores_spin_trylock(uint32_t *id)
{
	uint32_t was = __atomic_load_n(id, __ATOMIC_RELAXED);

	return (uint16_t)was == was >> 16 &&
	       __atomic_compare_exchange_n(id, &was, was + TICKET, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void cores_spin_unlock(uint32_t *id)
{
	uint16_t *serving = (uint16_t *)id;

	__atomic_store_n(serving, *serving + 1, __ATOMIC_RELEASE);
}

/* An rwlock's first word; its second is the spinlock of those who wait. */
#define RW_WRITER	0x1u
#define RW_WAITING	0x100u
#define RW_READER	0x200u

void cores_read_wait(uint32_t *id);
void cores_write_wait(uint32_t *id);

static inline void cores_read_lock(uint32_t *id)
{
	uint32_t now = __atomic_add_fetch(id, RW_READER, __ATOMIC_ACQUIRE);

	if (__builtin_expect(now & (RW_WRITER | RW_WAITING), 0))
		cores_read_wait(id);
}

static inline void cores_write_lock(uint32_t *id)
{
	uint32_t none = 0;

	if (!__atomic_compare_exchange_n(id, &none, RW_WRITER, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		cores_write_wait(id);
}

static inline bool cores_rw_trylock(uint32_t *id, enum unit_lock_mode mode)
{
	uint32_t was = __atomic_load_n(id, __ATOMIC_RELAXED);

	if (mode == UNIT_EXCL)
		return !was && __atomic_compare_exchange_n(id, &was, RW_WRITER,
				false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
	if (was & (RW_WRITER | RW_WAITING))
		return false;
	was = __atomic_add_fetch(id, RW_READER, __ATOMIC_ACQUIRE);
	if (!(was & (RW_WRITER | RW_WAITING)))
		return true;
	__atomic_fetch_sub(id, RW_READER, __ATOMIC_RELAXED);
	return false;
}

static inline void cores_rw_unlock(uint32_t *id, enum unit_lock_mode mode)
{
	if (mode == UNIT_EXCL)
		__atomic_store_n((uint8_t *)id, 0, __ATOMIC_RELEASE);
	else
		__atomic_fetch_sub(id, RW_READER, __ATOMIC_RELEASE);
}

static inline enum unit_op cores_op(enum unit_lock_type type)
{
	return type == UNIT_RAW ? UNIT_LOCK_RAW :
	       type == UNIT_SPIN ? UNIT_LOCK_SPIN :
	       type == UNIT_RW ? UNIT_LOCK_READ : UNIT_LOCK_MUTEX;
}

static inline __attribute__((__always_inline__)) unsigned long
unit_lock(uint32_t *id, enum unit_lock_type type, enum unit_lock_mode mode,
	  enum unit_lock_irq irq, int subclass, const char *where)
{
	unsigned long flags = 0;

	unit_tick(cores_op(type));
	if (irq != UNIT_IRQ_KEEP)
		flags = unit_irq_off(where);
	if (type != UNIT_RW)
		cores_spin_lock(id);
	else if (mode == UNIT_SHARED)
		cores_read_lock(id);
	else
		cores_write_lock(id);
	return flags;
}

static inline __attribute__((__always_inline__)) bool
unit_trylock(uint32_t *id, enum unit_lock_type type, enum unit_lock_mode mode,
	     const char *where)
{
	unit_tick(cores_op(type));
	return type == UNIT_RW ? cores_rw_trylock(id, mode) :
				 cores_spin_trylock(id);
}

static inline __attribute__((__always_inline__)) void
unit_unlock(uint32_t *id, enum unit_lock_type type, enum unit_lock_mode mode,
	    enum unit_lock_irq irq, unsigned long flags, const char *where)
{
	if (type == UNIT_RW)
		cores_rw_unlock(id, mode);
	else
		cores_spin_unlock(id);
	if (irq != UNIT_IRQ_KEEP)
		unit_irq_restore(irq == UNIT_IRQ_SAVE ? flags : 0, where);
}

static inline int unit_mutex_killable(uint32_t *id, const char *where)
{
	unit_lock(id, UNIT_MUTEX, UNIT_EXCL, UNIT_IRQ_KEEP, 0, where);
	return 0;
}

#endif
