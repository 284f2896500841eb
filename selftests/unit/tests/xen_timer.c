// SPDX-License-Identifier: GPL-2.0
/* Guest time, and what is due at it. */
#include "xen_world.h"
#include "arch/x86/kvm/xen/runstate.h"
#include "arch/x86/kvm/xen/time.h"
#include "arch/x86/kvm/xen/timer.h"
#include "rig/hrtimer.h"
#include "together.h"

#define PORT	33

static struct kvm_vcpu *vcpu;

/* Guest time is CLOCK_MONOTONIC less a second; a tick of the TSC is 2 ns. */
static void timer_begin(void)
{
	struct pvclock_vcpu_time_info *hv;

	xen_begin(1, true);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	hv = &vcpu->arch.hv_clock;
	w.kvm->arch.use_master_clock = true;
	unit_tsc = 500000000;
	unit_time_set(1000000000);
	hv->tsc_timestamp = unit_tsc;
	w.kvm->arch.master_cycle_now = unit_tsc;
	hv->tsc_to_system_mul = 1u << 31;
	hv->tsc_shift = 2;
	hv->system_time = 0;
	WRITE_ONCE(xen_vcpu(vcpu)->timer_port, PORT);
}

/* CLOCK_MONOTONIC goes faster by @ppm than the TSC. */
static void time_goes_by(u64 ns, s64 ppm)
{
	WRITE_ONCE(unit_tsc, unit_tsc + ns / 2);
	unit_time_set(ktime_get() + ns + (s64)ns * ppm / 1000000);
}

static void time_goes(u64 ns)
{
	time_goes_by(ns, 0);
}

static u64 noted_time(void)
{
	return xen_clock_read(w.kvm, &xen_vcpu(vcpu)->clock);
}

static bool came(void)
{
	u32 *word = guest_pending(PORT);
	bool was = guest_bit(word, PORT);

	*word = 0;

	return was;
}

TEST(xen_time_now, "xen: time: computed as the guest does, from its own parameters")
{
	ktime_t mono;

	timer_begin();
	vcpu->arch.hv_clock.system_time = 5;
	w.kvm->arch.master_kernel_ns = 5;
	EXPECT_EQ(xen_clock_note(vcpu, &xen_vcpu(vcpu)->clock, &mono), 5);
	EXPECT_EQ(mono, 1000000000);
	time_goes(1000);
	EXPECT_EQ(xen_guest_time(vcpu), 1005);
	xen_clock_note(vcpu, &xen_vcpu(vcpu)->clock, NULL);
	time_goes(1000);
	EXPECT_EQ(noted_time(), xen_guest_time(vcpu));
	/* A host whose TSC begins anew has no time until KVM knows of it. */
	time_goes(1000);
	unit_tsc = 10;
	unit_clock_ns = 4711;
	EXPECT_EQ(xen_guest_time(vcpu), 4711);
	EXPECT_EQ(noted_time(), 1005);
	write_seqcount_begin(&w.kvm->arch.pvclock_sc);
	write_seqcount_end(&w.kvm->arch.pvclock_sc);
	EXPECT_EQ(noted_time(), 4711);
	xen_end();
}

TEST(xen_time_tsc_moved, "xen: time: at sched-out as it was noted, though the guest's TSC has been set since")
{
	timer_begin();
	vcpu->arch.l1_tsc_scaling_ratio = 2;
	vcpu->arch.l1_tsc_offset = -unit_tsc;
	time_goes(3000);
	xen_clock_note(vcpu, &xen_vcpu(vcpu)->clock, NULL);
	time_goes(1000);
	EXPECT_EQ(noted_time(), 8000);
	EXPECT_EQ(xen_guest_time(vcpu), 8000);
	/* Ahead and back; the clock that goes with it is yet to be computed. */
	vcpu->arch.l1_tsc_offset += 1ull << 40;
	EXPECT_EQ(noted_time(), 8000);
	unit_clock_ns = 8000;
	EXPECT(!kvm_test_request(KVM_REQ_CLOCK_UPDATE, vcpu));
	EXPECT_EQ(xen_guest_time(vcpu), 8000);
	EXPECT(kvm_test_request(KVM_REQ_CLOCK_UPDATE, vcpu));
	xen_timer_start(vcpu, 9000);
	EXPECT(!came());
	EXPECT_EQ(xen_timer_get(vcpu), 9000);
	xen_timer_stop(vcpu);
	vcpu->arch.l1_tsc_offset -= 1ull << 41;
	time_goes(1000);
	EXPECT_EQ(noted_time(), 10000);
	xen_end();
}

