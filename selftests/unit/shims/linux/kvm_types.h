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
struct gfn_to_pfn_cache {
	u64 generation;
	gpa_t gpa;
	unsigned long uhva;
	struct kvm_memory_slot *memslot;
	struct kvm *kvm;
	struct list_head list;
	rwlock_t lock;
	struct mutex refresh_lock;
	void *khva;
	kvm_pfn_t pfn;
	bool active;
	bool valid;
};
#else
#include <pfncache/gpc_types.h>
#endif

#endif
