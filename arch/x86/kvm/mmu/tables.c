// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables as objects: where they come from, how they are counted, how they
 * go. What stands in them is sptes.c's business.
 *
 * The life of a table:
 *
 *	 alloc ---> private ---> linked ---> unlinked ---> retired ---> free
 *		       |	(counted)    (still read    (RCU)
 *		       +---> free	      by walkers)
 *
 * Tables are retired many at a time: the first of them carries the RCU callback
 * for all.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "mmu.h"
#include "mmutrace.h"
#include "nx.h"
#include "spte.h"
#include "tables.h"

/**
 * tdp_table_from_vcpu - take a table from what a vCPU has set aside
 * @vcpu: the vCPU, whose caches mmu_topup_memory_caches() has filled
 *
 * Every entry of the table is empty.
 *
 * Context: the vCPU's thread, any lock.
 * Return: the table.
 */
struct kvm_mmu_page *tdp_table_from_vcpu(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu_page *sp;

	sp = kvm_mmu_memory_cache_alloc(&vcpu->arch.mmu_page_header_cache);
	sp->spt = kvm_mmu_memory_cache_alloc(&vcpu->arch.mmu_shadow_page_cache);

	return sp;
}

/**
 * tdp_table_alloc - allocate a table
 *
 * The entries are not initialised.
 *
 * Context: may sleep.
 * Return: the table, or NULL.
 */
struct kvm_mmu_page *tdp_table_alloc(void)
{
	struct kvm_mmu_page *sp;

	sp = kmem_cache_alloc(mmu_page_header_cache, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!sp)
		return NULL;

	sp->spt = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!sp->spt) {
		kmem_cache_free(mmu_page_header_cache, sp);
		return NULL;
	}

	return sp;
}

/**
 * tdp_table_init - say what a table will be
 * @sp: the table
 * @sptep: the entry that will lead to it; NULL for a root
 * @gfn: the first gfn that it translates
 * @role: its role
 *
 * Context: the table is the caller's own.
 */
void tdp_table_init(struct kvm_mmu_page *sp, u64 *sptep, gfn_t gfn,
		    union kvm_mmu_page_role role)
{
	INIT_LIST_HEAD(&sp->possible_nx_huge_page_link);
	set_page_private(virt_to_page(sp->spt), (unsigned long)sp);

	sp->role = role;
	sp->gfn = gfn;
	sp->ptep = (__force tdp_ptep_t)sptep;
	sp->tdp_mmu_page = true;

	trace_kvm_mmu_get_page(sp, true);
}

/**
 * tdp_table_init_child - say that a table will stand under an entry
 * @sp: the table
 * @sptep: the entry
 *
 * Context: the table is the caller's own; RCU or mmu_lock protects @sptep.
 */
void tdp_table_init_child(struct kvm_mmu_page *sp, u64 *sptep)
{
	struct kvm_mmu_page *parent = sptep_to_sp(sptep);
	union kvm_mmu_page_role role = parent->role;
	gfn_t gfn;

	gfn = parent->gfn + spte_index(sptep) * KVM_PAGES_PER_HPAGE(role.level);
	role.level--;

	tdp_table_init(sp, sptep, gfn, role);
}

/**
 * tdp_table_free - free a table that nobody else has ever seen
 * @sp: the table
 *
 * Context: any.
 */
void tdp_table_free(struct kvm_mmu_page *sp)
{
	free_page((unsigned long)sp->spt);
	kmem_cache_free(mmu_page_header_cache, sp);
}

static void tdp_table_free_rcu(struct rcu_head *head)
{
	tdp_table_free(container_of(head, struct kvm_mmu_page, rcu_head));
}

/**
 * tdp_table_retire - free a root once nobody can be looking at it
 * @sp: the root, taken off the list of roots, where others may still be passing
 *
 * Context: any.
 */
void tdp_table_retire(struct kvm_mmu_page *sp)
{
	call_rcu(&sp->rcu_head, tdp_table_free_rcu);
}

