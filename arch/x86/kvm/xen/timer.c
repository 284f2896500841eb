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
#include <linux/slab.h>

#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "time.h"
#include "timer.h"

/*
 * Shorter periods are the host's load and nobody's time; longer ones could take an
 * expiry past the end of time, where a timer is due for ever. Xen's own limits.
 */
#define XEN_PERIOD_MIN_NS	(1 * NSEC_PER_MSEC)
#define XEN_PERIOD_MAX_NS	(~0ULL >> 2)

/**
 * struct xen_periodic - periodic timer of a vCPU
 * @timer: CLOCK_MONOTONIC
 * @vcpu: its vCPU
 * @period: ns, 0 when stopped
 */
struct xen_periodic {
	struct hrtimer timer;
	struct kvm_vcpu *vcpu;
	u64 period;
};

static void xen_timer_event(struct kvm_vcpu *vcpu)
{
	u32 port = READ_ONCE(xen_vcpu(vcpu)->timer_port);

	if (port)
		xen_event_send(vcpu->kvm, vcpu, vcpu->vcpu_id, port);
}

static enum hrtimer_restart xen_timer_fire(struct hrtimer *timer)
{
	struct xen_vcpu *x = container_of(timer, struct xen_vcpu, timer);

	WRITE_ONCE(x->timer_expires, 0);
	xen_timer_event(xen_to_vcpu(x));

	return HRTIMER_NORESTART;
}

static enum hrtimer_restart xen_periodic_fire(struct hrtimer *timer)
{
	struct xen_periodic *p = container_of(timer, struct xen_periodic, timer);

	xen_timer_event(p->vcpu);
	/* Ticks that were missed are not made up for, as in Xen. */
	hrtimer_forward_now(timer, ns_to_ktime(p->period));

	return HRTIMER_RESTART;
}

/**
 * xen_timer_init - prepare a vCPU's timers
 * @vcpu: the vCPU, known to nobody else
 *
 * Context: any.
 */
void xen_timer_init(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	hrtimer_init(&x->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	x->timer.function = xen_timer_fire;
}

/**
 * xen_timer_destroy - a vCPU's timers are needed no more
 * @vcpu: the vCPU
 *
 * Context: may sleep. When this returns no callback runs or will.
 */
void xen_timer_destroy(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	hrtimer_cancel(&x->timer);
	xen_periodic_stop(vcpu);
	kfree(x->periodic);
	x->periodic = NULL;
}

/**
 * xen_timer_stop - stop the one-shot timer
 * @vcpu: the vCPU
 *
 * Context: vCPU task or mutex.
 */
void xen_timer_stop(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	hrtimer_cancel(&x->timer);
	x->timer_expires = 0;
}

/**
 * xen_timer_start - arm the one-shot timer
 * @vcpu: the vCPU
 * @expires: guest time, ns; if it is past the event is sent now
 *
 * Context: vCPU task or mutex.
 */
void xen_timer_start(struct kvm_vcpu *vcpu, u64 expires)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	ktime_t when;

	hrtimer_cancel(&x->timer);

	if (!xen_guest_time_to_ktime(vcpu, expires, &when)) {
		x->timer_expires = 0;
		xen_timer_event(vcpu);
		return;
	}

	/* Before the callback can see it. */
	WRITE_ONCE(x->timer_expires, expires);
	x->timer_cpu = raw_smp_processor_id();
	hrtimer_start(&x->timer, when, HRTIMER_MODE_ABS_HARD);
}

/**
 * xen_timer_get - when does the one-shot timer fire?
 * @vcpu: the vCPU
 *
 * Either the time is returned, or the event has been sent.
 *
 * Context: vCPU mutex.
 * Return: guest time, ns; 0 if it is not armed.
 */
u64 xen_timer_get(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	u64 expires;

	/* The callback is either over, with 0 written, or will not run. */
	if (!hrtimer_cancel(&x->timer))
		return READ_ONCE(x->timer_expires);

	expires = READ_ONCE(x->timer_expires);
	if (expires)
		hrtimer_start_expires(&x->timer, HRTIMER_MODE_ABS_HARD);

	return expires;
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
	struct xen_vcpu *x = xen_vcpu(vcpu);
	struct xen_periodic *p = x->periodic;

	if (period < XEN_PERIOD_MIN_NS || period > XEN_PERIOD_MAX_NS)
		return -EINVAL;

	if (!p) {
		p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
		if (!p)
			return -ENOMEM;
		hrtimer_init(&p->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
		p->timer.function = xen_periodic_fire;
		p->vcpu = vcpu;
		x->periodic = p;
	}

	hrtimer_cancel(&p->timer);
	p->period = period;
	x->timer_cpu = raw_smp_processor_id();
	hrtimer_start(&p->timer, ktime_add_ns(ktime_get(), period),
		      HRTIMER_MODE_ABS_HARD);

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
	struct xen_periodic *p = xen_vcpu(vcpu)->periodic;

	if (p) {
		hrtimer_cancel(&p->timer);
		p->period = 0;
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
	struct xen_periodic *p = xen_vcpu(vcpu)->periodic;

	return p ? p->period : 0;
}

/**
 * xen_timers_move - let the timers follow their vCPU to its CPU
 * @vcpu: the vCPU, loaded by the current task
 *
 * An interrupt on another CPU would have to wake this one.
 *
 * Context: vCPU task.
 */
void xen_timers_move(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	int cpu = raw_smp_processor_id();

	if (likely(x->timer_cpu == cpu))
		return;

	x->timer_cpu = cpu;
	if (hrtimer_cancel(&x->timer))
		hrtimer_start_expires(&x->timer, HRTIMER_MODE_ABS_HARD);
	if (x->periodic && hrtimer_cancel(&x->periodic->timer))
		hrtimer_start_expires(&x->periodic->timer,
				      HRTIMER_MODE_ABS_HARD);
}

/**
 * kvm_xen_inject_timer_irqs - deliver timer events that are due
 * @vcpu: the vCPU
 *
 * KVM's name for something that is not needed: kvm_xen_has_pending_timer() is
 * never true.
 */
void kvm_xen_inject_timer_irqs(struct kvm_vcpu *vcpu)
{
}
