// SPDX-License-Identifier: GPL-2.0
/*
 * What depends on the guest's clock, when the VMM sets it.
 *
 * Affected: guests that were paused, restored or moved: the VMM sets their clock, ahead
 * or back. Tried: timers and run state over a clock that was set, vCPUs asleep in the
 * kernel or with the VMM meanwhile, a thread that had to wait for its CPU. A right
 * system fires timers at their guest time, and books to each state the time spent in
 * it, never more than there was.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "caller.h"
#include "probe.h"
#include "xvm.h"
#include "../../arch/x86/kvm/xen/uapi.h"

#define SHINFO_PAGE	1
#define INFO_PAGE	2
#define AREA_PAGE	3
#define ARG_PAGE	4
#define CODE_PAGE	5
#define NPAGES		(CODE_PAGE + CALLER_PAGES)
#define OTHER_SLOT	5
#define OTHER_GPA	0x100000
#define PORT		77
#define NEVER		78
#define MS		1000000ULL

#define SSHOTTMR_FUTURE	1
#define MSR_TSC		0x10

enum { RUNNING, RUNNABLE, BLOCKED, OFFLINE };

FIXTURE(time) {
	struct xvm vm;
	struct xvm_mem mem;
	struct caller caller;
	uint8_t *shinfo;
};

FIXTURE_SETUP(time)
{
	xvm_mem_create(&self->mem, NPAGES);
	self->shinfo = self->mem.witness + SHINFO_PAGE * XVM_PAGE;
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO_PAGE));
	caller_create(&self->caller, &self->vm, 0, CODE_PAGE * XVM_PAGE,
		      self->mem.map + CODE_PAGE * XVM_PAGE);
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  INFO_PAGE * XVM_PAGE));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
				  AREA_PAGE * XVM_PAGE));
}

/* Of the host's clock: microseconds that it goes on by in each 10,000 that pass. */
#define TICK		10000

static void slew(long tick)
{
	struct timex t = { .modes = ADJ_TICK, .tick = tick };

	if (adjtimex(&t) < 0)
		xvm_die("adjtimex");
}

FIXTURE_TEARDOWN(time)
{
	slew(TICK);
	xvm_destroy(&self->vm);
}

static uint64_t guest_ns(FIXTURE_DATA(time) *self)
{
	struct kvm_clock_data clock = {};

	if (ioctl(self->vm.fd, KVM_GET_CLOCK, &clock))
		xvm_die("KVM_GET_CLOCK");
	return clock.clock;
}

static void set_clock(FIXTURE_DATA(time) *self, uint64_t ns)
{
	struct kvm_clock_data clock = { .clock = ns };

	if (ioctl(self->vm.fd, KVM_SET_CLOCK, &clock))
		xvm_die("KVM_SET_CLOCK");
}

static void run(FIXTURE_DATA(time) *self)
{
	caller_call(&self->caller, HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0, 0);
}

static uint32_t arg_gpa(void)
{
	return ARG_PAGE * XVM_PAGE;
}

/* SCHEDOP_poll of a port that never fires; 0: without a timeout. */
static void set_poll(FIXTURE_DATA(time) *self, uint64_t timeout)
{
	struct {
		uint32_t ports, nr;
		uint64_t timeout;
		uint32_t port;
	} __attribute__((packed)) *arg = (void *)(self->mem.map + arg_gpa());

	arg->ports = arg_gpa() + 16;
	arg->nr = 1;
	arg->timeout = timeout;
	arg->port = NEVER;
	caller_set(&self->caller, HYPERVISOR_SCHED_OP, SCHEDOP_POLL, arg_gpa(),
		   0);
}

/* The vCPU polls in the kernel, until caller_end(). */
static void sleep_begin(FIXTURE_DATA(time) *self, struct caller_thread *sleeper)
{
	set_poll(self, 0);
	caller_start(sleeper, &self->caller);
}

TEST_F(time, timer_of_a_sleeper_fires_when_the_clock_is_set_ahead)
{
	struct caller_thread sleeper;

	run(self);
	xvm_timer(&self->vm, 0, PORT, 3000 * MS);
	sleep_begin(self, &sleeper);
	set_clock(self, guest_ns(self) + 4000 * MS);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, 500));
	caller_end(&sleeper);
}

