// SPDX-License-Identifier: GPL-2.0
/*
 * Xen's attributes and ioctls at their edges.
 *
 * Affected: hosts whose VMM hands on what a guest has said, or is hostile itself.
 * Tried: each field with what is too large, of no kind, unaligned, across a page, in
 * no slot, in memory that is read-only or not there. A right system answers with the
 * errno that is documented, and has changed nothing: what was set before is read back,
 * and works.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "xvm.h"

#define SHINFO_PAGE	1
#define INFO_PAGE	2
#define NPAGES		4
#define INFO_GPA	(INFO_PAGE * XVM_PAGE)
#define PORT		100
#define NARROW_CLOCK	0x900	/* in a 32-bit guest's shared_info */

/* Bad places: a read-only slot, one whose user memory is not there, no slot at all. */
#define RO_GPA		0x100000
#define GONE_GPA	0x200000
#define NO_GPA		0x300000
#define FAR_GPA		(1ULL << 51)

#define EVTCHNSTAT_INTERDOMAIN	2
#define NO_SUCH_ID	1000

FIXTURE(attr) {
	struct xvm vm;
	struct xvm_mem mem;
	uint8_t *ro, *gone;
};

FIXTURE_SETUP(attr)
{
	xvm_mem_create(&self->mem, NPAGES);
	self->ro = xvm_anon(1);
	self->gone = xvm_anon(1);
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	xvm_slot(&self->vm, 1, KVM_MEM_READONLY, RO_GPA, XVM_PAGE, self->ro);
	xvm_slot(&self->vm, 2, 0, GONE_GPA, XVM_PAGE, self->gone);
	/* Kept from being given out again. */
	ASSERT_EQ(0, mprotect(self->gone, XVM_PAGE, PROT_NONE));
	xvm_add_cpu(&self->vm, 0);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO_PAGE));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, INFO_GPA));
}

FIXTURE_TEARDOWN(attr)
{
	xvm_destroy(&self->vm);
}

/* Events still go where they went before. */
static bool still_works(FIXTURE_DATA(attr) *self)
{
	uint8_t *shinfo = self->mem.witness + SHINFO_PAGE * XVM_PAGE;
	uint8_t *info = self->mem.witness + INFO_GPA;
	bool there;

	memset(shinfo, 0, XVM_PAGE);
	memset(info, 0, XEN_VCPU_INFO_SIZE);
	there = !xvm_send(&self->vm, PORT, 0) && xvm_pending(shinfo, PORT) &&
		*info && info[XEN_VCPU_INFO_SEL] == 1 << PORT / 64;
	memset(shinfo, 0, XVM_PAGE);
	return there;
}

static uint64_t cpu_value(FIXTURE_DATA(attr) *self, unsigned int type)
{
	uint64_t value;

	if (xvm_get_cpu_attr(&self->vm, 0, type, &value))
		xvm_die("vCPU attribute %u", type);
	return value;
}

TEST_F(attr, shared_info_at_bad_places)
{
	const uint64_t bad[] = { RO_GPA, GONE_GPA, NO_GPA, FAR_GPA,
				 1ULL << 62 };
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-EFAULT, xvm_shinfo_gfn(&self->vm, bad[i] / XVM_PAGE));
		EXPECT_EQ(SHINFO_PAGE, xvm_get_shinfo_gfn(&self->vm));
		EXPECT_TRUE(still_works(self));
	}
}

/* Its address has more than 64 bits, the lower ones of which are another's. */
TEST_F(attr, shared_info_beyond_all_addresses)
{
	EXPECT_EQ(-EFAULT, xvm_shinfo_gfn(&self->vm, (1ULL << 52) + INFO_PAGE));
	EXPECT_EQ(-EFAULT, xvm_shinfo_gfn(&self->vm, (1ULL << 63) + SHINFO_PAGE));
	EXPECT_EQ(SHINFO_PAGE, xvm_get_shinfo_gfn(&self->vm));
	EXPECT_TRUE(still_works(self));
}

