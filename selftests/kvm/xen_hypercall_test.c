// SPDX-License-Identifier: GPL-2.0
/*
 * Hypercalls that KVM answers when the VMM has said so, and the way to the VMM of
 * all others.
 *
 * Affected: every guest, by what a trip to the VMM costs; every VMM, which must see
 * what it has not given away. Tried: each call with and without leave, from 32-bit
 * and from 64-bit code, with good and with bad arguments, from ring 3, and in a
 * multicall. A right system answers as Xen does or hands the call over as it is,
 * with nothing done.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "calls.h"

#define PORT		77
#define TIMER_PORT	78
#define UNKNOWN_PORT	79
#define VERSION		0x40011
#define XEN_VCPU	5	/* Xen's number of vCPU 1 */
#define UNKNOWN_VCPU	9
#define MULTICALL_MAX	32
#define ENTRIES		512	/* where in the argument page */
#define RUNSTATE_RUNNING 0
#define MS		1000000ULL

FIXTURE(call) {
	struct calls c;
};

FIXTURE_VARIANT(call) {
	bool wide;
};

FIXTURE_VARIANT_ADD(call, narrow) {
};

FIXTURE_VARIANT_ADD(call, wide) {
	.wide = true,
};

FIXTURE_SETUP(call)
{
	calls_create(&self->c, variant->wide);
	ASSERT_EQ(0, xvm_cpu_attr(&self->c.vm, 1,
				  KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, XEN_VCPU));
	ASSERT_EQ(0, calls_ipi_port(&self->c, PORT, 0));
}

FIXTURE_TEARDOWN(call)
{
	calls_destroy(&self->c);
}

/* ------------------------------------------------------------------------ */

/* Arguments that are right: where, from the argument page on. */
enum { STATUS = 0, UNMASK = 64, PERIOD = 128, MULTI = 192, RUNSTATE = 256 };

#define AT(what)	(CALLS_ARG * XVM_PAGE + (what))

static void right_arguments(struct calls *c)
{
	uint8_t *arg = calls_arg(c, 0);

	*(uint16_t *)(arg + STATUS) = DOMID_SELF;
	*(uint32_t *)(arg + STATUS + 4) = PORT;
	*(uint32_t *)(arg + UNMASK) = UNKNOWN_PORT;
	*(uint64_t *)(arg + PERIOD) = 3600000 * MS;
	/* SCHEDOP_yield, in either layout. */
	*(uint32_t *)(arg + MULTI) = HYPERVISOR_SCHED_OP;
	/* For a timer to be set there must be a port. */
	xvm_timer(&c->vm, 0, TIMER_PORT, 3600000 * MS);
}

/* The calls that a VMM can give away. */
static const struct {
	uint64_t accel;
	uint32_t nr;
	uint64_t a0;
	uint64_t a1;
	uint64_t a2;
} given[] = {
	{ KVM_XEN_ACCEL_BLOCK, HYPERVISOR_SCHED_OP, SCHEDOP_BLOCK },
	{ KVM_XEN_ACCEL_RUNSTATE, HYPERVISOR_VCPU_OP, VCPUOP_GET_RUNSTATE, 0,
	  AT(RUNSTATE) },
	{ KVM_XEN_ACCEL_IS_UP, HYPERVISOR_VCPU_OP, VCPUOP_IS_UP, 0 },
	{ KVM_XEN_ACCEL_STATUS, HYPERVISOR_EVTCHN_OP, EVTCHNOP_STATUS,
	  AT(STATUS) },
	{ KVM_XEN_ACCEL_PERIODIC, HYPERVISOR_VCPU_OP, VCPUOP_SET_PERIODIC, 0,
	  AT(PERIOD) },
	{ KVM_XEN_ACCEL_PERIODIC, HYPERVISOR_VCPU_OP, VCPUOP_STOP_PERIODIC, 0 },
	{ KVM_XEN_ACCEL_MULTICALL, HYPERVISOR_MULTICALL, AT(MULTI), 1 },
	{ KVM_XEN_ACCEL_UNMASK, HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK,
	  AT(UNMASK) },
};

