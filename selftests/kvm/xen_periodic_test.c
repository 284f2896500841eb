// SPDX-License-Identifier: GPL-2.0
/*
 * The periodic timer of a vCPU, kept by KVM.
 *
 * Affected: guests that tick (other than Linux), and the VMM that would have to
 * wake for each of their ticks. Tried: start, change and stop it by hypercall and by
 * attribute, with periods that are too short or too long, and carry it over to
 * another VM. A right system ticks by the clock, not by when it got round to it,
 * and says what Xen says.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "calls.h"

#define PORT		33
#define MS		1000000ULL
#define PERIOD		(5 * MS)
#define TICKS		100
#define SHORTEST	(1 * MS)	/* Xen's limits */
#define LONGEST		(UINT64_MAX >> 2)

FIXTURE(periodic) {
	struct calls c;
};

FIXTURE_VARIANT(periodic) {
	bool wide;
};

FIXTURE_VARIANT_ADD(periodic, narrow) {
};

FIXTURE_VARIANT_ADD(periodic, wide) {
	.wide = true,
};

/* A timer's port is set with the one-shot timer, which is left alone here. */
static void set_port(struct calls *c)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer.port = PORT,
		.u.timer.priority = XVM_PRIO,
	};

	if (ioctl(c->vm.cpu[0], KVM_XEN_VCPU_SET_ATTR, &attr))
		xvm_die("the timer's port");
}

FIXTURE_SETUP(periodic)
{
	calls_create(&self->c, variant->wide);
	ASSERT_EQ(0, calls_accel(&self->c, KVM_XEN_ACCEL_PERIODIC));
	set_port(&self->c);
}

FIXTURE_TEARDOWN(periodic)
{
	calls_destroy(&self->c);
}

static int64_t set_period(struct calls *c, uint64_t ns)
{
	*(uint64_t *)calls_arg(c, 0) = ns;
	return calls_make(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_SET_PERIODIC, 0,
			  calls_arg_gpa(0));
}

static int64_t stop(struct calls *c)
{
	return calls_make(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_STOP_PERIODIC, 0, 0);
}

static uint64_t period_of(struct calls *c)
{
	uint64_t ns;

	if (xvm_get_cpu_attr(&c->vm, 0, KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC, &ns))
		xvm_die("X_PERIODIC");
	return ns;
}

/* The guest takes notice of an event. Returns when, 0 if none comes. */
static uint64_t take_tick(struct calls *c)
{
	uint8_t *byte = c->shinfo + XEN_SHINFO_PENDING + PORT / 8;
	uint64_t now, end = xvm_now_ns() + 1000 * MS;

	do {
		now = xvm_now_ns();
		if (now > end)
			return 0;
	} while (!xvm_pending(c->shinfo, PORT));
	__atomic_fetch_and(byte, ~(1 << PORT % 8), __ATOMIC_SEQ_CST);
	return now;
}

static bool ticks(struct calls *c)
{
	/* Who has been asked for its period ticks when it runs again. */
	calls_make(c, 0, HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0, 0);
	/* The first may have been on its way. */
	return take_tick(c) && take_tick(c);
}

/*
 * Each tick is when it should be, counted from the first: what one is late by is
 * not added to the next.
 */
TEST_F(periodic, ticks_by_the_clock)
{
	struct calls *c = &self->c;
	uint64_t first, last = 0;
	int i;

	ASSERT_EQ(0, set_period(c, PERIOD));
	first = take_tick(c);
	ASSERT_NE(0, first);
	for (i = 0; i < TICKS; i++) {
		last = take_tick(c);
		ASSERT_NE(0, last);
	}
	fprintf(stderr, "# %d ticks took %llu ns\n", TICKS,
		(unsigned long long)(last - first));
	EXPECT_LE(TICKS * PERIOD - PERIOD / 4, last - first);
	EXPECT_GE(TICKS * PERIOD + PERIOD / 4, last - first);
}

