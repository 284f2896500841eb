// SPDX-License-Identifier: GPL-2.0
/*
 * VIRQ_TIMER: the one-shot timer of a vCPU, and its periodic one.
 *
 * A timer that fires sends its event from its own hard interrupt, like any other
 * sender: what cannot be delivered is latched, so a tick is never lost and there is
 * nothing left to do at the next entry. Timers are armed, stopped and read by the
 * vCPU's task, or with its mutex held; only the callback runs beside that.
 */
#include <linux/hrtimer.h>
#include <linux/kvm_host.h>
#include <linux/math64.h>
#include <linux/slab.h>

#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "poll.h"
#include "time.h"
#include "timer.h"

/*
 * Shorter periods are the host's load and nobody's time; longer ones could take an
 * expiry past the end of time, where a timer is due for ever. Xen's own limits.
 */
#define XEN_PERIOD_MIN_NS	(1 * NSEC_PER_MSEC)
#define XEN_PERIOD_MAX_NS	(~0ULL >> 2)

/**
 * struct xen_armed - the clock that a timer was armed by
 * @clock: the guest's clock as it was, by which the callback tells the time
 * @guest: what the guest had of it
 * @cpu: the CPU on which it was armed
 * @held: it has been stopped since, until the vCPU runs
 */
struct xen_armed {
	struct xen_clock clock;
	struct pvclock_vcpu_time_info guest;
	int cpu;
	bool held;
};

/**
 * struct xen_timers - timers of a vCPU
 * @vcpu: the vCPU
 * @once: the one-shot timer, CLOCK_MONOTONIC
 * @expires: guest time at which @once is due, ns; 0: it is not armed
 * @once_by: the clock that @once goes by
 * @periodic: the periodic timer, CLOCK_MONOTONIC
 * @period: ns, 0 when stopped
 * @tick: guest time at which @periodic is due next, ns
 * @periodic_by: the clock that @periodic goes by
 *
 * All but @vcpu are the vCPU task's, or its mutex holder's. The callback of @once
 * writes @expires, that of @periodic writes @tick; neither runs beside other writes.
 */
struct xen_timers {
	struct kvm_vcpu *vcpu;
	struct hrtimer once;
	u64 expires;
	struct xen_armed once_by;
	struct hrtimer periodic;
	u64 period;
	u64 tick;
	struct xen_armed periodic_by;
};

static struct xen_timers *xen_timers(struct kvm_vcpu *vcpu)
{
	/* Pairs with smp_store_release() in xen_timers_make(). */
	return smp_load_acquire(&xen_vcpu(vcpu)->timers);
}

/* Where @by->clock is noted from, on this CPU. */
static void xen_arm_by(struct xen_armed *by, struct kvm_vcpu *vcpu)
{
	by->guest = vcpu->arch.hv_clock;
	by->cpu = raw_smp_processor_id();
	by->held = false;
}

/* Is it to be armed anew: has it been held, or the clock changed since? */
static bool xen_armed_before(const struct xen_armed *by, struct kvm_vcpu *vcpu)
{
	const struct pvclock_vcpu_time_info *was = &by->guest;
	const struct pvclock_vcpu_time_info *is = &vcpu->arch.hv_clock;

	return by->held || was->system_time != is->system_time ||
	       was->tsc_timestamp != is->tsc_timestamp ||
	       was->tsc_to_system_mul != is->tsc_to_system_mul ||
	       was->tsc_shift != is->tsc_shift ||
	       read_seqcount_retry(&vcpu->kvm->arch.pvclock_sc,
				   by->clock.sequence);
}

static void xen_timer_event(struct kvm_vcpu *vcpu)
{
	u32 port = READ_ONCE(xen_vcpu(vcpu)->timer_port);

	if (port)
		xen_event_send(vcpu->kvm, vcpu, vcpu->vcpu_id, port,
			       READ_ONCE(xen_vcpu(vcpu)->timer_priority));
}

static enum hrtimer_restart xen_timer_fire(struct hrtimer *timer)
{
	struct xen_timers *t = container_of(timer, struct xen_timers, once);

	if (xen_timer_too_early(timer, t->vcpu->kvm, &t->once_by.clock,
				t->expires))
		return HRTIMER_RESTART;

