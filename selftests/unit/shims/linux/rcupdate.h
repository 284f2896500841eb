/* SPDX-License-Identifier: GPL-2.0 */
/* custom: real grace periods; readers may not sleep */
#ifndef _UNIT_SHIM_LINUX_RCUPDATE_H
#define _UNIT_SHIM_LINUX_RCUPDATE_H

#include <linux/types.h>
#include <linux/compiler.h>
#include <linux/lockdep.h>
#include <linux/kernel.h>
#include <linux/cleanup.h>
#include <asm/barrier.h>
#include "rig/rcu.h"

#define rcu_read_lock()		unit_rcu_read_lock()
#define rcu_read_unlock()	unit_rcu_read_unlock(UNIT_HERE)
#define rcu_read_lock_held()	(current->rcu != 0)
#define synchronize_rcu()	unit_synchronize_rcu(UNIT_HERE)
#define synchronize_rcu_expedited() synchronize_rcu()
#define rcu_barrier()		unit_rcu_barrier(UNIT_HERE)
#define call_rcu(h, f)		unit_call_rcu(h, f)
#define kfree_rcu(p, field)	unit_kfree_rcu(&(p)->field, p)
#define kvfree_rcu(p, field)	kfree_rcu(p, field)
#define kfree_rcu_mightsleep(p) \
	do { void *__p = (p); synchronize_rcu(); kfree(__p); } while (0)

/* The XArray's own steps are told apart: see rig/rcu.c. */
#ifdef UNIT_XARRAY
#define UNIT_DEREFERENCE	unit_dereference_node
#define UNIT_PUBLISH		unit_publish_node
#else
#define UNIT_DEREFERENCE	unit_dereference
#define UNIT_PUBLISH		unit_publish
#endif

#ifdef UNIT_XARRAY
#define RCU_INIT_POINTER(p, v)	rcu_assign_pointer(p, v)
#else
#define RCU_INIT_POINTER(p, v)	WRITE_ONCE(p, v)
#endif
#define RCU_INITIALIZER(v)	(v)
#define rcu_assign_pointer(p, v) \
	do { unit_tick(UNIT_ONCE); \
	     UNIT_PUBLISH((void *)&(p), (void *)(v)); } while (0)
#define rcu_dereference_raw(p) \
	({ unit_tick(UNIT_DEREF); \
	   (typeof(p))UNIT_DEREFERENCE((void *)&(p)); })
#define rcu_dereference_check(p, c) \
	({ if (!rcu_read_lock_held() && !(c)) \
		unit_fail("rcu", "%s read without protection at %s", \
			  #p, UNIT_HERE); \
	   rcu_dereference_raw(p); })
#define rcu_dereference_protected(p, c) \
	({ if (!(c)) \
		unit_fail("rcu", "%s used without its lock at %s", \
			  #p, UNIT_HERE); \
	   rcu_dereference_raw(p); })
#define rcu_dereference(p)	rcu_dereference_check(p, false)
#define rcu_access_pointer(p)	rcu_dereference_raw(p)
#define rcu_pointer_handoff(p)	(p)
#define rcu_replace_pointer(p, v, c) \
	({ typeof(p) __old = rcu_dereference_protected(p, c); \
	   rcu_assign_pointer(p, v); __old; })
DEFINE_LOCK_GUARD_0(rcu, rcu_read_lock(), rcu_read_unlock())

#endif
