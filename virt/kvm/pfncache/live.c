// SPDX-License-Identifier: GPL-2.0
/*
 * Reading a cache without its lock.
 *
 * Event delivery and VM entry come by too often, and from too hard a context, to
 * take a lock that all vCPUs share. They follow gpc->live with interrupts off, and
 * whoever takes a page away clears live and then waits for each CPU that may have
 * seen it. There are two ways to do that:
 *
 * A CPU that reads quietly writes nothing. It is waited for by an interrupt, which it
 * cannot take before it is done. So what it costs is paid by those who take pages
 * away, and by who is interrupted: it leaves the guest for that.
 *
 * A CPU that says so has a number that is odd while it reads, and is looked at.
 *
 * Pages that are in use are hardly ever taken, so CPUs read quietly; and once one was
 * taken they say so for a while, lest they be interrupted again and again, by a VMM
 * that keeps moving its guest's memory or a guest that keeps changing its mode. (Of
 * reader-writer locks that is known as BRAVO: Dice and Kogan, USENIX ATC 2019.)
 *
 *	reader, quiet		reader, saying so	gpc_quiesce()
 *	interrupts off		interrupts off		gpc->live = NULL
 *	gpc_quiet is its VM:	into readers,		full barrier
 *	  it was seen to be,	  gpc_said odd,		for each CPU in readers:
 *	  full barrier since	  full barrier		  interrupt it, if gpc_quiet
 *	p = gpc->live; use *p	p = gpc->live; use *p	    is ours, and take that back;
 *	interrupts on		gpc_said even		  wait while gpc_said is odd
 *				interrupts on		    and the same
 *
 * Either the reader finds NULL, or its CPU is found in the mask, quiet or odd. A CPU
 * that is quiet no more has left what it read quietly: who changes gpc_quiet does so
 * with interrupts off on that CPU, in none of the VM's quiet sections.
 */
#include <linux/jiffies.h>
#include <linux/percpu.h>
#include <linux/smp.h>

#include "gpc_live.h"
#include "pfncache.h"

/* How long readers say so once they were waited for, in ms. */
#define GPC_SAY_MS	10

DEFINE_PER_CPU(struct kvm *, gpc_quiet);

/* Odd in a section that was announced, of whatever VM. Others wait for it to change. */
static DEFINE_PER_CPU_SHARED_ALIGNED(unsigned long, gpc_said);

/**
 * __kvm_gpc_read_begin - begin a section on a CPU that does not read the VM quietly
 * @kvm: the VM
 *
 * Context: interrupts off.
 * Return: whether __kvm_gpc_read_end() is to be called.
 */
bool __kvm_gpc_read_begin(struct kvm *kvm)
{
	struct gpc_manager *m = gpc_manager(kvm);
	unsigned int cpu = smp_processor_id();
	unsigned long said;

	lockdep_assert_irqs_disabled();

	/* Then nothing is live, nor will be. */
	if (!m)
		return false;

	if (unlikely(!cpumask_test_cpu(cpu, m->readers))) {
		cpumask_set_cpu(cpu, m->readers);
		/* Where none comes below. Pairs with the barrier in gpc_quiesce(). */
		smp_mb__after_atomic();
	}

	said = this_cpu_read(gpc_said);
	if (said % 2)
		return false;

	if (time_before(jiffies, READ_ONCE(m->say_until))) {
		/* Then live. Pairs with the barrier in gpc_quiesce(). */
		smp_store_mb(*this_cpu_ptr(&gpc_said), said + 1);
		return true;
	}
	/* The same; and after all that was read quietly: gpc_is_quiet(). */
	xchg(this_cpu_ptr(&gpc_quiet), kvm);

	return false;
}

/**
 * __kvm_gpc_read_end - end a section that was announced
 *
 * Context: interrupts off.
 */
void __kvm_gpc_read_end(void)
{
	/* Pairs with smp_load_acquire() in gpc_wait_said(). */
	smp_store_release(this_cpu_ptr(&gpc_said), this_cpu_read(gpc_said) + 1);
}

/* Has it read, or may it be reading, without saying so? */
static bool gpc_is_quiet(int cpu, void *kvm)
{
	/* Acquire: what it read quietly is not used any more, if not. */
	return smp_load_acquire(&per_cpu(gpc_quiet, cpu)) == kvm;
}

/*
 * On that CPU, interrupts off. That it can be interrupted is the answer that is
 * wanted; and from now on it asks whether it is to say so.
 */
static void gpc_end_quiet(void *kvm)
{
	if (kvm_gpc_reads_quietly(kvm))
		/* Pairs with smp_load_acquire() in gpc_is_quiet(). */
		smp_store_release(this_cpu_ptr(&gpc_quiet), NULL);
}

/* Whoever is in a section that it said has left it when this returns. */
static void gpc_wait_said(int cpu)
{
	/* Acquire, both: what was read is not used any more. */
	unsigned long said = smp_load_acquire(&per_cpu(gpc_said, cpu));

	if (said % 2)
		smp_cond_load_acquire(&per_cpu(gpc_said, cpu), VAL != said);
}

/**
 * gpc_quiesce - wait for those who read without a lock
 * @m: the VM's caches; NULL if they were never there, or are gone
 *
 * When this returns, nobody uses a &gfn_to_pfn_cache.live that was there before.
 *
 * Context: interrupts on. Does not sleep: waits for other CPUs' sections with
 *	interrupts off, whose length no guest can stretch.
 */
