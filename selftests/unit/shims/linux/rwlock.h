/* SPDX-License-Identifier: GPL-2.0 */
/* custom: see spinlock.h */
#ifndef _UNIT_SHIM_LINUX_RWLOCK_H
#define _UNIT_SHIM_LINUX_RWLOCK_H

#include <linux/spinlock.h>

#endif