/* The layout is the guest's, and no page of it is asked for first. */
TEST_F(attr, layout_is_set_while_shared_info_is_away)
{
	const struct kvm_xen_hvm_attr narrow = {
		.type = KVM_XEN_ATTR_TYPE_LONG_MODE,
	};
	volatile uint32_t *clock = (void *)(self->mem.witness +
					    SHINFO_PAGE * XVM_PAGE +
					    NARROW_CLOCK);
	uint64_t end;

	xvm_slot(&self->vm, 0, 0, 0, 0, NULL);
	EXPECT_EQ(0, xvm_vm_attr(&self->vm, &narrow));
	EXPECT_EQ(0, clock[0]);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	/* Version, and the second in which the guest's clock was zero. */
	for (end = xvm_now_ns() + 1000000000; xvm_now_ns() < end;)
		if (clock[0] && !(clock[0] & 1))
			break;
	EXPECT_EQ(2, clock[0]);
	EXPECT_GE(time(NULL), clock[1]);
	EXPECT_LE(time(NULL) - 60, clock[1]);
}

TEST_F(attr, shared_info_at_bad_user_addresses)
{
	uint8_t *page = self->mem.map + SHINFO_PAGE * XVM_PAGE;
	int r;

	EXPECT_EQ(-EINVAL, xvm_shinfo_hva(&self->vm, page + 8));
	EXPECT_EQ(-EINVAL, xvm_shinfo_hva(&self->vm, page + XVM_PAGE - 1));
	EXPECT_EQ(-EFAULT, xvm_shinfo_hva(&self->vm, self->gone));
	ASSERT_EQ(0, mprotect(self->ro, XVM_PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, xvm_shinfo_hva(&self->vm, self->ro));
	/* The kernel's half. */
	r = xvm_shinfo_hva(&self->vm, (void *)0xffff888000000000UL);
	EXPECT_TRUE(r == -EFAULT || r == -EINVAL);
	r = xvm_shinfo_hva(&self->vm, (void *)~(XVM_PAGE - 1));
	EXPECT_TRUE(r == -EFAULT || r == -EINVAL);
	EXPECT_EQ(SHINFO_PAGE, xvm_get_shinfo_gfn(&self->vm));
	EXPECT_TRUE(still_works(self));
}

TEST_F(attr, vcpu_info_at_bad_places)
{
	static const struct { uint64_t gpa; int r; } bad[] = {
		{ INFO_GPA + 1, -ENXIO }, { INFO_GPA + 2, -ENXIO },
		{ INFO_GPA + 3, -ENXIO },
		{ INFO_GPA + XVM_PAGE - 60, -EINVAL },
		{ INFO_GPA + XVM_PAGE - 4, -EINVAL },
		{ RO_GPA, -EFAULT }, { GONE_GPA, -EFAULT },
		{ NO_GPA, -EFAULT }, { FAR_GPA, -EFAULT },
	};
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(bad[i].r, xvm_cpu_attr(&self->vm, 0,
						 KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
						 bad[i].gpa));
		EXPECT_EQ(INFO_GPA,
			  cpu_value(self, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO));
		EXPECT_TRUE(still_works(self));
	}
	/* The last place there is. */
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  INFO_GPA + XVM_PAGE - XEN_VCPU_INFO_SIZE));
}

TEST_F(attr, vcpu_info_at_bad_user_addresses)
{
	unsigned int type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA;
	uintptr_t page = (uintptr_t)self->mem.map + INFO_GPA;

	EXPECT_EQ(-ENXIO, xvm_cpu_attr(&self->vm, 0, type, page + 2));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&self->vm, 0, type,
					page + XVM_PAGE - 32));
	EXPECT_EQ(-EFAULT, xvm_cpu_attr(&self->vm, 0, type,
					(uintptr_t)self->gone));
	ASSERT_EQ(0, mprotect(self->ro, XVM_PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, xvm_cpu_attr(&self->vm, 0, type,
					(uintptr_t)self->ro));
	EXPECT_EQ(INFO_GPA, cpu_value(self, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO));
	EXPECT_EQ(0, cpu_value(self, type));
	EXPECT_TRUE(still_works(self));
}

TEST_F(attr, time_info_at_bad_places)
{
	unsigned int type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO;
	uint64_t good = INFO_GPA + 512;

	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0, type, good));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&self->vm, 0, type,
					INFO_GPA + XVM_PAGE - 16));
	EXPECT_EQ(good, cpu_value(self, type));
	EXPECT_EQ(-EFAULT, xvm_cpu_attr(&self->vm, 0, type, RO_GPA));
	EXPECT_EQ(good, cpu_value(self, type));
	EXPECT_EQ(-EFAULT, xvm_cpu_attr(&self->vm, 0, type, NO_GPA));
	EXPECT_EQ(good, cpu_value(self, type));
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, type, KVM_XEN_INVALID_GPA));
	EXPECT_EQ(KVM_XEN_INVALID_GPA, cpu_value(self, type));
}

