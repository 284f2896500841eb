/* SPDX-License-Identifier: GPL-2.0 */
/* custom: barriers as atomic operations on one word: a full fence on x86, and an edge ThreadSanitizer can see */
#ifndef _UNIT_SHIM_ASM_BARRIER_H
#define _UNIT_SHIM_ASM_BARRIER_H

#include <linux/compiler.h>

void unit_fence(void);
void unit_fence_release(void);
void unit_fence_acquire(void);

#define smp_mb()	unit_fence()
#define smp_wmb()	(unit_sched_point(), unit_fence_release())
#define smp_rmb()	unit_fence_acquire()
#define mb()		smp_mb()
#define smp_mb__before_atomic()	smp_mb()
#define smp_mb__after_atomic()	smp_mb()
#define smp_mb__after_spinlock() smp_mb()
#define smp_mb__after_srcu_read_unlock() ((void)0)
#define smp_load_acquire(p) \
	({ unit_tick(UNIT_ONCE); __atomic_load_n((p), __ATOMIC_ACQUIRE); })
#define smp_store_release(p, v) \
	do { unit_tick(UNIT_ONCE); unit_sched_point(); \
	     __atomic_store_n((p), (v), __ATOMIC_RELEASE); } while (0)
#define smp_acquire__after_ctrl_dep() smp_rmb()
#define smp_store_mb(var, val) \
	do { WRITE_ONCE(var, val); smp_mb(); } while (0)
/* The waiter is one of unit_cpu_waiting(). */
#define smp_cond_load_acquire(p, cond) \
	({ __typeof__(*(p)) VAL; \
	   unit_cpu_wait_begin(UNIT_HERE); \
	   while (VAL = smp_load_acquire(p), \
		  !(cond) && !unit_mutants.said_unheard) \
		cpu_relax(); \
	   unit_cpu_wait_end(); \
	   VAL; })

#endif
