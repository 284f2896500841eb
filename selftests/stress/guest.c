// SPDX-License-Identifier: GPL-2.0
/*
 * What the guests execute: a loop of random steps for each vCPU, written as machine
 * code into the VM's first pages, which the storms over memory leave alone.  A step
 * is a hypercall with arguments that KVM takes itself, or not, or that are wrong; a
 * look at memory; a HLT; an exit.  Interrupts are taken and forgotten.
 *
 * A guest that gets lost (an exception, an exit that says so) is started anew by
 * vcpu.c.  No state; code is written by whoever opens the VM, and later by workers
 * while the guest runs, which is meant to be so.
 */
#include "stress.h"

#include <cpuid.h>
#include <string.h>

#include "xenabi.h"

/* Where things are, from STABLE_GPA on. */
#define IDT64		0x0000
#define PML4		0x1000
#define PDPT		0x2000
#define PD		0x3000		/* four: 4 GB */
#define IDT32		0x7000
#define GDT		0x7800
#define TSS		0x7900
#define HANDLER64	0x8000
#define HANDLER32	0x8400
#define LOST		0x8800
#define DATA		0x9000		/* what hypercalls point at */
#define HYPERCALL_PAGE	0xa000
#define STACK(c)	(0xb000 + ((c) + 1) * PAGE)
#define CODE64(c)	(0x10000 + (c) * 2 * PAGE)
#define CODE32(c)	(0x18000 + (c) * 2 * PAGE)
#define CODE_ROOM	(2 * PAGE)
#define GPA(at)		(STABLE_GPA + (at))

_Static_assert(GPA(DATA) == SPOIL_GPA, "what may be written over");

#define CS64		0x08
#define CS32		0x10
#define DS		0x18

#define STEPS		40
#define STEP_ROOM	160		/* no step needs more bytes */
#define APIC_EOI	0xfee000b0
#define APIC_SPIV	0xfee000f0

struct emitter {
	uint8_t *at;
	bool longmode;
};

static void bytes(struct emitter *e, const char *code, int n)
{
	memcpy(e->at, code, n);
	e->at += n;
}

static void imm32(struct emitter *e, uint32_t value)
{
	memcpy(e->at, &value, sizeof(value));
	e->at += sizeof(value);
}

/* mov $value, %eXX; the upper half becomes zero. */
static void set32(struct emitter *e, int reg, uint32_t value)
{
	*e->at++ = 0xb8 + reg;
	imm32(e, value);
}

enum { AX, CX, DX, BX, SP, BP, SI, DI };

/* The n-th argument of a hypercall. */
static void argument(struct emitter *e, int n, uint64_t value)
{
	static const char movabs[6][2] = {
		{ 0x48, 0xbf }, { 0x48, 0xbe }, { 0x48, 0xba },
		{ 0x49, 0xba }, { 0x49, 0xb8 }, { 0x49, 0xb9 },
	};
	static const int reg[6] = { BX, CX, DX, SI, DI, BP };

	if (!e->longmode) {
		set32(e, reg[n], value);
		return;
	}
	bytes(e, movabs[n], 2);
	memcpy(e->at, &value, sizeof(value));
	e->at += sizeof(value);
}

static bool on_intel(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx;
}

static void hypercall(struct emitter *e, struct rng *rng, uint32_t number)
{
	/* Now and then the other vendor's, which KVM puts right. */
	bool vmcall = on_intel() != rng_once_in(rng, 16);

	set32(e, AX, number);
	bytes(e, vmcall ? "\x0f\x01\xc1" : "\x0f\x01\xd9", 3);
}

