/* SPDX-License-Identifier: GPL-2.0 */
/* dup: nothing of the user-space ABI is needed; the flags of memslots are */
#ifndef _UNIT_SHIM_LINUX_KVM_H
#define _UNIT_SHIM_LINUX_KVM_H

#define KVM_MEM_LOG_DIRTY_PAGES	(1UL << 0)
#define KVM_MEM_READONLY	(1UL << 1)

#endif
