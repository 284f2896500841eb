/* SPDX-License-Identifier: GPL-2.0 */
/* custom: spinlocks, raw spinlocks and rwlocks; every operation goes through rig/lock.c with its place */
#ifndef _UNIT_SHIM_LINUX_SPINLOCK_H
#define _UNIT_SHIM_LINUX_SPINLOCK_H

#include <linux/spinlock_types.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/kernel.h>
#include <linux/cleanup.h>

static inline u32 *__unit_spinlock_t(spinlock_t *l) { return &l->id; }
static inline u32 *__unit_raw_spinlock_t(raw_spinlock_t *l) { return &l->id; }
static inline u32 *__unit_rwlock_t(rwlock_t *l) { return &l->id; }

#define spin_lock_init(l) \
	UNIT_LOCK_INIT(__unit_spinlock_t(l), UNIT_SPIN, #l)
#define spin_lock(l) \
	unit_lock(__unit_spinlock_t(l), UNIT_SPIN, UNIT_EXCL, UNIT_IRQ_KEEP, 0, UNIT_HERE)
#define spin_lock_nested(l, s) \
	unit_lock(__unit_spinlock_t(l), UNIT_SPIN, UNIT_EXCL, UNIT_IRQ_KEEP, s, UNIT_HERE)
#define spin_lock_irq(l) \
	unit_lock(__unit_spinlock_t(l), UNIT_SPIN, UNIT_EXCL, UNIT_IRQ_OFF, 0, UNIT_HERE)
#define spin_lock_irqsave(l, f) \
	((f) = unit_lock(__unit_spinlock_t(l), UNIT_SPIN, UNIT_EXCL, UNIT_IRQ_SAVE, 0, UNIT_HERE))
#define spin_lock_bh(l)	spin_lock(l)
#define spin_trylock(l) \
	unit_trylock(__unit_spinlock_t(l), UNIT_SPIN, UNIT_EXCL, UNIT_HERE)
#define spin_unlock(l) \
	unit_unlock(__unit_spinlock_t(l), UNIT_SPIN, UNIT_EXCL, UNIT_IRQ_KEEP, 0, UNIT_HERE)
#define spin_unlock_irq(l) \
	unit_unlock(__unit_spinlock_t(l), UNIT_SPIN, UNIT_EXCL, UNIT_IRQ_OFF, 0, UNIT_HERE)
#define spin_unlock_irqrestore(l, f) \
	unit_unlock(__unit_spinlock_t(l), UNIT_SPIN, UNIT_EXCL, UNIT_IRQ_SAVE, f, UNIT_HERE)
#define spin_unlock_bh(l)	spin_unlock(l)
#define raw_spin_lock_init(l) \
	UNIT_LOCK_INIT(__unit_raw_spinlock_t(l), UNIT_RAW, #l)
#define raw_spin_lock(l) \
	unit_lock(__unit_raw_spinlock_t(l), UNIT_RAW, UNIT_EXCL, UNIT_IRQ_KEEP, 0, UNIT_HERE)
#define raw_spin_lock_nested(l, s) \
	unit_lock(__unit_raw_spinlock_t(l), UNIT_RAW, UNIT_EXCL, UNIT_IRQ_KEEP, s, UNIT_HERE)
#define raw_spin_lock_irq(l) \
	unit_lock(__unit_raw_spinlock_t(l), UNIT_RAW, UNIT_EXCL, UNIT_IRQ_OFF, 0, UNIT_HERE)
#define raw_spin_lock_irqsave(l, f) \
	((f) = unit_lock(__unit_raw_spinlock_t(l), UNIT_RAW, UNIT_EXCL, UNIT_IRQ_SAVE, 0, UNIT_HERE))
#define raw_spin_lock_bh(l)	raw_spin_lock(l)
#define raw_spin_trylock(l) \
	unit_trylock(__unit_raw_spinlock_t(l), UNIT_RAW, UNIT_EXCL, UNIT_HERE)
#define raw_spin_unlock(l) \
	unit_unlock(__unit_raw_spinlock_t(l), UNIT_RAW, UNIT_EXCL, UNIT_IRQ_KEEP, 0, UNIT_HERE)
#define raw_spin_unlock_irq(l) \
	unit_unlock(__unit_raw_spinlock_t(l), UNIT_RAW, UNIT_EXCL, UNIT_IRQ_OFF, 0, UNIT_HERE)
#define raw_spin_unlock_irqrestore(l, f) \
	unit_unlock(__unit_raw_spinlock_t(l), UNIT_RAW, UNIT_EXCL, UNIT_IRQ_SAVE, f, UNIT_HERE)
#define raw_spin_unlock_bh(l)	raw_spin_unlock(l)
#define read_lock(l) \
	unit_lock(__unit_rwlock_t(l), UNIT_RW, UNIT_SHARED, UNIT_IRQ_KEEP, 0, UNIT_HERE)
#define read_lock_nested(l, s) \
	unit_lock(__unit_rwlock_t(l), UNIT_RW, UNIT_SHARED, UNIT_IRQ_KEEP, s, UNIT_HERE)
#define read_lock_irq(l) \
	unit_lock(__unit_rwlock_t(l), UNIT_RW, UNIT_SHARED, UNIT_IRQ_OFF, 0, UNIT_HERE)
#define read_lock_irqsave(l, f) \
	((f) = unit_lock(__unit_rwlock_t(l), UNIT_RW, UNIT_SHARED, UNIT_IRQ_SAVE, 0, UNIT_HERE))
#define read_trylock(l) \
	unit_trylock(__unit_rwlock_t(l), UNIT_RW, UNIT_SHARED, UNIT_HERE)
#define read_unlock(l) \
	unit_unlock(__unit_rwlock_t(l), UNIT_RW, UNIT_SHARED, UNIT_IRQ_KEEP, 0, UNIT_HERE)
#define read_unlock_irq(l) \
	unit_unlock(__unit_rwlock_t(l), UNIT_RW, UNIT_SHARED, UNIT_IRQ_OFF, 0, UNIT_HERE)
#define read_unlock_irqrestore(l, f) \
	unit_unlock(__unit_rwlock_t(l), UNIT_RW, UNIT_SHARED, UNIT_IRQ_SAVE, f, UNIT_HERE)
#define write_lock(l) \
	unit_lock(__unit_rwlock_t(l), UNIT_RW, UNIT_EXCL, UNIT_IRQ_KEEP, 0, UNIT_HERE)
#define write_lock_nested(l, s) \
	unit_lock(__unit_rwlock_t(l), UNIT_RW, UNIT_EXCL, UNIT_IRQ_KEEP, s, UNIT_HERE)
#define write_lock_irq(l) \
	unit_lock(__unit_rwlock_t(l), UNIT_RW, UNIT_EXCL, UNIT_IRQ_OFF, 0, UNIT_HERE)
#define write_lock_irqsave(l, f) \
	((f) = unit_lock(__unit_rwlock_t(l), UNIT_RW, UNIT_EXCL, UNIT_IRQ_SAVE, 0, UNIT_HERE))
#define write_trylock(l) \
	unit_trylock(__unit_rwlock_t(l), UNIT_RW, UNIT_EXCL, UNIT_HERE)
#define write_unlock(l) \
	unit_unlock(__unit_rwlock_t(l), UNIT_RW, UNIT_EXCL, UNIT_IRQ_KEEP, 0, UNIT_HERE)
#define write_unlock_irq(l) \
	unit_unlock(__unit_rwlock_t(l), UNIT_RW, UNIT_EXCL, UNIT_IRQ_OFF, 0, UNIT_HERE)
#define write_unlock_irqrestore(l, f) \
	unit_unlock(__unit_rwlock_t(l), UNIT_RW, UNIT_EXCL, UNIT_IRQ_SAVE, f, UNIT_HERE)
#define rwlock_init(l)	UNIT_LOCK_INIT(__unit_rwlock_t(l), UNIT_RW, #l)

/* Somebody waits for it: now and then, as a guest may make it. */
#define rwlock_is_contended(l)	unit_now_and_then(16)
#define assert_spin_locked(l)	lockdep_assert_held(l)
#define spin_is_locked(l)	lockdep_is_held(l)

DEFINE_GUARD(spinlock, spinlock_t *, spin_lock(_T), spin_unlock(_T))
DEFINE_GUARD(spinlock_irq, spinlock_t *, spin_lock_irq(_T), spin_unlock_irq(_T))
DEFINE_GUARD(raw_spinlock, raw_spinlock_t *, raw_spin_lock(_T),
	     raw_spin_unlock(_T))
DEFINE_GUARD(raw_spinlock_irq, raw_spinlock_t *, raw_spin_lock_irq(_T),
	     raw_spin_unlock_irq(_T))
DEFINE_GUARD(read_lock, rwlock_t *, read_lock(_T), read_unlock(_T))
DEFINE_GUARD(read_lock_irq, rwlock_t *, read_lock_irq(_T), read_unlock_irq(_T))
DEFINE_GUARD(write_lock, rwlock_t *, write_lock(_T), write_unlock(_T))
DEFINE_GUARD(write_lock_irq, rwlock_t *, write_lock_irq(_T),
	     write_unlock_irq(_T))
DEFINE_LOCK_GUARD_1(raw_spinlock_irqsave, raw_spinlock_t,
		    raw_spin_lock_irqsave(_T->lock, _T->flags),
		    raw_spin_unlock_irqrestore(_T->lock, _T->flags),
		    unsigned long flags)
DEFINE_LOCK_GUARD_1(spinlock_irqsave, spinlock_t,
		    spin_lock_irqsave(_T->lock, _T->flags),
		    spin_unlock_irqrestore(_T->lock, _T->flags),
		    unsigned long flags)
DEFINE_LOCK_GUARD_1(write_lock_irqsave, rwlock_t,
		    write_lock_irqsave(_T->lock, _T->flags),
		    write_unlock_irqrestore(_T->lock, _T->flags),
		    unsigned long flags)

#endif
