// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest asks of its event channels, answered by KVM: unmask, status and, of
 * ports that the VMM has told it of, bind_vcpu.
 *
 * Affected: guests, which unmask a port after each interrupt that was balanced or
 * came from another vCPU, and each time pay a trip to the VMM for it. Tried: ports
 * KVM knows and ports it does not, pending and not, of this vCPU and of another, at
 * every edge, and while shared_info is away. A right system does what Xen does to
 * the bits, or hands the call over with none of them changed.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "calls.h"

#define IPI		77	/* vCPU 0's */
#define OTHER_IPI	78	/* vCPU 1's */
#define TIMER		79	/* vCPU 0's */
#define UNKNOWN		80
#define KEPT		81
#define GSI		40
#define REMOTE_DOM	7
#define REMOTE_PORT	0x1234567
#define XEN_VCPU	5	/* Xen's number of vCPU 1 */
#define MS		1000000ULL

FIXTURE(port) {
	struct calls c;
	uint32_t max;
};

FIXTURE_VARIANT(port) {
	bool wide;
};

FIXTURE_VARIANT_ADD(port, narrow) {
};

FIXTURE_VARIANT_ADD(port, wide) {
	.wide = true,
};

FIXTURE_SETUP(port)
{
	struct calls *c = &self->c;

	calls_create(c, variant->wide);
	self->max = variant->wide ? 4096 : 1024;
	ASSERT_EQ(0, xvm_cpu_attr(&c->vm, 1, KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID,
				  XEN_VCPU));
	ASSERT_EQ(0, calls_ipi_port(c, IPI, 0));
	ASSERT_EQ(0, calls_ipi_port(c, OTHER_IPI, 1));
	xvm_timer(&c->vm, 0, TIMER, 3600000 * MS);
}

FIXTURE_TEARDOWN(port)
{
	calls_destroy(&self->c);
}

/* Make a port masked, and pending if asked: nobody has been told of it. */
static void prepare(struct calls *c, uint32_t port, bool pending)
{
	calls_mask(c, port);
	if (pending && xvm_send(&c->vm, port, 0))
		xvm_die("event on port %u", port);
	*(uint32_t *)calls_arg(c, 0) = port;
}

static int64_t unmask(struct calls *c, uint32_t port, bool pending)
{
	prepare(c, port, pending);
	return calls_make(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK,
			  calls_arg_gpa(0), 0);
}

/* Does the VMM get it, with all bits as they were? */
static bool unmask_to_vmm(struct calls *c, uint32_t port, bool pending)
{
	prepare(c, port, pending);
	return calls_to_vmm(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK,
			    calls_arg_gpa(0), 0) &&
	       calls_masked(c, port) && !calls_selected(c, 0, port) &&
	       !calls_selected(c, 1, port);
}

/* Only the guest and KVM see a port's bits. No leave is needed for these. */
TEST_F(port, unmask_delivers_what_is_pending)
{
	struct calls *c = &self->c;

	EXPECT_EQ(0, unmask(c, IPI, true));
	EXPECT_FALSE(calls_masked(c, IPI));
	EXPECT_TRUE(xvm_pending(c->shinfo, IPI));
	EXPECT_TRUE(calls_selected(c, 0, IPI));
	EXPECT_TRUE(calls_upcall(c, 0));
	EXPECT_FALSE(calls_upcall(c, 1));
}

TEST_F(port, unmask_of_what_is_not_pending_only_unmasks)
{
	struct calls *c = &self->c;

	EXPECT_EQ(0, unmask(c, IPI, false));
	EXPECT_FALSE(calls_masked(c, IPI));
	EXPECT_FALSE(calls_selected(c, 0, IPI));
	EXPECT_FALSE(calls_upcall(c, 0));
}

