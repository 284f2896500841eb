/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the kernel's error numbers, with those it keeps to itself */
#ifndef _UNIT_SHIM_LINUX_ERRNO_H
#define _UNIT_SHIM_LINUX_ERRNO_H

#include_next <linux/errno.h>
#define ERESTARTSYS	512
#define ENOTSUPP	524

#endif
