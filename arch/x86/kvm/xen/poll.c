// SPDX-License-Identifier: GPL-2.0
/*
 * SCHEDOP_poll and SCHEDOP_block: a vCPU that sleeps for an event.
 *
 * Xen's rules: any event on a polled port wakes every vCPU that polls it, masked
 * or not, whichever vCPU it is for; the timeout is a point in system time; a vCPU
 * may wake for no reason, since the guest looks for itself. The vCPU sleeps in the
 * hypercall, with no lock and outside kvm->srcu.
 */
#include <linux/hrtimer.h>
#include <linux/kvm_host.h>
#include <linux/nospec.h>

#include "../kvm_cache_regs.h"
#include "../lapic.h"
#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "fifo.h"
#include "hypercall.h"
#include "poll.h"
#include "time.h"
#include "two_level.h"
#include "upcall.h"
#include "vm.h"

#include <xen/interface/sched.h>

#include <pfncache/gpc_live.h>

/* Xen's own limit. */
#define XEN_POLL_PORTS		128

/* Ports that are copied from the guest at a time. */
#define XEN_POLL_CHUNK		16

/* How long who waits sleeps while what it waits for cannot be seen. */
#define XEN_POLL_BLIND_NS	(1 * NSEC_PER_MSEC)

/* Wake who polls @port; everybody who polls, if that is XEN_POLL_ANY. */
static void xen_wake_pollers(struct kvm *kvm, int port)
{
	unsigned int word, bit, words;
	struct kvm_vcpu *vcpu;
	unsigned long mask;
	int polled;

	words = BITS_TO_LONGS(atomic_read(&kvm->online_vcpus));
	for (word = 0; word < words; word++) {
		/* Who comes or goes now looks, or has looked, for itself. */
		mask = READ_ONCE(xen_vm(kvm)->poll_mask[word]);
		for_each_set_bit(bit, &mask, BITS_PER_LONG) {
			vcpu = xen_get_vcpu(kvm, word * BITS_PER_LONG + bit);
			if (!vcpu)
				continue;
			polled = READ_ONCE(xen_vcpu(vcpu)->poll_port);
			if (port == XEN_POLL_ANY || polled == XEN_POLL_ANY ||
			    polled == port)
				xen_vcpu_wake(vcpu, 0);
		}
	}
}

void __xen_poll_wake(struct kvm *kvm, u32 port)
{
	xen_wake_pollers(kvm, port);
}

/**
 * xen_poll_wake_all - wake everybody who sleeps in SCHEDOP_poll
 * @kvm: the VM, whose shared_info is another one now
 *
 * Context: any.
 */
void xen_poll_wake_all(struct kvm *kvm)
{
	xen_wake_pollers(kvm, XEN_POLL_ANY);
}

/**
 * struct xen_poll_timer - the end of a poll's patience
 * @timer: fires when it is over, or to look at the clock again
 * @vcpu: who is polling
 * @clock: its clock
 * @timeout: guest time at which it is over, ns; 0: when the timer fires
 */
struct xen_poll_timer {
	struct hrtimer timer;
	struct kvm_vcpu *vcpu;
	struct xen_clock clock;
	u64 timeout;
};

static enum hrtimer_restart xen_poll_timeout(struct hrtimer *timer)
{
	struct xen_poll_timer *t = container_of(timer, struct xen_poll_timer,
						timer);

	if (t->timeout &&
	    xen_timer_too_early(timer, t->vcpu->kvm, &t->clock, t->timeout))
		return HRTIMER_RESTART;

	xen_vcpu_wake(t->vcpu, 0);

	return HRTIMER_NORESTART;
}

static void xen_poll_begin(struct kvm_vcpu *vcpu, int port)
{
	struct xen_vm *xv = xen_vm(vcpu->kvm);

	WRITE_ONCE(xen_vcpu(vcpu)->poll_port, port);
	set_bit(vcpu->vcpu_idx, xv->poll_mask);
	atomic_inc(&xv->pollers);
	/* Pairs with the locked operation that comes before xen_poll_wake(). */
	smp_mb__after_atomic();
}

static void xen_poll_end(struct kvm_vcpu *vcpu)
{
	struct xen_vm *xv = xen_vm(vcpu->kvm);

	clear_bit(vcpu->vcpu_idx, xv->poll_mask);
	WRITE_ONCE(xen_vcpu(vcpu)->poll_port, XEN_POLL_NONE);
	atomic_dec(&xv->pollers);
}

