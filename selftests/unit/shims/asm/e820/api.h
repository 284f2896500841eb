/* SPDX-License-Identifier: GPL-2.0 */
/* stub: all memory is RAM */
#ifndef _UNIT_SHIM_ASM_E820_API_H
#define _UNIT_SHIM_ASM_E820_API_H

#define E820_TYPE_RAM			1
#define e820__mapped_raw_any(s, e, t)	true

#endif
