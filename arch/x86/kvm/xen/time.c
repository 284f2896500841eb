// SPDX-License-Identifier: GPL-2.0
/*
 * Guest time: what the guest computes from its TSC and the clock in vcpu_info; and the
 * wall clock in shared_info, what time it was when that clock was zero.
 *
 * Everything that is due at a guest time is computed from the very parameters the
 * guest was given, so that a timer is as late after a year as after a second. The
 * host's own idea of kvmclock drifts against a scaled TSC.
 */
#include <linux/kvm_host.h>
#include <linux/math64.h>

#include <asm/pvclock.h>

#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "reach.h"
#include "time.h"

/* Refreshes before the wall clock is left to whoever flushes next. */
#define XEN_WALL_CLOCK_TRIES	8

/*
 * The guest's clock is a function of the TSC, and its parameters are known. While it
 * is to be computed anew, at the next entry, it is KVM's that is right.
 */
static bool xen_clock_is_tsc(struct kvm_vcpu *vcpu)
{
	return vcpu->kvm->arch.use_master_clock &&
	       vcpu->arch.hv_clock.tsc_to_system_mul &&
	       !kvm_test_request(KVM_REQ_CLOCK_UPDATE, vcpu);
}

/*
 * TSC ticks since the clock was computed, or noted. Return: false if the TSC was set
 * back since: what the guest would compute then is of no use to anybody.
 */
static bool xen_ticks_since(u64 then, u64 now, u64 *ticks)
{
	*ticks = now - then;

	return (s64)*ticks >= 0;
}

/**
 * xen_guest_time - the guest's system time
 * @vcpu: the vCPU
 * @mono: set to CLOCK_MONOTONIC at the same instant, if not NULL
 *
 * Context: the vCPU's task, or one that holds its mutex; it is what changes the
 *	clock's parameters too.
 * Return: ns.
 */
u64 xen_guest_time(struct kvm_vcpu *vcpu, ktime_t *mono)
{
	struct pvclock_vcpu_time_info *hv = &vcpu->arch.hv_clock;
	u64 host_tsc, ticks;
	s64 ns;

	if (xen_clock_is_tsc(vcpu) &&
	    kvm_get_monotonic_and_clockread(&ns, &host_tsc) &&
	    xen_ticks_since(hv->tsc_timestamp, kvm_read_l1_tsc(vcpu, host_tsc),
			    &ticks)) {
		if (mono)
			*mono = ns_to_ktime(ns);
		return hv->system_time +
		       pvclock_scale_delta(ticks, hv->tsc_to_system_mul,
					   hv->tsc_shift);
	}

	if (mono)
		*mono = ktime_get();

	return get_kvmclock_ns(vcpu->kvm);
}

/**
 * xen_guest_time_to_ktime - when is a guest time?
 * @vcpu: the vCPU
 * @time: guest system time, ns; anything the guest likes
 * @expires: set to the same as CLOCK_MONOTONIC, at most KTIME_MAX
 *
 * Context: as xen_guest_time().
 * Return: false if that time is not in the future.
 */
bool xen_guest_time_to_ktime(struct kvm_vcpu *vcpu, u64 time, ktime_t *expires)
{
	u64 now = xen_guest_time(vcpu, expires);

	if (time <= now)
		return false;

	*expires = ktime_add_safe(*expires,
				  ns_to_ktime(min_t(u64, time - now, S64_MAX)));

	return true;
}

/**
 * xen_clock_note - remember the guest's clock for sched-out
 * @vcpu: the vCPU
 *
 * What time it is now, and how fast it goes: until the next time the offset of the
 * guest's TSC may change at any moment, and with it, but later, the clock.
 *
 * Context: the vCPU's task, preemption off, not in the middle of changing the clock.
 */
void xen_clock_note(struct kvm_vcpu *vcpu)
{
	struct pvclock_vcpu_time_info *hv = &vcpu->arch.hv_clock;
	struct xen_vcpu *x = xen_vcpu(vcpu);
	u64 ticks;

	x->clock_tsc = rdtsc();
	x->clock_mul = hv->tsc_to_system_mul;
	x->clock_shift = hv->tsc_shift;
	x->clock_offset = READ_ONCE(vcpu->kvm->arch.kvmclock_offset);
	x->clock_ns = 0;
	if (xen_clock_is_tsc(vcpu) &&
	    xen_ticks_since(hv->tsc_timestamp,
			    kvm_read_l1_tsc(vcpu, x->clock_tsc), &ticks))
		x->clock_ns = hv->system_time +
			      pvclock_scale_delta(ticks, hv->tsc_to_system_mul,
						  hv->tsc_shift);
}

