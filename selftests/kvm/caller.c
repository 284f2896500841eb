// SPDX-License-Identifier: GPL-2.0
/* A guest that makes hypercalls, see caller.h. */
#include "caller.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define DONE_PORT	0x80

/* The CPU's hypercall, then out %al,$0x80, and for ever after that. */
static uint8_t code[] = { 0x0f, 0x01, 0xc1, 0xe6, DONE_PORT, 0xeb, 0xfe };
#define CODE_VENDOR	2
#define VMMCALL_BYTE	0xd9

/* Where page tables are, in pages from the code, and what is in them. */
enum { CODE, PML4, PDPT, PD };
#define PTE_TABLE	0x7ULL		/* present, writable, ring 3's too */
#define PTE_LARGE	0x87ULL		/* the same, of 2 MB */
#define PTES		512

#define CPUID_EXT	0x80000000
#define CPUID_EXT_LM	(1U << 29)
#define CR0_PG		(1UL << 31)
#define CR4_PAE		(1UL << 5)
#define EFER_LONG	(1UL << 8 | 1UL << 10)	/* enabled, active */
#define RFLAGS		2
#define RFLAGS_IOPL3	(RFLAGS | 3UL << 12)
#define RFLAGS_IF	(1UL << 9)

static bool cpu_is_amd(void)
{
	char line[256];
	bool amd = false;
	FILE *f = fopen("/proc/cpuinfo", "r");

	if (!f)
		xvm_die("/proc/cpuinfo");
	while (!amd && fgets(line, sizeof(line), f))
		amd = strstr(line, "AuthenticAMD");
	fclose(f);
	return amd;
}

void caller_create(struct caller *c, struct xvm *vm, unsigned int id,
		   uint32_t gpa, uint8_t *map)
{
	*c = (struct caller){ .vm = vm, .id = id, .gpa = gpa };
	xvm_add_flat_cpu(vm, id);
	if (cpu_is_amd())
		code[CODE_VENDOR] = VMMCALL_BYTE;
	memcpy(map, code, sizeof(code));
}

static void get_sregs(struct caller *c, struct kvm_sregs *sregs)
{
	if (ioctl(c->vm->cpu[c->id], KVM_GET_SREGS, sregs))
		xvm_die("KVM_GET_SREGS");
}

static void set_sregs(struct caller *c, struct kvm_sregs *sregs)
{
	if (ioctl(c->vm->cpu[c->id], KVM_SET_SREGS, sregs))
		xvm_die("KVM_SET_SREGS");
}

/* A CPU that has long mode, and says nothing else of itself. */
static void set_cpuid(struct caller *c)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[2];
	} cpuid = {
		.head.nent = 2,
		.entry = {
			{ .function = CPUID_EXT, .eax = CPUID_EXT + 1 },
			{ .function = CPUID_EXT + 1, .edx = CPUID_EXT_LM },
		},
	};

	if (ioctl(c->vm->cpu[c->id], KVM_SET_CPUID2, &cpuid))
		xvm_die("KVM_SET_CPUID2");
}

void caller_create_long(struct caller *c, struct xvm *vm, unsigned int id,
			uint32_t gpa, uint8_t *map)
{
	uint64_t *table = (void *)map, i;
	struct kvm_sregs sregs;

	caller_create(c, vm, id, gpa, map);
	c->wide = true;
	set_cpuid(c);
	table[PML4 * PTES] = (gpa + PDPT * XVM_PAGE) | PTE_TABLE;
	table[PDPT * PTES] = (gpa + PD * XVM_PAGE) | PTE_TABLE;
	for (i = 0; i < PTES; i++)
		table[PD * PTES + i] = i << 21 | PTE_LARGE;

	get_sregs(c, &sregs);
	sregs.cs.l = 1;
	sregs.cs.db = 0;
	sregs.cr3 = gpa + PML4 * XVM_PAGE;
	sregs.cr4 |= CR4_PAE;
	sregs.efer |= EFER_LONG;
	sregs.cr0 |= CR0_PG;
	set_sregs(c, &sregs);
}

