/* SPDX-License-Identifier: GPL-2.0 */
/* dup: locked instructions, on hosts with more than one CPU */
#ifndef _UNIT_SHIM_ASM_ALTERNATIVE_H
#define _UNIT_SHIM_ASM_ALTERNATIVE_H

#define LOCK_PREFIX "lock; "

#endif