	WRITE_ONCE(t->expires, 0);
	xen_timer_event(t->vcpu);

	return HRTIMER_NORESTART;
}

/* The tick that is due is over; those that were missed are not made up for, as in Xen. */
static void xen_tick_on(struct xen_timers *t, u64 now)
{
	t->tick += t->period;
	if (unlikely(t->tick <= now))
		t->tick += (div64_u64(now - t->tick, t->period) + 1) * t->period;
}

static enum hrtimer_restart xen_periodic_fire(struct hrtimer *timer)
{
	struct xen_timers *t = container_of(timer, struct xen_timers, periodic);
	const struct xen_clock *clock = &t->periodic_by.clock;
	struct kvm *kvm = t->vcpu->kvm;
	u64 now;

	if (!xen_timer_too_early(timer, kvm, clock, t->tick)) {
		xen_timer_event(t->vcpu);
		/* By a clock that stands still, a period from now. */
		if (!xen_clock_tell(kvm, clock, &now))
			now = t->tick;
		xen_tick_on(t, now);
		hrtimer_set_expires(timer, xen_time_ahead(ktime_get(),
							  t->tick - now));
	}

	return HRTIMER_RESTART;
}

/**
 * xen_timers_make - see to it that a vCPU has timers
 * @vcpu: the vCPU
 *
 * Called by whatever gives it a timer's port or a period; without, it has no use for
 * them.
 *
 * Context: vCPU task or mutex; may sleep.
 * Return: 0 or -ENOMEM.
 */