static void xen_step(struct emitter *e, struct rng *rng)
{
	static const uint32_t numbers[] = {
		HYPERVISOR_event_channel_op, HYPERVISOR_event_channel_op,
		HYPERVISOR_event_channel_op, HYPERVISOR_sched_op,
		HYPERVISOR_sched_op, HYPERVISOR_vcpu_op, HYPERVISOR_vcpu_op,
		HYPERVISOR_set_timer_op, HYPERVISOR_xen_version,
		HYPERVISOR_memory_op, HYPERVISOR_hvm_op,
	};
	static const uint64_t sched[] = { SCHEDOP_poll, SCHEDOP_poll,
					  SCHEDOP_poll, SCHEDOP_yield,
					  SCHEDOP_block };
	static const uint64_t vcpu[] = { VCPUOP_set_singleshot_timer,
					 VCPUOP_set_singleshot_timer,
					 VCPUOP_stop_singleshot_timer,
					 VCPUOP_register_vcpu_info };
	uint32_t number = pick(rng, numbers);
	uint64_t arg[6];
	int i;

	for (i = 0; i < 6; i++)
		arg[i] = rng_edge(rng);
	if (!rng_once_in(rng, 8)) {
		/* Arguments that are understood. */
		arg[1] = GPA(DATA) + rng_below(rng, PAGE / 8) * 8;
		switch (number) {
		case HYPERVISOR_event_channel_op:
			arg[0] = EVTCHNOP_send;
			break;
		case HYPERVISOR_sched_op:
			arg[0] = pick(rng, sched);
			break;
		case HYPERVISOR_vcpu_op:
			arg[2] = arg[1];
			arg[0] = pick(rng, vcpu);
			arg[1] = rng_below(rng, NCPU);
			break;
		case HYPERVISOR_set_timer_op:
			if (!e->longmode)
				arg[1] = rng_below(rng, 3);
			break;
		default:
			arg[0] = rng_below(rng, 3);
		}
		if (rng_once_in(rng, 8))
			arg[number == HYPERVISOR_vcpu_op ? 2 : 1] = any_gpa(rng);
	} else if (rng_once_in(rng, 4)) {
		number = rng_edge(rng);
	}
	for (i = 0; i < 6; i++)
		argument(e, i, arg[i]);
	hypercall(e, rng, number);
}

static void step(struct emitter *e, struct rng *rng)
{
	switch (rng_below(rng, 16)) {
	case 0:		/* write memory */
	case 1:
		set32(e, DI, any_gpa(rng));
		bytes(e, "\x88\x07", 2);
		break;
	case 2:		/* read memory */
		set32(e, DI, any_gpa(rng));
		bytes(e, "\x8a\x07", 2);
		break;
	case 3:		/* sti; hlt */
		if (rng_once_in(rng, 4))
			bytes(e, "\xfb\xf4", 2);
		else
			bytes(e, "\xf3\x90", 2);	/* pause */
		break;
	case 4:		/* out, to user space */
		bytes(e, "\xe6\x80", 2);
		break;
	case 5:		/* where is the hypercall page? */
		set32(e, CX, 0x40000200);
		set32(e, AX, GPA(HYPERCALL_PAGE) | rng_once_in(rng, 8));
		set32(e, DX, 0);
		bytes(e, "\x0f\x30", 2);
		break;
	case 6:		/* KVM's clock, another user of the caches */
		set32(e, CX, 0x4b564d01);
		set32(e, AX, any_gpa(rng) | rng_below(rng, 2));
		set32(e, DX, 0);
		bytes(e, "\x0f\x30", 2);
		break;
	default:
		xen_step(e, rng);
	}
}

static void code(uint8_t *start, bool longmode, struct rng *rng)
{
	struct emitter e = { start, longmode };
	int i;

	/* The interrupt controller is on. */
	set32(&e, DI, APIC_SPIV);
	bytes(&e, "\xc7\x07", 2);
	imm32(&e, 0x1ff);
	for (i = 0; i < STEPS; i++)
		step(&e, rng);
	*e.at++ = 0xe9;		/* again */
	imm32(&e, start - (e.at + 4));
}

_Static_assert(STEPS * STEP_ROOM < CODE_ROOM, "the steps of a guest");

void guest_code(uint8_t *stable, int c, struct rng *rng)
{
	code(stable + CODE64(c), true, rng);
	code(stable + CODE32(c), false, rng);
}

/* Timeouts, polls and ports, at every multiple of eight bytes. */
void guest_data(uint8_t *stable, struct rng *rng)
{
	uint64_t *data = (uint64_t *)(stable + DATA);
	unsigned int i;

	for (i = 0; i < PAGE / 8; i++) {
		switch (rng_below(rng, 4)) {
		case 0:		/* a pointer to ports, or a time */
			data[i] = GPA(DATA) + rng_below(rng, PAGE / 8) * 8;
			break;
		case 1:		/* a number of ports, or a port */
			data[i] = rng_below(rng, 3);
			break;
		case 2:
			data[i] = 1 + rng_below(rng, FEW_PORTS);
			break;
		default:
			data[i] = rng_edge(rng);
		}
	}
}