/**
 * xen_clock_read - the guest's system time at sched-out
 * @vcpu: the vCPU, of the current task
 *
 * Context: any.
 * Return: ns.
 */
u64 xen_clock_read(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	u64 ticks;

	/* The VMM may have set it meanwhile. */
	if (!x->clock_ns ||
	    x->clock_offset != READ_ONCE(vcpu->kvm->arch.kvmclock_offset) ||
	    !xen_ticks_since(x->clock_tsc, rdtsc(), &ticks))
		return get_kvmclock_ns(vcpu->kvm);

	ticks = kvm_scale_tsc(ticks, vcpu->arch.l1_tsc_scaling_ratio);

	return x->clock_ns + pvclock_scale_delta(ticks, x->clock_mul,
						 x->clock_shift);
}

/* An odd version says that it is being written. */
static void xen_wall_clock_store(struct kvm *kvm, void *shinfo, u64 ns)
{
	struct pvclock_wall_clock *wc;
	u32 *sec_hi, nsec, version;

	if (READ_ONCE(xen_vm(kvm)->long_mode)) {
		wc = shinfo + offsetof(struct shared_info, wc);
		sec_hi = shinfo + offsetof(struct shared_info, wc_sec_hi);
	} else {
		wc = shinfo + offsetof(struct compat_shared_info, wc);
		sec_hi = shinfo + offsetof(struct compat_shared_info, wc_sec_hi);
	}
	nsec = do_div(ns, NSEC_PER_SEC);

	version = (READ_ONCE(wc->version) + 1) | 1;
	WRITE_ONCE(wc->version, version);
	/* Pairs with the guest's reading version, time, version. */
	smp_wmb();
	WRITE_ONCE(wc->nsec, nsec);
	WRITE_ONCE(wc->sec, (u32)ns);
	WRITE_ONCE(*sec_hi, ns >> 32);
	/* As above. */
	smp_wmb();
	WRITE_ONCE(wc->version, version + 1);
}

/* Return: whether it is written, by us or by another, and not due any more. */
static bool xen_wall_clock_write(struct kvm *kvm)
{
	struct xen_wall_clock *clock = &xen_events(kvm)->wall_clock;
	u64 ns = kvm_get_wall_clock_epoch(kvm);
	unsigned long flags;
	void *shinfo;

	local_irq_save(flags);
	shinfo = xen_reach_shinfo(kvm);
	if (shinfo) {
		raw_spin_lock(&clock->lock);
		/*
		 * Pairs with smp_store_release() in xen_wall_clock_set(): due, then the new
		 * layout is seen.
		 */
		if (xchg(&clock->due, false))
			xen_wall_clock_store(kvm, shinfo, ns);
		raw_spin_unlock(&clock->lock);
	}
	local_irq_restore(flags);

	return shinfo;
}

/**
 * xen_wall_clock_flush - write the wall clock if it is due
 * @kvm: the VM, which has its &struct xen_events
 *
 * Context: may sleep; kvm->srcu held.
 * Return: whether it is still due, for want of shared_info.
 */
bool xen_wall_clock_flush(struct kvm *kvm)
{
	struct gfn_to_pfn_cache *shinfo = &xen_vm(kvm)->shinfo;
	int i;

	/* Who sets shared_info makes it due again. */
	if (likely(!READ_ONCE(xen_events(kvm)->wall_clock.due)) ||
	    !READ_ONCE(shinfo->active))
		return false;

	for (i = 0; i < XEN_WALL_CLOCK_TRIES; i++) {
		if (xen_wall_clock_write(kvm))
			return false;
		if (kvm_gpc_refresh(shinfo, PAGE_SIZE))
			break;
	}

	return true;
}

/**
 * xen_wall_clock_set - shared_info is another page, or has another layout
 * @kvm: the VM, which has its &struct xen_events
 *
 * The wall clock is written there: now, or when the page can be reached, before any
 * vCPU enters the guest that finds it can.
 *
 * Context: may sleep; kvm->srcu held.
 */
void xen_wall_clock_set(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	/* Pairs with xchg() in xen_wall_clock_write(): the new layout, then due. */
	smp_store_release(&xen_events(kvm)->wall_clock.due, true);
	if (!xen_wall_clock_flush(kvm))
		return;

	kvm_for_each_vcpu(i, vcpu, kvm)
		xen_vcpu_wake(vcpu, XEN_TODO_LATCH);
	xen_events_retry(kvm);
}
