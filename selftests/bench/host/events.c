// SPDX-License-Identifier: GPL-2.0
/*
 * What events of a Xen guest cost: the VMM's, a device's, the guest's own, a
 * timer's. Each is told without what its ioctl, write or hypercall costs that does
 * nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cost.h"
#include "tell.h"

#define GSI		3
#define ROUNDS		64
#define TIMER_PORT	70
#define TIMER_NS	50000
#define UNIT		"instructions"

static struct calls c;

static void forget(unsigned int port)
{
	uint8_t *info = c.mem.witness + (CALLS_INFO + 1) * XVM_PAGE;

	((uint64_t *)(c.shinfo + XEN_SHINFO_PENDING))[port / 64] = 0;
	memset(info, 0, 16);
}

static void sent(void)
{
	double least = cost_ioctl(&c);

	bench_tell("send_masked", UNIT, "", cost_send(&c, COST_MASKED) - least);
	bench_tell("send_pending", UNIT, "",
		   cost_send(&c, COST_COALESCED) - least);
	bench_tell("send_delivered", UNIT, "",
		   cost_send(&c, COST_DELIVERED) - least);
}

static uint64_t write_cost(int fd, bool look)
{
	uint64_t start, cost, best = ~0ULL, count;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		forget(COST_PORT);
		start = bench_ticks();
		xvm_signal(fd);
		cost = bench_ticks() - start;
		best = cost < best ? cost : best;
		if (look && !calls_upcall(&c, 1))
			xvm_die("the irqfd did nothing");
		if (!look && read(fd, &count, sizeof(count)) != sizeof(count))
			xvm_die("eventfd");
	}
	return best;
}

static void irqfd(void)
{
	int fd, plain = eventfd(0, EFD_NONBLOCK);

	xvm_route(&c.vm, GSI, 1, COST_PORT, 1);
	fd = xvm_irqfd(&c.vm, GSI);
	bench_tell("irqfd_delivered", UNIT, "",
		   (double)write_cost(fd, true) - write_cost(plain, false));
	close(plain);
	close(fd);
}

/* An unmask of a port that is pending; the VMM does it if it is asked. */
static uint64_t unmask_cost(uint32_t nr, uint32_t op)
{
	uint64_t *mask = (void *)(c.shinfo + XEN_SHINFO_MASK);
	uint64_t start, cost, best = ~0ULL;
	struct kvm_run *run = c.vm.run[0];
	int i, r;

	for (i = 0; i < ROUNDS; i++) {
		forget(COST_PORT);
		((uint64_t *)(c.shinfo + XEN_SHINFO_PENDING))[0] |=
			1UL << COST_PORT;
		*mask = 1UL << COST_PORT;
		caller_set(&c.cpu[0], nr, op, calls_arg_gpa(0), 0);
		start = bench_ticks();
		r = caller_go(&c.cpu[0]);
		if (r == CALLER_TO_VMM) {
			/* The least that a VMM can do. */
			*mask = 0;
			run->xen.u.hcall.result = 0;
			r = caller_go(&c.cpu[0]);
		}
		cost = bench_ticks() - start;
		if (r || caller_result(&c.cpu[0]) < 0)
			xvm_die("the call failed");
		best = cost < best ? cost : best;
	}
	*mask = 0;
	return best;
}

static void hypercalls(void)
{
	double least;
	int r;

	if (calls_ipi_port(&c, COST_PORT, 1))
		xvm_die("a port for IPIs");
	bench_tell("hcall_send", UNIT, "", cost_hypercall(&c));
	/* The stock modules have no such attribute. */
	r = calls_accel(&c, KVM_XEN_ACCEL_UNMASK);
	if (r && r != -ENOENT)
		xvm_die("acceleration: %d", r);
	least = unmask_cost(HYPERVISOR_XEN_VERSION, 0);
	bench_tell("hcall_unmask", UNIT, "",
		   unmask_cost(HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK) - least);
}

/* From the call that sets it to the event, without the time in between. */
static void timer(void)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer.port = TIMER_PORT,
		.u.timer.priority = XVM_PRIO,
	};
	struct kvm_clock_data clock;
	uint64_t start, cost, best = ~0ULL;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		forget(TIMER_PORT);
		memset(&clock, 0, sizeof(clock));
		start = bench_ticks();
		if (ioctl(c.vm.fd, KVM_GET_CLOCK, &clock))
			xvm_die("KVM_GET_CLOCK");
		attr.u.timer.expires_ns = clock.clock + TIMER_NS;
		if (ioctl(c.vm.cpu[1], KVM_XEN_VCPU_SET_ATTR, &attr))
			xvm_die("timer");
		while (!calls_upcall(&c, 1))
			;
		cost = bench_ticks() - start;
		best = cost < best ? cost : best;
	}
	bench_tell("timer_fire", UNIT, "", (double)best - TIMER_NS);
}

static void entry(void)
{
	double without = cost_least(&c, false);

	cost_vector(&c);
	bench_tell("vmentry_vector", UNIT, "", cost_least(&c, false) - without);
}

int main(void)
{
	bench_begin();
	cost_create(&c);
	sent();
	irqfd();
	hypercalls();
	timer();
	entry();
	calls_destroy(&c);
	return 0;
}
