/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the base kernel's own header, as it is */
#ifndef _UNIT_SHIM_LINUX_LIST_H
#define _UNIT_SHIM_LINUX_LIST_H

#include "include/linux/list.h"

#endif
