// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes that only these modules have, and events, when memory runs out.
 *
 * Affected: a VMM on a host short of memory. Tried: each attribute once for every
 * allocation that setting it makes, and that one is refused; events whose page has to
 * be found anew. A right system answers with an errno it documents, leaves what was
 * there before, does the same when it is asked again, and loses no event.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../../arch/x86/kvm/xen/uapi.h"
#include "fault.h"
#include "kselftest_harness.h"
#include "xvm.h"

#define SECONDS		240		/* a kernel that checks takes its time */
#define NPAGES		16
#define SHINFO		1		/* pages of guest memory */
#define VCPU_INFO	2
#define QUEUES		3
#define PORT		21
#define FIFO_PORTS	4096
#define PADS		4		/* words of an attribute that are looked at */
#define BUILD_ID	10		/* XENVER_* */
#define VIRQ		4		/* EVTCHNSTAT_* */

static const char answer[] = "an answer of the VMM's";

struct value {
	int r;
	uint64_t pad[PADS];
};

FIXTURE(attr) {
	struct fault f;
	struct xvm_mem mem;
	struct xvm vm;
};

FIXTURE_VARIANT(attr) {
	unsigned int type;
	uint64_t pad[PADS];
	bool fifo;		/* wants FIFO event channels */
	bool page;		/* has to find one in the guest's memory */
	bool bare;		/* takes no memory, so it cannot be refused */
};

FIXTURE_VARIANT_ADD(attr, accel) {
	.type = KVM_XEN_ATTR_TYPE_X_ACCEL,
	.pad = { KVM_XEN_ACCEL_ALL },
	.bare = true,
};

FIXTURE_VARIANT_ADD(attr, version) {
	.type = KVM_XEN_ATTR_TYPE_X_VERSION,
	.pad = { BUILD_ID | (uint64_t)sizeof(answer) << 32 },
};

FIXTURE_VARIANT_ADD(attr, port) {
	.type = KVM_XEN_ATTR_TYPE_X_PORT,
	.pad = { PORT | (uint64_t)VIRQ << 32, 0, 1 },
};

FIXTURE_VARIANT_ADD(attr, fifo) {
	.type = KVM_XEN_ATTR_TYPE_X_FIFO,
	.pad = { FIFO_PORTS },
};

FIXTURE_VARIANT_ADD(attr, fifo_page) {
	.type = KVM_XEN_ATTR_TYPE_X_FIFO_PAGE,
	.pad = { 0, QUEUES },
	.fifo = true,
	.page = true,
};

static int set_attr(struct xvm *vm, unsigned int type, const uint64_t pad[PADS])
{
	struct kvm_xen_hvm_attr a = { .type = type };

	memcpy(a.u.pad, pad, PADS * sizeof(*pad));
	return ioctl(vm->fd, KVM_XEN_HVM_SET_ATTR, &a) ? -errno : 0;
}

static int set(FIXTURE_DATA(attr) *self, const FIXTURE_VARIANT(attr) *v)
{
	uint64_t pad[PADS];

	memcpy(pad, v->pad, sizeof(pad));
	if (v->type == KVM_XEN_ATTR_TYPE_X_VERSION)
		pad[1] = (uintptr_t)answer;
	return set_attr(&self->vm, v->type, pad);
}

/* What KVM says of it, an answer to XENVER_* in the place of its address. */
static void get(FIXTURE_DATA(attr) *self, const FIXTURE_VARIANT(attr) *v,
		struct value *is)
{
	struct kvm_xen_hvm_attr a = { .type = v->type };
	char text[sizeof(answer)] = "";

	memset(is, 0, sizeof(*is));
	memcpy(a.u.pad, v->pad, sizeof(v->pad));
	if (v->type == KVM_XEN_ATTR_TYPE_X_VERSION)
		a.u.pad[1] = (uintptr_t)text;
	is->r = ioctl(self->vm.fd, KVM_XEN_HVM_GET_ATTR, &a) ? -errno : 0;
	if (v->type == KVM_XEN_ATTR_TYPE_X_VERSION)
		memcpy(&a.u.pad[1], text, sizeof(a.u.pad[1]));
	if (!is->r)
		memcpy(is->pad, a.u.pad, sizeof(is->pad));
}