TEST_F(periodic, first_tick_is_a_period_away)
{
	struct calls *c = &self->c;
	uint64_t begin = xvm_now_ns(), tick;

	ASSERT_EQ(0, set_period(c, 100 * MS));
	tick = take_tick(c);
	ASSERT_NE(0, tick);
	EXPECT_LE(begin + 100 * MS, tick);
	/* On a slow host too it is the first one. */
	EXPECT_GT(begin + 200 * MS, tick);
}

TEST_F(periodic, stops)
{
	struct calls *c = &self->c;

	ASSERT_EQ(0, set_period(c, PERIOD));
	ASSERT_TRUE(ticks(c));
	ASSERT_EQ(0, stop(c));
	c->shinfo[XEN_SHINFO_PENDING + PORT / 8] = 0;
	xvm_sleep_ms(30);
	EXPECT_FALSE(xvm_pending(c->shinfo, PORT));
	EXPECT_EQ(0, period_of(c));
	/* To stop what has stopped is right. */
	EXPECT_EQ(0, stop(c));
}

TEST_F(periodic, period_has_limits)
{
	struct calls *c = &self->c;

	EXPECT_EQ(-EINVAL, set_period(c, 0));
	EXPECT_EQ(-EINVAL, set_period(c, SHORTEST - 1));
	EXPECT_EQ(-EINVAL, set_period(c, LONGEST + 1));
	EXPECT_EQ(-EINVAL, set_period(c, UINT64_MAX));
	EXPECT_EQ(0, period_of(c));
	EXPECT_EQ(0, set_period(c, LONGEST));
	EXPECT_EQ(LONGEST, period_of(c));
	EXPECT_EQ(0, set_period(c, SHORTEST));
	EXPECT_EQ(SHORTEST, period_of(c));
	EXPECT_TRUE(ticks(c));
	/* A wrong one leaves the right one. */
	EXPECT_EQ(-EINVAL, set_period(c, 1));
	EXPECT_EQ(-EFAULT, calls_make(c, 0, HYPERVISOR_VCPU_OP,
				      VCPUOP_SET_PERIODIC, 0, CALLS_BAD));
	EXPECT_EQ(SHORTEST, period_of(c));
	EXPECT_TRUE(ticks(c));
}

/* Xen lets a vCPU set another's; from here that cannot be done. */
TEST_F(periodic, of_another_vcpu_is_the_vmms)
{
	struct calls *c = &self->c;

	*(uint64_t *)calls_arg(c, 0) = PERIOD;
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_SET_PERIODIC,
				 1, calls_arg_gpa(0)));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_STOP_PERIODIC,
				 1, 0));
	/* And this one has no port for it. */
	EXPECT_TRUE(calls_to_vmm(c, 1, HYPERVISOR_VCPU_OP, VCPUOP_SET_PERIODIC,
				 1, calls_arg_gpa(0)));
}

TEST_F(periodic, is_set_by_attribute_too)
{
	const unsigned int type = KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC;
	struct calls *c = &self->c;

	ASSERT_EQ(0, xvm_cpu_attr(&c->vm, 0, type, PERIOD));
	EXPECT_EQ(PERIOD, period_of(c));
	EXPECT_TRUE(ticks(c));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&c->vm, 0, type, SHORTEST - 1));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&c->vm, 0, type, LONGEST + 1));
	EXPECT_EQ(PERIOD, period_of(c));
	ASSERT_EQ(0, xvm_cpu_attr(&c->vm, 0, type, 0));
	EXPECT_EQ(0, period_of(c));
}

/* Who reads it saves the vCPU, which has no more ticks until it runs. */
TEST_F(periodic, does_not_tick_while_the_vcpu_is_saved)
{
	struct calls *c = &self->c;

	ASSERT_EQ(0, set_period(c, PERIOD));
	ASSERT_TRUE(ticks(c));
	EXPECT_EQ(PERIOD, period_of(c));
	c->shinfo[XEN_SHINFO_PENDING + PORT / 8] = 0;
	xvm_sleep_ms(30);
	EXPECT_FALSE(xvm_pending(c->shinfo, PORT));
	EXPECT_TRUE(ticks(c));
}