#define NR_GIVEN	(sizeof(given) / sizeof(given[0]))

/* Stock modules know of no leave, and so give none. */
static void give_away(struct calls *c, uint64_t what)
{
	int r = calls_accel(c, what);

	if (r && r != -ENOENT)
		xvm_die("leave to answer hypercalls: %d", r);
}

/* What a VMM that knows nothing of this sees; and one that gave others away. */
TEST_F(call, is_the_vmms_unless_given_away)
{
	struct calls *c = &self->c;
	int i;

	right_arguments(c);
	for (i = 0; i < NR_GIVEN; i++) {
		give_away(c, 0);
		EXPECT_TRUE(calls_to_vmm(c, 0, given[i].nr, given[i].a0,
					 given[i].a1, given[i].a2));
		give_away(c, KVM_XEN_ACCEL_ALL & ~given[i].accel);
		EXPECT_TRUE(calls_to_vmm(c, 0, given[i].nr, given[i].a0,
					 given[i].a1, given[i].a2));
	}
}

/* And one that gave them away. A vCPU that sleeps has a test of its own. */
TEST_F(call, is_answered_when_given_away)
{
	struct calls *c = &self->c;
	int i;

	right_arguments(c);
	ASSERT_EQ(0, xvm_send(&c->vm, PORT, 0));
	for (i = 0; i < NR_GIVEN; i++) {
		ASSERT_EQ(0, calls_accel(c, given[i].accel));
		EXPECT_LE(0, calls_make(c, 0, given[i].nr, given[i].a0,
					given[i].a1, given[i].a2));
	}
}

/* Only the guest's kernel makes hypercalls that KVM may answer. */
TEST_F(call, of_ring_3_is_the_vmms)
{
	struct calls *c = &self->c;
	int i;

	right_arguments(c);
	give_away(c, KVM_XEN_ACCEL_ALL);
	caller_to_user(&c->cpu[0]);
	for (i = 0; i < NR_GIVEN; i++)
		EXPECT_TRUE(calls_to_vmm(c, 0, given[i].nr, given[i].a0,
					 given[i].a1, given[i].a2));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0,
				 0));
}

TEST_F(call, that_is_unknown_is_the_vmms)
{
	struct calls *c = &self->c;

	give_away(c, KVM_XEN_ACCEL_ALL);
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_MEMORY_OP, 1, 2, 3));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_VCPU_OP, UINT32_MAX, 0, 0));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_SCHED_OP, 2, 0, 0));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_EVTCHN_OP, 99, 0, 0));
}

/* ------------------------------------------------------------------------ */

TEST_F(call, block_with_an_event_pending_returns)
{
	struct calls *c = &self->c;
	uint8_t *info = c->mem.witness + CALLS_INFO * XVM_PAGE;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_BLOCK));
	ASSERT_EQ(0, xvm_send(&c->vm, PORT, 0));
	info[1] = 1;
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_SCHED_OP, SCHEDOP_BLOCK, 0, 0));
	/* Upcalls are unmasked, whether it sleeps or not. */
	EXPECT_EQ(0, info[1]);
	EXPECT_TRUE(calls_upcall(c, 0));
}

TEST_F(call, block_without_an_event_sleeps)
{
	struct caller_thread t;
	struct calls *c = &self->c;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_BLOCK));
	caller_set(&c->cpu[0], HYPERVISOR_SCHED_OP, SCHEDOP_BLOCK, 0, 0);
	caller_start(&t, &c->cpu[0]);
	EXPECT_FALSE(caller_is_done(&t, 100));
	caller_end(&t);
	/* The call is over: what is left of it is that the vCPU sleeps. */
	EXPECT_EQ(-EINTR, t.r);
	EXPECT_EQ(0, caller_result(&c->cpu[0]));
}

/* ------------------------------------------------------------------------ */

struct runstate {
	uint32_t state;
	uint64_t entry;
	uint64_t time[4];
};

