/* SPDX-License-Identifier: GPL-2.0 */
/* custom: which addresses belong to user space */
#ifndef _UNIT_SHIM_LINUX_UACCESS_H
#define _UNIT_SHIM_LINUX_UACCESS_H

#include <linux/types.h>
#define UNIT_TASK_SIZE_MAX	((1UL << 47) - 4096)
#define access_ok(p, n) \
	((unsigned long)(n) <= UNIT_TASK_SIZE_MAX && \
	 (unsigned long)(p) <= UNIT_TASK_SIZE_MAX - (unsigned long)(n))

#endif