static void handler(uint8_t *start, bool longmode)
{
	struct emitter e = { start, longmode };
	int v, c;

	bytes(&e, "\x50\x57", 2);			/* push %rax, %rdi */
	/* No event is pending, whoever's vcpu_info it is. */
	for (v = 0; v < NVM; v++) {
		for (c = 0; c < NCPU; c++) {
			set32(&e, DI, spot_gpa(v, c, 0));
			bytes(&e, "\xc6\x07\x00", 3);	/* movb $0, (%rdi) */
		}
	}
	set32(&e, DI, APIC_EOI);
	bytes(&e, "\xc7\x07\x00\x00\x00\x00", 6);
	bytes(&e, "\x5f\x58", 2);
	if (longmode)
		*e.at++ = 0x48;
	*e.at++ = 0xcf;					/* iret */
}

/* An entry of an interrupt table; a long mode one has a second half of zeros. */
static uint64_t gate(uint64_t handler, uint64_t selector)
{
	return (handler & 0xffff) | selector << 16 | 0x8e00ULL << 32 |
	       handler >> 16 << 48;
}

void guest_tables(uint8_t *stable)
{
	const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf9b000000ffff,
				 0x00cf93000000ffff };
	uint64_t *idt64 = (uint64_t *)(stable + IDT64);
	uint64_t *idt32 = (uint64_t *)(stable + IDT32);
	int i;

	memcpy(stable + GDT, gdt, sizeof(gdt));
	handler(stable + HANDLER64, true);
	handler(stable + HANDLER32, false);
	/* out %al, $LOST_PORT; again */
	memcpy(stable + LOST, "\xe6\x81\xeb\xfc", 4);
	for (i = 0; i < 256; i++) {
		idt64[2 * i] = gate(GPA(i < 32 ? LOST : HANDLER64), CS64);
		idt32[i] = gate(GPA(i < 32 ? LOST : HANDLER32), CS32);
	}
	*(uint64_t *)(stable + PML4) = GPA(PDPT) | 7;
	for (i = 0; i < 4; i++)
		((uint64_t *)(stable + PDPT))[i] = GPA(PD + i * PAGE) | 7;
	for (i = 0; i < 4 * 512; i++)
		((uint64_t *)(stable + PD))[i] = i * 2 * MB | 0x87;
}

void guest_registers(int c, bool longmode, struct kvm_sregs *sregs,
		     struct kvm_regs *regs)
{
	struct kvm_segment data = {
		.selector = DS, .limit = 0xffffffff, .type = 3, .present = 1,
		.s = 1, .db = 1, .g = 1,
	};
	struct kvm_segment exec = data;

	exec.type = 11;
	exec.selector = longmode ? CS64 : CS32;
	exec.l = longmode;
	exec.db = !longmode;
	sregs->cs = exec;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->tr = (struct kvm_segment){
		.base = GPA(TSS), .limit = 0x67, .type = 11, .present = 1,
	};
	sregs->gdt.base = GPA(GDT);
	sregs->gdt.limit = 31;
	sregs->idt.base = GPA(longmode ? IDT64 : IDT32);
	sregs->idt.limit = longmode ? 4095 : 2047;
	sregs->cr0 = 0x31;			/* PE, ET, NE */
	sregs->cr3 = sregs->cr4 = sregs->efer = 0;
	if (longmode) {
		sregs->cr0 |= 1UL << 31;	/* PG */
		sregs->cr3 = GPA(PML4);
		sregs->cr4 = 1 << 5;		/* PAE */
		sregs->efer = 1 << 8 | 1 << 10;	/* LME, LMA */
	}
	memset(regs, 0, sizeof(*regs));
	regs->rip = GPA(longmode ? CODE64(c) : CODE32(c));
	regs->rsp = GPA(STACK(c));
	regs->rflags = 0x202;			/* interrupts on */
}