/* A port that is not masked has been told of already. */
TEST_F(port, unmask_of_what_is_not_masked_does_nothing)
{
	struct calls *c = &self->c;

	*(uint32_t *)calls_arg(c, 0) = IPI;
	c->shinfo[XEN_SHINFO_PENDING + IPI / 8] |= 1 << IPI % 8;
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK,
				calls_arg_gpa(0), 0));
	EXPECT_FALSE(calls_selected(c, 0, IPI));
	EXPECT_FALSE(calls_upcall(c, 0));
}

TEST_F(port, unmask_tells_the_vcpu_whose_port_it_is)
{
	struct calls *c = &self->c;

	EXPECT_EQ(0, unmask(c, OTHER_IPI, true));
	EXPECT_FALSE(calls_masked(c, OTHER_IPI));
	EXPECT_TRUE(calls_selected(c, 1, OTHER_IPI));
	EXPECT_TRUE(calls_upcall(c, 1));
	EXPECT_FALSE(calls_upcall(c, 0));
}

TEST_F(port, unmask_knows_the_timers_port)
{
	struct calls *c = &self->c;

	EXPECT_EQ(0, unmask(c, TIMER, true));
	EXPECT_FALSE(calls_masked(c, TIMER));
	EXPECT_TRUE(calls_selected(c, 0, TIMER));
	EXPECT_TRUE(calls_upcall(c, 0));
}

/* Of vCPU 0: for vCPU 1 it is like any other port. */
TEST_F(port, unmask_of_another_vcpus_timer_is_the_vmms)
{
	struct calls *c = &self->c;

	prepare(c, TIMER, true);
	EXPECT_TRUE(calls_to_vmm(c, 1, HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK,
				 calls_arg_gpa(0), 0));
	EXPECT_TRUE(calls_masked(c, TIMER));
}

TEST_F(port, unmask_of_an_unknown_port_is_the_vmms)
{
	EXPECT_TRUE(unmask_to_vmm(&self->c, UNKNOWN, false));
	EXPECT_TRUE(unmask_to_vmm(&self->c, UNKNOWN, true));
}

/* With leave, as far as KVM can know all there is to know. */
TEST_F(port, unmask_of_an_unknown_port_with_leave)
{
	struct calls *c = &self->c;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_UNMASK));
	EXPECT_EQ(0, unmask(c, UNKNOWN, false));
	EXPECT_FALSE(calls_masked(c, UNKNOWN));
	EXPECT_TRUE(unmask_to_vmm(c, UNKNOWN, true));
}

TEST_F(port, unmask_of_no_port_is_the_vmms)
{
	const uint32_t ports[] = { 0, self->max, self->max + IPI, INT32_MAX,
				   0x80000000 | IPI, UINT32_MAX };
	struct calls *c = &self->c;
	uint8_t before[XVM_PAGE];
	int i, leave;

	memcpy(before, c->shinfo, XVM_PAGE);
	for (leave = 0; leave < 2; leave++) {
		for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
			*(uint32_t *)calls_arg(c, 0) = ports[i];
			EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_EVTCHN_OP,
						 EVTCHNOP_UNMASK,
						 calls_arg_gpa(0), 0));
		}
		EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_EVTCHN_OP,
					 EVTCHNOP_UNMASK, CALLS_BAD, 0));
		calls_accel(c, KVM_XEN_ACCEL_ALL);
	}
	EXPECT_EQ(0, memcmp(before, c->shinfo, XVM_PAGE));
}

TEST_F(port, unmask_while_shared_info_is_away_is_the_vmms)
{
	struct calls *c = &self->c;

	prepare(c, IPI, true);
	ASSERT_EQ(0, xvm_shinfo_gfn(&c->vm, KVM_XEN_INVALID_GFN));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK,
				 calls_arg_gpa(0), 0));
	EXPECT_TRUE(calls_masked(c, IPI));
	EXPECT_FALSE(calls_upcall(c, 0));

	ASSERT_EQ(0, xvm_shinfo_gfn(&c->vm, CALLS_SHINFO));
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK,
				calls_arg_gpa(0), 0));
	EXPECT_TRUE(calls_upcall(c, 0));
}

/* ------------------------------------------------------------------------ */

