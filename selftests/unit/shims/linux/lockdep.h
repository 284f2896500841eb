/* SPDX-License-Identifier: GPL-2.0 */
/* custom: assertions about locks, checked for real */
#ifndef _UNIT_SHIM_LINUX_LOCKDEP_H
#define _UNIT_SHIM_LINUX_LOCKDEP_H

#include <linux/compiler.h>
#include "rig/rig.h"
#include "rig/lock.h"

struct lock_class_key { struct unit_class *unit; };
struct lockdep_map { int unused; };

#define lockdep_is_held(l)		unit_lock_held(&(l)->id, UNIT_HELD_ANY)
#define lockdep_is_held_type(l, r)	unit_lock_held(&(l)->id, (r) == 1 ? \
					UNIT_HELD_READ : UNIT_HELD_WRITE)
#define lockdep_assert(cond) \
	do { if (!(cond)) unit_fail("lockdep_assert", "%s at %s", #cond, \
				    UNIT_HERE); } while (0)
#define lockdep_assert_held(l) \
	unit_assert_held(&(l)->id, UNIT_HELD_ANY, #l, UNIT_HERE)
#define lockdep_assert_held_write(l) \
	unit_assert_held(&(l)->id, UNIT_HELD_WRITE, #l, UNIT_HERE)
#define lockdep_assert_held_read(l) \
	unit_assert_held(&(l)->id, UNIT_HELD_READ, #l, UNIT_HERE)
#define lockdep_assert_not_held(l) \
	unit_assert_held(&(l)->id, UNIT_HELD_NOT, #l, UNIT_HERE)
#define lockdep_assert_once(cond)	lockdep_assert(cond)
#define lockdep_assert_held_once(l)	lockdep_assert_held(l)
#define lockdep_assert_irqs_disabled()	unit_assert_irqs(true, UNIT_HERE)
#define lockdep_assert_irqs_enabled()	unit_assert_irqs(false, UNIT_HERE)
#define SINGLE_DEPTH_NESTING	1

#endif
