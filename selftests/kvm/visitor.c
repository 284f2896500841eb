// SPDX-License-Identifier: GPL-2.0
/* A guest that visits memory, see visitor.h. */
#include "visitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DONE_PORT	0x80
#define CODE_SIZE	32

/*
 * next: lods (%esi),%eax; mov %bl,(%eax) or (%eax),%bl; loop next; out %al,$0x80
 * and for ever after that: KVM comes back behind the OUT.
 */
static const uint8_t code[][CODE_SIZE] = {
	[VISIT_READ] = {
		0xad, 0x8a, 0x18, 0xe2, 0xfb, 0xe6, DONE_PORT, 0xeb, 0xfe,
	},
	[VISIT_WRITE] = {
		0xad, 0x88, 0x18, 0xe2, 0xfb, 0xe6, DONE_PORT, 0xeb, 0xfe,
	},
	/* cpuid; out %al,$0x80 */
	[VISIT_NONE] = { 0x0f, 0xa2, 0xe6, DONE_PORT, 0xeb, 0xfe },
};

void visitor_create(struct visitor *v, struct xvm *vm, unsigned int id,
		    uint32_t gpa, uint8_t *map)
{
	*v = (struct visitor){ .vm = vm, .id = id, .gpa = gpa, .map = map };
	xvm_add_flat_cpu(vm, id);
	memcpy(map, code, sizeof(code));
	v->stats = ioctl(vm->cpu[id], KVM_GET_STATS_FD, NULL);
	v->vm_stats = ioctl(vm->fd, KVM_GET_STATS_FD, NULL);
	if (v->stats < 0 || v->vm_stats < 0)
		xvm_die("KVM_GET_STATS_FD");
}

void visitor_destroy(struct visitor *v)
{
	close(v->stats);
	close(v->vm_stats);
}

void visitor_list(struct visitor *v, enum visit what, uint8_t byte,
		  const uint32_t *gpas, unsigned int nr)
{
	struct kvm_regs regs = {
		.rip = v->gpa + what * CODE_SIZE,
		.rsi = v->gpa + XVM_PAGE,
		.rcx = nr,
		.rbx = byte,
		.rflags = 2,
	};

	if (!nr != (what == VISIT_NONE) || nr > VISITOR_MAX)
		xvm_die("a list of %u", nr);
	if (nr)
		memcpy(v->map + XVM_PAGE, gpas, nr * sizeof(*gpas));
	if (ioctl(v->vm->cpu[v->id], KVM_SET_REGS, &regs))
		xvm_die("KVM_SET_REGS");
}

int visitor_go(struct visitor *v)
{
	struct kvm_run *run = v->vm->run[v->id];

	if (ioctl(v->vm->cpu[v->id], KVM_RUN, 0))
		return -errno;
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == DONE_PORT)
		return 0;
	return run->exit_reason;
}

void visitor_visit(struct visitor *v, enum visit what, uint8_t byte,
		   const uint32_t *gpas, unsigned int nr)
{
	int r;

	visitor_list(v, what, byte, gpas, nr);
	do {
		r = visitor_go(v);
	} while (r == -EINTR || r == -EAGAIN);
	if (r)
		xvm_die("the guest came back with %d, suberror %u", r,
			v->vm->run[v->id]->internal.suberror);
}

uint8_t visitor_read(struct visitor *v, uint32_t gpa)
{
	struct kvm_regs regs;

	visitor_visit(v, VISIT_READ, 0, &gpa, 1);
	if (ioctl(v->vm->cpu[v->id], KVM_GET_REGS, &regs))
		xvm_die("KVM_GET_REGS");
	return regs.rbx;
}

void visitor_settle(struct visitor *v)
{
	unsigned int i;

	for (i = 0; i < VISITOR_PAGES; i++)
		visitor_read(v, v->gpa + i * XVM_PAGE);
}

void visitor_write(struct visitor *v, uint32_t gpa, uint8_t byte)
{
	visitor_visit(v, VISIT_WRITE, byte, &gpa, 1);
}

uint64_t visitor_stat(struct visitor *v, const char *name)
{
	uint64_t value;

	if (!xvm_stat(v->stats, name, &value) &&
	    !xvm_stat(v->vm_stats, name, &value))
		xvm_die("KVM has no statistic %s", name);
	return value;
}
