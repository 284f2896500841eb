/* SPDX-License-Identifier: GPL-2.0 */
/* dup: lists read under RCU */
#ifndef _UNIT_SHIM_LINUX_RCULIST_H
#define _UNIT_SHIM_LINUX_RCULIST_H

#include <linux/list.h>
#include <linux/rcupdate.h>
static inline void list_add_rcu(struct list_head *n, struct list_head *head)
{
	n->next = head->next;
	n->prev = head;
	rcu_assign_pointer(head->next, n);
	n->next->prev = n;
}
static inline void list_del_rcu(struct list_head *e)
{
	/* Release: x86 keeps it after what was done before; ThreadSanitizer asks. */
	smp_store_release(&e->prev->next, e->next);
	e->next->prev = e->prev;
	e->prev = LIST_POISON2;
}
#define list_entry_rcu(p, type, m)	container_of(READ_ONCE(p), type, m)
#define list_for_each_entry_rcu(pos, head, m, ...) \
	for (pos = list_entry_rcu((head)->next, typeof(*pos), m); \
	     &pos->m != (head); \
	     pos = list_entry_rcu(pos->m.next, typeof(*pos), m))
#define list_for_each_entry_continue_rcu(pos, head, m) \
	for (pos = list_entry_rcu(pos->m.next, typeof(*pos), m); \
	     &pos->m != (head); \
	     pos = list_entry_rcu(pos->m.next, typeof(*pos), m))

#endif