/* Within kvm_gpc_read_begin(). Return: 0, 1, -EWOULDBLOCK: cannot see. */
static int xen_port_pending(struct kvm *kvm, u32 port)
{
	void *shinfo;

	if (xen_fifo_ports(kvm))
		return xen_fifo_pending(kvm, port);

	/* There were more ports when the guest's were checked: FIFO ones. */
	if (unlikely(port >= XEN_PORTS))
		return 0;

	shinfo = kvm_gpc_live(&xen_vm(kvm)->shinfo);

	return shinfo ? xen_2l_pending(shinfo, array_index_nospec(port, XEN_PORTS)) :
			-EWOULDBLOCK;
}

/* Is one of the ports pending already? Return: as xen_port_pending(). */
static int xen_poll_look(struct kvm *kvm, const u32 *ports, u32 nr)
{
	struct gpc_read read;
	int ready = 0;
	u32 i;

	read = kvm_gpc_read_begin(kvm);
	for (i = 0; i < nr && !ready; i++)
		ready = xen_port_pending(kvm, ports[i]);
	kvm_gpc_read_end(read);

	return ready;
}

static int xen_poll_ready(struct kvm *kvm, const u32 *ports, u32 nr)
{
	int ready = xen_poll_look(kvm, ports, nr);
	u32 i;

	if (ready < 0) {
		for (i = 0; i < nr; i++)
			if (xen_event_reach(kvm, ports[i]))
				return ready;
		ready = xen_poll_look(kvm, ports, nr);
	}

	return ready;
}

/*
 * Sleep until woken, with the vCPU halted and nothing held. A timer of the APIC
 * that the processor counts only while it runs the guest is counted by us.
 */
static void xen_sleep(struct kvm_vcpu *vcpu)
{
	bool hv_timer = kvm_lapic_hv_timer_in_use(vcpu);

	if (hv_timer)
		kvm_lapic_switch_to_sw_timer(vcpu);

	vcpu->arch.mp_state = KVM_MP_STATE_HALTED;
	kvm_vcpu_srcu_read_unlock(vcpu);
	kvm_vcpu_halt(vcpu);
	kvm_vcpu_srcu_read_lock(vcpu);
	vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;

	if (hv_timer)
		kvm_lapic_switch_to_hv_timer(vcpu);
}