TEST_F(time, timer_fires_at_entry_when_the_clock_was_set_ahead)
{
	run(self);
	xvm_timer(&self->vm, 0, PORT, 3000 * MS);
	set_clock(self, guest_ns(self) + 4000 * MS);
	run(self);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, 500));
}

TEST_F(time, timer_waits_when_the_clock_was_set_back)
{
	int i;

	/* With the vCPU away, and with the vCPU that looks meanwhile. */
	for (i = 0; i < 2; i++) {
		run(self);
		xvm_sleep_ms(500);
		memset(self->shinfo + XEN_SHINFO_PENDING, 0, 512);
		xvm_timer(&self->vm, 0, PORT, 50 * MS);
		set_clock(self, guest_ns(self) - 400 * MS);
		if (i)
			run(self);
		xvm_sleep_ms(250);
		EXPECT_FALSE(xvm_pending(self->shinfo, PORT));
		EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, 500));
	}
}

/* Ahead, past the next tick; back, by many of them. */
TEST_F(time, ticks_come_at_their_times_when_the_clock_is_set)
{
	run(self);
	/* The port. */
	xvm_timer(&self->vm, 0, PORT, 3600000 * MS);
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC,
				  3000 * MS));
	set_clock(self, guest_ns(self) + 4000 * MS);
	run(self);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, 500));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC, 300 * MS));
	memset(self->shinfo + XEN_SHINFO_PENDING, 0, 512);
	set_clock(self, guest_ns(self) - 3000 * MS);
	run(self);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, 500));
}

static void set_tsc(FIXTURE_DATA(time) *self, int64_t by)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} tsc = { .head.nmsrs = 1, .entry.index = MSR_TSC };

	if (ioctl(self->vm.cpu[0], KVM_GET_MSRS, &tsc) != 1)
		xvm_die("KVM_GET_MSRS");
	tsc.entry.data += by;
	if (ioctl(self->vm.cpu[0], KVM_SET_MSRS, &tsc) != 1)
		xvm_die("KVM_SET_MSRS");
}

/* The guest's clock goes on as it did, and is another function of the TSC. */
TEST_F(time, timer_is_on_time_when_the_tsc_is_set)
{
	static const int64_t by[] = { 1LL << 45, -(1LL << 44) };
	uint64_t due;
	int i;

	for (i = 0; i < 2; i++) {
		run(self);
		memset(self->shinfo + XEN_SHINFO_PENDING, 0, 512);
		due = guest_ns(self) + 200 * MS;
		xvm_timer(&self->vm, 0, PORT, 200 * MS);
		set_tsc(self, by[i]);
		run(self);
		EXPECT_FALSE(xvm_pending(self->shinfo, PORT));
		EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, 1000));
		EXPECT_LE(due, guest_ns(self));
		EXPECT_GE(due + 100 * MS, guest_ns(self));
	}
}

/* As by a VMM that restores one before the vCPU has run with its TSC. */
TEST_F(time, timer_is_on_time_that_is_set_after_the_tsc)
{
	uint64_t due;

	run(self);
	set_tsc(self, 1LL << 45);
	due = guest_ns(self) + 300 * MS;
	xvm_timer(&self->vm, 0, PORT, 300 * MS);
	xvm_sleep_ms(20);
	EXPECT_FALSE(xvm_pending(self->shinfo, PORT));
	run(self);
	EXPECT_FALSE(xvm_pending(self->shinfo, PORT));
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, 1000));
	EXPECT_LE(due, guest_ns(self));
	EXPECT_GE(due + 100 * MS, guest_ns(self));
}

/* Each is seen after its time, and soon. */
TEST_F(time, timers_are_never_early)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer = { PORT, XVM_PRIO, 0 },
	};
	int i;

	run(self);
	for (i = 0; i < 20; i++) {
		memset(self->shinfo + XEN_SHINFO_PENDING, 0, 512);
		attr.u.timer.expires_ns = guest_ns(self) + i * 700000;
		ASSERT_EQ(0, ioctl(self->vm.cpu[0], KVM_XEN_VCPU_SET_ATTR,
				   &attr));
		while (!xvm_pending(self->shinfo, PORT) &&
		       guest_ns(self) < attr.u.timer.expires_ns + 100 * MS)
			;
		EXPECT_TRUE(xvm_pending(self->shinfo, PORT));
		EXPECT_LE(attr.u.timer.expires_ns, guest_ns(self));
	}
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000 * MS + t.tv_nsec;
}

