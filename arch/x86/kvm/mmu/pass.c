// SPDX-License-Identifier: GPL-2.0
/*
 * What work on the tables owes before mmu_lock or RCU is let go: one TLB flush
 * for everything it removed, the tables it unlinked, the page statistics. And
 * when a long piece of work lets others in.
 */
#include <linux/sched.h>

#include "mmu.h"
#include "pass.h"

/**
 * tdp_pass_begin - start to work on the tables
 * @p: where to keep what will be owed
 * @kvm: the VM
 * @shared: which way the caller holds mmu_lock
 *
 * Context: mmu_lock held; enters an RCU read section.
 */
void tdp_pass_begin(struct tdp_pass *p, struct kvm *kvm, bool shared)
{
	if (shared)
		lockdep_assert_held_read(&kvm->mmu_lock);
	else
		lockdep_assert_held_write(&kvm->mmu_lock);

	memset(p, 0, sizeof(*p));
	p->kvm = kvm;
	p->shared = shared;
	tdp_tables_init(&p->dead);

	rcu_read_lock();
}

/**
 * tdp_pass_settle - pay what is owed
 * @p: the pass
 *
 * Afterwards no processor uses a translation or a table that the pass removed.
 *
 * Context: mmu_lock held, RCU read section.
 */
void tdp_pass_settle(struct tdp_pass *p)
{
	int level;

	for (level = PG_LEVEL_4K; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		if (p->pages[level - 1])
			kvm_update_page_stats(p->kvm, level, p->pages[level - 1]);
		p->pages[level - 1] = 0;
	}

	if (p->flush) {
		kvm_flush_remote_tlbs(p->kvm);
		p->flush = false;
	}

	tdp_tables_retire(&p->dead);
}

/**
 * tdp_pass_end - end the work on the tables
 * @p: the pass
 *
 * A flush that the caller wants to make itself is taken from @p->flush before.
 * It can only be one for translations: tables that were unlinked do not wait.
 *
 * Context: mmu_lock held; leaves the RCU read section.
 */
void tdp_pass_end(struct tdp_pass *p)
{
	tdp_pass_settle(p);
	rcu_read_unlock();
}

/**
 * tdp_pass_wanted - ask whether somebody waits for the CPU or for mmu_lock
 * @p: the pass
 *
 * rwlock_needbreak() is of no use here: it is constant under the voluntary
 * preemption that Debian's kernels boot with.
 *
 * Context: any.
 * Return: whether tdp_pass_break() would let somebody go on.
 */
bool tdp_pass_wanted(struct tdp_pass *p)
{
	return p->may_yield &&
	       (need_resched() || rwlock_is_contended(&p->kvm->mmu_lock));
}

/**
 * tdp_pass_break - settle, and let go of RCU and mmu_lock for a moment
 * @p: the pass
 *
 * No pointer into a table is good afterwards. A root the caller works on must be
 * referenced.
 *
 * Context: mmu_lock held, may sleep.
 */
void tdp_pass_break(struct tdp_pass *p)
{
	rwlock_t *lock = &p->kvm->mmu_lock;

	tdp_pass_settle(p);
	rcu_read_unlock();

	if (p->shared)
		read_unlock(lock);
	else
		write_unlock(lock);

	if (!cond_resched())
		cpu_relax();

	if (p->shared)
		read_lock(lock);
	else
		write_lock(lock);

	rcu_read_lock();
}
