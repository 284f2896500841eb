/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the base kernel's own header, as it is */
#ifndef _UNIT_SHIM_ASM_PVCLOCK_ABI_H
#define _UNIT_SHIM_ASM_PVCLOCK_ABI_H

#include "arch/x86/include/asm/pvclock-abi.h"

#endif