static void get_runstate(struct calls *c, struct runstate *rs)
{
	uint8_t *arg = calls_arg(c, 0);
	unsigned int entry = c->wide ? 8 : 4;

	memcpy(&rs->state, arg, sizeof(rs->state));
	memcpy(&rs->entry, arg + entry, sizeof(rs->entry) + sizeof(rs->time));
}

TEST_F(call, runstate_is_told)
{
	unsigned int len = variant->wide ? 0x30 : 0x2c, i;
	struct calls *c = &self->c;
	uint8_t *arg = calls_arg(c, 0);
	struct runstate first, rs;
	uint64_t sum = 0;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_RUNSTATE));
	memset(arg, 0xee, 0x40);
	ASSERT_EQ(0, calls_make(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_GET_RUNSTATE,
				0, calls_arg_gpa(0)));
	get_runstate(c, &first);
	/* As long as it is in the guest's layout, and no longer. */
	for (i = len; i < 0x40; i++)
		EXPECT_EQ(0xee, arg[i]);

	xvm_sleep_ms(20);
	ASSERT_EQ(0, calls_make(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_GET_RUNSTATE,
				0, calls_arg_gpa(0)));
	get_runstate(c, &rs);
	EXPECT_EQ(RUNSTATE_RUNNING, rs.state);
	for (i = 0; i < 4; i++)
		sum += rs.time[i];
	EXPECT_EQ(rs.entry, sum);
	EXPECT_LE(first.entry + 20 * MS, rs.entry);
}

TEST_F(call, runstate_errors)
{
	struct calls *c = &self->c;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_RUNSTATE));
	EXPECT_EQ(-EFAULT, calls_make(c, 0, HYPERVISOR_VCPU_OP,
				      VCPUOP_GET_RUNSTATE, 0, CALLS_BAD));
	/* Another vCPU's changes while one looks. */
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_GET_RUNSTATE,
				 XEN_VCPU, calls_arg_gpa(0)));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_GET_RUNSTATE,
				 UNKNOWN_VCPU, calls_arg_gpa(0)));
}

/* ------------------------------------------------------------------------ */

static void set_mp_state(struct calls *c, int cpu, uint32_t state)
{
	struct kvm_mp_state mp = { state };

	if (ioctl(c->vm.cpu[cpu], KVM_SET_MP_STATE, &mp))
		xvm_die("KVM_SET_MP_STATE %u", state);
}

/* A vCPU is up from when it is started until it is reset. */
TEST_F(call, is_up_is_told)
{
	const struct {
		uint32_t state;
		int up;
	} is[] = {
		{ KVM_MP_STATE_UNINITIALIZED, 0 },
		{ KVM_MP_STATE_INIT_RECEIVED, 0 },
		{ KVM_MP_STATE_RUNNABLE, 1 },
		{ KVM_MP_STATE_HALTED, 1 },
	};
	struct calls *c = &self->c;
	int i;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_IS_UP));
	EXPECT_EQ(1, calls_make(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_IS_UP, 0, 0));
	for (i = 0; i < 4; i++) {
		set_mp_state(c, 1, is[i].state);
		EXPECT_EQ(is[i].up, calls_make(c, 0, HYPERVISOR_VCPU_OP,
					       VCPUOP_IS_UP, XEN_VCPU, 0));
	}
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_IS_UP,
				 UNKNOWN_VCPU, 0));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_VCPU_OP, VCPUOP_IS_UP,
				 UINT32_MAX, 0));
}

/* ------------------------------------------------------------------------ */

static uint64_t entry_gpa(struct calls *c)
{
	return calls_arg_gpa(0) + ENTRIES;
}

/* Entry @n of a list of calls: op, result, six arguments, in words of the guest. */
static void entry_set(struct calls *c, int n, uint64_t op, uint64_t a0,
		      uint64_t a1)
{
	const uint64_t words[8] = { op, 0xdead, a0, a1 };
	uint8_t *list = calls_arg(c, 0);
	int i, size = c->wide ? 8 : 4;

	list += ENTRIES + n * 8 * size;
	for (i = 0; i < 8; i++)
		memcpy(list + i * size, &words[i], size);
}

