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

#include <pfncache/gpc_live.h>

#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "time.h"

/*
 * Of a longer sleep the last eighth is slept after another look at the guest's clock:
 * adjtimex(2), and so NTP, may make CLOCK_MONOTONIC a tenth faster or slower.
 */
#define XEN_NAP_NS		(100 * NSEC_PER_MSEC)
#define XEN_NAP_SHIFT		3

/* A timer that is early by no more waits for its time, and looks at most so often. */
#define XEN_TIMER_SPIN_NS	1000
#define XEN_TIMER_SPINS		64

/* Refreshes before the wall clock is left to whoever flushes next. */
#define XEN_WALL_CLOCK_TRIES	8

/*
 * The guest's clock is a function of the TSC, with the parameters that the guest has,
 * if they are made from KVM's clock as it is. Else they are to be computed anew, at the
 * next entry, which is asked for here, since setting a TSC does not; and until then it
 * is KVM's clock that is right. @sequence is set to which clock of KVM's that was.
 */
static bool xen_clock_is_tsc(struct kvm_vcpu *vcpu, u32 *sequence)
{
	struct pvclock_vcpu_time_info *hv = &vcpu->arch.hv_clock;
	struct kvm_arch *ka = &vcpu->kvm->arch;
	bool master, same;

	do {
		*sequence = read_seqcount_begin(&ka->pvclock_sc);
		master = ka->use_master_clock && hv->tsc_to_system_mul;
		same = hv->system_time == ka->master_kernel_ns +
					  ka->kvmclock_offset &&
		       hv->tsc_timestamp ==
				kvm_read_l1_tsc(vcpu, ka->master_cycle_now);
	} while (read_seqcount_retry(&ka->pvclock_sc, *sequence));

	if (unlikely(master && !same))
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);

	return master && same;
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
 * xen_clock_note - what time it is for the guest, and how fast that goes
 * @vcpu: the vCPU
 * @clock: set to the guest's clock, for sched-out or for a timer
 * @mono: set to CLOCK_MONOTONIC at the same instant, if not NULL
 *
 * Until the next time the offset of the guest's TSC may change at any moment, and with
 * it, but later, the clock.
 *
 * Context: the vCPU's task, or one that holds its mutex; it is what changes the clock's
 *	parameters too. Not in the middle of that.
 * Return: guest time, ns.
 */
u64 xen_clock_note(struct kvm_vcpu *vcpu, struct xen_clock *clock, ktime_t *mono)
{
	struct pvclock_vcpu_time_info *hv = &vcpu->arch.hv_clock;
	bool is_tsc = xen_clock_is_tsc(vcpu, &clock->sequence);
	s64 ns = 0;
	u64 ticks;

	if (!mono)
		clock->tsc = rdtsc();
	else if (is_tsc)
		is_tsc = kvm_get_monotonic_and_clockread(&ns, &clock->tsc);

	if (unlikely(!is_tsc ||
		     !xen_ticks_since(hv->tsc_timestamp,
				      kvm_read_l1_tsc(vcpu, clock->tsc),
				      &ticks))) {
		clock->mul = 0;
		if (mono)
			*mono = ktime_get();
		return get_kvmclock_ns(vcpu->kvm);
	}

	if (mono)
		*mono = ns_to_ktime(ns);
	clock->scaling = vcpu->arch.l1_tsc_scaling_ratio;
	clock->mul = hv->tsc_to_system_mul;
	clock->shift = hv->tsc_shift;
	clock->ns = hv->system_time +
		    pvclock_scale_delta(ticks, clock->mul, clock->shift);

	return clock->ns;
}

/**
 * xen_guest_time - the guest's system time
 * @vcpu: the vCPU
 *
 * Context: as xen_clock_note().
 * Return: ns.
 */
u64 xen_guest_time(struct kvm_vcpu *vcpu)
{
	struct xen_clock clock;

	return xen_clock_note(vcpu, &clock, NULL);
}

/**
 * xen_time_ahead - for how long is a timer to sleep until a guest time?
 * @now: CLOCK_MONOTONIC
 * @ns: how far away that time is by the guest's clock, anything
 *
 * Context: any.
 * Return: CLOCK_MONOTONIC at which to look at the guest's clock again, at most
 *	KTIME_MAX. That is not long after that time, however NTP corrects the host's
 *	clock: by 500 ppm of 100 ms.
 */