/* The host's clock goes a tenth faster or slower, of which the guest's knows nothing. */
static void slew_well(long tick)
{
	int64_t raw, mono;

	slew(tick);
	xvm_sleep_ms(50);
	raw = clock_ns(CLOCK_MONOTONIC_RAW);
	mono = clock_ns(CLOCK_MONOTONIC);
	xvm_sleep_ms(100);
	raw = clock_ns(CLOCK_MONOTONIC_RAW) - raw;
	mono = clock_ns(CLOCK_MONOTONIC) - mono;
	if (llabs(mono - raw) < raw / 20)
		xvm_die("the host's clock was not to be slewed");
}

static const long slews[] = { TICK + TICK / 10, TICK - TICK / 10 };

TEST_F(time, timer_goes_by_the_guests_clock_whatever_the_hosts_does)
{
	uint64_t due, now;
	int i;

	for (i = 0; i < 2; i++) {
		slew_well(slews[i]);
		memset(self->shinfo + XEN_SHINFO_PENDING, 0, 512);
		run(self);
		due = guest_ns(self) + 1000 * MS;
		xvm_timer(&self->vm, 0, PORT, 1000 * MS);
		EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, 2000));
		now = guest_ns(self);
		fprintf(stderr, "# tick %ld: %lld ns late\n", slews[i],
			(long long)(now - due));
		EXPECT_LE(due, now);
		EXPECT_GE(due + 40 * MS, now);
	}
}

TEST_F(time, poll_ends_by_the_guests_clock_whatever_the_hosts_does)
{
	uint64_t due, now;
	int i;

	for (i = 0; i < 2; i++) {
		slew_well(slews[i]);
		run(self);
		due = guest_ns(self) + 1000 * MS;
		set_poll(self, due);
		caller_go(&self->caller);
		now = guest_ns(self);
		fprintf(stderr, "# tick %ld: %lld ns late\n", slews[i],
			(long long)(now - due));
		EXPECT_LE(due, now);
		EXPECT_GE(due + 40 * MS, now);
	}
}

/* How many come while the guest's clock goes on by a second. */
TEST_F(time, ticks_go_by_the_guests_clock_whatever_the_hosts_does)
{
	uint64_t begin;
	int i, ticks;

	/* The port. */
	xvm_timer(&self->vm, 0, PORT, 3600000 * MS);
	for (i = 0; i < 2; i++) {
		slew_well(slews[i]);
		run(self);
		ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
					  KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC,
					  20 * MS));
		begin = guest_ns(self);
		for (ticks = 0; guest_ns(self) - begin < 1010 * MS;)
			if (xvm_pending(self->shinfo, PORT)) {
				memset(self->shinfo + XEN_SHINFO_PENDING, 0, 512);
				ticks++;
			}
		fprintf(stderr, "# tick %ld: %d ticks\n", slews[i], ticks);
		EXPECT_LE(49, ticks);
		EXPECT_GE(51, ticks);
	}
}

TEST_F(time, timeout_in_the_past_is_told_if_asked)
{
	struct {
		uint64_t timeout;
		uint32_t flags;
	} __attribute__((packed)) *arg = (void *)(self->mem.map + arg_gpa());

	run(self);
	/* The port. */
	xvm_timer(&self->vm, 0, PORT, 3600000 * MS);
	xvm_sleep_ms(20);
	arg->timeout = guest_ns(self) - 10 * MS;
	arg->flags = SSHOTTMR_FUTURE;
	EXPECT_EQ(-ETIME, caller_call(&self->caller, HYPERVISOR_VCPU_OP,
				      VCPUOP_SET_SINGLESHOT, 0, arg_gpa()));
	EXPECT_FALSE(xvm_pending(self->shinfo, PORT));
	arg->flags = 0;
	EXPECT_EQ(0, caller_call(&self->caller, HYPERVISOR_VCPU_OP,
				 VCPUOP_SET_SINGLESHOT, 0, arg_gpa()));
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, 100));
}

/* ------------------------------------------------------------------------ */

struct times {
	uint64_t entry, in[4], sum;
};

