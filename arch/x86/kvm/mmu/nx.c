// SPDX-License-Identifier: GPL-2.0
/*
 * NX huge pages: tables that are there only because the guest executes what they map,
 * and their recovery, which drops some of them now and then for a huge page that is not
 * executable to take their place (Documentation/admin-guide/hw-vuln/multihit.rst).
 *
 * When, and how many, is the base's to say: its task has a turn, in which it deals with
 * the shadow MMU's tables, and ours follows. Ours are on a list of their own, since
 * they come and go with mmu_lock held for read.
 *
 * Who takes a table off the list counts it off. It is on the list only while it is
 * linked, or until who unlinks it comes to tdp_nx_unlinked().
 */
#include "mmu.h"
#include "nx.h"
#include "sptes.h"
#include "state.h"
#include "tables.h"
#include "tdp_mmu.h"
#include "walk.h"

/* The original: tdp_mmu.h has ours for mmu.c. */
#undef vhost_task_create

/**
 * tdp_nx_init - prepare a VM
 * @kvm: the VM
 *
 * Context: the VM is private to the caller.
 */
void tdp_nx_init(struct kvm *kvm)
{
	INIT_LIST_HEAD(&tdp_vm(kvm)->nx.tables);
}

/* Take a table off the list. */
static void tdp_nx_del(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	lockdep_assert_held(&kvm->arch.tdp_mmu_pages_lock);

	list_del_init(&sp->possible_nx_huge_page_link);
	tdp_vm(kvm)->nx.nr--;
	kvm->stat.nx_lpage_splits--;
}

/**
 * tdp_nx_linked - note a table that nothing but the mitigation keeps from being huge
 * @kvm: the VM
 * @sp: the table, which was marked (&kvm_mmu_page.nx_huge_page_disallowed) before it
 *	was linked
 *
 * Context: mmu_lock held for read; RCU read section since before it was linked.
 */
void tdp_nx_linked(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	struct tdp_nx *nx = &tdp_vm(kvm)->nx;

	spin_lock(&kvm->arch.tdp_mmu_pages_lock);

	/* Unless it is unlinked again by now. */
	if (sp->nx_huge_page_disallowed) {
		list_add_tail(&sp->possible_nx_huge_page_link, &nx->tables);
		nx->nr++;
		kvm->stat.nx_lpage_splits++;
	}

	spin_unlock(&kvm->arch.tdp_mmu_pages_lock);
}

/**
 * tdp_nx_unlinked - forget a table
 * @kvm: the VM
 * @sp: the table, which has left its tree
 *
 * Context: mmu_lock held; RCU read section.
 */
void tdp_nx_unlinked(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	/* Set before the table was linked: who unlinked it sees it. */
	if (!READ_ONCE(sp->nx_huge_page_disallowed))
		return;

	spin_lock(&kvm->arch.tdp_mmu_pages_lock);

	WRITE_ONCE(sp->nx_huge_page_disallowed, false);
	if (!list_empty(&sp->possible_nx_huge_page_link))
		tdp_nx_del(kvm, sp);

	spin_unlock(&kvm->arch.tdp_mmu_pages_lock);
}

/* Take the table that has been there longest off the list; NULL if there is none. */
static struct kvm_mmu_page *tdp_nx_take(struct kvm *kvm)
{
	struct kvm_mmu_page *sp;

	spin_lock(&kvm->arch.tdp_mmu_pages_lock);

	sp = list_first_entry_or_null(&tdp_vm(kvm)->nx.tables, struct kvm_mmu_page,
				      possible_nx_huge_page_link);
	if (sp)
		tdp_nx_del(kvm, sp);

	spin_unlock(&kvm->arch.tdp_mmu_pages_lock);

	return sp;
}

/* Small pages would only come back. When the log ends, the table goes anyway. */
static bool tdp_nx_is_logged(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	struct kvm_memory_slot *slot;

	if (!atomic_read(&kvm->nr_memslots_dirty_logging))
		return false;

	/* The memslot may have gone and left its tables. */
	slot = __gfn_to_memslot(kvm_memslots_for_spte_role(kvm, sp->role), sp->gfn);

	return slot && kvm_slot_dirty_track_enabled(slot);
}

