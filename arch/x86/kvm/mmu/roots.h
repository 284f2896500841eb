/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_ROOTS_H
#define __KVM_X86_MMU_ROOTS_H

#include <linux/kvm_host.h>

#include "mmu_internal.h"

/* Which trees a piece of work is for. */
#define TDP_ANY_AS	(-1)
#define TDP_VALID	true
#define TDP_ALL		false

/* A tree's role, for who does not hold mmu_lock: it may become invalid any time. */
static inline union kvm_mmu_page_role tdp_root_role(struct kvm_mmu_page *root)
{
	return (union kvm_mmu_page_role){ .word = READ_ONCE(root->role.word) };
}

struct kvm_mmu_page *tdp_root_next(struct kvm *kvm, struct kvm_mmu_page *prev,
				   int as_id, bool only_valid);

/*
 * Every tree of an address space in turn, referenced while it is worked on, so
 * that the body may let go of mmu_lock. A body that leaves the loop puts the root.
 */
#define tdp_for_each_root(_kvm, _root, _as_id, _only_valid)			\
	for (_root = tdp_root_next(_kvm, NULL, _as_id, _only_valid);		\
	     _root;								\
	     _root = tdp_root_next(_kvm, _root, _as_id, _only_valid))

#endif