/* It may lie across two pages; both must be there, or there is no area. */
TEST_F(attr, runstate_area_at_bad_places)
{
	unsigned int type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR;
	uint64_t value;

	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, type, INFO_GPA + XVM_PAGE - 7));
	EXPECT_EQ(INFO_GPA + XVM_PAGE - 7, cpu_value(self, type));
	EXPECT_EQ(-EFAULT, xvm_cpu_attr(&self->vm, 0, type,
					NPAGES * XVM_PAGE - 7));
	EXPECT_EQ(-ENOENT, xvm_get_cpu_attr(&self->vm, 0, type, &value));
	EXPECT_EQ(-EFAULT, xvm_cpu_attr(&self->vm, 0, type, RO_GPA));
	EXPECT_EQ(-ENOENT, xvm_get_cpu_attr(&self->vm, 0, type, &value));
}

static int runstate(FIXTURE_DATA(attr) *self, unsigned int type, uint64_t state,
		    uint64_t entry, uint64_t running)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = type,
		.u.runstate.state = state,
		.u.runstate.state_entry_time = entry,
		.u.runstate.time_running = running,
	};

	return ioctl(self->vm.cpu[0], KVM_XEN_VCPU_SET_ATTR, &attr) ? -errno : 0;
}

TEST_F(attr, runstate_that_does_not_add_up)
{
	struct kvm_xen_vcpu_attr now = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
	}, then;

	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
				  INFO_GPA + 1024));
	ASSERT_EQ(0, runstate(self, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA, 2,
			      1000, 1000));
	ASSERT_EQ(0, ioctl(self->vm.cpu[0], KVM_XEN_VCPU_GET_ATTR, &now));
	EXPECT_EQ(-EINVAL, runstate(self, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT,
				    4, 0, 0));
	EXPECT_EQ(-EINVAL, runstate(self, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
				    4, 1000, 1000));
	EXPECT_EQ(-EINVAL, runstate(self, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
				    0, 1000, 999));
	EXPECT_EQ(-EINVAL, runstate(self, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
				    0, 1ULL << 62, 1ULL << 62));
	EXPECT_EQ(-EINVAL, runstate(self, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST,
				    9, 0, 0));
	EXPECT_EQ(-EINVAL, runstate(self, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST,
				    -1, 5, 6));
	then = now;
	ASSERT_EQ(0, ioctl(self->vm.cpu[0], KVM_XEN_VCPU_GET_ATTR, &then));
	EXPECT_EQ(0, memcmp(&now.u.runstate, &then.u.runstate,
			    sizeof(now.u.runstate)));
	now.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST;
	EXPECT_EQ(-1, ioctl(self->vm.cpu[0], KVM_XEN_VCPU_GET_ATTR, &now));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(attr, timer_of_another_priority)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer = { PORT, XVM_PRIO, 0 },
	};

	ASSERT_EQ(0, ioctl(self->vm.cpu[0], KVM_XEN_VCPU_SET_ATTR, &attr));
	attr.u.timer.port = PORT + 1;
	attr.u.timer.priority = 0;
	EXPECT_EQ(-1, ioctl(self->vm.cpu[0], KVM_XEN_VCPU_SET_ATTR, &attr));
	EXPECT_EQ(EINVAL, errno);
	memset(&attr.u, 0, sizeof(attr.u));
	ASSERT_EQ(0, ioctl(self->vm.cpu[0], KVM_XEN_VCPU_GET_ATTR, &attr));
	EXPECT_EQ(PORT, attr.u.timer.port);
	EXPECT_EQ(XVM_PRIO, attr.u.timer.priority);
}

/* A port that is none: an event that nobody gets, wherever its number points. */
TEST_F(attr, timer_of_no_port)
{
	xvm_timer(&self->vm, 0, UINT32_MAX, 0);
	xvm_timer(&self->vm, 0, 4096, 0);
	xvm_sleep_ms(20);
	EXPECT_EQ(0, cpu_value(self, KVM_XEN_VCPU_ATTR_TYPE_TIMER) >> 32 &
		     ~(uint64_t)XVM_PRIO);
	EXPECT_TRUE(still_works(self));
}

