/* SPDX-License-Identifier: GPL-2.0 */
/* stub: functions fail here through rig/mutants.c, or not at all */
#ifndef _UNIT_SHIM_LINUX_ERROR_INJECTION_H
#define _UNIT_SHIM_LINUX_ERROR_INJECTION_H

#define ALLOW_ERROR_INJECTION(name, type)

#endif