void caller_to_user(struct caller *c)
{
	struct kvm_sregs sregs;

	c->user = true;
	get_sregs(c, &sregs);
	sregs.cs.selector |= 3;
	sregs.ss.selector |= 3;
	sregs.cs.dpl = 3;
	sregs.ss.dpl = 3;
	set_sregs(c, &sregs);
}

void caller_set(struct caller *c, uint32_t nr, uint64_t a0, uint64_t a1,
		uint64_t a2)
{
	struct kvm_regs regs = {
		.rip = c->gpa,
		.rax = nr,
		.rdx = a2,
		.rflags = (c->user ? RFLAGS_IOPL3 : RFLAGS) |
			  (c->irqs ? RFLAGS_IF : 0),
	};

	if (c->wide) {
		regs.rdi = a0;
		regs.rsi = a1;
		regs.r10 = CALLER_ARG3;
		regs.r8 = CALLER_ARG4;
		regs.r9 = CALLER_ARG5;
	} else {
		regs.rbx = a0;
		regs.rcx = a1;
		regs.rsi = CALLER_ARG3;
		regs.rdi = CALLER_ARG4;
		regs.rbp = CALLER_ARG5;
	}

	if (ioctl(c->vm->cpu[c->id], KVM_SET_REGS, &regs))
		xvm_die("KVM_SET_REGS");
}

int caller_go(struct caller *c)
{
	struct kvm_run *run = c->vm->run[c->id];

	if (ioctl(c->vm->cpu[c->id], KVM_RUN, 0))
		return -errno;
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == DONE_PORT)
		return 0;
	if (run->exit_reason == KVM_EXIT_XEN)
		return CALLER_TO_VMM;
	xvm_die("exit reason %u, suberror %u", run->exit_reason,
		run->internal.suberror);
}

int64_t caller_result(struct caller *c)
{
	struct kvm_regs regs;

	if (ioctl(c->vm->cpu[c->id], KVM_GET_REGS, &regs))
		xvm_die("KVM_GET_REGS");
	return c->wide ? (int64_t)regs.rax : (int32_t)regs.rax;
}

int64_t caller_call(struct caller *c, uint32_t nr, uint64_t a0, uint64_t a1,
		    uint64_t a2)
{
	int r;

	caller_set(c, nr, a0, a1, a2);
	do {
		r = caller_go(c);
	} while (r == -EINTR || r == -EAGAIN);
	if (r)
		xvm_die("hypercall %u came back with %d", nr, r);
	return caller_result(c);
}

static void *call_in_thread(void *arg)
{
	struct caller_thread *t = arg;

	t->r = caller_go(t->caller);
	__atomic_store_n(&t->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

void caller_start(struct caller_thread *t, struct caller *caller)
{
	memset(t, 0, sizeof(*t));
	t->caller = caller;
	if (pthread_create(&t->thread, NULL, call_in_thread, t))
		xvm_die("pthread_create");
	xvm_sleep_ms(50);
}

bool caller_is_done(struct caller_thread *t, int ms)
{
	uint64_t end = xvm_now_ns() + ms * 1000000ULL;

	while (!__atomic_load_n(&t->done, __ATOMIC_ACQUIRE)) {
		if (xvm_now_ns() > end)
			return false;
		xvm_sleep_ms(1);
	}
	return true;
}

static void nothing(int sig)
{
}

void caller_end(struct caller_thread *t)
{
	struct sigaction sa = { .sa_handler = nothing };

	sigaction(SIGUSR1, &sa, NULL);
	while (!__atomic_load_n(&t->done, __ATOMIC_ACQUIRE)) {
		pthread_kill(t->thread, SIGUSR1);
		xvm_sleep_ms(5);
	}
	pthread_join(t->thread, NULL);
}