TEST_F(attr, vectors_of_exceptions)
{
	struct kvm_xen_hvm_attr vm = {
		.type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = 0x31,
	};
	unsigned int type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR;

	ASSERT_EQ(0, xvm_vm_attr(&self->vm, &vm));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0, type, 0x32));
	vm.u.vector = 15;
	EXPECT_EQ(-EINVAL, xvm_vm_attr(&self->vm, &vm));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&self->vm, 0, type, 1));
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_XEN_HVM_GET_ATTR, &vm));
	EXPECT_EQ(0x31, vm.u.vector);
	EXPECT_EQ(0x32, (uint8_t)cpu_value(self, type));
	vm.u.vector = 0;
	EXPECT_EQ(0, xvm_vm_attr(&self->vm, &vm));
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, 0, type, 0));
}

TEST_F(attr, vcpu_id_that_none_can_have)
{
	unsigned int type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID;

	EXPECT_EQ(0, (uint32_t)cpu_value(self, type));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0, type, 7));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&self->vm, 0, type, UINT32_MAX));
	EXPECT_EQ(-EINVAL, xvm_cpu_attr(&self->vm, 0, type, 1 << 20));
	EXPECT_EQ(7, (uint32_t)cpu_value(self, type));
}

TEST_F(attr, what_is_not_known)
{
	struct kvm_xen_hvm_attr vm = { .type = 0x7fff };
	uint64_t value;

	EXPECT_EQ(-ENOENT, xvm_vm_attr(&self->vm, &vm));
	EXPECT_EQ(-1, ioctl(self->vm.fd, KVM_XEN_HVM_GET_ATTR, &vm));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(-ENOENT, xvm_cpu_attr(&self->vm, 0, 0x7fff, 0));
	EXPECT_EQ(-ENOENT, xvm_get_cpu_attr(&self->vm, 0, 0x7fff, &value));
}

static int config(FIXTURE_DATA(attr) *self, uint32_t flags, uint32_t msr,
		  uint64_t blob)
{
	struct kvm_xen_hvm_config c = {
		.flags = flags, .msr = msr, .blob_addr_64 = blob,
	};

	return ioctl(self->vm.fd, KVM_XEN_HVM_CONFIG, &c) ? -errno : 0;
}

TEST_F(attr, configuration_that_is_none)
{
	EXPECT_EQ(-EINVAL, config(self, 1U << 31, 0x40000000, 0));
	EXPECT_EQ(-EINVAL, config(self, KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
				  0x40000000, 4096));
	EXPECT_EQ(0, config(self, KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, 0, 0));
}

/* Or the processor's own, and KVM's, could be hidden by it. */
TEST_F(attr, hypercall_msr_that_is_another_s)
{
	EXPECT_EQ(-EINVAL, config(self, 0, 0x10, 0));
	EXPECT_EQ(-EINVAL, config(self, 0, 0x3fffffff, 0));
	EXPECT_EQ(-EINVAL, config(self, 0, 0x50000000, 0));
	EXPECT_EQ(-EINVAL, config(self, 0, 0xc0000080, 0));
	EXPECT_EQ(0, config(self, 0, 0x4fffffff, 0));
	EXPECT_EQ(0, config(self, 0, 0x40000000, 0));
}

/* A VMM that restores all MSRs does not mean to write to the guest's memory. */
TEST_F(attr, hypercall_msr_that_the_vmm_restores)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head.nmsrs = 1,
		.entry = { .index = 0x40000200, .data = INFO_GPA },
	};
	uint8_t *page = self->mem.witness + INFO_GPA, none[XVM_PAGE];

	memset(page, 0x5a, XVM_PAGE);
	memset(none, 0x5a, XVM_PAGE);
	EXPECT_EQ(1, ioctl(self->vm.cpu[0], KVM_SET_MSRS, &msrs));
	EXPECT_EQ(0, memcmp(page, none, XVM_PAGE));
}

/* ------------------------------------------------------------------------ */

FIXTURE(ports) {
	struct xvm vm;
	struct xvm_mem mem;
	unsigned int max;
};

FIXTURE_VARIANT(ports) {
	bool wide;
};

FIXTURE_VARIANT_ADD(ports, wide) { .wide = true, };
FIXTURE_VARIANT_ADD(ports, narrow) { .wide = false, };

FIXTURE_SETUP(ports)
{
	struct kvm_xen_hvm_attr mode = {
		.type = KVM_XEN_ATTR_TYPE_LONG_MODE,
		.u.long_mode = variant->wide,
	};

	self->max = variant->wide ? 4096 : 1024;
	xvm_mem_create(&self->mem, 2);
	xvm_create(&self->vm, true);
	ASSERT_EQ(0, xvm_vm_attr(&self->vm, &mode));
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	xvm_add_cpu(&self->vm, 0);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, 0));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  XVM_PAGE));
}