static void xen_sleep_timed(struct kvm_vcpu *vcpu, struct xen_poll_timer *t,
			    ktime_t expires)
{
	hrtimer_init_on_stack(&t->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	t->timer.function = xen_poll_timeout;
	hrtimer_start(&t->timer, expires, HRTIMER_MODE_ABS_HARD);
	xen_sleep(vcpu);
	hrtimer_cancel(&t->timer);
	destroy_hrtimer_on_stack(&t->timer);
}

/* Until a guest time; 0: for as long as it takes. */
static void xen_sleep_until(struct kvm_vcpu *vcpu, u64 timeout)
{
	struct xen_poll_timer t = { .vcpu = vcpu, .timeout = timeout };
	ktime_t expires;

	if (!timeout) {
		xen_sleep(vcpu);
		return;
	}

	if (xen_guest_time_to_ktime(vcpu, &t.clock, timeout, &expires))
		xen_sleep_timed(vcpu, &t, expires);
}

/* For a moment, whatever becomes of the guest's clock: nobody might wake us. */
static void xen_sleep_blind(struct kvm_vcpu *vcpu)
{
	struct xen_poll_timer t = { .vcpu = vcpu };

	xen_sleep_timed(vcpu, &t, ktime_add_ns(ktime_get(), XEN_POLL_BLIND_NS));
}

/* Read the guest's ports and see that they exist. */
static int xen_poll_get_ports(struct kvm_vcpu *vcpu, u64 gva, u32 nr, u32 *ports)
{
	struct x86_exception e;
	u32 i;

	if (kvm_read_guest_virt(vcpu, gva, ports, nr * sizeof(*ports), &e))
		return -EFAULT;

	for (i = 0; i < nr; i++)
		if (ports[i] >= xen_max_port(vcpu->kvm))
			return -EINVAL;

	return 0;
}

/**
 * xen_sched_poll - SCHEDOP_poll
 * @vcpu: the calling vCPU
 * @wide: the guest called from 64-bit code
 * @arg: its &struct sched_poll, a linear address
 *
 * Context: vCPU task, kvm->srcu held; sleeps.
 * Return: what the guest gets: 0, woken for whatever reason; -EFAULT, -EINVAL.
 */
long xen_sched_poll(struct kvm_vcpu *vcpu, bool wide, u64 arg)
{
	u32 ports[XEN_POLL_CHUNK], nr, done, n;
	struct x86_exception e;
	u64 gva, timeout;
	int ready, r;

	if (wide) {
		struct sched_poll p;

		BUILD_BUG_ON(sizeof(p) != 24);
		if (kvm_read_guest_virt(vcpu, arg, &p, sizeof(p), &e))
			return -EFAULT;
		gva = (unsigned long)p.ports;
		nr = p.nr_ports;
		timeout = p.timeout;
	} else {
		struct compat_sched_poll p;

		if (kvm_read_guest_virt(vcpu, arg, &p, sizeof(p), &e))
			return -EFAULT;
		gva = p.ports;
		nr = p.nr_ports;
		timeout = p.timeout;
	}
	if (nr > XEN_POLL_PORTS)
		return -EINVAL;

	/* All of them must be right before any of them counts. */
	for (done = 0; done < nr; done += n) {
		n = min_t(u32, nr - done, XEN_POLL_CHUNK);
		r = xen_poll_get_ports(vcpu, gva + done * sizeof(u32), n, ports);
		if (r)
			return r;
	}

	xen_poll_begin(vcpu, nr == 1 ? (int)ports[0] : XEN_POLL_ANY);

	ready = 0;
	r = 0;
	for (done = 0; done < nr && !ready && !r; done += n) {
		n = min_t(u32, nr - done, XEN_POLL_CHUNK);
		/* The guest may have changed them; then it gets what it asks for. */
		if (nr > XEN_POLL_CHUNK)
			r = xen_poll_get_ports(vcpu, gva + done * sizeof(u32),
					       n, ports);
		if (!r)
			ready = xen_poll_ready(vcpu->kvm, ports, n);
	}

	/* What cannot be seen is looked at again soon. */
	if (ready < 0 && !r)
		xen_sleep_blind(vcpu);
	else if (!ready && !r)
		xen_sleep_until(vcpu, timeout);

	xen_poll_end(vcpu);

	return r;
}

/* Unmask upcalls and look for one. Return: 0, 1, -EWOULDBLOCK: cannot see. */
static int xen_block_look(struct kvm_vcpu *vcpu)
{
	int r = -EWOULDBLOCK;
	struct gpc_read read;
	u8 *vi;

	read = kvm_gpc_read_begin(vcpu->kvm);
	vi = kvm_gpc_live(&xen_vcpu(vcpu)->vcpu_info);
	if (vi) {
		/* evtchn_upcall_mask, the second byte of either layout. */
		WRITE_ONCE(vi[1], 0);
		/*
		 * Pairs with smp_mb() in xen_upcall(): poll_port before the
		 * flag here, the flag before poll_port there.
		 */
		smp_mb();
		r = xen_2l_upcall_pending(vi);
	}
	kvm_gpc_read_end(read);

	if (r >= 0)
		xen_mark_dirty(&xen_vcpu(vcpu)->vcpu_info);

	return r;
}

/* Would the vCPU's APIC give it the vector of an upcall? */
static bool xen_apic_takes(struct kvm_vcpu *vcpu, u8 vector)
{
	if (!vector || !kvm_lapic_enabled(vcpu))
		return false;

	/* Asked for what it does besides: it computes the APIC's priority. */
	kvm_apic_has_interrupt(vcpu);

	return (vector & 0xf0) > kvm_lapic_get_reg(vcpu->arch.apic, APIC_PROCPRI);
}

/*
 * A halted vCPU wakes for the interrupt that an upcall becomes, and can be saved as
 * it is. Where there is no such interrupt, the guest has them off, or its APIC holds
 * it off, it sleeps here: the event wakes it all the same, as Xen's kick does.
 */
static bool xen_block_is_halt(struct kvm_vcpu *vcpu)
{
	return kvm_get_rflags(vcpu) & X86_EFLAGS_IF &&
	       (xen_upcall_vector(vcpu->kvm) ||
		xen_apic_takes(vcpu, READ_ONCE(xen_vcpu(vcpu)->upcall_vector)));
}

/**
 * xen_sched_block - SCHEDOP_block
 * @vcpu: the calling vCPU, with a local APIC in the kernel
 *
 * Upcalls are unmasked and the vCPU sleeps until there is one, as Xen defines it;
 * it makes no difference whether the guest could take the interrupt. It may wake for
 * no reason, as from SCHEDOP_poll.
 *
 * Context: vCPU task, kvm->srcu held; sleeps.
 * Return: 0.
 */
long xen_sched_block(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	int pending;

	WRITE_ONCE(x->poll_port, XEN_POLL_UPCALL);
	pending = xen_block_look(vcpu);
	if (pending < 0 && x->vcpu_info.active &&
	    !kvm_gpc_refresh(&x->vcpu_info, sizeof(struct vcpu_info)))
		pending = xen_block_look(vcpu);

	/* What cannot be seen is looked at again soon. */
	if (pending < 0)
		xen_sleep_blind(vcpu);
	else if (!pending && xen_block_is_halt(vcpu))
		vcpu->arch.mp_state = KVM_MP_STATE_HALTED;
	else if (!pending)
		xen_sleep(vcpu);
	WRITE_ONCE(x->poll_port, XEN_POLL_NONE);

	return 0;
}
