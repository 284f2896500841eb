// SPDX-License-Identifier: GPL-2.0
/*
 * What work on the tables owes before mmu_lock or RCU is let go: one TLB flush
 * for everything it removed, the tables it unlinked, the page statistics. And
 * when a long piece of work lets others in.
 */
#include <linux/sched.h>

#include "mmu.h"
#include "pass.h"
#include "state.h"

/**
 * tdp_pass_begin_unlocked - start to work on the tables without mmu_lock
 * @p: where to keep what will be owed
 * @kvm: the VM
 *
 * For changes that leave every entry leading where it does, made by somebody who
 * keeps the pages from going away himself.
 *
 * Context: enters an RCU read section.
 */
void tdp_pass_begin_unlocked(struct tdp_pass *p, struct kvm *kvm)
	__acquires(RCU)
{
	memset(p, 0, sizeof(*p));
	p->kvm = kvm;
	p->unlocked = true;
	tdp_tables_init(&p->dead);

	rcu_read_lock();
}

/**
 * tdp_pass_open - say that what is present is about to change
 * @p: the pass
 *
 * Until the pass settles, an entry that it has emptied may still be in a TLB, and
 * what the guest did to the page not be told yet. Who finds the entry empty, and is
 * answerable for the page, sees the count and waits: see tdp_zap_unlock().
 *
 * Context: mmu_lock held.
 */
void tdp_pass_open(struct tdp_pass *p)
{
	if (p->open || p->unlocked)
		return;

	p->open = true;
	/* Ordered before the change by the cmpxchg that makes it. */
	atomic_inc(&tdp_vm(p->kvm)->unsettled);
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
		if (!p->pages[level - 1])
			continue;
		kvm_update_page_stats(p->kvm, level, p->pages[level - 1]);
		p->pages[level - 1] = 0;
	}

	if (p->flush) {
		kvm_flush_remote_tlbs(p->kvm);
		p->flush = false;
	}

	if (p->dead.nr)
		tdp_tables_retire(&p->dead);

	if (p->open) {
		p->open = false;
		/* What was owed is paid: pairs with the acquire in tdp_zap_unlock(). */
		atomic_dec_return_release(&tdp_vm(p->kvm)->unsettled);
	}
}

/**
 * tdp_pass_end_unflushed - end the work on the tables, and leave the flush to others
 * @p: the pass, which unlinked no table
 *
 * Context: mmu_lock held for write, so that nobody sees what is not flushed yet;
 *	leaves the RCU read section.
 * Return: whether the caller owes a TLB flush, before it drops mmu_lock.
 */
bool tdp_pass_end_unflushed(struct tdp_pass *p)
	__releases(RCU)
{
	bool flush = p->flush;

	lockdep_assert_held_write(&p->kvm->mmu_lock);
	WARN_ON_ONCE(p->dead.nr);

	p->flush = false;
	tdp_pass_end(p);

	return flush;
}

/**
 * tdp_pass_end - end the work on the tables
 * @p: the pass
 *
 * Context: as when it began; leaves the RCU read section.
 */
void tdp_pass_end(struct tdp_pass *p)
	__releases(RCU)
{
	tdp_pass_settle(p);
	rcu_read_unlock();
}

/* Whether somebody waits for mmu_lock, who holds it this way. */
static bool tdp_lock_wanted(struct tdp_pass *p)
{
#ifdef CONFIG_PREEMPT_RT
	/* rwlock_is_contended() is constant; a writer that waits turns readers away. */
	return p->shared && rw_base_is_contended(&p->kvm->mmu_lock.rwbase);
#else
	return rwlock_is_contended(&p->kvm->mmu_lock);
#endif
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
	return p->may_yield && (need_resched() || tdp_lock_wanted(p));
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
	__must_hold(RCU)
	__must_hold(&p->kvm->mmu_lock)
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