TEST(xen_time_to_ktime, "xen: time: any time that a guest may ask for has its place, or is past")
{
	struct xen_clock clock;
	ktime_t when;

	timer_begin();
	time_goes(1000);
	EXPECT(!xen_guest_time_to_ktime(vcpu, &clock, 0, &when));
	EXPECT(!xen_guest_time_to_ktime(vcpu, &clock, 1000, &when));
	EXPECT(xen_guest_time_to_ktime(vcpu, &clock, 1001, &when));
	EXPECT_EQ(when, 1000001001);
	/* What is far away is looked at again an eighth earlier. */
	EXPECT(xen_guest_time_to_ktime(vcpu, &clock, 1000 + 100000000, &when));
	EXPECT_EQ(when, 1000001000 + 100000000);
	EXPECT(xen_guest_time_to_ktime(vcpu, &clock, 1000 + (1ull << 40), &when));
	EXPECT_EQ(when, 1000001000 + (1ull << 40) - (1ull << 37));
	EXPECT(xen_guest_time_to_ktime(vcpu, &clock, S64_MAX, &when));
	EXPECT(when > S64_MAX - (S64_MAX >> 2));
	EXPECT(xen_guest_time_to_ktime(vcpu, &clock, ~0ull, &when));
	EXPECT_EQ(when, KTIME_MAX);
	xen_end();
}

TEST(xen_timer_once, "xen: timer: fires once, at its time and not before; what is past, at once")
{
	timer_begin();
	xen_timer_start(vcpu, 5000);
	time_goes(4999);
	EXPECT(!came());
	EXPECT_EQ(xen_timer_get(vcpu), 5000);
	time_goes(1);
	EXPECT(came());
	EXPECT_EQ(xen_timer_get(vcpu), 0);
	time_goes(100000);
	EXPECT(!came());
	xen_timer_start(vcpu, 5000);
	EXPECT(came());
	EXPECT_EQ(xen_timer_get(vcpu), 0);
	xen_timer_start(vcpu, ~0ull);
	EXPECT_EQ(xen_timer_get(vcpu), ~0ull);
	time_goes(1ull << 40);
	EXPECT(!came());
	xen_timer_stop(vcpu);
	EXPECT_EQ(xen_timer_get(vcpu), 0);
	/* Without shared_info the tick is latched. */
	shinfo_set(false);
	xen_timer_start(vcpu, xen_guest_time(vcpu) + 10);
	time_goes(10);
	EXPECT(test_bit(PORT, xen_events(w.kvm)->latched));
	xen_end();
}

/* KVM_SET_CLOCK, with the guest's own clock brought up to date or not yet. */
static void clock_set(s64 by, bool entered)
{
	struct file file = { .private_data = w.kvm };

	unit_clock_ns = xen_guest_time(vcpu);
	EXPECT_EQ(kvm_xen_vm_ioctl(&file, KVM_SET_CLOCK, by), 0);
	if (entered) {
		vcpu->arch.hv_clock.system_time += by;
		xen_timers_move(vcpu);
	} else {
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
	}
}

