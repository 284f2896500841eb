/* SPDX-License-Identifier: GPL-2.0 */
/* custom: locks are a number; what stands behind it is in rig/lock.c */
#ifndef _UNIT_SHIM_LINUX_SPINLOCK_TYPES_H
#define _UNIT_SHIM_LINUX_SPINLOCK_TYPES_H

#include <linux/types.h>
#include <linux/lockdep.h>
/* The sizes are those of a kernel without lock debugging. */
typedef struct spinlock { u32 id; } spinlock_t;
typedef struct raw_spinlock { u32 id; } raw_spinlock_t;
typedef struct { u32 id; u32 unused; } rwlock_t;
#define __SPIN_LOCK_UNLOCKED(n)		{ .id = UNIT_LOCK_STATIC }
#define __RAW_SPIN_LOCK_UNLOCKED(n)	{ .id = UNIT_LOCK_STATIC }
#define __RW_LOCK_UNLOCKED(n)		{ .id = UNIT_LOCK_STATIC }
#define DEFINE_SPINLOCK(n)	spinlock_t n = __SPIN_LOCK_UNLOCKED(n)
#define DEFINE_RAW_SPINLOCK(n)	raw_spinlock_t n = __RAW_SPIN_LOCK_UNLOCKED(n)
#define DEFINE_RWLOCK(n)	rwlock_t n = __RW_LOCK_UNLOCKED(n)

#endif
