/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_PASS_H
#define __KVM_X86_MMU_PASS_H

#include <linux/kvm_host.h>
#include <linux/list.h>

#include "mmu_internal.h"
#include "tables.h"

/**
 * struct tdp_pass - one stay under mmu_lock, and what it owes at its end
 * @kvm: the VM
 * @shared: mmu_lock is held for read, not for write
 * @unlocked: mmu_lock is not held at all
 * @may_yield: mmu_lock may be let go on the way
 * @open: counted in &tdp_vm.unsettled
 * @flush: a TLB may still hold a translation that this pass removed
 * @pages: mappings made less mappings removed, by level, not yet counted
 * @dead: tables that were unlinked and not yet given to RCU
 *
 * On the stack of who holds mmu_lock; no other thread sees it. Between
 * tdp_pass_begin() and tdp_pass_end() the CPU is in an RCU read section.
 *
 * A table may be given to RCU only after the flush that follows its unlinking:
 * until then a processor's paging-structure caches may lead there (Intel SDM
 * volume 3, "Invalidation of TLBs and Paging-Structure Caches"; AMD APM volume 2,
 * "Invalidation of Table Entry Upgrades").
 */
struct tdp_pass {
	struct kvm *kvm;
	bool shared;
	bool unlocked;
	bool may_yield;
	bool open;
	bool flush;
	long pages[KVM_NR_PAGE_SIZES];
	struct tdp_tables dead;
};

#define TDP_SHARED	true
#define TDP_EXCLUSIVE	false

/**
 * tdp_pass_begin - start to work on the tables
 * @p: where to keep what will be owed
 * @kvm: the VM
 * @shared: which way the caller holds mmu_lock
 *
 * Context: mmu_lock held; enters an RCU read section.
 */
static inline void tdp_pass_begin(struct tdp_pass *p, struct kvm *kvm, bool shared)
	__acquires(RCU)
{
	if (shared)
		lockdep_assert_held_read(&kvm->mmu_lock);
	else
		lockdep_assert_held_write(&kvm->mmu_lock);

	*p = (struct tdp_pass){ .kvm = kvm, .shared = shared };
	tdp_tables_init(&p->dead);

	rcu_read_lock();
}

void tdp_pass_begin_unlocked(struct tdp_pass *p, struct kvm *kvm)
	__acquires(RCU);
void tdp_pass_open(struct tdp_pass *p);
void tdp_pass_end(struct tdp_pass *p) __releases(RCU);
bool tdp_pass_end_unflushed(struct tdp_pass *p) __releases(RCU);
void tdp_pass_settle(struct tdp_pass *p);
bool tdp_pass_wanted(struct tdp_pass *p);
void tdp_pass_break(struct tdp_pass *p);

#endif