TEST(xen_timer_clock, "xen: timer: due at its guest time after the clock was set")
{
	unsigned long kicks;

	timer_begin();
	/* The vCPU comes by: ahead, back, and past. */
	xen_timer_start(vcpu, 100000);
	time_goes(1000);
	clock_set(50000, true);
	time_goes(48998);
	EXPECT(!came());
	EXPECT_EQ(xen_timer_get(vcpu), 100000);
	time_goes(2);
	EXPECT(came());
	xen_timer_start(vcpu, 200000);
	clock_set(-50000, true);
	time_goes(149998);
	EXPECT(!came());
	time_goes(2);
	EXPECT(came());
	xen_timer_start(vcpu, 300000);
	clock_set(200000, true);
	EXPECT(came());
	xen_end();

	/* It does not: not too early; it is woken, and looks. */
	timer_begin();
	xen_timer_start(vcpu, 100000);
	time_goes(1000);
	kicks = unit_vcpu_kicks(vcpu);
	clock_set(-5000, false);
	EXPECT_EQ(unit_vcpu_kicks(vcpu), kicks + 1);
	EXPECT(kvm_xen_timer_enabled(vcpu) && kvm_xen_has_pending_timer(vcpu));
	unit_clock_ns += 99000;
	time_goes(99000);
	EXPECT(!came());
	EXPECT_EQ(xen_timer_get(vcpu), 100000);
	unit_clock_ns += 5000;
	time_goes(5000);
	EXPECT(came());
	EXPECT(!kvm_xen_has_pending_timer(vcpu));
	xen_timer_start(vcpu, 200000);
	clock_set(500000, false);
	EXPECT(kvm_xen_timer_enabled(vcpu) && kvm_xen_has_pending_timer(vcpu));
	kvm_xen_inject_timer_irqs(vcpu);
	EXPECT(came());
	/* Nobody is woken for nothing. */
	kicks = unit_vcpu_kicks(vcpu);
	clock_set(500, false);
	EXPECT_EQ(unit_vcpu_kicks(vcpu), kicks);
	xen_end();
}

TEST(xen_timer_periodic, "xen: timer: a period's missed ticks are one; too short a period is none")
{
	timer_begin();
	EXPECT_EQ(xen_periodic_start(vcpu, 999999), -EINVAL);
	EXPECT_EQ(xen_periodic_start(vcpu, 1ull << 62), -EINVAL);
	EXPECT_EQ(xen_periodic_start(vcpu, ~0ull), -EINVAL);
	EXPECT_EQ(xen_periodic_get(vcpu), 0);
	EXPECT_EQ(xen_periodic_start(vcpu, 1000000), 0);
	EXPECT_EQ(xen_periodic_get(vcpu), 1000000);
	for (int i = 0; i < 3; i++) {
		time_goes(999998);
		EXPECT(!came());
		time_goes(2);
		EXPECT(came());
	}
	time_goes(7500000);
	EXPECT(came());
	time_goes(499998);
	EXPECT(!came());
	time_goes(2);
	EXPECT(came());
	EXPECT_EQ(xen_periodic_start(vcpu, (1ull << 62) - 1), 0);
	time_goes(1ull << 40);
	EXPECT(!came());
	xen_periodic_stop(vcpu);
	EXPECT_EQ(xen_periodic_get(vcpu), 0);
	time_goes(1ull << 40);
	EXPECT(!came());
	xen_end();
}

/*
 * adjtimex(2) corrects the host's clock, not the guest's. Return: guest time of the event that
 * is due at @time, which must not have come by @time less a step.
 */
static u64 came_at(u64 time, u64 step, s64 ppm)
{
	u64 now;

	do {
		time_goes_by(step, ppm);
		now = xen_guest_time(vcpu);
		if (now > time + 20 * NSEC_PER_MSEC)
			return ~0ull;
	} while (!came());

	return now;
}

