/* SPDX-License-Identifier: GPL-2.0 */
/* custom: exchanges are in linux/atomic.h */
#include <linux/atomic.h>
