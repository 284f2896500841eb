/* SPDX-License-Identifier: GPL-2.0 */
/*
 * custom: what the TDP MMUs ask for beyond the unit harness's shims: the base's own
 * more than ours. It runs as under the preemption model that Debian's kernel boots
 * with, voluntary, and nobody else wants the processor.
 */
#ifndef _CORES_SHIM_MMU_H
#define _CORES_SHIM_MMU_H

#include "mmu.h"
#include "mmutrace.h"

#define _TRACE_KVMMMU_H		/* the base's trace events stay out */

#undef need_resched
#define need_resched()		false
#undef rwlock_is_contended
/* Somebody waits in line. */
#define rwlock_is_contended(l) \
	({ u32 __line = READ_ONCE((l)->unused); (u16)__line != __line >> 16; })
#define rwlock_needbreak(l)	((void)(l), 0)
#define cond_resched_rwlock_read(l)	((void)(l), 0)
#define cond_resched_rwlock_write(l)	((void)(l), 0)

/* In line, as in the kernel: a call would cost more than what it is for. */
#undef try_cmpxchg64
#define try_cmpxchg64(p, old, new) \
	__atomic_compare_exchange_n(p, old, new, false, __ATOMIC_SEQ_CST, \
				    __ATOMIC_SEQ_CST)

static inline void cores_update_page_stats(struct kvm *kvm, int level, int count)
{
	atomic64_add(count, &kvm->stat.pages[level - 1]);
}

#define kvm_update_page_stats	cores_update_page_stats

#define __va(address)		((void *)(address))
#define get_zeroed_page(gfp)	unit_table_alloc((gfp) | __GFP_ZERO, UNIT_HERE)

/* Only whether there are any, which there are. */
#define created_vcpus		nr_vcpus

#ifndef rcu_barrier
#define rcu_barrier()		unit_rcu_barrier(UNIT_HERE)
#endif
#define __list_or_null_rcu(head, p, type, m) \
	({ struct list_head *__p = READ_ONCE((p)->next); \
	   __p != (head) ? container_of(__p, type, m) : NULL; })
#ifndef list_first_or_null_rcu
#define list_first_or_null_rcu(head, type, m) \
	__list_or_null_rcu(head, head, type, m)
#endif
#ifndef list_next_or_null_rcu
#define list_next_or_null_rcu(head, p, type, m) \
	__list_or_null_rcu(head, p, type, m)
#endif

static inline s64 atomic64_fetch_and(s64 i, atomic64_t *v)
{
	return __atomic_fetch_and(&v->counter, i, __ATOMIC_SEQ_CST);
}

#endif
