/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_X86_MMU_TABLES_H
#define __KVM_X86_MMU_TABLES_H

#include <linux/kvm_host.h>
#include <linux/list.h>

#include "mmu_internal.h"

/* Tables that one RCU callback frees, so that it does not take too long. */
#define TDP_RETIRE_MAX		128

/**
 * struct tdp_tables - tables that are in no tree
 * @list: them, by their link
 * @nr: how many
 *
 * Private to one thread.
 */
struct tdp_tables {
	struct list_head list;
	unsigned int nr;
};

static inline void tdp_tables_init(struct tdp_tables *t)
{
	INIT_LIST_HEAD(&t->list);
	t->nr = 0;
}

struct kvm_mmu_page *tdp_table_from_vcpu(struct kvm_vcpu *vcpu);
struct kvm_mmu_page *tdp_table_alloc(void);
void tdp_table_init(struct kvm_mmu_page *sp, u64 *sptep, gfn_t gfn,
		    union kvm_mmu_page_role role);
void tdp_table_init_child(struct kvm_mmu_page *sp, u64 *sptep);
void tdp_table_free(struct kvm_mmu_page *sp);
void tdp_table_retire(struct kvm_mmu_page *sp);

void tdp_table_linked(struct kvm *kvm, struct kvm_mmu_page *sp);
void tdp_table_not_linked(struct kvm *kvm, struct kvm_mmu_page *sp);
void tdp_table_unlinked(struct kvm *kvm, struct kvm_mmu_page *sp,
			struct tdp_tables *dead);

void tdp_tables_add(struct tdp_tables *t, struct kvm_mmu_page *sp);
struct kvm_mmu_page *tdp_tables_take(struct tdp_tables *t);
bool tdp_tables_fill(struct tdp_tables *t, unsigned int nr);
void tdp_tables_free(struct tdp_tables *t);
void tdp_tables_retire(struct tdp_tables *t);

#endif
