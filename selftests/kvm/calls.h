/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM with two vCPUs that make hypercalls, 32-bit or 64-bit ones with the
 * structures to match: what the tests of hypercalls have in common.
 */
#ifndef CALLS_H
#define CALLS_H

#include "caller.h"
#include "xvm.h"

#include "../../arch/x86/kvm/xen/uapi.h"

/* Pages of the guest. */
#define CALLS_SHINFO	1
#define CALLS_INFO	2	/* vcpu_info, a page for each vCPU */
#define CALLS_ARG	4	/* arguments, a page for each vCPU */
#define CALLS_CODE	8
#define CALLS_PAGES	16
#define CALLS_BAD	0x40000000	/* where the guest has no memory */

/* Xen's public ABI. */
#define DOMID_SELF		0x7ff0

struct calls {
	struct xvm vm;
	struct xvm_mem mem;
	struct caller cpu[2];
	uint8_t *shinfo;
	bool wide;
};

void calls_create(struct calls *c, bool wide);
void calls_destroy(struct calls *c);

/* Arguments of vCPU @cpu: where they are for the guest, and for the test. */
uint64_t calls_arg_gpa(int cpu);
void *calls_arg(struct calls *c, int cpu);

/* Attributes; errors are returned. */
int calls_accel(struct calls *c, uint64_t what);
int calls_vm_attr(struct calls *c, unsigned int type, uint64_t *pad);
int calls_ipi_port(struct calls *c, uint32_t port, unsigned int id);

/* What the guest sees of a port. */
void calls_mask(struct calls *c, uint32_t port);
bool calls_masked(struct calls *c, uint32_t port);
bool calls_selected(struct calls *c, int cpu, uint32_t port);
bool calls_upcall(struct calls *c, int cpu);

/* The call of a vCPU, answered by KVM; stops the test if it is not. */
int64_t calls_make(struct calls *c, int cpu, uint32_t nr, uint64_t a0,
		   uint64_t a1, uint64_t a2);
/*
 * Does the VMM get the call, with all its arguments as the guest made it, and the
 * guest what the VMM answers?
 */
bool calls_to_vmm(struct calls *c, int cpu, uint32_t nr, uint64_t a0,
		  uint64_t a1, uint64_t a2);

#endif
