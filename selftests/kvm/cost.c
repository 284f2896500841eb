// SPDX-License-Identifier: GPL-2.0
/* What events and entries cost, see cost.h. */
#include "cost.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#define VECTOR		0x31
#define VERSION		0x40011
#define LOOPS		400
#define ROUNDS		5
#define LOOP_CODE	0x100	/* from the caller's code on */
#define DONE_PORT	0x80
#define SETTLE_MS	50

void cost_create(struct calls *c)
{
	struct kvm_xen_hvm_attr wide = {
		.type = KVM_XEN_ATTR_TYPE_LONG_MODE,
		.u.long_mode = 1,
	};
	struct kvm_xen_hvm_attr version = {
		.type = KVM_XEN_ATTR_TYPE_XEN_VERSION,
		.u.xen_version = VERSION,
	};

	calls_create(c, false);
	if (xvm_vm_attr(&c->vm, &wide) || xvm_vm_attr(&c->vm, &version))
		xvm_die("layout and version");
	c->wide = true;
	*(uint32_t *)calls_arg(c, 0) = COST_PORT;
	/* What is paid for a while because the VM was being made is over. */
	xvm_sleep_ms(SETTLE_MS);
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static uint8_t *put_mov(uint8_t *at, uint8_t opcode, uint32_t value)
{
	*at++ = opcode;
	return put32(at, value);
}

/* movl $0, address */
static uint8_t *put_clear(uint8_t *at, uint32_t address)
{
	*at++ = 0xc7;
	*at++ = 0x05;
	return put32(put32(at, address), 0);
}

/*
 * A guest that makes a call again and again. Before each it forgets the event, if
 * it is asked to: the pending word, the selector and the flag of vCPU 1.
 */
void cost_loop(struct calls *c, uint32_t nr, uint32_t a0, uint32_t a1,
	       bool forget)
{
	uint8_t *code = c->mem.map + CALLS_CODE * XVM_PAGE;
	uint8_t *loop = code + LOOP_CODE, *at = loop;

	if (forget) {
		at = put_clear(at, CALLS_SHINFO * XVM_PAGE +
				   XEN_SHINFO_PENDING);
		at = put_clear(at, (CALLS_INFO + 1) * XVM_PAGE +
				   XEN_VCPU_INFO_SEL);
		at = put_clear(at, (CALLS_INFO + 1) * XVM_PAGE);
	}
	at = put_mov(at, 0xb8, nr);		/* mov $nr, %eax */
	at = put_mov(at, 0xbb, a0);		/* mov $a0, %ebx */
	at = put_mov(at, 0xb9, a1);		/* mov $a1, %ecx */
	at = mempcpy(at, code, 3);		/* this CPU's hypercall */
	*at++ = 0x4e;				/* dec %esi */
	*at++ = 0x0f;				/* jnz loop */
	*at++ = 0x85;
	at = put32(at, loop - (at + 4));
	*at++ = 0xe6;				/* out %al, $DONE_PORT */
	*at++ = DONE_PORT;
}

/* Ticks of one KVM_RUN with so many calls. */
uint64_t cost_run(struct calls *c, unsigned int loops)
{
	struct kvm_regs regs = {
		.rip = CALLS_CODE * XVM_PAGE + LOOP_CODE,
		.rsi = loops,
		.rflags = 2,
	};
	uint64_t start;

	if (ioctl(c->vm.cpu[0], KVM_SET_REGS, &regs))
		xvm_die("KVM_SET_REGS");
	start = __rdtsc();
	if (ioctl(c->vm.cpu[0], KVM_RUN, 0))
		xvm_die("KVM_RUN");
	start = __rdtsc() - start;
	if (c->vm.run[0]->exit_reason != KVM_EXIT_IO)
		xvm_die("exit reason %u", c->vm.run[0]->exit_reason);
	return start;
}

/*
 * Ticks of one call, the best of several rounds: a timer interrupt now and then
 * belongs to no call, nor does what a KVM_RUN costs.
 */
unsigned int cost_call(struct calls *c)
{
	uint64_t cost, one = UINT64_MAX, two = UINT64_MAX;
	int i;

	cost_run(c, LOOPS);
	for (i = 0; i < ROUNDS; i++) {
		cost = cost_run(c, LOOPS);
		one = cost < one ? cost : one;
		cost = cost_run(c, 2 * LOOPS);
		two = cost < two ? cost : two;
	}
	return (two - one) / LOOPS;
}

/* The call that does least, for what an exit and an entry cost. */
unsigned int cost_least(struct calls *c, bool forget)
{
	cost_loop(c, HYPERVISOR_XEN_VERSION, 0, 0, forget);
	return cost_call(c);
}

void cost_vector(struct calls *c)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR,
		.u.vector = VECTOR,
	};

	if (ioctl(c->vm.fd, KVM_XEN_HVM_SET_ATTR, &attr))
		xvm_die("upcall vector");
}

/* Ticks of KVM_XEN_HVM_EVTCHN_SEND for an event that ends as asked. */
unsigned int cost_send(struct calls *c, enum cost_fate fate)
{
	uint64_t *pending = (void *)(c->shinfo + XEN_SHINFO_PENDING);
	uint64_t *mask = (void *)(c->shinfo + XEN_SHINFO_MASK);
	uint8_t *info = c->mem.witness + (CALLS_INFO + 1) * XVM_PAGE;
	struct kvm_irq_routing_xen_evtchn event = {
		.port = COST_PORT, .vcpu = 1, .priority = XVM_PRIO,
	};
	uint64_t start, cost, best = UINT64_MAX;
	int i;

	*mask = fate == COST_MASKED ? 1UL << COST_PORT : 0;
	for (i = 0; i < LOOPS; i++) {
		*pending = fate == COST_COALESCED ? 1UL << COST_PORT : 0;
		memset(info, 0, 16);
		start = __rdtsc();
		if (ioctl(c->vm.fd, KVM_XEN_HVM_EVTCHN_SEND, &event))
			xvm_die("KVM_XEN_HVM_EVTCHN_SEND");
		cost = __rdtsc() - start;
		best = cost < best ? cost : best;
		if (!!*info != (fate == COST_DELIVERED))
			xvm_die("not the fate that was meant");
	}
	return best;
}

/* An ioctl of the VM that does nothing, for what an ioctl costs. */
unsigned int cost_ioctl(struct calls *c)
{
	uint64_t start, cost, best = UINT64_MAX;
	int i;

	for (i = 0; i < LOOPS; i++) {
		start = __rdtsc();
		ioctl(c->vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP);
		cost = __rdtsc() - start;
		best = cost < best ? cost : best;
	}
	return best;
}

/* An IPI of the guest's: EVTCHNOP_send from vCPU 0 to vCPU 1, delivered each time. */
unsigned int cost_hypercall(struct calls *c)
{
	unsigned int least = cost_least(c, true);

	cost_loop(c, HYPERVISOR_EVTCHN_OP, EVTCHNOP_SEND, calls_arg_gpa(0), true);
	return cost_call(c) - least;
}