static int64_t entry_result(struct calls *c, int n)
{
	uint8_t *list = calls_arg(c, 0);
	int64_t wide;
	int32_t narrow;

	list += ENTRIES;
	memcpy(&wide, list + n * 64 + 8, sizeof(wide));
	memcpy(&narrow, list + n * 32 + 4, sizeof(narrow));
	return c->wide ? wide : narrow;
}

static void multicall_start(struct calls *c)
{
	struct kvm_xen_hvm_attr version = {
		.type = KVM_XEN_ATTR_TYPE_XEN_VERSION,
		.u.xen_version = VERSION,
	};

	if (ioctl(c->vm.fd, KVM_XEN_HVM_SET_ATTR, &version))
		xvm_die("Xen's version");
	*(uint32_t *)calls_arg(c, 0) = PORT;
}

static int64_t multicall(struct calls *c, uint64_t nr)
{
	return calls_make(c, 0, HYPERVISOR_MULTICALL, entry_gpa(c), nr, 0);
}

TEST_F(call, multicall_is_answered)
{
	struct calls *c = &self->c;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_MULTICALL));
	multicall_start(c);
	entry_set(c, 0, HYPERVISOR_XEN_VERSION, 0, 0);
	entry_set(c, 1, HYPERVISOR_EVTCHN_OP, EVTCHNOP_SEND, calls_arg_gpa(0));
	entry_set(c, 2, HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0);
	/* One that fails is answered too, and does not end the rest. */
	entry_set(c, 3, HYPERVISOR_EVTCHN_OP, EVTCHNOP_SEND, CALLS_BAD);
	entry_set(c, 4, HYPERVISOR_XEN_VERSION, 0, 0);
	entry_set(c, 5, HYPERVISOR_XEN_VERSION, 0, 0);
	EXPECT_EQ(0, multicall(c, 5));
	EXPECT_EQ(VERSION, entry_result(c, 0));
	EXPECT_EQ(0, entry_result(c, 1));
	EXPECT_TRUE(xvm_pending(c->shinfo, PORT));
	EXPECT_EQ(0, entry_result(c, 2));
	EXPECT_EQ(-EFAULT, entry_result(c, 3));
	EXPECT_EQ(VERSION, entry_result(c, 4));
	EXPECT_EQ(0xdead, entry_result(c, 5));
}

TEST_F(call, multicall_of_nothing)
{
	struct calls *c = &self->c;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_MULTICALL));
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_MULTICALL, CALLS_BAD, 0, 0));
}

TEST_F(call, multicall_has_a_limit)
{
	struct calls *c = &self->c;
	int i;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_MULTICALL));
	multicall_start(c);
	for (i = 0; i <= MULTICALL_MAX; i++)
		entry_set(c, i, HYPERVISOR_XEN_VERSION, 0, 0);
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_MULTICALL, entry_gpa(c),
				 MULTICALL_MAX + 1, 0));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_MULTICALL, entry_gpa(c),
				 UINT32_MAX, 0));
	EXPECT_EQ(0xdead, entry_result(c, 0));
	EXPECT_EQ(0, multicall(c, MULTICALL_MAX));
	EXPECT_EQ(VERSION, entry_result(c, MULTICALL_MAX - 1));
	EXPECT_EQ(0xdead, entry_result(c, MULTICALL_MAX));
}

/* All of it or nothing: the VMM could not tell which ones are done. */
static bool handed_over_whole(struct calls *c, uint64_t op, uint64_t a0,
			      uint64_t a1)
{
	entry_set(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_SEND, calls_arg_gpa(0));
	entry_set(c, 1, op, a0, a1);
	return calls_to_vmm(c, 0, HYPERVISOR_MULTICALL, entry_gpa(c), 2, 0) &&
	       !xvm_pending(c->shinfo, PORT) &&
	       entry_result(c, 0) == 0xdead && entry_result(c, 1) == 0xdead;
}

