/* SPDX-License-Identifier: GPL-2.0 */
/* stub: 64 bits are no matter here */
#ifndef _UNIT_SHIM_LINUX_MATH64_H
#define _UNIT_SHIM_LINUX_MATH64_H

#include <linux/types.h>

#endif
