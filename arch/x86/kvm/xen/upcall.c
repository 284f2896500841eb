// SPDX-License-Identifier: GPL-2.0
/*
 * Upcalls: from the flag in vcpu_info to an interrupt of the guest.
 *
 * With a VM-wide vector the flag is a level, looked at before each entry; with a
 * vector of the vCPU's own it is an edge, raised when the flag is set. Here is also
 * what a vCPU does for events whose senders could not reach its vcpu_info.
 */
#include <linux/kvm_host.h>

#include "../lapic.h"
#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "fifo.h"
#include "two_level.h"
#include "upcall.h"
#include "vm.h"

/* Refreshes before the vCPU goes on, and the worker sees to the rest. */
#define XEN_INJECT_TRIES	8

/**
 * xen_upcall_set_vector - the VM-wide upcall vector
 * @kvm: the VM
 * @vector: the vector, or 0 for none
 *
 * A vCPU that has just been told of an upcall still gets it, by a vector there was.
 *
 * Context: xen_vm.lock held.
 * Return: 0, -EINVAL for the vector of an exception.
 */
int xen_upcall_set_vector(struct kvm *kvm, u8 vector)
{
	struct xen_vm *xv = xen_vm(kvm);

	if (vector && vector < XEN_FIRST_VECTOR)
		return -EINVAL;

	if (vector)
		WRITE_ONCE(xv->upcall_vector, vector);
	/* Pairs with smp_load_acquire() in kvm_xen_has_interrupt(). */
	smp_store_release(&xv->upcall_on, !!vector);

	return 0;
}

/**
 * xen_upcall_vector - the VM-wide upcall vector
 * @kvm: the VM
 *
 * Context: any.
 * Return: 0 if there is none.
 */
u8 xen_upcall_vector(struct kvm *kvm)
{
	struct xen_vm *xv = xen_vm(kvm);

	/* Pairs with smp_store_release() above: then the vector. */
	return smp_load_acquire(&xv->upcall_on) ? READ_ONCE(xv->upcall_vector) : 0;
}

/**
 * kvm_xen_inject_vcpu_vector - inject the vCPU's own upcall vector
 * @vcpu: the vCPU
 *
 * Goes to this vCPU's APIC, whatever id the guest has given it.
 *
 * Context: any, hard interrupts included.
 */
void kvm_xen_inject_vcpu_vector(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic_irq irq = {
		.delivery_mode = APIC_DM_FIXED,
		.vector = READ_ONCE(xen_vcpu(vcpu)->upcall_vector),
		.level = 1,
	};

	if (lapic_in_kernel(vcpu) && irq.vector)
		kvm_apic_set_irq(vcpu, &irq, NULL);
}

/*
 * See that the flag is not set, in three loads: what the CPU may read quietly, the page,
 * the flag. Calls nothing, as each entry does this. False if it is set, or not seen.
 */
static __always_inline bool xen_no_upcall(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	unsigned long flags;
	bool none = false;
	void *vi;

	local_irq_save(flags);
	if (likely(kvm_gpc_reads_quietly(vcpu->kvm))) {
		vi = kvm_gpc_live(&x->vcpu_info);
		none = likely(vi) && !xen_2l_upcall_pending(vi);
	}
	local_irq_restore(flags);

	return none;
}

/* Look at the flag. Return: 0, 1, or -EWOULDBLOCK if it cannot be seen. */
static int xen_peek_upcall(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	int r = -EWOULDBLOCK;
	struct gpc_read read;
	void *vi;

	read = kvm_gpc_read_begin(vcpu->kvm);
	vi = kvm_gpc_live(&x->vcpu_info);
	if (vi)
		r = xen_2l_upcall_pending(vi);
	kvm_gpc_read_end(read);

	return r;
}

/*
 * Bring vcpu_info back. Of a page that cannot be had we remember so much, since a
 * vCPU that is told "perhaps" each time it wants to sleep does not sleep.
 */
