/* SPDX-License-Identifier: GPL-2.0 */
/* custom: as in a kernel that does not check who dereferences what */
#ifndef _CORES_SHIM_LINUX_RCUPDATE_H
#define _CORES_SHIM_LINUX_RCUPDATE_H

#include <linux/types.h>
#include <linux/compiler.h>
#include <linux/lockdep.h>
#include <linux/kernel.h>
#include <linux/cleanup.h>
#include <asm/barrier.h>
#include "rig/rcu.h"

#define rcu_read_lock()		unit_rcu_read_lock()
#define rcu_read_unlock()	unit_rcu_read_unlock(UNIT_HERE)
#define rcu_read_lock_held()	true
#define synchronize_rcu()	unit_synchronize_rcu(UNIT_HERE)
#define call_rcu(h, f)		unit_call_rcu(h, f)
#define kfree_rcu(p, field)	unit_kfree_rcu(&(p)->field, p)

#define RCU_INIT_POINTER(p, v)	WRITE_ONCE(p, v)
#define rcu_assign_pointer(p, v) \
	__atomic_store_n(&(p), v, __ATOMIC_RELEASE)
#define rcu_dereference_raw(p)	READ_ONCE(p)
#define rcu_dereference_check(p, c) READ_ONCE(p)
#define rcu_dereference_protected(p, c) (p)
#define rcu_dereference(p)	READ_ONCE(p)
DEFINE_LOCK_GUARD_0(rcu, rcu_read_lock(), rcu_read_unlock())

#endif