static void expect_no_drift(s64 ppm)
{
	const u64 hour = 3600ull * NSEC_PER_SEC, step = 20000, period = 2000000;
	/* By how much the last 100 ms of its sleep can be wrong. */
	const u64 off = 100 * NSEC_PER_MSEC / 9;
	u64 due, now;

	/* However long it sleeps; what was armed before is a look, and no event. */
	timer_begin();
	xen_timer_start(vcpu, hour);
	while ((now = xen_guest_time(vcpu)) < hour - 20000000) {
		time_goes_by(max((hour - now) / 1024, 10 * NSEC_PER_MSEC), ppm);
		EXPECT(!came());
	}
	due = came_at(hour, step, ppm);
	EXPECT(due >= hour - step && due <= hour + off + step);
	EXPECT_EQ(xen_timer_get(vcpu), 0);
	/* However many ticks there were before: what one is late by is not kept. */
	EXPECT_EQ(xen_periodic_start(vcpu, period), 0);
	due = xen_guest_time(vcpu);
	for (int i = 0; i < 2000; i++) {
		u64 at = came_at(due += period, step, ppm);

		EXPECT(at >= due - step && at <= due + period / 9 + 2 * step);
	}
	xen_end();
}

TEST(xen_timer_ntp, "xen: timer: at its guest time however NTP corrects the host's clock, after an hour and after 2,000 ticks")
{
	expect_no_drift(0);
	expect_no_drift(100000);
	expect_no_drift(-100000);
}

TEST(xen_timer_tsc_anew, "xen: timer: fires though the host's TSC has begun anew, of which KVM hears when the guest is entered")
{
	timer_begin();
	xen_timer_start(vcpu, 4000000);
	EXPECT_EQ(xen_periodic_start(vcpu, 100000000), 0);
	time_goes(1000000);
	unit_tsc = 10;
	unit_time_set(ktime_get() + 3000000);
	EXPECT(came());
	EXPECT_EQ(xen_timer_get(vcpu), 0);
	/* Each period, however long ago the timer was armed. */
	for (int i = 0; i < 5; i++) {
		unit_time_set(ktime_get() + 100000000);
		EXPECT(came());
		EXPECT(!came());
	}
	xen_end();
}

TEST(xen_periodic_clock, "xen: timer: ticks at the same guest times after the clock was set")
{
	unsigned long kicks;

	timer_begin();
	EXPECT_EQ(xen_periodic_start(vcpu, 1000000), 0);
	time_goes(400000);
	/* Ahead within the period, and over several ticks: one comes, at once. */
	clock_set(500000, true);
	EXPECT(!came());
	time_goes(99998);
	EXPECT(!came());
	time_goes(2);
	EXPECT(came());
	clock_set(3300000, true);
	EXPECT(came());
	time_goes(699998);
	EXPECT(!came());
	time_goes(2);
	EXPECT(came());
	/* Back over several: it is never farther away than a period. */
	time_goes(200000);
	clock_set(-3300000, true);
	time_goes(99998);
	EXPECT(!came());
	time_goes(2);
	EXPECT(came());
	time_goes(999998);
	EXPECT(!came());
	time_goes(2);
	EXPECT(came());
	/* A vCPU that does not come by is woken, and looks. */
	kicks = unit_vcpu_kicks(vcpu);
	clock_set(1000000, false);
	EXPECT_EQ(unit_vcpu_kicks(vcpu), kicks + 1);
	EXPECT(kvm_xen_has_pending_timer(vcpu));
	kvm_xen_inject_timer_irqs(vcpu);
	EXPECT(came());
	EXPECT(!kvm_xen_has_pending_timer(vcpu));
	xen_periodic_stop(vcpu);
	clock_set(1000000, false);
	EXPECT(!kvm_xen_has_pending_timer(vcpu));
	xen_end();
}