static int xen_refresh_vcpu_info(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	int r, idx;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	r = kvm_gpc_refresh(&x->vcpu_info, sizeof(struct vcpu_info));
	srcu_read_unlock(&vcpu->kvm->srcu, idx);

	if (r && x->vcpu_info.active) {
		WRITE_ONCE(x->unreachable, true);
		xen_events_later(vcpu->kvm);
	}

	return r;
}

/**
 * xen_upcall_flag - look at the guest's upcall flag
 * @vcpu: the vCPU, loaded by the current task
 *
 * Context: any in which the vCPU is loaded: interrupts off, a task about to sleep,
 *	or one that may. Only the last brings back a page that was taken away.
 * Return: 1 if it is set, or the guest may look for itself; 0 if it is not, or there
 *	is no such page now; -EWOULDBLOCK if it can only be told from where one may
 *	sleep.
 */
int xen_upcall_flag(struct kvm_vcpu *vcpu)
{
	int r = xen_peek_upcall(vcpu);

	/* Below it is told apart who may sleep and who may not. */
	BUILD_BUG_ON(!IS_ENABLED(CONFIG_PREEMPT_COUNT));

	if (likely(r >= 0))
		return r;

	if (READ_ONCE(xen_vcpu(vcpu)->unreachable))
		return 0;

	if (!preemptible() || !task_is_running(current))
		return -EWOULDBLOCK;

	/* What is gone again when it is back already may have been set. */
	return !xen_refresh_vcpu_info(vcpu) && xen_peek_upcall(vcpu);
}

/* As __kvm_xen_has_interrupt(), if it may be set. */
static noinline int xen_tell_upcall(struct kvm_vcpu *vcpu)
{
	int r = xen_upcall_flag(vcpu);

	if (r > 0)
		xen_vcpu(vcpu)->told = vcpu->stat.exits + 1;

	return !!r;
}

/**
 * __kvm_xen_has_interrupt - is the VM-wide vector to be injected?
 * @vcpu: the vCPU, loaded by the current task
 *
 * KVM asks whether there is an interrupt, and then which, and warns if there is none
 * after all; but another vCPU may clear the flag in between, or the VMM take the
 * page away. So "yes" holds until the vCPU has been in the guest, or is with the VMM.
 * At worst that is an upcall for nothing, which guests know.
 *
 * Context: as xen_upcall_flag().
 * Return: 1, also to bring the task to where it can look; 0.
 */
int __kvm_xen_has_interrupt(struct kvm_vcpu *vcpu)
{
	if (unlikely(xen_told(vcpu)))
		return 1;

	return likely(xen_no_upcall(vcpu)) ? 0 : xen_tell_upcall(vcpu);
}

/**
 * kvm_xen_vcpu_run - KVM_RUN
 * @vcpu: the vCPU
 *
 * Stands in for kvm_arch_vcpu_ioctl_run() in kvm_main.c. What the vCPU was told before
 * it went to the VMM is not true any more: the VMM may have cleared the flag.
 *
 * Context: may sleep; vCPU mutex held.
 * Return: what kvm_arch_vcpu_ioctl_run() says.
 */
int kvm_xen_vcpu_run(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_xen_enabled.key))
		xen_vcpu(vcpu)->told = 0;

	return kvm_arch_vcpu_ioctl_run(vcpu);
}

/* With FIFO queues there are no selectors, and all that was parked is the flag. */
static void xen_inject_sels(struct kvm *kvm, void *vi, u64 sels, bool wide)
{
	if (xen_fifo_ports(kvm))
		xen_2l_set_upcall(vi);
	else
		xen_2l_raise_many(vi, sels, wide);
}