void gpc_quiesce(struct gpc_manager *m)
{
	unsigned long until = jiffies + msecs_to_jiffies(GPC_SAY_MS);
	bool quiet = false;
	int cpu;

	lockdep_assert_irqs_enabled();

	if (!m)
		return;

	/* If there are any. Written once a tick, as readers look at it again and again. */
	if (!cpumask_empty(m->readers) && READ_ONCE(m->say_until) != until)
		WRITE_ONCE(m->say_until, until);

	atomic_long_inc(&m->stats.quiesces);
	/* Pairs with the barriers in __kvm_gpc_read_begin(). */
	smp_mb__after_atomic();

	for_each_cpu(cpu, m->readers) {
		if (gpc_is_quiet(cpu, m->kvm))
			quiet = true;
		else
			gpc_wait_said(cpu);
	}
	if (!quiet)
		return;

	atomic_long_inc(&m->stats.calls);
	on_each_cpu_cond_mask(gpc_is_quiet, gpc_end_quiet, m->kvm, true, m->readers);
}

/**
 * gpc_forget_readers - a VM's caches are about to go
 * @m: the VM's caches, which nobody reads any more
 *
 * Another VM may have its place in memory one day.
 *
 * Context: any.
 */
void gpc_forget_readers(struct gpc_manager *m)
{
	int cpu;

	for_each_cpu(cpu, m->readers)
		cmpxchg(per_cpu_ptr(&gpc_quiet, cpu), m->kvm, NULL);
}

/**
 * gpc_take_begin - a cache is about to be taken from its users
 * @m: the VM's caches; NULL if the cache is not indexed
 *
 * Before the first store that makes a cache stale, so that whoever finds it stale
 * finds this too.
 *
 * Context: any.
 */
void gpc_take_begin(struct gpc_manager *m)
{
	if (!m)
		return;

	atomic_inc(&m->quiescing);
	/* Pairs with atomic_read_acquire() in gpc_take_end() and gpc_take_seen(). */
	smp_mb__after_atomic();
}

/**
 * gpc_take_end - wait for the readers of what has been taken
 * @m: as for gpc_take_begin()
 * @was_live: gpc_take_from_readers() said so of a cache
 *
 * A cache that was stale already may have become so a moment ago, by somebody who
 * is still waiting for its readers. Of such there is no telling whose cache they
 * took, so all of them are waited with.
 *
 * Context: as gpc_quiesce().
 */
void gpc_take_end(struct gpc_manager *m, bool was_live)
{
	if (!m)
		return;

	/* Acquire: who has left the count has seen the readers out. */
	if (was_live || atomic_read_acquire(&m->quiescing) > 1)
		gpc_quiesce(m);

	atomic_dec_return_release(&m->quiescing);
}

/**
 * gpc_take_seen - wait for the readers of what others have taken
 * @m: the caches of one that was found stale
 *
 * For who takes nothing, and is about to unmap what it found: whoever made it stale
 * may still be waiting for its readers, and is waited with.
 *
 * Context: as gpc_quiesce().
 */
void gpc_take_seen(struct gpc_manager *m)
{
	/* Acquire: as in gpc_take_end(). */
	if (atomic_read_acquire(&m->quiescing))
		gpc_quiesce(m);
}

/**
 * kvm_gpc_quiesce - wait for those who read caches of a VM without their locks
 * @kvm: the VM
 *
 * For their users, who may keep more behind such a section than the page: what
 * was read in one before is not used any more when this returns.
 *
 * Context: as gpc_quiesce().
 */
void kvm_gpc_quiesce(struct kvm *kvm)
{
	gpc_quiesce(gpc_manager(kvm));
}

/**
 * kvm_gpc_hold - let caches be read without their locks for as long as one likes
 * @kvm: the VM, with its notifier registered
 *
 * Else what a reader looks at may go with the notifier. That the caches are not
 * usable afterwards is the same.
 *
 * Context: any.
 */
void kvm_gpc_hold(struct kvm *kvm)
{
	refcount_inc(&gpc_manager(kvm)->users);
}

/**
 * kvm_gpc_drop - undo kvm_gpc_hold()
 * @kvm: the VM
 *
 * Context: process context; nobody reads any more.
 */
void kvm_gpc_drop(struct kvm *kvm)
{
	gpc_manager_put(gpc_manager(kvm));
}

/**
 * kvm_gpc_flush_shadow_memslot - a memslot is about to go, or to move
 * @kvm: the VM
 * @slot: the slot, which nobody can find any more
 *
 * Stands in for kvm_arch_flush_shadow_memslot() in kvm_main.c, which is what KVM
 * calls once no reader can see the slot: a refresh that saw it has ended, and one
 * that begins does not find it. So a cache never outlives its slot, and nobody
 * else has to ask whether the memslots changed.
 *
 * Caches by user address on the same pages go too; they come back by a refresh.
 *
 * Context: may sleep; kvm->slots_lock held.
 */
void kvm_gpc_flush_shadow_memslot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	unsigned long start = slot->userspace_addr;
	unsigned long end = start + (slot->npages << PAGE_SHIFT);
	struct gpc_manager *m = gpc_manager(kvm);

	kvm_arch_flush_shadow_memslot(kvm, slot);

	if (m && start < end && gpc_index_any(m, start, end))
		gpc_index_invalidate(m, start, end);
}
