/* SPDX-License-Identifier: GPL-2.0 */
/* stub: writes are logged in a bitmap here */
#ifndef _UNIT_SHIM_LINUX_KVM_DIRTY_RING_H
#define _UNIT_SHIM_LINUX_KVM_DIRTY_RING_H

#endif