struct status {
	uint16_t dom;
	uint32_t port;
	uint32_t status;
	uint32_t vcpu;
	uint32_t u[2];
};

_Static_assert(sizeof(struct status) == 24, "as the guest lays it out");

static struct status *ask(struct calls *c, uint16_t dom, uint32_t port)
{
	struct status *s = calls_arg(c, 0);

	memset(s, 0xee, sizeof(*s));
	s->dom = dom;
	s->port = port;
	return s;
}

static bool status_to_vmm(struct calls *c, uint16_t dom, uint32_t port)
{
	const uint32_t as_was = 0xeeeeeeee;
	struct status *s = ask(c, dom, port);

	return calls_to_vmm(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_STATUS,
			    calls_arg_gpa(0), 0) &&
	       s->status == as_was && s->vcpu == as_was;
}

TEST_F(port, status_of_an_ipi_is_told)
{
	struct calls *c = &self->c;
	struct status *s;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_STATUS));
	s = ask(c, DOMID_SELF, IPI);
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_STATUS,
				calls_arg_gpa(0), 0));
	EXPECT_EQ(EVTCHNSTAT_IPI, s->status);
	EXPECT_EQ(0, s->vcpu);

	s = ask(c, DOMID_SELF, OTHER_IPI);
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_STATUS,
				calls_arg_gpa(0), 0));
	EXPECT_EQ(EVTCHNSTAT_IPI, s->status);
	EXPECT_EQ(XEN_VCPU, s->vcpu);
	EXPECT_EQ(OTHER_IPI, s->port);
	EXPECT_EQ(DOMID_SELF, s->dom);
}

TEST_F(port, status_of_all_else_is_the_vmms)
{
	struct calls *c = &self->c;

	calls_accel(c, KVM_XEN_ACCEL_ALL);
	EXPECT_TRUE(status_to_vmm(c, DOMID_SELF, UNKNOWN));
	EXPECT_TRUE(status_to_vmm(c, DOMID_SELF, TIMER));
	EXPECT_TRUE(status_to_vmm(c, DOMID_SELF, 0));
	EXPECT_TRUE(status_to_vmm(c, DOMID_SELF, self->max));
	EXPECT_TRUE(status_to_vmm(c, DOMID_SELF, UINT32_MAX));
	EXPECT_TRUE(status_to_vmm(c, 1, IPI));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_STATUS,
				 CALLS_BAD, 0));
}

/* ------------------------------------------------------------------------ */

static int get(struct calls *c, uint32_t port, struct kvm_xen_hvm_attr *attr)
{
	memset(attr, 0xee, sizeof(*attr));
	attr->type = KVM_XEN_ATTR_TYPE_X_EVTCHN;
	attr->u.evtchn.send_port = port;
	return ioctl(c->vm.fd, KVM_XEN_HVM_GET_ATTR, attr) ? -errno : 0;
}

static int set(struct calls *c, struct kvm_xen_hvm_attr *attr)
{
	attr->type = KVM_XEN_ATTR_TYPE_EVTCHN;
	return ioctl(c->vm.fd, KVM_XEN_HVM_SET_ATTR, attr) ? -errno : 0;
}

