/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RCU: a reader counts itself, in its own memory, without a barrier, as where the
 * kernel can be preempted. SRCU: a reader counts itself with a full barrier when it
 * comes and when it goes, as the kernel's does. A grace period waits for both. What
 * is given to call_rcu() is called back when the world ends.
 */
#ifndef _UNIT_RCU_H
#define _UNIT_RCU_H

#include "rig/rig.h"

struct callback_head;

struct srcu_struct {
	int unused;
};

static inline void unit_rcu_read_lock(void)
{
	__atomic_store_n(&current->rcu, current->rcu + 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void unit_rcu_read_unlock(const char *where)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&current->rcu, current->rcu - 1, __ATOMIC_RELEASE);
}

void unit_synchronize_rcu(const char *where);
void unit_call_rcu(struct callback_head *h,
		   void (*fn)(struct callback_head *h));
void unit_kfree_rcu(struct callback_head *h, void *p);
#define unit_rcu_barrier(where)		((void)0)

static inline int unit_srcu_lock(struct srcu_struct *s)
{
	__atomic_store_n(&current->srcu, current->srcu + 1, __ATOMIC_RELAXED);
	unit_fence();
	return 0;
}

static inline void unit_srcu_unlock(struct srcu_struct *s, int idx,
				    const char *where)
{
	unit_fence();
	__atomic_store_n(&current->srcu, current->srcu - 1, __ATOMIC_RELAXED);
}

void unit_srcu_synchronize(struct srcu_struct *s, const char *where);
#define unit_srcu_init(s)		((void)(s), 0)
#define unit_srcu_cleanup(s, where)	((void)(s))
#define unit_srcu_held(s)		((void)(s), true)

#define unit_publish(p, v)		__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define unit_dereference(p)		__atomic_load_n(p, __ATOMIC_CONSUME)

#endif