static void get_times(FIXTURE_DATA(time) *self, struct times *t)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
	};
	int i;

	if (ioctl(self->vm.cpu[0], KVM_XEN_VCPU_GET_ATTR, &attr))
		xvm_die("run state");
	t->entry = attr.u.runstate.state_entry_time;
	t->in[RUNNING] = attr.u.runstate.time_running;
	t->in[RUNNABLE] = attr.u.runstate.time_runnable;
	t->in[BLOCKED] = attr.u.runstate.time_blocked;
	t->in[OFFLINE] = attr.u.runstate.time_offline;
	for (i = 0, t->sum = 0; i < 4; i++)
		t->sum += t->in[i];
}

/* A running vCPU's clock is set back, and then it is in @state. */
static void set_back(FIXTURE_DATA(time) *self, int state, struct times *before,
		     struct times *after)
{
	xvm_sleep_ms(300);
	run(self);
	if (xvm_runstate(&self->vm, 0, RUNNING))
		xvm_die("run state");
	get_times(self, before);
	set_clock(self, guest_ns(self) - 200 * MS);
	if (xvm_runstate(&self->vm, 0, state))
		xvm_die("run state");
	get_times(self, after);
}

/* No time went by that the guest could see; none is booked, to no state. */
TEST_F(time, clock_set_back_is_no_time)
{
	struct times before, after;
	int i;

	set_back(self, BLOCKED, &before, &after);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(before.in[i], after.in[i]);
	EXPECT_EQ(after.entry, after.sum);
	/* And it goes on when the clock has caught up. */
	xvm_sleep_ms(400);
	ASSERT_EQ(0, xvm_runstate(&self->vm, 0, RUNNING));
	get_times(self, &after);
	EXPECT_LE(before.in[BLOCKED] + 100 * MS, after.in[BLOCKED]);
	EXPECT_GE(before.in[BLOCKED] + 300 * MS, after.in[BLOCKED]);
	EXPECT_EQ(after.entry, after.sum);
}

/* The same of a vCPU that the VMM says is waiting for a CPU: it is not the scheduler. */
TEST_F(time, clock_set_back_is_no_time_for_one_said_to_wait)
{
	struct times before, after;
	int i;

	set_back(self, RUNNABLE, &before, &after);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(before.in[i], after.in[i]);
	EXPECT_EQ(after.entry, after.sum);
}

static int spin_stop;	/* atomic */

static void on_cpu(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(thread, sizeof(set), &set))
		xvm_die("pthread_setaffinity_np");
}

static void *spin_thread(void *unused)
{
	on_cpu(pthread_self(), 0);
	while (!__atomic_load_n(&spin_stop, __ATOMIC_RELAXED))
		;
	return NULL;
}

/* The thread waited for its CPU for longer than the guest's clock went on. */
TEST_F(time, no_more_is_stolen_than_there_was)
{
	uint64_t end = xvm_now_ns() + 200 * MS;
	struct times before, after;
	pthread_t spinner;

	xvm_sleep_ms(300);
	on_cpu(pthread_self(), 0);
	run(self);
	ASSERT_EQ(0, xvm_runstate(&self->vm, 0, RUNNING));
	get_times(self, &before);
	ASSERT_EQ(0, pthread_create(&spinner, NULL, spin_thread, NULL));
	while (xvm_now_ns() < end)
		;
	__atomic_store_n(&spin_stop, 1, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(spinner, NULL));
	/* A millisecond of the guest's has gone by, as far as it can tell. */
	set_clock(self, before.entry + MS);
	ASSERT_EQ(0, xvm_runstate(&self->vm, 0, RUNNING));
	get_times(self, &after);
	EXPECT_LE(before.in[RUNNING], after.in[RUNNING]);
	EXPECT_LE(before.in[RUNNABLE], after.in[RUNNABLE]);
	EXPECT_GE(before.in[RUNNABLE] + 100 * MS, after.in[RUNNABLE]);
	EXPECT_EQ(after.entry, after.sum);
}

static int may_run;	/* atomic */

static void *waiter_thread(void *data)
{
	uint64_t end = xvm_now_ns() + 300 * MS;

	on_cpu(pthread_self(), 0);
	while (xvm_now_ns() < end)
		;
	__atomic_store_n(&spin_stop, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&may_run, __ATOMIC_RELAXED))
		xvm_sleep_ms(1);
	run(data);
	return NULL;
}