TEST_F(call, multicall_is_answered_whole_or_not_at_all)
{
	struct calls *c = &self->c;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_ALL));
	multicall_start(c);
	/* Itself, calls that are the VMM's, and calls that sleep. */
	EXPECT_TRUE(handed_over_whole(c, HYPERVISOR_MULTICALL, entry_gpa(c), 1));
	EXPECT_TRUE(handed_over_whole(c, HYPERVISOR_MEMORY_OP, 0, 0));
	EXPECT_TRUE(handed_over_whole(c, HYPERVISOR_SCHED_OP, SCHEDOP_BLOCK, 0));
	EXPECT_TRUE(handed_over_whole(c, HYPERVISOR_SCHED_OP, SCHEDOP_POLL,
				      calls_arg_gpa(0)));
	EXPECT_TRUE(handed_over_whole(c, HYPERVISOR_VCPU_OP,
				      VCPUOP_SET_SINGLESHOT, 0));
	/* A list that the guest does not have. */
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_MULTICALL, CALLS_BAD, 1, 0));
}

/* ------------------------------------------------------------------------ */

TEST_F(call, accel_is_read_back)
{
	struct calls *c = &self->c;
	uint64_t bits[2], bit;

	ASSERT_EQ(0, calls_vm_attr(c, KVM_XEN_ATTR_TYPE_X_ACCEL, bits));
	EXPECT_EQ(0, bits[0]);
	for (bit = 1; bit & KVM_XEN_ACCEL_ALL; bit <<= 1) {
		ASSERT_EQ(0, calls_accel(c, bit));
		ASSERT_EQ(0, calls_vm_attr(c, KVM_XEN_ATTR_TYPE_X_ACCEL, bits));
		EXPECT_EQ(bit, bits[0]);
	}
	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_ALL));
	/* What is not known is refused, and changes nothing. */
	for (; bit; bit <<= 1)
		EXPECT_EQ(-EINVAL, calls_accel(c, bit));
	ASSERT_EQ(0, calls_vm_attr(c, KVM_XEN_ATTR_TYPE_X_ACCEL, bits));
	EXPECT_EQ(KVM_XEN_ACCEL_ALL, bits[0]);
}

TEST_F(call, config_is_read_back)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
		.msr = 0x40000111,
	};
	struct calls *c = &self->c;
	uint64_t is[2];

	ASSERT_EQ(0, ioctl(c->vm.fd, KVM_XEN_HVM_CONFIG, &config));
	ASSERT_EQ(0, calls_vm_attr(c, KVM_XEN_ATTR_TYPE_X_CONFIG, is));
	EXPECT_EQ(config.msr, is[0]);
	EXPECT_EQ(config.flags, is[1]);
}

/* How a VMM asks: all of them are there, or none is and each says so. */
TEST_F(call, attributes_can_be_probed)
{
	const unsigned int numbered[] = {
		KVM_XEN_ATTR_TYPE_X_EVTCHN, KVM_XEN_ATTR_TYPE_X_VERSION,
		KVM_XEN_ATTR_TYPE_X_PORT,
	};
	struct calls *c = &self->c;
	uint64_t value[2];
	int i, r;

	r = calls_vm_attr(c, KVM_XEN_ATTR_TYPE_X_ACCEL, value);
	ASSERT_TRUE(r == 0 || r == -ENOENT);
	EXPECT_EQ(r, calls_accel(c, 0));
	EXPECT_EQ(r, calls_vm_attr(c, KVM_XEN_ATTR_TYPE_X_CONFIG, value));
	/* These say ENOENT of a port too, but not of port 0, or command 0. */
	for (i = 0; i < 3; i++)
		EXPECT_EQ(r ? r : -EINVAL, calls_vm_attr(c, numbered[i], value));
	EXPECT_EQ(r, xvm_get_cpu_attr(&c->vm, 0,
				      KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC, value));
	EXPECT_EQ(r, xvm_get_cpu_attr(&c->vm, 0,
				      KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC_TICK,
				      value));
	EXPECT_EQ(-ENOENT, calls_vm_attr(c, 0x4bff, value));
	EXPECT_EQ(-ENOENT, xvm_get_cpu_attr(&c->vm, 0, 0x4bff, value));
}

TEST_HARNESS_MAIN
