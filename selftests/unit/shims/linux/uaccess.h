/* SPDX-License-Identifier: GPL-2.0 */
/* custom: which addresses belong to user space; that is the test itself, and NULL faults */
#ifndef _UNIT_SHIM_LINUX_UACCESS_H
#define _UNIT_SHIM_LINUX_UACCESS_H

#include <linux/types.h>
#include <linux/kernel.h>
#include <string.h>
#define UNIT_TASK_SIZE_MAX	((1UL << 47) - 4096)
#define access_ok(p, n) \
	((unsigned long)(n) <= UNIT_TASK_SIZE_MAX && \
	 (unsigned long)(p) <= UNIT_TASK_SIZE_MAX - (unsigned long)(n))

#define u64_to_user_ptr(a)	((void *)(unsigned long)(a))

static inline unsigned long copy_from_user(void *to, const void *from,
					   unsigned long n)
{
	might_sleep();
	if (!from)
		return n;
	memcpy(to, from, n);
	return 0;
}
#define copy_to_user(to, from, n)	((to) ? copy_from_user(to, from, n) : (n))

#define user_read_access_begin(p, n)	(might_sleep(), access_ok(p, n))
#define user_read_access_end()		do { } while (0)
/* The first page is never there. */
#define unsafe_get_user(x, p, label)					\
	do {								\
		if ((unsigned long)(p) < 4096)				\
			goto label;					\
		(x) = *(p);						\
	} while (0)

#endif