/* Of what a thread has waited before it had the vCPU no more is told than there was. */
TEST_F(time, no_more_is_stolen_in_another_thread)
{
	struct times before, after;
	pthread_t spinner, waiter;

	ASSERT_EQ(0, pthread_create(&spinner, NULL, spin_thread, NULL));
	ASSERT_EQ(0, pthread_create(&waiter, NULL, waiter_thread, self));
	ASSERT_EQ(0, pthread_join(spinner, NULL));
	run(self);
	ASSERT_EQ(0, xvm_runstate(&self->vm, 0, RUNNING));
	get_times(self, &before);
	__atomic_store_n(&may_run, 1, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(waiter, NULL));
	get_times(self, &after);
	/* It was soon, as such things go. */
	EXPECT_GE(before.entry + 50 * MS, after.entry);
	EXPECT_GE(before.in[RUNNABLE] + (after.entry - before.entry),
		  after.in[RUNNABLE]);
	EXPECT_GE(before.in[RUNNING] + (after.entry - before.entry),
		  after.in[RUNNING]);
	EXPECT_EQ(after.entry, after.sum);
}

TEST_F(time, asleep_in_the_kernel_is_blocked)
{
	struct caller_thread sleeper;
	struct times before, after;

	run(self);
	ASSERT_EQ(0, xvm_runstate(&self->vm, 0, RUNNING));
	get_times(self, &before);
	sleep_begin(self, &sleeper);
	xvm_sleep_ms(200);
	caller_end(&sleeper);
	ASSERT_EQ(0, xvm_runstate(&self->vm, 0, RUNNING));
	get_times(self, &after);
	EXPECT_LE(before.in[BLOCKED] + 150 * MS, after.in[BLOCKED]);
	EXPECT_GE(before.in[RUNNING] + 100 * MS, after.in[RUNNING]);
	EXPECT_EQ(after.entry, after.sum);
}

/* Guest code before its call: cmpb $0, GO; je back to it. */
#define GO		(ARG_PAGE * XVM_PAGE + 128)

static void spin_first(FIXTURE_DATA(time) *self)
{
	uint8_t *code = self->mem.map + CODE_PAGE * XVM_PAGE;
	uint8_t spin[] = { 0x80, 0x3d, 0, 0, 0, 0, 0, 0x74, 0xf7 };
	uint32_t go = GO;

	memcpy(spin + 2, &go, sizeof(go));
	memmove(code + sizeof(spin), code, 64);
	memcpy(code, spin, sizeof(spin));
}

/* Wakes the vCPU, and has its CPU for a while. */
struct hog {
	FIXTURE_DATA(time) *self;
	uint64_t woken;
};

#define HOG_NS		(100 * MS)

static void *hog_thread(void *arg)
{
	struct sched_param fifo = { .sched_priority = 1 };
	struct hog *hog = arg;
	uint64_t end;

	on_cpu(pthread_self(), 0);
	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &fifo))
		xvm_die("SCHED_FIFO");
	end = xvm_now_ns() + HOG_NS;
	if (xvm_send(&hog->self->vm, PORT, 0))
		xvm_die("an event");
	hog->woken = guest_ns(hog->self);
	while (xvm_now_ns() < end)
		;
	return NULL;
}

/* A halt lasts until the vCPU has a CPU again; blocked it is until it is woken, as in Xen. */
TEST_F(time, woken_vcpu_that_waits_for_a_cpu_is_runnable)
{
	struct hog hog = { .self = self };
	struct times before, after;
	struct caller_thread vcpu;
	pthread_t thread;
	uint64_t asleep;

	if (!probe_two_cpus())
		SKIP(return, "the VMM needs a CPU of its own");
	run(self);
	ASSERT_EQ(0, xvm_runstate(&self->vm, 0, RUNNING));
	get_times(self, &before);
	spin_first(self);
	set_poll(self, 0);
	*(uint32_t *)(self->mem.map + arg_gpa() + 16) = PORT;
	on_cpu(pthread_self(), 1);
	caller_start(&vcpu, &self->caller);
	on_cpu(vcpu.thread, 0);
	/* It runs for longer than it will wait, then sleeps, then waits. */
	xvm_sleep_ms(300);
	asleep = guest_ns(self);
	self->mem.witness[GO] = 1;
	xvm_sleep_ms(100);
	ASSERT_EQ(0, pthread_create(&thread, NULL, hog_thread, &hog));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_TRUE(caller_is_done(&vcpu, 5000));
	caller_end(&vcpu);
	ASSERT_EQ(0, xvm_runstate(&self->vm, 0, RUNNING));
	get_times(self, &after);
	EXPECT_LE(before.in[RUNNABLE] + HOG_NS * 3 / 4, after.in[RUNNABLE]);
	EXPECT_LE(before.in[BLOCKED] + 50 * MS, after.in[BLOCKED]);
	EXPECT_GE(before.in[BLOCKED] + (hog.woken - asleep) + HOG_NS / 4,
		  after.in[BLOCKED]);
	EXPECT_EQ(after.entry, after.sum);
}

