// SPDX-License-Identifier: GPL-2.0
/* A VM whose vCPUs make hypercalls, see calls.h. */
#include "calls.h"

#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>

/* In shared_info and vcpu_info of a 32-bit guest, where they differ. */
#define NARROW_MASK	0x880
#define NARROW_SEL	4

/* What the VMM answers: an error that KVM never gives. */
#define VMM_SAYS	(-EXFULL)

void calls_create(struct calls *c, bool wide)
{
	struct kvm_xen_hvm_attr mode = {
		.type = KVM_XEN_ATTR_TYPE_LONG_MODE,
		.u.long_mode = wide,
	};
	uint8_t *code;
	int i;

	c->wide = wide;
	xvm_mem_create(&c->mem, CALLS_PAGES);
	c->shinfo = c->mem.witness + CALLS_SHINFO * XVM_PAGE;
	code = c->mem.map + CALLS_CODE * XVM_PAGE;
	xvm_create(&c->vm, true);
	if (ioctl(c->vm.fd, KVM_XEN_HVM_SET_ATTR, &mode))
		xvm_die("layout of the guest's structures");
	xvm_slot(&c->vm, 0, 0, 0, c->mem.size, c->mem.map);
	if (xvm_shinfo_gfn(&c->vm, CALLS_SHINFO))
		xvm_die("shared_info");
	for (i = 0; i < 2; i++) {
		if (wide)
			caller_create_long(&c->cpu[i], &c->vm, i,
					   CALLS_CODE * XVM_PAGE, code);
		else
			caller_create(&c->cpu[i], &c->vm, i,
				      CALLS_CODE * XVM_PAGE, code);
		if (xvm_cpu_attr(&c->vm, i, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				 (CALLS_INFO + i) * XVM_PAGE))
			xvm_die("vcpu_info of vCPU %d", i);
	}
}

void calls_destroy(struct calls *c)
{
	xvm_destroy(&c->vm);
}

uint64_t calls_arg_gpa(int cpu)
{
	return (CALLS_ARG + cpu) * XVM_PAGE;
}

void *calls_arg(struct calls *c, int cpu)
{
	return c->mem.map + calls_arg_gpa(cpu);
}

static int set_attr(struct calls *c, struct kvm_xen_hvm_attr *attr)
{
	return ioctl(c->vm.fd, KVM_XEN_HVM_SET_ATTR, attr) ? -errno : 0;
}

int calls_accel(struct calls *c, uint64_t what)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_X_ACCEL,
		.u.pad[0] = what,
	};

	return set_attr(c, &attr);
}

int calls_vm_attr(struct calls *c, unsigned int type, uint64_t *pad)
{
	struct kvm_xen_hvm_attr attr = { .type = type };
	int r = ioctl(c->vm.fd, KVM_XEN_HVM_GET_ATTR, &attr) ? -errno : 0;

	pad[0] = attr.u.pad[0];
	pad[1] = attr.u.pad[1];
	return r;
}

int calls_ipi_port(struct calls *c, uint32_t port, unsigned int id)
{
	return xvm_ipi_port(&c->vm, 0, port, id);
}

static uint8_t *mask_byte(struct calls *c, uint32_t port)
{
	return c->shinfo + (c->wide ? XEN_SHINFO_MASK : NARROW_MASK) + port / 8;
}

void calls_mask(struct calls *c, uint32_t port)
{
	__atomic_fetch_or(mask_byte(c, port), 1 << port % 8, __ATOMIC_SEQ_CST);
}

bool calls_masked(struct calls *c, uint32_t port)
{
	return __atomic_load_n(mask_byte(c, port), __ATOMIC_SEQ_CST) &
	       1 << port % 8;
}

static uint8_t *info(struct calls *c, int cpu)
{
	return c->mem.witness + (CALLS_INFO + cpu) * XVM_PAGE;
}

bool calls_selected(struct calls *c, int cpu, uint32_t port)
{
	uint32_t sel = port / (c->wide ? 64 : 32);
	uint8_t *word = info(c, cpu) +
			(c->wide ? XEN_VCPU_INFO_SEL : NARROW_SEL);

	return __atomic_load_n(word + sel / 8, __ATOMIC_SEQ_CST) & 1 << sel % 8;
}

bool calls_upcall(struct calls *c, int cpu)
{
	return __atomic_load_n(info(c, cpu), __ATOMIC_SEQ_CST);
}

int64_t calls_make(struct calls *c, int cpu, uint32_t nr, uint64_t a0,
		   uint64_t a1, uint64_t a2)
{
	return caller_call(&c->cpu[cpu], nr, a0, a1, a2);
}

bool calls_to_vmm(struct calls *c, int cpu, uint32_t nr, uint64_t a0,
		  uint64_t a1, uint64_t a2)
{
	const uint64_t args[] = { a0, a1, a2, CALLER_ARG3, CALLER_ARG4,
				  CALLER_ARG5 };
	struct kvm_run *run = c->vm.run[cpu];
	bool same = true;
	int i;

	caller_set(&c->cpu[cpu], nr, a0, a1, a2);
	if (caller_go(&c->cpu[cpu]) != CALLER_TO_VMM) {
		fprintf(stderr, "# KVM answered %lld\n",
			(long long)caller_result(&c->cpu[cpu]));
		return false;
	}
	for (i = 0; i < 6; i++)
		same &= run->xen.u.hcall.params[i] == args[i];
	if (!same || run->xen.type != KVM_EXIT_XEN_HCALL ||
	    run->xen.u.hcall.input != nr ||
	    run->xen.u.hcall.longmode != c->wide ||
	    run->xen.u.hcall.cpl != (c->cpu[cpu].user ? 3 : 0))
		xvm_die("not the call that was made");
	run->xen.u.hcall.result = VMM_SAYS;
	if (caller_go(&c->cpu[cpu]) || caller_result(&c->cpu[cpu]) != VMM_SAYS)
		xvm_die("the guest did not get the VMM's answer");
	return true;
}
