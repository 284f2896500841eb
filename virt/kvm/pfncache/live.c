// SPDX-License-Identifier: GPL-2.0
/*
 * Reading a cache without its lock.
 *
 * Event delivery and VM entry come by too often, and from too hard a context, to
 * take a lock that all vCPUs share. They follow gpc->live with interrupts off, and
 * whoever takes a page away clears live and then waits for each CPU that may have
 * seen it: with an interrupt that such a CPU cannot take before it is done. Readers
 * write nothing. What it costs is paid by invalidations that hit a cache in use,
 * which are rare; those that hit none do not come here.
 *
 *	reader					gpc_quiesce()
 *	interrupts off				gpc->live = NULL
 *	if not there yet: CPU into readers,	full barrier
 *	  a full barrier			for each CPU in readers:
 *	p = gpc->live; use *p			  interrupt it, wait
 *	interrupts on
 *
 * Either the reader finds NULL, or its CPU is found in the mask.
 */
#include <linux/smp.h>

#include "gpc_live.h"
#include "pfncache.h"

/**
 * __kvm_gpc_reader - let this CPU read a VM's caches without their locks
 * @kvm: the VM
 *
 * Context: interrupts off. Cheap, but writes a line that all CPUs read: once per
 *	CPU and VM, see kvm_gpc_reader().
 * Return: true, or false if the VM's caches are gone.
 */
bool __kvm_gpc_reader(struct kvm *kvm)
{
	struct gpc_manager *m = gpc_manager(kvm);

	lockdep_assert_irqs_disabled();

	if (!m)
		return false;

	if (!cpumask_test_cpu(smp_processor_id(), m->readers)) {
		cpumask_set_cpu(smp_processor_id(), m->readers);
		/* Pairs with smp_mb() in gpc_quiesce(). */
		smp_mb__after_atomic();
	}

	return true;
}

/* Being interruptible is all the answer that is wanted. */
static void gpc_ack(void *unused)
{
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
	if (!m)
		return;

	atomic_long_inc(&m->stats.quiesces);

	/* Pairs with the barrier in __kvm_gpc_reader(). */
	smp_mb();

	preempt_disable();
	smp_call_function_many(m->readers, gpc_ack, NULL, true);
	preempt_enable();
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
