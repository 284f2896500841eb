// SPDX-License-Identifier: GPL-2.0
/*
 * SCHEDOP_poll: a vCPU that sleeps for an event.
 *
 * Affected: guests with paravirtual spinlocks, and the host operations that must
 * not wait for such a guest. Tried: poll for ports that fire and for ports that do
 * not, masked and not, for this vCPU and for another. A right system wakes every
 * vCPU that polls a port, takes the timeout for a point in system time, and lets
 * nobody wait for a sleeper.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "../../arch/x86/kvm/xen/uapi.h"
#include "caller.h"
#include "xvm.h"

#define SLOT		0
#define OTHER_SLOT	5
#define OTHER_GPA	0x100000
#define SHINFO_PAGE	1
#define INFO_PAGE	2	/* two of them */
#define ARG_PAGE	4	/* two */
#define CODE_PAGE	6
#define NPAGES		8
#define PORT		77
#define NEVER		78
#define VECTOR		0x31
#define APIC_TPR	0x80
#define APIC_SPIV	0xf0
#define APIC_SPIV_ON	0x100
#define MS		1000000ULL

struct poll_arg {
	uint32_t ports;
	uint32_t nr;
	uint64_t timeout;
	uint32_t port[8];
} __attribute__((packed));

FIXTURE(poll) {
	struct xvm vm;
	struct xvm_mem mem;
	struct caller cpu[2];
	uint8_t *shinfo;
};

FIXTURE_SETUP(poll)
{
	int i;

	xvm_mem_create(&self->mem, NPAGES);
	self->shinfo = self->mem.witness + SHINFO_PAGE * XVM_PAGE;
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, SLOT, 0, 0, NPAGES * XVM_PAGE, self->mem.map);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO_PAGE));
	for (i = 0; i < 2; i++) {
		caller_create(&self->cpu[i], &self->vm, i, CODE_PAGE * XVM_PAGE,
			      self->mem.map + CODE_PAGE * XVM_PAGE);
		ASSERT_EQ(0, xvm_cpu_attr(&self->vm, i,
					  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
					  (INFO_PAGE + i) * XVM_PAGE));
	}
}

FIXTURE_TEARDOWN(poll)
{
	xvm_destroy(&self->vm);
}

static uint64_t guest_ns(struct xvm *vm)
{
	struct kvm_clock_data clock = {};

	if (ioctl(vm->fd, KVM_GET_CLOCK, &clock))
		xvm_die("KVM_GET_CLOCK");
	return clock.clock;
}

static struct poll_arg *arg_of(FIXTURE_DATA(poll) *self, int cpu)
{
	return (void *)(self->mem.map + (ARG_PAGE + cpu) * XVM_PAGE);
}

/* Prepare a poll of one port, until @timeout of guest time or for ever. */
static void prepare(FIXTURE_DATA(poll) *self, int cpu, uint32_t port,
		    uint64_t timeout)
{
	uint32_t gpa = (ARG_PAGE + cpu) * XVM_PAGE;
	struct poll_arg *arg = arg_of(self, cpu);

	arg->ports = gpa + offsetof(struct poll_arg, port);
	arg->nr = 1;
	arg->timeout = timeout;
	arg->port[0] = port;
	caller_set(&self->cpu[cpu], HYPERVISOR_SCHED_OP, SCHEDOP_POLL, gpa, 0);
}

static void mask(FIXTURE_DATA(poll) *self, uint32_t port)
{
	self->shinfo[XEN_SHINFO_MASK + port / 8] |= 1 << port % 8;
}

TEST_F(poll, pending_port_returns_at_once)
{
	struct caller_thread s;

	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	prepare(self, 0, PORT, 0);
	caller_start(&s, &self->cpu[0]);
	EXPECT_TRUE(caller_is_done(&s, 1000));
	caller_end(&s);
	EXPECT_EQ(0, s.r);
	EXPECT_EQ(0, caller_result(&self->cpu[0]));
}

TEST_F(poll, event_of_another_vcpu_wakes)
{
	struct caller_thread s;

	prepare(self, 0, PORT, 0);
	caller_start(&s, &self->cpu[0]);
	EXPECT_FALSE(caller_is_done(&s, 50));
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 1));
	EXPECT_TRUE(caller_is_done(&s, 1000));
	caller_end(&s);
	EXPECT_EQ(0, s.r);
}

TEST_F(poll, masked_event_of_another_vcpu_wakes)
{
	struct caller_thread s;

	mask(self, PORT);
	prepare(self, 0, PORT, 0);
	caller_start(&s, &self->cpu[0]);
	EXPECT_FALSE(caller_is_done(&s, 50));
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 1));
	EXPECT_TRUE(caller_is_done(&s, 1000));
	caller_end(&s);
	EXPECT_EQ(0, s.r);
}

TEST_F(poll, every_vcpu_that_polls_wakes)
{
	struct caller_thread s[2];
	int i;

	mask(self, PORT);
	for (i = 0; i < 2; i++) {
		prepare(self, i, PORT, 0);
		caller_start(&s[i], &self->cpu[i]);
	}
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(caller_is_done(&s[i], 1000));
	for (i = 0; i < 2; i++) {
		caller_end(&s[i]);
		EXPECT_EQ(0, s[i].r);
	}
}

