/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the kernel's atomic operations, sequentially consistent where the kernel promises full order */
#ifndef _UNIT_SHIM_LINUX_ATOMIC_H
#define _UNIT_SHIM_LINUX_ATOMIC_H

#include <linux/types.h>
#include <asm/barrier.h>
#define __UNIT_ATOMIC(pfx, atype, type) \
static inline type pfx##_read(const atype *v) \
{ unit_tick(UNIT_ONCE); return __atomic_load_n(&v->counter, __ATOMIC_RELAXED); } \
static inline type pfx##_read_acquire(const atype *v) \
{ unit_tick(UNIT_ONCE); return __atomic_load_n(&v->counter, __ATOMIC_ACQUIRE); } \
static inline void pfx##_set(atype *v, type i) \
{ unit_tick(UNIT_ONCE); __atomic_store_n(&v->counter, i, __ATOMIC_RELAXED); } \
static inline void pfx##_set_release(atype *v, type i) \
{ unit_tick(UNIT_ONCE); __atomic_store_n(&v->counter, i, __ATOMIC_RELEASE); } \
static inline void pfx##_add(type i, atype *v) \
{ unit_tick(UNIT_RMW); __atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED); } \
static inline void pfx##_sub(type i, atype *v) \
{ unit_tick(UNIT_RMW); __atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED); } \
static inline void pfx##_inc(atype *v) { pfx##_add(1, v); } \
static inline void pfx##_dec(atype *v) { pfx##_sub(1, v); } \
static inline type pfx##_add_return(type i, atype *v) \
{ unit_tick(UNIT_RMW); return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST); } \
static inline type pfx##_inc_return(atype *v) { return pfx##_add_return(1, v); } \
static inline type pfx##_dec_return(atype *v) { return pfx##_add_return(-1, v); } \
static inline type pfx##_dec_return_release(atype *v) \
{ unit_tick(UNIT_RMW); return __atomic_sub_fetch(&v->counter, 1, __ATOMIC_RELEASE); } \
static inline bool pfx##_dec_and_test(atype *v) { return !pfx##_dec_return(v); } \
static inline type pfx##_xchg(atype *v, type n) \
{ unit_tick(UNIT_RMW); return __atomic_exchange_n(&v->counter, n, __ATOMIC_SEQ_CST); } \
static inline type pfx##_cmpxchg(atype *v, type o, type n) \
{ unit_tick(UNIT_RMW); __atomic_compare_exchange_n(&v->counter, &o, n, false, \
		__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); return o; }
__UNIT_ATOMIC(atomic, atomic_t, int)
__UNIT_ATOMIC(atomic64, atomic64_t, s64)
__UNIT_ATOMIC(atomic_long, atomic_long_t, long)
#define ATOMIC_INIT(i) { (i) }
#define xchg(p, v) \
	({ unit_tick(UNIT_RMW); __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST); })
#define cmpxchg(p, o, n) \
	({ typeof(*(p)) __o = (o); unit_tick(UNIT_RMW); \
	   __atomic_compare_exchange_n((p), &__o, (n), false, \
		__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); __o; })
#define cmpxchg_release(p, o, n)	cmpxchg(p, o, n)
/* An entry of a page table: a test can make this one go wrong. */
bool unit_spte_cmpxchg(u64 *p, u64 *old, u64 new);
#define try_cmpxchg64(p, po, n)	unit_spte_cmpxchg(p, po, n)
#define try_cmpxchg(p, po, n) \
	({ unit_tick(UNIT_RMW); __atomic_compare_exchange_n((p), (po), (n), false, \
		__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); })

#endif