/* A VMM that is replaced by another reads back where ports lead. */
TEST_F(port, where_ports_lead_is_read_back)
{
	struct kvm_xen_hvm_attr to_port = {
		.u.evtchn = {
			.send_port = 90, .type = EVTCHNSTAT_INTERDOMAIN,
			.deliver.port = { 91, 1, XVM_PRIO },
		},
	};
	struct kvm_xen_hvm_attr to_fd = {
		.u.evtchn = {
			.send_port = 92, .type = EVTCHNSTAT_INTERDOMAIN,
			.deliver.eventfd.fd = eventfd(0, EFD_CLOEXEC),
		},
	};
	struct kvm_xen_hvm_attr is, update = to_port;
	struct calls *c = &self->c;

	ASSERT_EQ(0, set(c, &to_port));
	ASSERT_EQ(0, set(c, &to_fd));

	ASSERT_EQ(0, get(c, OTHER_IPI, &is));
	EXPECT_EQ(OTHER_IPI, is.u.evtchn.send_port);
	EXPECT_EQ(EVTCHNSTAT_IPI, is.u.evtchn.type);
	EXPECT_EQ(0, is.u.evtchn.flags);
	EXPECT_EQ(OTHER_IPI, is.u.evtchn.deliver.port.port);
	EXPECT_EQ(1, is.u.evtchn.deliver.port.vcpu);
	EXPECT_EQ(XVM_PRIO, is.u.evtchn.deliver.port.priority);

	ASSERT_EQ(0, get(c, 90, &is));
	EXPECT_EQ(EVTCHNSTAT_INTERDOMAIN, is.u.evtchn.type);
	EXPECT_EQ(91, is.u.evtchn.deliver.port.port);
	EXPECT_EQ(1, is.u.evtchn.deliver.port.vcpu);

	ASSERT_EQ(0, get(c, 92, &is));
	EXPECT_EQ(EVTCHNSTAT_INTERDOMAIN, is.u.evtchn.type);
	EXPECT_EQ(-1, is.u.evtchn.deliver.eventfd.fd);

	update.u.evtchn.flags = KVM_XEN_EVTCHN_UPDATE;
	update.u.evtchn.deliver.port.vcpu = 0;
	ASSERT_EQ(0, set(c, &update));
	ASSERT_EQ(0, get(c, 90, &is));
	EXPECT_EQ(0, is.u.evtchn.flags);
	EXPECT_EQ(0, is.u.evtchn.deliver.port.vcpu);

	update.u.evtchn.flags = KVM_XEN_EVTCHN_DEASSIGN;
	ASSERT_EQ(0, set(c, &update));
	EXPECT_EQ(-ENOENT, get(c, 90, &is));
	EXPECT_EQ(-ENOENT, get(c, UNKNOWN, &is));
	EXPECT_EQ(-EINVAL, get(c, 0, &is));
	EXPECT_EQ(-EINVAL, get(c, 4096, &is));
	EXPECT_EQ(-EINVAL, get(c, UINT32_MAX, &is));
	close(to_fd.u.evtchn.deliver.eventfd.fd);
}

/* ------------------------------------------------------------------------ */

static int kept_attr(struct calls *c, unsigned long request,
		     struct kvm_xen_x_port *p)
{
	struct kvm_xen_hvm_attr a = { .type = KVM_XEN_ATTR_TYPE_X_PORT };
	int r;

	memcpy(&a.u, p, sizeof(*p));
	r = ioctl(c->vm.fd, request, &a) ? -errno : 0;
	memcpy(p, &a.u, sizeof(*p));
	return r;
}

/* The VMM tells of a port it keeps; @detail: what of it else depends on its type. */
static int keep(struct calls *c, uint32_t port, uint32_t type, uint32_t vcpu,
		uint32_t detail)
{
	struct kvm_xen_x_port p = {
		.port = port, .type = type, .vcpu = vcpu,
		.dom = REMOTE_DOM, .detail = detail,
	};

	return kept_attr(c, KVM_XEN_HVM_SET_ATTR, &p);
}

static int kept(struct calls *c, uint32_t port, struct kvm_xen_x_port *p)
{
	memset(p, 0xee, sizeof(*p));
	p->port = port;
	return kept_attr(c, KVM_XEN_HVM_GET_ATTR, p);
}

TEST_F(port, unmask_of_a_kept_port)
{
	struct calls *c = &self->c;

	ASSERT_EQ(0, keep(c, KEPT, EVTCHNSTAT_VIRQ, 1, 3));
	EXPECT_EQ(0, unmask(c, KEPT, true));
	EXPECT_FALSE(calls_masked(c, KEPT));
	EXPECT_TRUE(calls_selected(c, 1, KEPT));
	EXPECT_TRUE(calls_upcall(c, 1));
	EXPECT_FALSE(calls_upcall(c, 0));
	/* It is closed, and unknown again. */
	ASSERT_EQ(0, keep(c, KEPT, EVTCHNSTAT_CLOSED, 0, 0));
	prepare(c, KEPT, false);
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK,
				 calls_arg_gpa(0), 0));
}