/**
 * tdp_table_linked - count a table that is about to become part of a tree
 * @kvm: the VM
 * @sp: the table
 *
 * Context: mmu_lock held.
 */
void tdp_table_linked(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	kvm_account_pgtable_pages(sp->spt, 1);
	atomic64_inc(&kvm->arch.tdp_mmu_pages);
}

/**
 * tdp_table_not_linked - undo tdp_table_linked() for a table that was not linked
 * @kvm: the VM
 * @sp: the table
 *
 * Context: mmu_lock held.
 */
void tdp_table_not_linked(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	kvm_account_pgtable_pages(sp->spt, -1);
	atomic64_dec(&kvm->arch.tdp_mmu_pages);
}

/**
 * tdp_table_unlinked - take a table that has left its tree
 * @kvm: the VM
 * @sp: the table, with nothing left in it
 * @dead: where to keep it until it is retired
 *
 * Context: mmu_lock held, RCU read section.
 */
void tdp_table_unlinked(struct kvm *kvm, struct kvm_mmu_page *sp,
			struct tdp_tables *dead)
{
	tdp_table_not_linked(kvm, sp);

	tdp_nx_unlinked(kvm, sp);
	tdp_tables_add(dead, sp);
}

/**
 * tdp_tables_add - put a table to others
 * @t: the others
 * @sp: the table
 *
 * Context: any; both are the caller's own.
 */
void tdp_tables_add(struct tdp_tables *t, struct kvm_mmu_page *sp)
{
	list_add_tail(&sp->link, &t->list);
	t->nr++;
}

/**
 * tdp_tables_take - take a table from others
 * @t: the others
 *
 * Context: any.
 * Return: a table, or NULL.
 */
struct kvm_mmu_page *tdp_tables_take(struct tdp_tables *t)
{
	struct kvm_mmu_page *sp;

	sp = list_first_entry_or_null(&t->list, struct kvm_mmu_page, link);
	if (sp) {
		list_del(&sp->link);
		t->nr--;
	}

	return sp;
}

/**
 * tdp_tables_fill - allocate tables until there are so many
 * @t: the tables there are
 * @nr: how many there shall be
 *
 * Context: may sleep.
 * Return: whether there is at least one.
 */
bool tdp_tables_fill(struct tdp_tables *t, unsigned int nr)
{
	struct kvm_mmu_page *sp;

	while (t->nr < nr) {
		sp = tdp_table_alloc();
		if (!sp)
			break;
		tdp_tables_add(t, sp);
	}

	return t->nr;
}

/**
 * tdp_tables_free - free tables that were never part of a tree
 * @t: the tables
 *
 * Context: any.
 */
void tdp_tables_free(struct tdp_tables *t)
{
	struct kvm_mmu_page *sp;

	while ((sp = tdp_tables_take(t)))
		tdp_table_free(sp);
}

static void tdp_tables_free_rcu(struct rcu_head *head)
{
	struct kvm_mmu_page *first = container_of(head, struct kvm_mmu_page,
						  rcu_head);
	struct kvm_mmu_page *sp, *next;

	/* A ring of tables, without a head. */
	list_for_each_entry_safe(sp, next, &first->link, link)
		tdp_table_free(sp);
	tdp_table_free(first);
}

/**
 * tdp_tables_retire - free tables once nobody can be looking at them
 * @t: tables that have left their trees; none afterwards
 *
 * One RCU callback frees up to %TDP_RETIRE_MAX of them.
 *
 * Context: no processor has a way to these tables in its paging-structure caches.
 */
void tdp_tables_retire(struct tdp_tables *t)
{
	struct kvm_mmu_page *first, *sp;
	int nr;

	while ((first = tdp_tables_take(t))) {
		INIT_LIST_HEAD(&first->link);
		for (nr = 1; nr < TDP_RETIRE_MAX && (sp = tdp_tables_take(t)); nr++)
			list_add_tail(&sp->link, &first->link);

		call_rcu(&first->rcu_head, tdp_tables_free_rcu);
	}
}
