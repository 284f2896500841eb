/* SPDX-License-Identifier: GPL-2.0 */
/* stub: nothing of the host's own Xen is needed */
#ifndef _UNIT_SHIM_ASM_XEN_HYPERVISOR_H
#define _UNIT_SHIM_ASM_XEN_HYPERVISOR_H

#endif
