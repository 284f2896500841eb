/* SPDX-License-Identifier: GPL-2.0 */
/* stub: no instruction is emulated here */
#ifndef _UNIT_SHIM_ASM_EMULATE_PREFIX_H
#define _UNIT_SHIM_ASM_EMULATE_PREFIX_H

#endif
