// SPDX-License-Identifier: GPL-2.0
/* A guest that makes hypercalls, see caller.h. */
#include "caller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define DONE_PORT	0x80

/* The CPU's hypercall, then out %al,$0x80, and for ever after that. */
static uint8_t code[] = { 0x0f, 0x01, 0xc1, 0xe6, DONE_PORT, 0xeb, 0xfe };
#define CODE_VENDOR	2
#define VMMCALL_BYTE	0xd9

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

void caller_set(struct caller *c, uint32_t nr, uint32_t a0, uint32_t a1,
		uint32_t a2)
{
	struct kvm_regs regs = {
		.rip = c->gpa,
		.rax = nr,
		.rbx = a0,
		.rcx = a1,
		.rdx = a2,
		.rflags = 2,
	};

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

int32_t caller_result(struct caller *c)
{
	struct kvm_regs regs;

	if (ioctl(c->vm->cpu[c->id], KVM_GET_REGS, &regs))
		xvm_die("KVM_GET_REGS");
	return regs.rax;
}

int32_t caller_call(struct caller *c, uint32_t nr, uint32_t a0, uint32_t a1,
		    uint32_t a2)
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
