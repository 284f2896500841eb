// SPDX-License-Identifier: GPL-2.0
/*
 * How wide the host's accesses to vcpu_info are.
 *
 * Affected: every host, by a guest that places vcpu_info so that the selector, or what
 * stands beside it, crosses a cache line: a locked access across a line stops the
 * whole machine's memory, and is fatal where the processor traps it in the kernel.
 * Tried: events into a vcpu_info at such a place, and a watchpoint at the dword beside
 * the one with the event's selector. A right system never writes to that. Nor does it
 * write beyond the selectors of a guest that changes its mode while events are sent.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "caller.h"
#include "probe.h"
#include "xvm.h"

#define SHINFO_PAGE	0
#define INFO_PAGE	1
#define CODE_PAGE	2
#define NPAGES		(CODE_PAGE + CALLER_PAGES)

FIXTURE(width) {
	struct xvm vm;
	struct xvm_mem mem;
	struct caller caller;
	uint8_t *info;
	int probe;
};

/* Offsets of dwords in vcpu_info: of the selector, and what stands beside it. */
FIXTURE_VARIANT(width) {
	bool wide;
	unsigned int place;	/* of vcpu_info in its page */
	unsigned int port;
	unsigned int sel, beside;
};

/* The 64-bit selector begins four bytes before the line's end. */
FIXTURE_VARIANT_ADD(width, wide_low) {
	.wide = true, .place = 64 + 52, .port = 100, .sel = 8, .beside = 12,
};

FIXTURE_VARIANT_ADD(width, wide_high) {
	.wide = true, .place = 64 + 52, .port = 4000, .sel = 12, .beside = 8,
};

/* The 32-bit selector is the last dword of the line; arch.cr2 follows. */
FIXTURE_VARIANT_ADD(width, narrow) {
	.wide = false, .place = 64 + 56, .port = 100, .sel = 4, .beside = 8,
};

FIXTURE_SETUP(width)
{
	struct kvm_xen_hvm_attr mode = {
		.type = KVM_XEN_ATTR_TYPE_LONG_MODE,
		.u.long_mode = variant->wide,
	};

	xvm_mem_create(&self->mem, NPAGES);
	self->info = self->mem.map + INFO_PAGE * XVM_PAGE + variant->place;
	xvm_create(&self->vm, true);
	ASSERT_EQ(0, xvm_vm_attr(&self->vm, &mode));
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO_PAGE));
	caller_create(&self->caller, &self->vm, 0, CODE_PAGE * XVM_PAGE,
		      self->mem.map + CODE_PAGE * XVM_PAGE);
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  INFO_PAGE * XVM_PAGE + variant->place));
	self->probe = probe_open();
}

FIXTURE_TEARDOWN(width)
{
	close(self->probe);
	xvm_destroy(&self->vm);
}

/* An event that finds vcpu_info, and one that its vCPU is told of later. */
static void send_both(FIXTURE_DATA(width) *self, unsigned int port)
{
	uint8_t *page = self->mem.map + INFO_PAGE * XVM_PAGE;

	if (xvm_send(&self->vm, port, 0))
		xvm_die("the event was refused");
	xvm_map(&self->mem, INFO_PAGE, page);
	if (xvm_send(&self->vm, port ^ 1, 0))
		xvm_die("the second event was refused");
	caller_call(&self->caller, HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0, 0);
}

TEST_F(width, what_stands_beside_the_selector_is_not_written)
{
	probe_watch(self->probe, self->info + variant->beside);
	send_both(self, variant->port);
	EXPECT_EQ(0, probe_watched(self->probe));
}

/* The same place is seen when it is written. */
TEST_F(width, selector_is_written)
{
	probe_watch(self->probe, self->info + variant->sel);
	send_both(self, variant->port);
	EXPECT_LE(2, probe_watched(self->probe));
	EXPECT_TRUE(xvm_pending(self->mem.witness, variant->port));
}

/* ------------------------------------------------------------------------ */

#define LAST_PORT	4095	/* of 64-bit guests; four times as many as of others */
#define FLIPS		1000
#define PAUSES_NS	32000	/* as long as a send takes, and more */
#define PAUSE_STEP_NS	1009

/* Beyond the selectors of both layouts, up to the clock. */
#define BEYOND		16
#define BEYOND_END	32

FIXTURE(layout) {
	struct xvm vm;
	struct xvm_mem mem;
	uint8_t *info;
	int stop;		/* atomic */
};

FIXTURE_SETUP(layout)
{
	xvm_mem_create(&self->mem, NPAGES);
	self->info = self->mem.witness + INFO_PAGE * XVM_PAGE;
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO_PAGE));
	xvm_add_cpu(&self->vm, 0);
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  INFO_PAGE * XVM_PAGE));
}

FIXTURE_TEARDOWN(layout)
{
	xvm_destroy(&self->vm);
}

static void *send_last_port(void *arg)
{
	FIXTURE_DATA(layout) *self = arg;
	uint8_t *pending = self->mem.witness + XEN_SHINFO_PENDING +
			   LAST_PORT / 8;
	int r;

	while (!__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE)) {
		r = xvm_send(&self->vm, LAST_PORT, 0);
		if (r && r != -EINVAL)
			xvm_die("the event was refused: %d", r);
		__atomic_store_n(pending, 0, __ATOMIC_SEQ_CST);
		memset(self->info, 0, BEYOND);
	}
	return NULL;
}

/* A port is looked up in one layout, and its selector set in another. */
TEST_F_TIMEOUT(layout, no_selector_is_set_beyond_the_last, 120)
{
	struct kvm_xen_hvm_attr mode = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE };
	unsigned int i, at, wrong = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, send_last_port, self));
	for (i = 0; i < FLIPS && !wrong; i++) {
		mode.u.long_mode = i % 2;
		ASSERT_EQ(0, xvm_vm_attr(&self->vm, &mode));
		xvm_sleep_ns(i * PAUSE_STEP_NS % PAUSES_NS);
		for (at = BEYOND; at < BEYOND_END; at++)
			wrong += !!__atomic_load_n(&self->info[at],
						   __ATOMIC_ACQUIRE);
	}
	__atomic_store_n(&self->stop, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	TH_LOG("%u changes", i);
	EXPECT_EQ(0, wrong);
}

TEST_HARNESS_MAIN
