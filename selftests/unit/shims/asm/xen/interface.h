/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the base kernel's own header, as it is */
#ifndef _UNIT_SHIM_ASM_XEN_INTERFACE_H
#define _UNIT_SHIM_ASM_XEN_INTERFACE_H

#include "arch/x86/include/asm/xen/interface.h"

#endif