/* By any task. Return: 1 selectors are in, 0 there were none, -EWOULDBLOCK no page. */
static int xen_inject_parked(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	int i, r = -EWOULDBLOCK;
	struct gpc_read read;
	u64 sels = 0;
	bool wide;
	void *vi;

	read = kvm_gpc_read_begin(vcpu->kvm);
	vi = kvm_gpc_live(&x->vcpu_info);
	if (vi) {
		/* Once: the layout is that of all of them. */
		wide = READ_ONCE(xen_vm(vcpu->kvm)->long_mode);
		for (i = 0; i < ARRAY_SIZE(x->parked); i++)
			sels |= xen_2l_selectors(xchg(&x->parked[i], 0),
						 i * BITS_PER_LONG, wide);
		if (sels)
			xen_inject_sels(vcpu->kvm, vi, sels, wide);
		r = !!sels;
	}
	kvm_gpc_read_end(read);

	return r;
}

static void xen_inject_selectors(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	struct xen_events *ev;
	int i, r;

	for (i = 0; i < XEN_INJECT_TRIES && xen_has_parked(x); i++) {
		r = xen_inject_parked(vcpu);
		if (r > 0) {
			ev = xen_events(vcpu->kvm);
			if (ev)
				atomic_long_inc(&ev->stats.injected);
			xen_mark_dirty(&x->vcpu_info);
			kvm_xen_inject_vcpu_vector(vcpu);
		} else if (r < 0 && xen_refresh_vcpu_info(vcpu)) {
			return;
		}
	}

	if (xen_has_parked(x))
		xen_events_later(vcpu->kvm);
}

/**
 * xen_tell_parked - tell the guest of what is parked for a vCPU that does not run
 * @vcpu: the vCPU, which others may run meanwhile
 *
 * A VMM that has stopped it may save its memory and never ask for an attribute. As
 * what senders write, this is not logged.
 *
 * Context: may sleep; kvm->srcu held.
 * Return: whether something is left, for want of vcpu_info.
 */
bool xen_tell_parked(struct kvm_vcpu *vcpu)
{
	struct xen_events *ev = xen_events(vcpu->kvm);
	struct xen_vcpu *x = xen_vcpu(vcpu);
	int i, r;

	atomic_inc(&ev->telling);
	/* Before anything is taken: pairs with smp_rmb() in xen_wait_for_tellers(). */
	smp_mb__after_atomic();

	for (i = 0; i < XEN_INJECT_TRIES && xen_has_parked(x); i++) {
		r = xen_inject_parked(vcpu);
		if (r > 0) {
			atomic_long_inc(&ev->stats.injected);
			kvm_xen_inject_vcpu_vector(vcpu);
			xen_vcpu_wake(vcpu, 0);
		} else if (r < 0 &&
			   kvm_gpc_refresh(&x->vcpu_info,
					   sizeof(struct vcpu_info))) {
			break;
		}
	}

	/* Pairs with atomic_read_acquire() in xen_wait_for_tellers(). */
	atomic_dec_return_release(&ev->telling);

	return xen_has_parked(x);
}

/**
 * kvm_xen_inject_pending_events - finish what senders could not
 * @vcpu: the vCPU, loaded by the current task
 *
 * Tries, and leaves to the worker what cannot be done now: a vCPU whose pages are
 * gone neither spins nor loses anything.
 *
 * Context: may sleep; kvm->srcu held.
 */
void kvm_xen_inject_pending_events(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	/* Pairs with set_bit() in xen_vcpu_wake(): what is announced is there. */
	unsigned long todo = xchg(&x->todo, 0);

	if (todo & XEN_TODO_LATCH)
		xen_events_finish(vcpu->kvm);

	/* Of its own accord too: the flush may have parked some just now. */
	if (xen_has_parked(x))
		xen_inject_selectors(vcpu);

	if (todo & XEN_TODO_UPCALL && READ_ONCE(x->upcall_vector) &&
	    xen_upcall_flag(vcpu) > 0)
		kvm_xen_inject_vcpu_vector(vcpu);
}