/*
 * Drop a table, unless somebody else does. The entry that leads to it is in a table
 * that is retired after this one has passed tdp_nx_unlinked(), where the list was looked
 * at later than in tdp_nx_take(): not before the RCU read section ends. For
 * that, one task must unlink both; or, of two, the table above goes first, or slots_lock
 * keeps the two apart. It is so everywhere today, and a new way to unlink must see to it.
 */
static void tdp_nx_zap(struct tdp_pass *p, struct kvm_mmu_page *sp)
{
	u64 *sptep = (__force u64 *)sp->ptep;
	u64 spte = READ_ONCE(*sptep);

	while (tdp_spte_is_table(spte) && spte_to_child_sp(spte) == sp) {
		if (tdp_spte_try_set(p, sptep, &spte, SHADOW_NONPRESENT_VALUE)) {
			p->flush = true;
			return;
		}
	}
}

/**
 * kvm_tdp_mmu_nx_of_base - count the tables of the shadow MMU
 * @kvm: the VM
 *
 * Both kinds are counted in kvm->stat.nx_lpage_splits; the base takes a part of that, and
 * takes it out of its own.
 *
 * Context: mmu_lock held for write.
 * Return: how many an NX huge page could replace.
 */
unsigned long kvm_tdp_mmu_nx_of_base(struct kvm *kvm)
{
	unsigned long nr;

	lockdep_assert_held_write(&kvm->mmu_lock);

	spin_lock(&kvm->arch.tdp_mmu_pages_lock);
	nr = kvm->stat.nx_lpage_splits - tdp_vm(kvm)->nx.nr;
	spin_unlock(&kvm->arch.tdp_mmu_pages_lock);

	return nr;
}

/* One turn: a part of the tables goes. */
static void tdp_nx_recover(struct kvm *kvm)
{
	struct tdp_nx *nx = &tdp_vm(kvm)->nx;
	unsigned int ratio = READ_ONCE(*nx->ratio);
	struct kvm_mmu_page *sp;
	struct tdp_pass p;
	unsigned long nr;
	int idx;

	spin_lock(&kvm->arch.tdp_mmu_pages_lock);
	nr = tdp_nx_part(nx->nr, ratio);
	spin_unlock(&kvm->arch.tdp_mmu_pages_lock);

	idx = srcu_read_lock(&kvm->srcu);
	read_lock(&kvm->mmu_lock);
	tdp_pass_begin(&p, kvm, TDP_SHARED);
	p.may_yield = true;

	for (; nr; nr--) {
		sp = tdp_nx_take(kvm);
		if (!sp)
			break;

		if (tdp_nx_is_logged(kvm, sp))
			WRITE_ONCE(sp->nx_huge_page_disallowed, false);
		else
			tdp_nx_zap(&p, sp);

		if (tdp_pass_wanted(&p))
			tdp_pass_break(&p);
		else if (p.dead.nr >= TDP_RETIRE_MAX)
			tdp_pass_settle(&p);
	}

	tdp_pass_end(&p);
	read_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
}

/* What the VM's task does again and again. Return: whether it is not to sleep. */
static bool tdp_nx_work(void *data)
{
	struct kvm *kvm = data;
	u64 last = kvm->arch.nx_huge_page_last;
	bool again;

	again = tdp_vm(kvm)->nx.base(kvm);

	/* The base has had a turn, and noted when. */
	if (kvm->arch.nx_huge_page_last != last)
		tdp_nx_recover(kvm);

	return again;
}

/**
 * kvm_tdp_mmu_nx_task_create - create the task that recovers NX huge pages
 * @fn: what the base has it do
 * @kill: see vhost_task_create()
 * @data: the VM
 * @name: the task's
 * @ratio: one table in so many goes at each turn; 0: none does
 *
 * Stands in mmu.c for vhost_task_create().
 *
 * Context: may sleep; once in the life of a VM.
 * Return: as vhost_task_create().
 */
struct vhost_task *kvm_tdp_mmu_nx_task_create(bool (*fn)(void *data),
					      void (*kill)(void *data), void *data,
					      const char *name,
					      const unsigned int *ratio)
{
	struct kvm *kvm = data;

	if (tdp_mmu_enabled) {
		tdp_vm(kvm)->nx.base = fn;
		tdp_vm(kvm)->nx.ratio = ratio;
		fn = tdp_nx_work;
	}

	return vhost_task_create(fn, kill, data, name);
}