int xen_timers_make(struct kvm_vcpu *vcpu)
{
	struct xen_timers *t = xen_timers(vcpu);

	if (t)
		return 0;

	t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t)
		return -ENOMEM;

	t->vcpu = vcpu;
	hrtimer_init(&t->once, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	t->once.function = xen_timer_fire;
	hrtimer_init(&t->periodic, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	t->periodic.function = xen_periodic_fire;
	/* Pairs with smp_load_acquire() in xen_timers(): what is in them first. */
	smp_store_release(&xen_vcpu(vcpu)->timers, t);

	return 0;
}

/**
 * xen_timers_stop - a vCPU's timers fire no more
 * @vcpu: the vCPU, which nobody runs or changes any more
 *
 * Context: may sleep. When this returns no callback runs or will.
 */
void xen_timers_stop(struct kvm_vcpu *vcpu)
{
	struct xen_timers *t = xen_timers(vcpu);

	if (t) {
		hrtimer_cancel(&t->once);
		hrtimer_cancel(&t->periodic);
	}
}

/**
 * xen_timers_destroy - a vCPU's timers are needed no more
 * @vcpu: the vCPU, which nobody else can find
 *
 * Context: may sleep. When this returns no callback runs or will.
 */
void xen_timers_destroy(struct kvm_vcpu *vcpu)
{
	xen_timers_stop(vcpu);
	kfree(xen_timers(vcpu));
	xen_vcpu(vcpu)->timers = NULL;
}

/**
 * xen_timer_stop - stop the one-shot timer
 * @vcpu: the vCPU
 *
 * Context: vCPU task or mutex.
 */
void xen_timer_stop(struct kvm_vcpu *vcpu)
{
	struct xen_timers *t = xen_timers(vcpu);

	if (t) {
		hrtimer_cancel(&t->once);
		WRITE_ONCE(t->expires, 0);
	}
}

/**
 * xen_timer_start - arm the one-shot timer
 * @vcpu: the vCPU, with timers
 * @expires: guest time, ns; if it is past the event is sent now
 *
 * Context: vCPU task or mutex.
 */
void xen_timer_start(struct kvm_vcpu *vcpu, u64 expires)
{
	struct xen_timers *t = xen_timers(vcpu);
	ktime_t when;

	hrtimer_cancel(&t->once);

	xen_arm_by(&t->once_by, vcpu);
	if (!xen_guest_time_to_ktime(vcpu, &t->once_by.clock, expires, &when)) {
		WRITE_ONCE(t->expires, 0);
		xen_timer_event(vcpu);
		return;
	}

	/* Before the callback can see it. */
	WRITE_ONCE(t->expires, expires);
	hrtimer_start(&t->once, when, HRTIMER_MODE_ABS_HARD);
}

/**
 * xen_timers_hold - a vCPU's timers fire no more until it runs again
 * @vcpu: the vCPU
 *
 * For a VMM that saves it: what fired while memory is being copied would be in some of
 * its pages and not in others. The times at which they are due stay.
 *
 * Context: vCPU mutex, and not in KVM_RUN. When this returns no callback runs.
 */
void xen_timers_hold(struct kvm_vcpu *vcpu)
{
	struct xen_timers *t = xen_timers(vcpu);

	if (t) {
		hrtimer_cancel(&t->once);
		t->once_by.held = true;
		hrtimer_cancel(&t->periodic);
		t->periodic_by.held = true;
	}
}

/**
 * xen_timer_get - when does the one-shot timer fire?
 * @vcpu: the vCPU, whose timers are held
 *
 * Either the time is returned, or the event has been sent.
 *
 * Context: vCPU mutex.
 * Return: guest time, ns; 0 if it is not armed.
 */
u64 xen_timer_get(struct kvm_vcpu *vcpu)
{
	struct xen_timers *t = xen_timers(vcpu);

	return t ? READ_ONCE(t->expires) : 0;
}

static bool xen_once_moved(struct xen_timers *t)
{
	return READ_ONCE(t->expires) && xen_armed_before(&t->once_by, t->vcpu);
}

static bool xen_periodic_moved(struct xen_timers *t)
{
	return t->period && xen_armed_before(&t->periodic_by, t->vcpu);
}

/**
 * xen_timer_moved - has a timer been held, or the clock changed since it was armed?
 * @vcpu: the vCPU, with timers
 *
 * Context: vCPU task.
 * Return: true if one is to be armed anew.
 */
bool xen_timer_moved(struct kvm_vcpu *vcpu)
{
	struct xen_timers *t = xen_timers(vcpu);

	return xen_once_moved(t) || xen_periodic_moved(t);
}

/* The guest time at which it is due is as it was. */
static void xen_once_again(struct xen_timers *t)
{
	u64 expires;

	hrtimer_cancel(&t->once);
	/* The callback is over, or will not run. */
	expires = READ_ONCE(t->expires);
	if (expires)
		xen_timer_start(t->vcpu, expires);
}

/*
 * The guest times of its ticks are as they were. It goes on with the first of them
 * that is in the future; if the one that was due is not, it comes now.
 */
static void xen_periodic_again(struct xen_timers *t)
{
	ktime_t mono;
	bool late;
	u64 now;

	/* The callback is over, or will not run. */
	hrtimer_cancel(&t->periodic);

	xen_arm_by(&t->periodic_by, t->vcpu);
	now = xen_clock_note(t->vcpu, &t->periodic_by.clock, &mono);
	late = t->tick <= now;
	if (late)
		xen_tick_on(t, now);
	else
		t->tick -= div64_u64(t->tick - now - 1, t->period) * t->period;
	hrtimer_start(&t->periodic, xen_time_ahead(mono, t->tick - now),
		      HRTIMER_MODE_ABS_HARD);

	if (late)
		xen_timer_event(t->vcpu);
}

static void xen_timers_again(struct xen_timers *t)
{
	if (xen_once_moved(t))
		xen_once_again(t);
	if (xen_periodic_moved(t))
		xen_periodic_again(t);
}

/**
 * xen_periodic_start - start the periodic timer, or change its period
 * @vcpu: the vCPU
 * @period: ns
 *
 * Context: vCPU task or mutex; may sleep.
 * Return: 0, -EINVAL if the period is too short or too long, -ENOMEM.
 */
int xen_periodic_start(struct kvm_vcpu *vcpu, u64 period)
{
	struct xen_timers *t;
	int r;

	if (period < XEN_PERIOD_MIN_NS || period > XEN_PERIOD_MAX_NS)
		return -EINVAL;

	r = xen_timers_make(vcpu);
	if (r)
		return r;

	t = xen_timers(vcpu);
	hrtimer_cancel(&t->periodic);
	WRITE_ONCE(t->period, period);
	t->tick = xen_guest_time(vcpu) + period;
	xen_periodic_again(t);

	return 0;
}

/**
 * xen_periodic_stop - stop the periodic timer
 * @vcpu: the vCPU
 *
 * Context: vCPU task or mutex.
 */
void xen_periodic_stop(struct kvm_vcpu *vcpu)
{
	struct xen_timers *t = xen_timers(vcpu);

	if (t) {
		hrtimer_cancel(&t->periodic);
		WRITE_ONCE(t->period, 0);
	}
}

/**
 * xen_periodic_get - the period of the periodic timer
 * @vcpu: the vCPU
 *
 * Context: vCPU mutex.
 * Return: ns, 0 if it is stopped.
 */
u64 xen_periodic_get(struct kvm_vcpu *vcpu)
{
	struct xen_timers *t = xen_timers(vcpu);

	return t ? t->period : 0;
}

/**
 * xen_periodic_set_tick - when the periodic timer is due next
 * @vcpu: the vCPU
 * @tick: guest time, ns; 0 of a timer that is stopped
 *
 * For a VMM that restores a vCPU, in whatever order: the timer is armed when the vCPU
 * runs, by the clock that it has by then, and its port is looked at then.
 *
 * Context: vCPU mutex, and not in KVM_RUN.
 * Return: 0; -EINVAL for a time where there is no timer, or the other way round.
 */
int xen_periodic_set_tick(struct kvm_vcpu *vcpu, u64 tick)
{
	struct xen_timers *t = xen_timers(vcpu);

	if (!t || !t->period)
		return tick ? -EINVAL : 0;
	if (!tick)
		return -EINVAL;

	hrtimer_cancel(&t->periodic);
	t->tick = tick;
	/* Else nothing arms it again. */
	if (kvm_xen_msr_enabled(vcpu->kvm))
		t->periodic_by.held = true;
	else
		xen_periodic_again(t);

	return 0;
}

/**
 * xen_periodic_get_tick - when is the periodic timer due next?
 * @vcpu: the vCPU, whose timers are held
 *
 * Context: vCPU mutex.
 * Return: guest time, ns; 0 if it is stopped.
 */
u64 xen_periodic_get_tick(struct kvm_vcpu *vcpu)
{
	struct xen_timers *t = xen_timers(vcpu);

	return t && t->period ? t->tick : 0;
}

static void xen_timer_follow(struct hrtimer *timer, struct xen_armed *by, int cpu)
{
	if (likely(by->cpu == cpu))
		return;

	by->cpu = cpu;
	if (hrtimer_cancel(timer))
		hrtimer_start_expires(timer, HRTIMER_MODE_ABS_HARD);
}

/**
 * xen_timers_move - let the timers follow their vCPU to its CPU
 * @vcpu: the vCPU, loaded by the current task
 *
 * An interrupt on another CPU would have to wake this one. Comes after the vCPU's
 * clock has been brought up to date, so a timer that was held or goes by an old one is
 * armed anew by the way.
 *
 * Context: vCPU task.
 */
void xen_timers_move(struct kvm_vcpu *vcpu)
{
	struct xen_timers *t = xen_timers(vcpu);
	int cpu = raw_smp_processor_id();

	if (!t)
		return;

	xen_timers_again(t);
	xen_timer_follow(&t->once, &t->once_by, cpu);
	xen_timer_follow(&t->periodic, &t->periodic_by, cpu);
}

/**
 * kvm_xen_inject_timer_irqs - arm the timers anew that were held, or go by an old clock
 * @vcpu: the vCPU, with timers
 *
 * The name is KVM's; there is nothing to inject.
 *
 * Context: vCPU task; kvm->srcu held.
 */
void kvm_xen_inject_timer_irqs(struct kvm_vcpu *vcpu)
{
	xen_timers_again(xen_timers(vcpu));
}

/**
 * xen_clock_was_set - timers are to be right by the clock that has just been set
 * @kvm: the VM
 *
 * vCPUs that are in the guest or asleep look whether their timers still are; others do
 * so before they enter the guest, or when the timer fires.
 *
 * Context: may sleep.
 */
void xen_clock_was_set(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	struct xen_timers *t;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		t = xen_timers(vcpu);
		if (t && (READ_ONCE(t->expires) || READ_ONCE(t->period)))
			xen_vcpu_wake(vcpu, 0);
	}
	/* And those who sleep until a time. */
	xen_poll_wake_all(kvm);
}
