/* SPDX-License-Identifier: GPL-2.0 */
/* dup: KVM's address types, and the structure under test */
#ifndef _UNIT_SHIM_LINUX_KVM_TYPES_H
#define _UNIT_SHIM_LINUX_KVM_TYPES_H

#include <linux/types.h>
#include <linux/spinlock.h>
#include <linux/mutex.h>
#include <linux/list.h>
typedef u64 gpa_t;
typedef u64 gfn_t;
typedef unsigned long hva_t;
typedef u64 hpa_t;
typedef u64 hfn_t;
typedef hfn_t kvm_pfn_t;
#define INVALID_GPA	(~(gpa_t)0)
struct kvm;
struct kvm_memory_slot;
#ifdef UNIT_STOCK
/* The members of the stock structure; nothing here hangs on their order. */
struct gfn_to_pfn_cache {
	struct kvm *kvm;
	rwlock_t lock;
	struct mutex refresh_lock;
	struct list_head list;
	struct kvm_memory_slot *memslot;
	unsigned long uhva;
	u64 generation;
	gpa_t gpa;
	kvm_pfn_t pfn;
	void *khva;
	bool active, valid;
};
#else
#include <pfncache/gpc_types.h>
#endif

#endif
