// SPDX-License-Identifier: GPL-2.0
/*
 * Who waits for whom when a VMM sets Xen's attributes.
 *
 * Affected: hosts that restore guests with many vCPUs, and guests whose VMM moves or
 * closes their ports while they run. Tried: the probe holds a task in the middle of a
 * vCPU's attribute, or of a vCPU's fault, and attributes are set beside it. A right
 * system lets vCPUs be restored side by side, and changes the table of ports without
 * waiting for any vCPU.
 */
#include <errno.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "probe.h"
#include "xvm.h"

#define CPUS		2
#define SHINFO_PAGE	1
#define INFO_PAGE	2	/* two of them */
#define CODE_PAGE	4
#define NPAGES		5
#define INFO_GPA(cpu)	((INFO_PAGE + (cpu)) * XVM_PAGE)
#define PORT		100
#define OTHER_PORT	101
#define VECTOR		0x31
#define MS		1000000ULL
#define HOLD_MS		1000

FIXTURE(wait) {
	struct xvm vm;
	struct xvm_mem mem;
	struct probe_task task;
	int window;
};

FIXTURE_SETUP(wait)
{
	unsigned int i;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	self->window = probe_open();
	xvm_mem_create(&self->mem, NPAGES);
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	for (i = 0; i < CPUS; i++)
		xvm_add_cpu(&self->vm, i);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO_PAGE));
	ASSERT_EQ(0, xvm_ipi_port(&self->vm, 0, PORT, 0));
	ASSERT_EQ(0, xvm_ipi_port(&self->vm, 0, OTHER_PORT, 0));
}

FIXTURE_TEARDOWN(wait)
{
	if (!probe_two_cpus())
		return;
	xvm_destroy(&self->vm);
	close(self->window);
}

static void restore_cpu_1(void *arg)
{
	FIXTURE_DATA(wait) *self = arg;

	if (xvm_cpu_attr(&self->vm, 1, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
			 INFO_GPA(1)))
		xvm_die("vcpu_info");
}

TEST_F(wait, vcpus_are_restored_side_by_side)
{
	const struct { unsigned int type; uint64_t value; } attr[] = {
		{ KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, 0 },
		{ KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, INFO_GPA(0) },
		{ KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, INFO_GPA(0) + 512 },
		{ KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, INFO_GPA(0) + 1024 },
		{ KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, VECTOR },
	};
	unsigned int i;

	probe_task_create(&self->task, restore_cpu_1, self);
	ASSERT_TRUE(probe_task_hold(&self->task, self->window,
				    PROBE_HVA_TO_PFN, HOLD_MS));
	for (i = 0; i < sizeof(attr) / sizeof(attr[0]); i++)
		EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, attr[i].type,
					  attr[i].value));
	xvm_timer(&self->vm, 0, PORT, 3600000 * MS);
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	probe_task_end(&self->task, self->window);
}

/* Its first instruction is on a page that is not mapped for the guest yet. */
static void run_cpu_0(void *arg)
{
	FIXTURE_DATA(wait) *self = arg;

	xvm_run_once(&self->vm, 0, CODE_PAGE * XVM_PAGE,
		     self->mem.map + CODE_PAGE * XVM_PAGE);
}

TEST_F(wait, ports_change_while_a_vcpu_is_in_a_fault)
{
	probe_task_create(&self->task, run_cpu_0, self);
	ASSERT_TRUE(probe_task_hold(&self->task, self->window,
				    PROBE_HVA_TO_PFN, HOLD_MS));
	EXPECT_EQ(0, xvm_ipi_port(&self->vm, KVM_XEN_EVTCHN_UPDATE, PORT, 1));
	EXPECT_EQ(0, xvm_ipi_port(&self->vm, KVM_XEN_EVTCHN_DEASSIGN, PORT, 1));
	EXPECT_EQ(0, xvm_ipi_port(&self->vm, 0, PORT, 1));
	EXPECT_EQ(0, xvm_ipi_port(&self->vm, KVM_XEN_EVTCHN_RESET, 0, 0));
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	probe_task_end(&self->task, self->window);
	/* They are closed. */
	EXPECT_EQ(-ENOENT, xvm_ipi_port(&self->vm, KVM_XEN_EVTCHN_DEASSIGN,
					OTHER_PORT, 0));
}

static void set_layout(void *arg)
{
	const struct kvm_xen_hvm_attr wide = {
		.type = KVM_XEN_ATTR_TYPE_LONG_MODE,
		.u.long_mode = 1,
	};
	FIXTURE_DATA(wait) *self = arg;

	if (xvm_vm_attr(&self->vm, &wide))
		xvm_die("layout");
}

/* Which writes the wall clock to shared_info, and that is not there. */
TEST_F(wait, ports_change_while_the_layout_is_set)
{
	xvm_map(&self->mem, SHINFO_PAGE, self->mem.map + SHINFO_PAGE * XVM_PAGE);
	probe_task_create(&self->task, set_layout, self);
	ASSERT_TRUE(probe_task_hold(&self->task, self->window,
				    PROBE_HVA_TO_PFN, HOLD_MS));
	EXPECT_EQ(0, xvm_ipi_port(&self->vm, KVM_XEN_EVTCHN_UPDATE, PORT, 1));
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	probe_task_end(&self->task, self->window);
}

TEST_HARNESS_MAIN