/* The one-shot timer, which has the same port, goes its own way. */
TEST_F(periodic, one_shot_timer_is_another)
{
	struct calls *c = &self->c;

	ASSERT_EQ(0, set_period(c, 3600000 * MS));
	xvm_timer(&c->vm, 0, PORT, 10 * MS);
	EXPECT_NE(0, take_tick(c));
	EXPECT_EQ(3600000 * MS, period_of(c));
	ASSERT_EQ(0, set_period(c, PERIOD));
	EXPECT_TRUE(ticks(c));
}

TEST_F(periodic, survives_save_and_restore)
{
	struct calls next, *c = &self->c;
	uint64_t ns;

	ASSERT_EQ(0, set_period(c, PERIOD));
	ASSERT_TRUE(ticks(c));
	ns = period_of(c);

	calls_create(&next, variant->wide);
	ASSERT_EQ(0, xvm_cpu_attr(&next.vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC, ns));
	/* The port last: a VMM restores in any order. */
	set_port(&next);
	EXPECT_TRUE(ticks(&next));
	calls_destroy(&next);
}

static uint64_t next_tick(struct calls *c)
{
	uint64_t ns;

	if (xvm_get_cpu_attr(&c->vm, 0, KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC_TICK, &ns))
		xvm_die("X_PERIODIC_TICK");
	return ns;
}

static int set_tick(struct calls *c, uint64_t ns)
{
	return xvm_cpu_attr(&c->vm, 0, KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC_TICK, ns);
}

#define SLOW		(300 * MS)

/* Of what is due the last word is the guest's clock, wherever that goes on. */
TEST_F(periodic, keeps_its_phase_when_it_is_restored)
{
	struct calls next, *c = &self->c;
	struct kvm_clock_data clock = {};
	uint64_t tick;

	EXPECT_EQ(0, next_tick(c));
	EXPECT_EQ(0, set_tick(c, 0));
	EXPECT_EQ(-EINVAL, set_tick(c, 1));
	ASSERT_EQ(0, set_period(c, SLOW));
	tick = next_tick(c);
	ASSERT_EQ(0, ioctl(c->vm.fd, KVM_GET_CLOCK, &clock));
	EXPECT_LT(clock.clock, tick + SLOW);
	EXPECT_GT(clock.clock + SLOW, tick);
	/* It stands still while nobody runs. */
	xvm_sleep_ms(50);
	EXPECT_EQ(tick, next_tick(c));

	calls_create(&next, variant->wide);
	ASSERT_EQ(0, xvm_cpu_attr(&next.vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC, SLOW));
	EXPECT_EQ(-EINVAL, set_tick(&next, 0));
	ASSERT_EQ(0, set_tick(&next, tick));
	EXPECT_EQ(tick, next_tick(&next));
	/* The clock and the port last: a VMM restores in any order. */
	clock = (struct kvm_clock_data){ .clock = tick - 100 * MS };
	ASSERT_EQ(0, ioctl(next.vm.fd, KVM_SET_CLOCK, &clock));
	set_port(&next);
	EXPECT_FALSE(xvm_pending(next.shinfo, PORT));
	calls_make(&next, 0, HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0, 0);
	ASSERT_NE(0, take_tick(&next));
	ASSERT_EQ(0, ioctl(next.vm.fd, KVM_GET_CLOCK, &clock));
	EXPECT_LE(tick, clock.clock);
	EXPECT_GT(tick + SLOW, clock.clock);
	EXPECT_EQ(0, (next_tick(&next) - tick) % SLOW);
	EXPECT_LT(tick, next_tick(&next));

	/* What was due meanwhile is due at once, and once. */
	tick = next_tick(&next);
	clock = (struct kvm_clock_data){ .clock = tick + 10 * SLOW + SLOW / 2 };
	ASSERT_EQ(0, ioctl(next.vm.fd, KVM_SET_CLOCK, &clock));
	ASSERT_EQ(0, set_tick(&next, tick));
	calls_make(&next, 0, HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0, 0);
	EXPECT_TRUE(xvm_pending(next.shinfo, PORT));
	EXPECT_LE(tick + 11 * SLOW, next_tick(&next));
	EXPECT_EQ(0, (next_tick(&next) - tick) % SLOW);
	calls_destroy(&next);
}

TEST_HARNESS_MAIN