ktime_t xen_time_ahead(ktime_t now, u64 ns)
{
	if (ns > XEN_NAP_NS)
		ns -= ns >> XEN_NAP_SHIFT;

	return ktime_add_safe(now, ns_to_ktime(min_t(u64, ns, S64_MAX)));
}

/**
 * xen_guest_time_to_ktime - how long is it until a guest time?
 * @vcpu: the vCPU
 * @clock: set, see xen_clock_note()
 * @time: guest system time, ns; anything the guest likes
 * @expires: set to CLOCK_MONOTONIC at which to look again, see xen_time_ahead()
 *
 * Context: as xen_clock_note().
 * Return: false if that time is not in the future.
 */
bool xen_guest_time_to_ktime(struct kvm_vcpu *vcpu, struct xen_clock *clock,
			     u64 time, ktime_t *expires)
{
	u64 now = xen_clock_note(vcpu, clock, expires);

	if (time <= now)
		return false;

	*expires = xen_time_ahead(*expires, time - now);

	return true;
}

/**
 * xen_clock_tell - the guest's system time, by a clock that has been noted
 * @kvm: the VM
 * @clock: the clock
 * @now: set to the time, ns
 *
 * Context: any.
 * Return: false if the host's TSC has begun anew, of which KVM hears when a vCPU enters
 *	the guest: the clock stands still, at @now, until then.
 */
bool xen_clock_tell(struct kvm *kvm, const struct xen_clock *clock, u64 *now)
{
	u64 ticks;

	/* The VMM may have set it meanwhile, or KVM taken a new start. */
	if (!clock->mul ||
	    read_seqcount_retry(&kvm->arch.pvclock_sc, clock->sequence)) {
		*now = get_kvmclock_ns(kvm);
		return true;
	}

	*now = clock->ns;
	if (!xen_ticks_since(clock->tsc, rdtsc(), &ticks))
		return false;

	ticks = kvm_scale_tsc(ticks, clock->scaling);
	*now += pvclock_scale_delta(ticks, clock->mul, clock->shift);

	return true;
}

/**
 * xen_clock_read - xen_clock_tell() for who needs a time in any case
 * @kvm: the VM
 * @clock: the clock
 *
 * Context: any.
 * Return: ns.
 */
u64 xen_clock_read(struct kvm *kvm, const struct xen_clock *clock)
{
	u64 now;

	xen_clock_tell(kvm, clock, &now);

	return now;
}

/**
 * xen_timer_too_early - has a timer fired before a guest time?
 * @timer: the timer, whose callback this is called from
 * @kvm: the VM
 * @clock: the guest's clock, noted when the timer was armed
 * @time: guest time, ns
 *
 * It does where it is to look again, where CLOCK_MONOTONIC runs faster than the guest's
 * clock, and where the VMM has set that clock back. What is left of a microsecond is
 * waited for here. By a clock that stands still it never is: the event has the guest
 * entered, which makes the clock go.
 *
 * Context: the timer's callback.
 * Return: true if it is too early; the timer is set to go on.
 */
bool xen_timer_too_early(struct hrtimer *timer, struct kvm *kvm,
			 const struct xen_clock *clock, u64 time)
{
	u64 now;
	int i;

	for (i = 0;; i++) {
		if (!xen_clock_tell(kvm, clock, &now) || now >= time)
			return false;
		if (time - now > XEN_TIMER_SPIN_NS)
			break;
		if (i == XEN_TIMER_SPINS)
			return false;
		cpu_relax();
	}

	hrtimer_set_expires(timer, xen_time_ahead(ktime_get(), time - now));

	return true;
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
	struct gpc_read read;
	void *shinfo;

	read = kvm_gpc_read_begin(kvm);
	shinfo = kvm_gpc_live(&xen_vm(kvm)->shinfo);
	if (shinfo) {
		raw_spin_lock(&clock->lock);
		/*
		 * Pairs with smp_store_release() in xen_wall_clock_set(): due, then the new
		 * layout is seen, and the time is read that it is due for.
		 */
		if (xchg(&clock->due, false))
			xen_wall_clock_store(kvm, shinfo,
					     kvm_get_wall_clock_epoch(kvm));
		raw_spin_unlock(&clock->lock);
	}
	kvm_gpc_read_end(read);

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