TEST(xen_timers_held, "xen: timer: read by who saves, neither fires until the vCPU runs; then at its time, or at once")
{
	timer_begin();
	xen_timer_start(vcpu, 100000);
	EXPECT_EQ(xen_periodic_start(vcpu, 1000000), 0);
	/* Back in time for both. */
	xen_timers_hold(vcpu);
	EXPECT_EQ(xen_timer_get(vcpu), 100000);
	EXPECT_EQ(xen_periodic_get(vcpu), 1000000);
	time_goes(50000);
	EXPECT(kvm_xen_timer_enabled(vcpu) && kvm_xen_has_pending_timer(vcpu));
	kvm_xen_inject_timer_irqs(vcpu);
	EXPECT(!kvm_xen_has_pending_timer(vcpu));
	EXPECT(!came());
	time_goes(50000);
	EXPECT(came());
	time_goes(900000);
	EXPECT(came());
	/* Too late for both; another CPU, and another clock, do not start them. */
	xen_timer_start(vcpu, 1500000);
	xen_timers_hold(vcpu);
	time_goes(1700000);
	EXPECT(!came());
	EXPECT_EQ(xen_timer_get(vcpu), 1500000);
	clock_set(500, false);
	EXPECT(!came());
	/* A vCPU that waits for SIPI does not come to where they would be armed. */
	vcpu->arch.mp_state = KVM_MP_STATE_UNINITIALIZED;
	EXPECT(!kvm_xen_has_pending_timer(vcpu));
	vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	EXPECT(kvm_xen_has_pending_timer(vcpu));
	xen_timers_move(vcpu);
	EXPECT(came());
	EXPECT_EQ(xen_timer_get(vcpu), 0);
	EXPECT(!kvm_xen_has_pending_timer(vcpu));
	/* Set while it is held, it is armed; the other is not. */
	xen_timers_hold(vcpu);
	xen_timer_start(vcpu, xen_guest_time(vcpu) + 10);
	time_goes(10);
	EXPECT(came());
	time_goes(5000000);
	EXPECT(!came());
	xen_periodic_stop(vcpu);
	EXPECT(!kvm_xen_has_pending_timer(vcpu));
	xen_end();
}

TEST(xen_periodic_restored, "xen: timer: ticks go on where they were, by the clock there is when the vCPU runs")
{
	timer_begin();
	EXPECT_EQ(xen_periodic_get_tick(vcpu), 0);
	EXPECT_EQ(xen_periodic_set_tick(vcpu, 0), 0);
	EXPECT_EQ(xen_periodic_set_tick(vcpu, 1), -EINVAL);
	EXPECT_EQ(xen_periodic_start(vcpu, 1000000), 0);
	EXPECT_EQ(xen_periodic_get_tick(vcpu), 1000000);
	EXPECT_EQ(xen_periodic_set_tick(vcpu, 0), -EINVAL);
	w.kvm->arch.xen_hvm_config.msr = 0x40000000;
	/* In phase, and not before the vCPU runs. */
	EXPECT_EQ(xen_periodic_set_tick(vcpu, 10300000), 0);
	EXPECT_EQ(xen_periodic_get_tick(vcpu), 10300000);
	time_goes(400000);
	EXPECT(!came());
	kvm_xen_inject_timer_irqs(vcpu);
	EXPECT(!came());
	EXPECT_EQ(xen_periodic_get_tick(vcpu), 1300000);
	time_goes(899998);
	EXPECT(!came());
	time_goes(2);
	EXPECT(came());
	/* The clock is set after it: ahead, to where it was when it was saved. */
	EXPECT_EQ(xen_periodic_set_tick(vcpu, 7700000), 0);
	clock_set(6000000, true);
	EXPECT(!came());
	EXPECT_EQ(xen_periodic_get_tick(vcpu), 7700000);
	time_goes(399998);
	EXPECT(!came());
	time_goes(2);
	EXPECT(came());
	/* One that is past comes once, when the vCPU runs; whatever it is. */
	EXPECT_EQ(xen_periodic_set_tick(vcpu, 3500000), 0);
	time_goes(900000);
	EXPECT(!came());
	kvm_xen_inject_timer_irqs(vcpu);
	EXPECT(came());
	EXPECT_EQ(xen_periodic_get_tick(vcpu), 9500000);
	EXPECT_EQ(xen_periodic_set_tick(vcpu, 1), 0);
	kvm_xen_inject_timer_irqs(vcpu);
	EXPECT(came());
	EXPECT_EQ(xen_periodic_get_tick(vcpu), 9000001);
	EXPECT_EQ(xen_periodic_set_tick(vcpu, ~0ULL), 0);
	kvm_xen_inject_timer_irqs(vcpu);
	EXPECT(!came());
	EXPECT(xen_periodic_get_tick(vcpu) - 8600000 <= 1000000);
	/* Where nothing arms it later it is armed at once. */
	w.kvm->arch.xen_hvm_config.msr = 0;
	EXPECT_EQ(xen_periodic_set_tick(vcpu, 3500000), 0);
	EXPECT(came());
	xen_periodic_stop(vcpu);
	EXPECT_EQ(xen_periodic_get_tick(vcpu), 0);
	xen_end();
}

