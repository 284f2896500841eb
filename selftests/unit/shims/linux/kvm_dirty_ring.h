/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the kernel's own, whose dirty_ring.c is compiled in with us */
#ifndef _UNIT_SHIM_LINUX_KVM_DIRTY_RING_H
#define _UNIT_SHIM_LINUX_KVM_DIRTY_RING_H

#include <linux/kvm.h>
#include <linux/types.h>

#define CONFIG_HAVE_KVM_DIRTY_RING	1
#define KVM_DIRTY_RING_RSVD_ENTRIES	64
#define __weak				__attribute__((__weak__))

struct kvm;
struct kvm_vcpu;
struct page;

#include <include/linux/kvm_dirty_ring.h>

#endif