FIXTURE_TEARDOWN(ports)
{
	xvm_destroy(&self->vm);
}

TEST_F(ports, sent_to_nobody)
{
	struct kvm_irq_routing_xen_evtchn e = { PORT, 0, 0 };

	EXPECT_EQ(-EINVAL, xvm_send(&self->vm, 0, 0));
	EXPECT_EQ(-EINVAL, xvm_send(&self->vm, self->max, 0));
	EXPECT_EQ(-EINVAL, xvm_send(&self->vm, UINT32_MAX, 0));
	EXPECT_EQ(-EINVAL, xvm_send(&self->vm, PORT, NO_SUCH_ID));
	EXPECT_EQ(-EINVAL, xvm_send(&self->vm, PORT, UINT32_MAX));
	EXPECT_EQ(-1, ioctl(self->vm.fd, KVM_XEN_HVM_EVTCHN_SEND, &e));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_FALSE(xvm_pending(self->mem.witness, PORT));
	EXPECT_EQ(0, xvm_send(&self->vm, self->max - 1, 0));
	EXPECT_TRUE(xvm_pending(self->mem.witness, self->max - 1));
}

static int port_attr(FIXTURE_DATA(ports) *self, unsigned int flags,
		     unsigned int type, unsigned int port, unsigned int to,
		     unsigned int prio)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn = {
			.send_port = port, .type = type, .flags = flags,
			.deliver.port = { to, 0, prio },
		},
	};

	return xvm_vm_attr(&self->vm, &attr);
}

static int port_fd(FIXTURE_DATA(ports) *self, unsigned int port, int fd)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn = {
			.send_port = port, .type = EVTCHNSTAT_INTERDOMAIN,
			.deliver.eventfd = { 0, fd },
		},
	};

	return xvm_vm_attr(&self->vm, &attr);
}

TEST_F(ports, that_cannot_be_made)
{
	const unsigned int ipi = EVTCHNSTAT_IPI, dom = EVTCHNSTAT_INTERDOMAIN;
	unsigned int type;

	EXPECT_EQ(-EINVAL, port_attr(self, 0, ipi, 0, 0, XVM_PRIO));
	EXPECT_EQ(-EINVAL, port_attr(self, 0, ipi, self->max, self->max,
				     XVM_PRIO));
	EXPECT_EQ(-EINVAL, port_attr(self, 0, ipi, UINT32_MAX, UINT32_MAX,
				     XVM_PRIO));
	EXPECT_EQ(-EINVAL, port_attr(self, 0, ipi, PORT, PORT + 1, XVM_PRIO));
	EXPECT_EQ(-EINVAL, port_attr(self, 0, ipi, PORT, PORT, 0));
	EXPECT_EQ(-EINVAL, port_attr(self, 0, dom, PORT, self->max, XVM_PRIO));
	EXPECT_EQ(-EINVAL, port_attr(self, 0, dom, PORT, 5, 3));
	for (type = 0; type < 8; type++)
		if (type != ipi && type != dom)
			EXPECT_EQ(-EINVAL, port_attr(self, 0, type, PORT, PORT,
						     XVM_PRIO));
	EXPECT_EQ(-EBADF, port_fd(self, PORT, -1));
	EXPECT_EQ(-EINVAL, port_fd(self, PORT, self->mem.memfd));
	/* Nothing of all that is there. */
	EXPECT_EQ(-ENOENT, port_attr(self, KVM_XEN_EVTCHN_DEASSIGN, ipi, PORT,
				     0, 0));
	EXPECT_EQ(0, port_attr(self, 0, ipi, self->max - 1, self->max - 1,
			       XVM_PRIO));
}