TEST(xen_time_noted_set, "xen: time: at sched-out the clock that the VMM has set since it was noted")
{
	timer_begin();
	time_goes(1000);
	xen_clock_note(vcpu, &xen_vcpu(vcpu)->clock, NULL);
	time_goes(1000);
	EXPECT_EQ(noted_time(), 2000);
	clock_set(1ll << 40, false);
	EXPECT_EQ(noted_time(), 2000 + (1ll << 40));
	clock_set(-(1ll << 40), false);
	EXPECT_EQ(noted_time(), 2000);
	xen_end();
}

TEST(xen_rs_said_runnable, "xen: runstate: runnable because the VMM says so is by the clock of now")
{
	u64 state, entry, t[4];
	int idx;

	timer_begin();
	time_goes(1000);
	idx = srcu_read_lock(&w.kvm->srcu);
	kvm_xen_runstate_set_running(vcpu);
	time_goes(1000);
	/* The clock was computed anew since it was noted. */
	vcpu->arch.hv_clock.system_time += 500;
	w.kvm->arch.master_kernel_ns += 500;
	kvm_xen_update_runstate(vcpu, RUNSTATE_runnable);
	srcu_read_unlock(&w.kvm->srcu, idx);
	xen_runstate_get(vcpu, &state, &entry, t);
	EXPECT_EQ(state, RUNSTATE_runnable);
	EXPECT_EQ(entry, 2500);
	EXPECT_EQ(t[RUNSTATE_running], 1500);
	xen_end();
}

static bool stop;

static void clock_main(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		time_goes(500);
		unit_relax();
	}
}

TEST(xen_timer_race, "xen: timer: read while it fires, either it fires no more or the event is there")
{
	uint64_t begin, end, rnd = unit_seed;
	struct unit_thread *t;
	unsigned long fired = 0;

	timer_begin();
	t = unit_thread_start("clock", NULL, clock_main, NULL);
	begin = unit_now_ns();
	end = begin + unit_race_ms * 1000000ull;
	while (unit_now_ns() < end ||
	       (fired <= 20 && unit_now_ns() < begin + PATIENCE_NS)) {
		u64 expires = xen_guest_time(vcpu) + 1 +
			      unit_rand(&rnd) % 20000;

		xen_timer_start(vcpu, expires);
		for (;;) {
			u64 got;

			xen_timers_hold(vcpu);
			got = xen_timer_get(vcpu);
			if (!got)
				break;
			EXPECT_EQ(got, expires);
			unit_relax();
			EXPECT(!came());
			kvm_xen_inject_timer_irqs(vcpu);
			for (u64 n = unit_rand(&rnd) % 16; n--;)
				unit_relax();
		}
		EXPECT(came());
		fired++;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	unit_thread_join(t);
	EXPECT(fired > 20);
	xen_end();
}
