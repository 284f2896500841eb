/* SPDX-License-Identifier: GPL-2.0 */
/* stub: what is assembled here says so itself */
#ifndef _UNIT_SHIM_ASM_RMWCC_H
#define _UNIT_SHIM_ASM_RMWCC_H

#endif