/* A point in system time; a relative one of the same number is far away. */
TEST_F(poll, timeout_is_a_point_in_time)
{
	uint64_t began, took;
	struct caller_thread s;

	/* So that a deadline and a duration are not the same. */
	xvm_sleep_ms(500);
	prepare(self, 0, NEVER, guest_ns(&self->vm) + 100 * MS);
	began = xvm_now_ns();
	caller_start(&s, &self->cpu[0]);
	EXPECT_TRUE(caller_is_done(&s, 400));
	took = xvm_now_ns() - began;
	caller_end(&s);
	EXPECT_EQ(0, s.r);
	EXPECT_LE(90 * MS, took);
}

TEST_F(poll, timeout_that_is_past_returns_at_once)
{
	struct caller_thread s;

	xvm_sleep_ms(100);
	prepare(self, 0, NEVER, 50 * MS);
	caller_start(&s, &self->cpu[0]);
	EXPECT_TRUE(caller_is_done(&s, 30));
	caller_end(&s);
	EXPECT_EQ(0, s.r);
}

/* Not by the host's ticks, which are milliseconds. */
TEST_F(poll, timeout_is_exact)
{
	uint64_t due, now;
	int i;

	/* A vCPU's first run takes longer than that where locks are checked. */
	caller_call(&self->cpu[0], HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0, 0);
	for (i = 0; i < 20; i++) {
		due = guest_ns(&self->vm) + MS / 2;
		prepare(self, 0, NEVER, due);
		while (caller_go(&self->cpu[0]) == -EINTR)
			;
		now = guest_ns(&self->vm);
		ASSERT_LE(due, now);
		/* A tick would be four. */
		ASSERT_GE(due + MS, now);
	}
}

/* The VMM's memory slots must not wait for a guest that waits for ever. */
TEST_F(poll, memory_slots_do_not_wait_for_a_sleeper)
{
	uint8_t *other = xvm_anon(1);
	uint64_t began, took;
	struct caller_thread s;

	prepare(self, 0, NEVER, guest_ns(&self->vm) + 3000 * MS);
	caller_start(&s, &self->cpu[0]);
	began = xvm_now_ns();
	xvm_slot(&self->vm, OTHER_SLOT, 0, OTHER_GPA, XVM_PAGE, other);
	took = xvm_now_ns() - began;
	EXPECT_GT(1000 * MS, took);
	caller_end(&s);
}

TEST_F(poll, bad_arguments)
{
	struct poll_arg *arg = arg_of(self, 0);
	uint32_t gpa = ARG_PAGE * XVM_PAGE;

	prepare(self, 0, 4096, 0);
	EXPECT_EQ(-EINVAL, caller_call(&self->cpu[0], HYPERVISOR_SCHED_OP,
				       SCHEDOP_POLL, gpa, 0));
	prepare(self, 0, PORT, 0);
	arg->nr = 129;
	EXPECT_EQ(-EINVAL, caller_call(&self->cpu[0], HYPERVISOR_SCHED_OP,
				       SCHEDOP_POLL, gpa, 0));
	arg->nr = UINT32_MAX;
	EXPECT_EQ(-EINVAL, caller_call(&self->cpu[0], HYPERVISOR_SCHED_OP,
				       SCHEDOP_POLL, gpa, 0));
	arg->nr = 1;
	arg->ports = 0x40000000;
	EXPECT_EQ(-EFAULT, caller_call(&self->cpu[0], HYPERVISOR_SCHED_OP,
				       SCHEDOP_POLL, gpa, 0));
	EXPECT_EQ(-EFAULT, caller_call(&self->cpu[0], HYPERVISOR_SCHED_OP,
				       SCHEDOP_POLL, 0x40000000, 0));
}

/* ------------------------------------------------------------------------ */

/* SCHEDOP_block; interrupts are off, so nothing but the event itself can wake. */
static void prepare_block(FIXTURE_DATA(poll) *self)
{
	struct kvm_xen_hvm_attr leave = {
		.type = KVM_XEN_ATTR_TYPE_X_ACCEL,
		.u.pad[0] = KVM_XEN_ACCEL_BLOCK,
	};
	int r = xvm_vm_attr(&self->vm, &leave);

	if (r)
		xvm_die("KVM leaves SCHEDOP_block to the VMM: %d", r);
	caller_set(&self->cpu[0], HYPERVISOR_SCHED_OP, SCHEDOP_BLOCK, 0, 0);
}

static void block_until_event(struct __test_metadata *_metadata,
			      FIXTURE_DATA(poll) *self)
{
	uint8_t *info = self->mem.witness + INFO_PAGE * XVM_PAGE;
	struct caller_thread s;

	prepare_block(self);
	info[1] = 1;
	caller_start(&s, &self->cpu[0]);
	EXPECT_FALSE(caller_is_done(&s, 50));
	EXPECT_EQ(0, info[1]);
	ASSERT_EQ(0, xvm_send(&self->vm, NEVER, 1));
	EXPECT_FALSE(caller_is_done(&s, 50));
	/* Of another word, or the vCPU would know. */
	ASSERT_EQ(0, xvm_send(&self->vm, PORT + 64, 0));
	EXPECT_TRUE(caller_is_done(&s, 1000));
	caller_end(&s);
	EXPECT_EQ(0, s.r);
	EXPECT_EQ(0, caller_result(&self->cpu[0]));
}

