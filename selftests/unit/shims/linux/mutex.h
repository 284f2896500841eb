/* SPDX-License-Identifier: GPL-2.0 */
/* custom: a mutex that knows its owner; taking one is a sleep */
#ifndef _UNIT_SHIM_LINUX_MUTEX_H
#define _UNIT_SHIM_LINUX_MUTEX_H

#include <linux/spinlock.h>
struct mutex { u32 id; u32 unused[7]; };
#define __MUTEX_INITIALIZER(n)	{ .id = UNIT_LOCK_STATIC }
#define DEFINE_MUTEX(n)		struct mutex n = __MUTEX_INITIALIZER(n)
#define mutex_init(l)		UNIT_LOCK_INIT(&(l)->id, UNIT_MUTEX, #l)
#define mutex_lock(l) \
	((void)unit_lock(&(l)->id, UNIT_MUTEX, UNIT_EXCL, UNIT_IRQ_KEEP, 0, \
			 UNIT_HERE))
#define mutex_lock_nested(l, s) \
	((void)unit_lock(&(l)->id, UNIT_MUTEX, UNIT_EXCL, UNIT_IRQ_KEEP, s, \
			 UNIT_HERE))
#define mutex_lock_killable(l)	unit_mutex_killable(&(l)->id, UNIT_HERE)
#define mutex_lock_interruptible(l) unit_mutex_killable(&(l)->id, UNIT_HERE)
#define mutex_trylock(l) \
	unit_trylock(&(l)->id, UNIT_MUTEX, UNIT_EXCL, UNIT_HERE)
#define mutex_unlock(l) \
	((void)unit_unlock(&(l)->id, UNIT_MUTEX, UNIT_EXCL, UNIT_IRQ_KEEP, 0, \
			   UNIT_HERE))
#define mutex_is_locked(l)	unit_lock_busy(&(l)->id)
#define mutex_destroy(l)	unit_lock_destroy(&(l)->id, UNIT_HERE)
DEFINE_GUARD(mutex, struct mutex *, mutex_lock(_T), mutex_unlock(_T))
DEFINE_GUARD_COND(mutex, _try, mutex_trylock(_T))
DEFINE_GUARD_COND(mutex, _intr, mutex_lock_interruptible(_T) == 0)

#endif