static void make_vm(FIXTURE_DATA(attr) *self, bool fifo)
{
	struct kvm_xen_hvm_config on = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			 KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = 0x40000200,
	};
	const uint64_t ports[PADS] = { FIFO_PORTS };

	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	if (ioctl(self->vm.fd, KVM_XEN_HVM_CONFIG, &on))
		xvm_die("KVM_XEN_HVM_CONFIG");
	xvm_add_cpu(&self->vm, 0);
	if (fifo && set_attr(&self->vm, KVM_XEN_ATTR_TYPE_X_FIFO, ports))
		xvm_die("no FIFO event channels");
}

FIXTURE_SETUP(attr)
{
	const char *missing = fault_missing();

	if (missing)
		SKIP(return, "%s", missing);
	fault_open(&self->f);
	xvm_mem_create(&self->mem, NPAGES);
}

FIXTURE_TEARDOWN(attr)
{
	TH_LOG("%u failures", self->f.points);
	fault_close(&self->f);
}

TEST_F_TIMEOUT(attr, set, SECONDS)
{
	struct value before, after, is;
	struct fault *f = &self->f;
	int r;

	make_vm(self, variant->fifo);
	get(self, variant, &before);
	r = set(self, variant);
	if (r == -ENOENT)
		SKIP(return, "no such attribute");
	ASSERT_EQ(0, r);
	get(self, variant, &after);
	ASSERT_EQ(0, after.r);
	ASSERT_NE(0, memcmp(&before, &after, sizeof(before)));
	xvm_destroy(&self->vm);

	while (fault_next(f)) {
		make_vm(self, variant->fifo);
		r = FAULTED(f, set(self, variant));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_TRUE(r == -ENOMEM || (variant->page && r == -EFAULT));
			get(self, variant, &is);
			ASSERT_EQ(0, memcmp(&before, &is, sizeof(is)));
			ASSERT_EQ(0, set(self, variant));
		}
		get(self, variant, &is);
		ASSERT_EQ(0, memcmp(&after, &is, sizeof(is)));
		xvm_destroy(&self->vm);
	}
	EXPECT_EQ(variant->bare, !f->points);
}

FIXTURE(event) {
	struct fault f;
	struct xvm_mem mem;
	struct xvm vm;
};

FIXTURE_SETUP(event)
{
	const char *missing = fault_missing();

	if (missing)
		SKIP(return, "%s", missing);
	fault_open(&self->f);
	xvm_mem_create(&self->mem, NPAGES);
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	xvm_add_cpu(&self->vm, 0);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  VCPU_INFO * XVM_PAGE));
}

FIXTURE_TEARDOWN(event)
{
	TH_LOG("%u failures", self->f.points);
	xvm_destroy(&self->vm);
	fault_close(&self->f);
}

/* Its page is not there, and for a moment there is no memory for one. */
TEST_F_TIMEOUT(event, is_not_lost, SECONDS)
{
	struct fault *f = &self->f;
	int r;

	while (fault_next(f)) {
		ASSERT_EQ(0, fallocate(self->mem.memfd, FALLOC_FL_PUNCH_HOLE |
				       FALLOC_FL_KEEP_SIZE, SHINFO * XVM_PAGE,
				       XVM_PAGE));
		r = FAULTED(f, xvm_send(&self->vm, PORT, 0));
		/* Then it says that the event has to wait. */
		ASSERT_TRUE(!r || (f->hit && (r == -EFAULT || r == -ENOMEM)));
		ASSERT_TRUE(xvm_wait_pending(self->mem.witness + SHINFO * XVM_PAGE,
					     PORT, 5000));
	}
	/* Of the page, and of what maps it. */
	EXPECT_LE(1, f->points);
}

TEST_HARNESS_MAIN