TEST_F(port, status_of_a_kept_port)
{
	struct calls *c = &self->c;
	struct status *s;
	uint32_t type;

	for (type = EVTCHNSTAT_UNBOUND; type <= EVTCHNSTAT_VIRQ; type++) {
		ASSERT_EQ(0, keep(c, KEPT, type, 1, REMOTE_PORT));
		ASSERT_EQ(0, calls_accel(c, 0));
		EXPECT_TRUE(status_to_vmm(c, DOMID_SELF, KEPT));
		ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_STATUS));
		s = ask(c, DOMID_SELF, KEPT);
		EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_EVTCHN_OP,
					EVTCHNOP_STATUS, calls_arg_gpa(0), 0));
		EXPECT_EQ(type, s->status);
		EXPECT_EQ(XEN_VCPU, s->vcpu);
		switch (type) {
		case EVTCHNSTAT_UNBOUND:
			EXPECT_EQ(REMOTE_DOM, (uint16_t)s->u[0]);
			break;
		case EVTCHNSTAT_INTERDOMAIN:
			EXPECT_EQ(REMOTE_DOM, (uint16_t)s->u[0]);
			EXPECT_EQ(REMOTE_PORT, s->u[1]);
			break;
		default:
			EXPECT_EQ(REMOTE_PORT, s->u[0]);
			break;
		}
	}
}

static void set_bind(struct calls *c, uint32_t port, uint32_t vcpu)
{
	uint32_t *arg = calls_arg(c, 0);

	arg[0] = port;
	arg[1] = vcpu;
}

static bool bind_to_vmm(struct calls *c, uint32_t port, uint32_t vcpu)
{
	set_bind(c, port, vcpu);
	return calls_to_vmm(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_BIND_VCPU,
			    calls_arg_gpa(0), 0);
}

/* Wherever events come from, they find the port where the guest has put it. */
TEST_F(port, bind_vcpu_moves_a_kept_port)
{
	struct calls *c = &self->c;
	struct kvm_xen_x_port p;
	int fd;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_BIND));
	ASSERT_EQ(0, keep(c, KEPT, EVTCHNSTAT_INTERDOMAIN, 0, REMOTE_PORT));
	ASSERT_EQ(0, keep(c, KEPT + 64, EVTCHNSTAT_UNBOUND, 0, 0));
	xvm_route(&c->vm, GSI, 1, KEPT, 0);
	fd = xvm_irqfd(&c->vm, GSI);

	set_bind(c, KEPT, XEN_VCPU);
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_BIND_VCPU,
				calls_arg_gpa(0), 0));
	xvm_signal(fd);
	EXPECT_TRUE(xvm_wait_pending(c->shinfo, KEPT, 1000));
	EXPECT_TRUE(calls_selected(c, 1, KEPT));
	EXPECT_FALSE(calls_upcall(c, 0));

	set_bind(c, KEPT + 64, XEN_VCPU);
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_BIND_VCPU,
				calls_arg_gpa(0), 0));
	ASSERT_EQ(0, xvm_send(&c->vm, KEPT + 64, 0));
	EXPECT_TRUE(calls_selected(c, 1, KEPT + 64));
	EXPECT_FALSE(calls_upcall(c, 0));

	/* And the VMM can tell. */
	ASSERT_EQ(0, kept(c, KEPT, &p));
	EXPECT_EQ(EVTCHNSTAT_INTERDOMAIN, p.type);
	EXPECT_EQ(1, p.vcpu);
	EXPECT_EQ(REMOTE_DOM, p.dom);
	EXPECT_EQ(REMOTE_PORT, p.detail);
	close(fd);
}

