/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the user-space ABI, as user space has it */
#ifndef _UNIT_SHIM_LINUX_KVM_H
#define _UNIT_SHIM_LINUX_KVM_H

#include_next <linux/kvm.h>

#endif