TEST_F(ports, that_cannot_be_changed)
{
	const unsigned int ipi = EVTCHNSTAT_IPI, dom = EVTCHNSTAT_INTERDOMAIN;
	const unsigned int update = KVM_XEN_EVTCHN_UPDATE;
	int fd = eventfd(0, EFD_CLOEXEC);

	EXPECT_EQ(-ENOENT, port_attr(self, update, ipi, PORT, PORT, XVM_PRIO));
	EXPECT_EQ(-ENOENT, port_attr(self, KVM_XEN_EVTCHN_DEASSIGN, ipi, PORT,
				     PORT, XVM_PRIO));
	ASSERT_EQ(0, port_attr(self, 0, ipi, PORT, PORT, XVM_PRIO));
	EXPECT_EQ(-EEXIST, port_attr(self, 0, ipi, PORT, PORT, XVM_PRIO));
	EXPECT_EQ(-EINVAL, port_attr(self, update, dom, PORT, PORT, XVM_PRIO));
	EXPECT_EQ(-EINVAL, port_attr(self, update, ipi, PORT, 5, XVM_PRIO));
	EXPECT_EQ(-EINVAL, port_attr(self, update, ipi, PORT, PORT, 0));
	EXPECT_EQ(-EINVAL, port_attr(self, 8, ipi, PORT, PORT, XVM_PRIO));
	EXPECT_EQ(-EINVAL, port_attr(self, 3, ipi, PORT, PORT, XVM_PRIO));
	EXPECT_EQ(0, port_attr(self, update, ipi, PORT, PORT, XVM_PRIO));
	ASSERT_EQ(0, port_fd(self, 9, fd));
	EXPECT_EQ(-EINVAL, port_attr(self, update, dom, 9, 5, XVM_PRIO));
	EXPECT_EQ(0, port_attr(self, KVM_XEN_EVTCHN_DEASSIGN, dom, 9, 0, 0));
	EXPECT_EQ(-ENOENT, port_attr(self, KVM_XEN_EVTCHN_DEASSIGN, dom, 9, 0,
				     0));
	close(fd);
}

/* ------------------------------------------------------------------------ */

/* vCPUs may be set up before the VM: nothing of Xen is configured yet. */
TEST(vcpu_before_its_vm)
{
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 },
	};
	struct xvm_mem mem;
	struct xvm vm = {};
	uint64_t value;
	int kvm;

	xvm_mem_create(&mem, 2);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm.fd = ioctl(kvm, KVM_CREATE_VM, 0UL);
	ASSERT_LE(0, vm.fd);
	ASSERT_EQ(0, ioctl(vm.fd, KVM_ENABLE_CAP, &split));
	xvm_slot(&vm, 0, 0, 0, mem.size, mem.map);
	xvm_add_cpu(&vm, 0);
	EXPECT_EQ(0, xvm_cpu_attr(&vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  XVM_PAGE));
	EXPECT_EQ(0, xvm_get_cpu_attr(&vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				      &value));
	EXPECT_EQ(XVM_PAGE, value);
	xvm_timer(&vm, 0, PORT, 0);
	EXPECT_EQ(0, xvm_cpu_attr(&vm, 0, KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR,
				  0x31));
	EXPECT_EQ(0, xvm_cpu_attr(&vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  KVM_XEN_INVALID_GPA));
	close(vm.cpu[0]);
	close(vm.fd);
	close(kvm);
}

struct racer {
	FIXTURE_DATA(attr) *self;
	int stop;		/* atomic */
};

static void *deactivate_thread(void *arg)
{
	struct racer *r = arg;
	struct xvm *vm = &r->self->vm;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		if (xvm_shinfo_gfn(vm, KVM_XEN_INVALID_GFN) ||
		    xvm_cpu_attr(vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				 KVM_XEN_INVALID_GPA) ||
		    xvm_shinfo_gfn(vm, SHINFO_PAGE) ||
		    xvm_cpu_attr(vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				 INFO_GPA))
			xvm_die("a page was refused");
	}
	return NULL;
}

/* Whatever else is asked for meanwhile is answered by the rules. */
TEST_F(attr, deactivated_beside)
{
	struct racer racer = { self };
	pthread_t thread;
	uint64_t value;
	int i, r;

	ASSERT_EQ(0, pthread_create(&thread, NULL, deactivate_thread, &racer));
	for (i = 0; i < 300; i++) {
		r = xvm_send(&self->vm, PORT + i % 64, 0);
		ASSERT_TRUE(!r || r == -EINVAL || r == -EFAULT);
		r = xvm_shinfo_gfn(&self->vm, i % 2 ? SHINFO_PAGE : NO_GPA);
		ASSERT_TRUE(!r || r == -EFAULT);
		value = xvm_get_shinfo_gfn(&self->vm);
		ASSERT_TRUE(value == SHINFO_PAGE || value == KVM_XEN_INVALID_GFN);
		r = xvm_cpu_attr(&self->vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				 INFO_GPA + 1);
		ASSERT_EQ(-ENXIO, r);
		value = cpu_value(self, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO);
		ASSERT_TRUE(value == INFO_GPA || value == KVM_XEN_INVALID_GPA);
	}
	__atomic_store_n(&racer.stop, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO_PAGE));
	EXPECT_TRUE(still_works(self));
}

TEST_HARNESS_MAIN
