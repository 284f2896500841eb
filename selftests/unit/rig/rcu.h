/* SPDX-License-Identifier: GPL-2.0 */
/* RCU and SRCU with grace periods that really wait for their readers. */
#ifndef _UNIT_RCU_H
#define _UNIT_RCU_H

#include "rig/rig.h"

struct callback_head;

struct unit_gp {
	unsigned long seq;
	struct {
		unsigned long since;	/* 0, or the period it began in */
		int nest;		/* own thread only */
	} reader[UNIT_MAX_TASKS];
};

struct srcu_struct {
	struct unit_gp *gp;
};

void unit_rcu_read_lock(void);
void unit_rcu_read_unlock(const char *where);
void unit_synchronize_rcu(const char *where);
/* Something was given to call_rcu() and not yet called back. */
bool unit_rcu_pending(void);
void unit_rcu_barrier(const char *where);
void unit_call_rcu(struct callback_head *h,
		   void (*fn)(struct callback_head *h));
/* Called by who gives something to call_rcu(), at that moment, if set. */
extern void (*unit_call_rcu_handler)(void);
void unit_kfree_rcu(struct callback_head *h, void *p);
/* Run what is left; callbacks run in a thread of their own until then. */
void unit_rcu_stop(void);

int unit_srcu_init(struct srcu_struct *s);
void unit_srcu_cleanup(struct srcu_struct *s, const char *where);
int unit_srcu_lock(struct srcu_struct *s);
void unit_srcu_unlock(struct srcu_struct *s, int idx, const char *where);
bool unit_srcu_held(struct srcu_struct *s);
bool unit_srcu_held_any(void);
void unit_srcu_synchronize(struct srcu_struct *s, const char *where);

void unit_publish(void **p, void *v);
void unit_publish_node(void **p, void *v);
void *unit_dereference(void **p);
void *unit_dereference_node(void **p);

#endif