TEST_F(poll, block_ends_with_an_event)
{
	block_until_event(_metadata, self);
}

/* The upcall is an interrupt that the guest does not take now. */
TEST_F(poll, block_ends_with_an_event_of_a_vcpu_with_a_vector)
{
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, VECTOR));
	block_until_event(_metadata, self);
}

/* Interrupts are on, but @tpr and @spiv keep the vCPU's own vector from it. */
static void hold_vector_off(FIXTURE_DATA(poll) *self, uint32_t tpr, uint32_t spiv)
{
	struct kvm_lapic_state apic;

	if (xvm_cpu_attr(&self->vm, 0, KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR,
			 VECTOR))
		xvm_die("vector");
	if (ioctl(self->vm.cpu[0], KVM_GET_LAPIC, &apic))
		xvm_die("KVM_GET_LAPIC");
	memcpy(apic.regs + APIC_TPR, &tpr, sizeof(tpr));
	memcpy(apic.regs + APIC_SPIV, &spiv, sizeof(spiv));
	if (ioctl(self->vm.cpu[0], KVM_SET_LAPIC, &apic))
		xvm_die("KVM_SET_LAPIC");
	self->cpu[0].irqs = true;
}

TEST_F(poll, block_ends_with_an_event_that_the_apic_holds_off)
{
	hold_vector_off(self, VECTOR & 0xf0, 0xff | APIC_SPIV_ON);
	block_until_event(_metadata, self);
}

TEST_F(poll, block_ends_with_an_event_while_the_apic_is_off)
{
	hold_vector_off(self, 0, 0xff);
	block_until_event(_metadata, self);
}

TEST_F(poll, block_ends_with_an_event_without_vcpu_info)
{
	struct caller_thread s;

	prepare_block(self);
	caller_start(&s, &self->cpu[0]);
	EXPECT_FALSE(caller_is_done(&s, 50));
	xvm_map(&self->mem, INFO_PAGE, self->mem.map + INFO_PAGE * XVM_PAGE);
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	EXPECT_TRUE(caller_is_done(&s, 1000));
	caller_end(&s);
}

/* It may return for no reason, but a guest that is idle does not keep a CPU busy. */
TEST_F(poll, block_sleeps_though_vcpu_info_is_not_set)
{
	uint64_t begin, cpu;
	int i;

	prepare_block(self);
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  KVM_XEN_INVALID_GPA));
	begin = xvm_now_ns();
	cpu = xvm_thread_cpu_ns();
	for (i = 0; i < 50; i++)
		ASSERT_EQ(0, caller_call(&self->cpu[0], HYPERVISOR_SCHED_OP,
					 SCHEDOP_BLOCK, 0, 0));
	EXPECT_LE(50 * MS, xvm_now_ns() - begin);
	EXPECT_GE((xvm_now_ns() - begin) / 2, xvm_thread_cpu_ns() - cpu);
}

TEST_F(poll, block_with_an_upcall_pending_returns_at_once)
{
	struct caller_thread s;

	prepare_block(self);
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	caller_start(&s, &self->cpu[0]);
	EXPECT_TRUE(caller_is_done(&s, 100));
	caller_end(&s);
	EXPECT_EQ(0, s.r);
}

/* ------------------------------------------------------------------------ */

static uint64_t cpu_ns(pthread_t thread)
{
	struct timespec ts;
	clockid_t id;

	if (pthread_getcpuclockid(thread, &id) || clock_gettime(id, &ts))
		xvm_die("the clock of a thread");
	return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

/* An idle guest, and an event it cannot be told of until its page is there. */
TEST_F(poll, halted_vcpu_sleeps_though_vcpu_info_is_away)
{
	static const uint8_t idle[] = { 0xf4, 0xeb, 0xfd };	/* hlt, for ever */
	uint8_t *info = self->mem.map + INFO_PAGE * XVM_PAGE;
	struct caller_thread s;
	uint64_t used;

	memcpy(self->mem.map + CODE_PAGE * XVM_PAGE, idle, sizeof(idle));
	self->cpu[0].irqs = true;
	caller_set(&self->cpu[0], 0, 0, 0, 0);
	caller_start(&s, &self->cpu[0]);
	ASSERT_EQ(0, munmap(info, XVM_PAGE));
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	used = cpu_ns(s.thread);
	xvm_sleep_ms(500);
	EXPECT_GE(used + 50 * MS, cpu_ns(s.thread));
	xvm_map(&self->mem, INFO_PAGE, info);
	xvm_sleep_ms(500);
	EXPECT_EQ(1, self->mem.witness[INFO_PAGE * XVM_PAGE]);
	caller_end(&s);
}

TEST_HARNESS_MAIN