/* The vCPU is in the guest, on CPU 0, until caller_end(); the caller's is CPU 1. */
static void spin_begin(FIXTURE_DATA(time) *self, struct caller_thread *vcpu)
{
	static const uint8_t spin[] = { 0xeb, 0xfe };

	memcpy(self->mem.map + CODE_PAGE * XVM_PAGE, spin, sizeof(spin));
	caller_set(&self->caller, 0, 0, 0, 0);
	on_cpu(pthread_self(), 1);
	caller_start(vcpu, &self->caller);
	on_cpu(vcpu->thread, 0);
	xvm_sleep_ms(10);
}

/* Who reads it on the vCPU's CPU finds the vCPU waiting for that. */
TEST_F(time, preempted_vcpu_is_runnable_whatever_slots_have_changed)
{
	uint32_t *state = (void *)(self->mem.witness + AREA_PAGE * XVM_PAGE);
	uint8_t *other = xvm_anon(1);
	struct caller_thread vcpu;
	unsigned int i, wrong[2] = {};

	if (!probe_two_cpus())
		SKIP(return, "the slots change on a CPU of its own");
	spin_begin(self, &vcpu);
	for (i = 0; i < 20; i++) {
		if (i >= 10)
			xvm_slot(&self->vm, OTHER_SLOT, 0, OTHER_GPA,
				 i % 2 ? 0 : XVM_PAGE, other);
		on_cpu(pthread_self(), 0);
		wrong[i / 10] += __atomic_load_n(state, __ATOMIC_ACQUIRE) !=
				 RUNNABLE;
		on_cpu(pthread_self(), 1);
		xvm_sleep_ms(10);
	}
	EXPECT_EQ(0, wrong[0]);
	EXPECT_EQ(0, wrong[1]);
	caller_end(&vcpu);
}

/* That is no reason to take a vCPU out of the guest, as bringing clocks up to date is. */
TEST_F(time, guest_goes_on_when_shared_info_is_set)
{
	uint64_t before = 0, after = 0;
	struct caller_thread vcpu;
	int i, stats;

	if (!probe_two_cpus())
		SKIP(return, "the attribute is set on a CPU of its own");
	stats = ioctl(self->vm.cpu[0], KVM_GET_STATS_FD, NULL);
	spin_begin(self, &vcpu);
	ASSERT_TRUE(xvm_stat(stats, "exits", &before));
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO_PAGE));
		xvm_sleep_ns(MS / 5);
	}
	ASSERT_TRUE(xvm_stat(stats, "exits", &after));
	TH_LOG("%lu exits", after - before);
	EXPECT_GT(50, after - before);
	caller_end(&vcpu);
	close(stats);
}

/* ------------------------------------------------------------------------ */

/* On which CPU is a timer of Xen's? It is the only one there is. */
static int timer_cpu(void)
{
	FILE *f = fopen("/proc/timer_list", "r");
	int n, cpu = -1, at = -1;
	char line[256];

	if (!f)
		xvm_die("/proc/timer_list");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "cpu: %d", &n) == 1)
			cpu = n;
		if (strstr(line, "xen_timer"))
			at = cpu;
	}
	fclose(f);
	return at;
}

/* Or each tick would be an interrupt of a CPU that has nothing to do with it. */
TEST_F(time, timer_follows_its_vcpu)
{
	int cpu;

	if (!probe_two_cpus())
		SKIP(return, "a vCPU moves between two CPUs");
	xvm_timer(&self->vm, 0, PORT, 3600000 * MS);
	for (cpu = 0; cpu < 2; cpu++) {
		on_cpu(pthread_self(), cpu);
		run(self);
		EXPECT_EQ(cpu, timer_cpu());
	}
}

TEST_HARNESS_MAIN