/* What Xen refuses, or does more for, or what nobody has told of. */
TEST_F(port, bind_vcpu_of_all_else_is_the_vmms)
{
	struct calls *c = &self->c;
	struct kvm_xen_x_port p;

	keep(c, KEPT, EVTCHNSTAT_INTERDOMAIN, 0, REMOTE_PORT);
	/* Without leave. */
	EXPECT_TRUE(bind_to_vmm(c, KEPT, XEN_VCPU));
	calls_accel(c, KVM_XEN_ACCEL_ALL);
	EXPECT_TRUE(bind_to_vmm(c, KEPT, 1));
	EXPECT_TRUE(bind_to_vmm(c, KEPT, UINT32_MAX));
	EXPECT_TRUE(bind_to_vmm(c, IPI, XEN_VCPU));
	EXPECT_TRUE(bind_to_vmm(c, TIMER, XEN_VCPU));
	EXPECT_TRUE(bind_to_vmm(c, UNKNOWN, XEN_VCPU));
	EXPECT_TRUE(bind_to_vmm(c, 0, XEN_VCPU));
	EXPECT_TRUE(bind_to_vmm(c, 4096, XEN_VCPU));
	EXPECT_TRUE(bind_to_vmm(c, UINT32_MAX, XEN_VCPU));
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_BIND_VCPU,
				 CALLS_BAD, 0));
	if (kept(c, KEPT, &p))
		return;		/* stock modules: no port is kept */
	EXPECT_EQ(0, p.vcpu);
	ASSERT_EQ(0, keep(c, KEPT, EVTCHNSTAT_VIRQ, 0, 2));
	EXPECT_TRUE(bind_to_vmm(c, KEPT, XEN_VCPU));
	ASSERT_EQ(0, keep(c, KEPT, EVTCHNSTAT_PIRQ, 0, 9));
	EXPECT_TRUE(bind_to_vmm(c, KEPT, XEN_VCPU));
}

TEST_F(port, kept_ports_are_checked_and_read_back)
{
	struct kvm_xen_hvm_attr reset = {
		.u.evtchn.flags = KVM_XEN_EVTCHN_RESET,
	};
	struct calls *c = &self->c;
	struct kvm_xen_x_port p;

	EXPECT_EQ(-ENOENT, kept(c, KEPT, &p));
	ASSERT_EQ(0, keep(c, KEPT, EVTCHNSTAT_PIRQ, 1, 16));
	EXPECT_EQ(-EINVAL, keep(c, KEPT, EVTCHNSTAT_IPI, 0, 0));
	EXPECT_EQ(-EINVAL, keep(c, KEPT, UINT32_MAX, 0, 0));
	EXPECT_EQ(-EINVAL, keep(c, KEPT, EVTCHNSTAT_VIRQ, 2, 0));
	EXPECT_EQ(-EINVAL, keep(c, KEPT, EVTCHNSTAT_VIRQ, UINT32_MAX, 0));
	EXPECT_EQ(-EINVAL, keep(c, KEPT, EVTCHNSTAT_VIRQ, 0, 1 << 28));
	EXPECT_EQ(-EINVAL, keep(c, 0, EVTCHNSTAT_VIRQ, 0, 0));
	EXPECT_EQ(-EINVAL, keep(c, 4096, EVTCHNSTAT_VIRQ, 0, 0));
	EXPECT_EQ(-EINVAL, keep(c, UINT32_MAX, EVTCHNSTAT_VIRQ, 0, 0));
	EXPECT_EQ(-EINVAL, kept(c, 0, &p));
	EXPECT_EQ(-EINVAL, kept(c, 4096, &p));
	ASSERT_EQ(0, kept(c, KEPT, &p));
	EXPECT_EQ(EVTCHNSTAT_PIRQ, p.type);
	EXPECT_EQ(1, p.vcpu);
	EXPECT_EQ(16, p.detail);

	ASSERT_EQ(0, set(c, &reset));
	EXPECT_EQ(-ENOENT, kept(c, KEPT, &p));
}

TEST_HARNESS_MAIN
