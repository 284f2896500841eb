/* SPDX-License-Identifier: GPL-2.0 */
/* custom: READ_ONCE() and WRITE_ONCE() are relaxed atomics, so ThreadSanitizer knows them, and are counted */
#ifndef _UNIT_SHIM_LINUX_COMPILER_H
#define _UNIT_SHIM_LINUX_COMPILER_H

#include <stddef.h>
#include <stdbool.h>
#include <linux/kconfig.h>
#include "rig/count.h"

#ifndef likely
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#endif

#define __user
#define __iomem
#define __rcu
#define __force
#define __kernel
#define __percpu
#define __must_hold(x)
#define __acquires(x)
#define __releases(x)
#define __acquire(x)		((void)0)
#define __release(x)		((void)0)
#define __uninitialized
#define __init
#define __exit
#define __read_mostly
#define __ro_after_init
#ifndef __always_inline
#define __always_inline		inline __attribute__((__always_inline__))
#endif
#define noinline		__attribute__((__noinline__))
#define __must_check		__attribute__((__warn_unused_result__))
#define __maybe_unused		__attribute__((__unused__))
#define __always_unused		__attribute__((__unused__))
#ifndef __packed
#define __packed		__attribute__((__packed__))
#endif
#ifndef __aligned
#define __aligned(x)		__attribute__((__aligned__(x)))
#endif
#define __printf(a, b)		__attribute__((__format__(printf, a, b)))
#define __cleanup(func)		__attribute__((__cleanup__(func)))
#define __malloc		__attribute__((__malloc__))
#define __cold			__attribute__((__cold__))
#define __same_type(a, b)	__builtin_types_compatible_p(typeof(a), typeof(b))
#define __UNIQUE_ID(p)		__unit_uid(p, __COUNTER__)
#define __unit_uid(p, n)	__unit_uid2(p, n)
#define __unit_uid2(p, n)	__unit_##p##_##n
#define fallthrough		__attribute__((__fallthrough__))
#ifndef __cacheline_aligned_in_smp
#define ____cacheline_aligned_in_smp __attribute__((__aligned__(64)))
#define ____cacheline_aligned	____cacheline_aligned_in_smp
#endif
#define barrier()		__asm__ __volatile__("" ::: "memory")
#define data_race(expr)		({ unit_data_race_begin(); \
				   typeof(expr) __dr = (expr); \
				   unit_data_race_end(); __dr; })

/*
 * What is done with a pointer depends on it, and so comes after; a dependency that
 * ThreadSanitizer does not see, hence an acquire. (5: pointer_type_class.)
 */
#ifdef UNIT_MMU
/* An entry of a page table is a pointer, too. */
#define __unit_is_pointer(x)	(sizeof(x) == 8)
#else
#define __unit_is_pointer(x)	(__builtin_classify_type(x) == 5)
#endif
#define READ_ONCE(x) \
	({ unit_tick(UNIT_ONCE); \
	   __atomic_load_n(&(x), __unit_is_pointer(x) ? \
				 __ATOMIC_ACQUIRE : __ATOMIC_RELAXED); })
#define WRITE_ONCE(x, val) \
	do { unit_tick(UNIT_ONCE); \
	     __atomic_store_n(&(x), (val), __ATOMIC_RELAXED); } while (0)

#define OPTIMIZER_HIDE_VAR(var)	asm("" : "=r"(var) : "0"(var))

#endif
