// SPDX-License-Identifier: GPL-2.0
/*
 * Events that come at a bad moment.
 *
 * Affected: every guest whose shared_info or vcpu_info is away for a moment when an
 * event is sent: a memory slot that is being moved, a page the VMM has just given
 * back to the host, a migration that restores routes before vCPUs. Tried: take the
 * page away in every way there is, send from every sender, bring it back. A right
 * system delivers the event then, once, without being asked again.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "../../arch/x86/kvm/xen/uapi.h"
#include "caller.h"
#include "xvm.h"

#define GSI		40
#define PORT		100
#define SLOT		0
#define SHINFO_SLOT	1
#define SHINFO_GPA	0x100000
#define SHINFO_GFN	(SHINFO_GPA / XVM_PAGE)
#define VCPU_INFO_PAGE	2
#define ARG_PAGE	3
#define CODE_PAGE	4
#define NPAGES		8
#define SOON_MS		2000
#define LOST_ENOUGH	3	/* to know what is to be known */

/* How shared_info is taken away, and brought back. */
enum away { DISABLED, DISABLED_HVA, SLOT_GONE, AWAY_NR };

FIXTURE(event) {
	struct xvm vm;
	struct xvm_mem mem;
	struct xvm_mem shared;
	uint8_t *shinfo;
	uint8_t *vcpu_info;
	struct caller caller;
};

FIXTURE_VARIANT(event) {
	enum away away;
};

FIXTURE_VARIANT_ADD(event, disabled) {
	.away = DISABLED,
};

FIXTURE_VARIANT_ADD(event, disabled_hva) {
	.away = DISABLED_HVA,
};

FIXTURE_VARIANT_ADD(event, slot_gone) {
	.away = SLOT_GONE,
};

static int shinfo_set(FIXTURE_DATA(event) *self, enum away away)
{
	return away == DISABLED_HVA ?
		xvm_shinfo_hva(&self->vm, self->shared.map) :
		xvm_shinfo_gfn(&self->vm, SHINFO_GFN);
}

static void take_away(FIXTURE_DATA(event) *self, enum away away)
{
	int r = 0;

	switch (away) {
	case DISABLED:
		r = xvm_shinfo_gfn(&self->vm, KVM_XEN_INVALID_GFN);
		break;
	case DISABLED_HVA:
		r = xvm_shinfo_hva(&self->vm, NULL);
		break;
	default:
		xvm_slot(&self->vm, SHINFO_SLOT, 0, 0, 0, NULL);
	}
	if (r)
		xvm_die("shared_info cannot be disabled: %d", r);
}

static void bring_back(FIXTURE_DATA(event) *self, enum away away)
{
	if (away == SLOT_GONE)
		xvm_slot(&self->vm, SHINFO_SLOT, 0, SHINFO_GPA, XVM_PAGE,
			 self->shared.map);
	else if (shinfo_set(self, away))
		xvm_die("shared_info cannot be set again");
}

FIXTURE_SETUP(event)
{
	xvm_mem_create(&self->mem, NPAGES);
	xvm_mem_create(&self->shared, 1);
	self->shinfo = self->shared.witness;
	self->vcpu_info = self->mem.witness + VCPU_INFO_PAGE * XVM_PAGE;
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, SLOT, 0, 0, NPAGES * XVM_PAGE, self->mem.map);
	xvm_slot(&self->vm, SHINFO_SLOT, 0, SHINFO_GPA, XVM_PAGE,
		 self->shared.map);
	caller_create(&self->caller, &self->vm, 0, CODE_PAGE * XVM_PAGE,
		      self->mem.map + CODE_PAGE * XVM_PAGE);
	ASSERT_EQ(0, shinfo_set(self, variant->away));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  VCPU_INFO_PAGE * XVM_PAGE));
	xvm_route(&self->vm, GSI, 1, PORT, 0);
}

FIXTURE_TEARDOWN(event)
{
	xvm_destroy(&self->vm);
}

static bool selected(const uint8_t *vcpu_info, unsigned int port)
{
	const uint64_t *sel = (const void *)(vcpu_info + XEN_VCPU_INFO_SEL);

	return *sel & (1ULL << (port / 64));
}

/* A vCPU is told a moment after the event is there, by who delivers it. */
static bool wait_selected(const uint8_t *vcpu_info, unsigned int port)
{
	uint64_t end = xvm_now_ns() + SOON_MS * 1000000ULL;

	while (!selected(vcpu_info, port) && xvm_now_ns() < end)
		xvm_sleep_ms(1);
	return selected(vcpu_info, port);
}

/* The vCPU is not running all the while: nobody but KVM can do anything. */
TEST_F(event, irqfd_survives)
{
	int fd = xvm_irqfd(&self->vm, GSI);

	take_away(self, variant->away);
	xvm_signal(fd);
	/* Whatever the sender leaves to others has been tried by then. */
	xvm_sleep_ms(100);
	EXPECT_FALSE(xvm_pending(self->shinfo, PORT));
	bring_back(self, variant->away);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, SOON_MS));
	EXPECT_TRUE(wait_selected(self->vcpu_info, PORT));
	close(fd);
}

TEST_F(event, sent_survives)
{
	int r;

	take_away(self, variant->away);
	r = xvm_send(&self->vm, PORT, 0);
	EXPECT_EQ(variant->away == SLOT_GONE ? -EFAULT : -EINVAL, r);
	bring_back(self, variant->away);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, SOON_MS));
	EXPECT_TRUE(wait_selected(self->vcpu_info, PORT));
}

TEST_F(event, timer_survives)
{
	take_away(self, variant->away);
	xvm_timer(&self->vm, 0, PORT, 20 * 1000000ULL);
	xvm_sleep_ms(200);
	EXPECT_FALSE(xvm_pending(self->shinfo, PORT));
	bring_back(self, variant->away);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, SOON_MS));
	EXPECT_TRUE(wait_selected(self->vcpu_info, PORT));
}

/* Once is once: what was delivered is not delivered again. */
TEST_F(event, survivor_comes_once)
{
	int fd = xvm_irqfd(&self->vm, GSI);
	int i;

	take_away(self, variant->away);
	for (i = 0; i < 5; i++)
		xvm_signal(fd);
	xvm_sleep_ms(50);
	bring_back(self, variant->away);
	ASSERT_TRUE(xvm_wait_pending(self->shinfo, PORT, SOON_MS));
	memset(self->shinfo + XEN_SHINFO_PENDING, 0, 512);
	take_away(self, variant->away);
	bring_back(self, variant->away);
	xvm_sleep_ms(300);
	EXPECT_FALSE(xvm_pending(self->shinfo, PORT));
	close(fd);
}

/* The guest starts anew: what was for the old one is not for the new one. */
TEST_F(event, reset_forgets)
{
	struct kvm_xen_hvm_attr reset = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn.flags = KVM_XEN_EVTCHN_RESET,
	};
	int fd = xvm_irqfd(&self->vm, GSI);

	take_away(self, variant->away);
	xvm_signal(fd);
	xvm_sleep_ms(50);
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_XEN_HVM_SET_ATTR, &reset));
	bring_back(self, variant->away);
	xvm_sleep_ms(300);
	EXPECT_FALSE(xvm_pending(self->shinfo, PORT));
	close(fd);
}

static int interdomain(struct xvm *vm, unsigned int flags, unsigned int port,
		       unsigned int to)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn = {
			.send_port = port,
			.type = EVTCHNSTAT_INTERDOMAIN,
			.flags = flags,
			.deliver.port = { to, 0, XVM_PRIO },
		},
	};

	return xvm_vm_attr(vm, &attr);
}

static int x_port(struct xvm *vm, unsigned int port, unsigned int type)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_X_PORT };
	struct kvm_xen_x_port p = { .port = port, .type = type };

	memcpy(&attr.u, &p, sizeof(p));
	return xvm_vm_attr(vm, &attr);
}

/* What was for a port's old owner is not for the new one. */
TEST_F(event, closed_port_is_forgotten)
{
	const unsigned int ipi = PORT + 1, kept = PORT + 2, other = PORT + 3;
	const unsigned int told = PORT + 4;
	struct xvm *vm = &self->vm;
	unsigned int port;

	ASSERT_EQ(0, xvm_ipi_port(vm, 0, ipi, 0));
	ASSERT_EQ(0, interdomain(vm, 0, other, PORT));
	ASSERT_EQ(0, x_port(vm, kept, EVTCHNSTAT_INTERDOMAIN));
	take_away(self, variant->away);
	for (port = PORT; port <= told; port++)
		EXPECT_NE(0, xvm_send(vm, port, 0));
	ASSERT_EQ(0, xvm_ipi_port(vm, KVM_XEN_EVTCHN_DEASSIGN, ipi, 0));
	ASSERT_EQ(0, x_port(vm, kept, EVTCHNSTAT_CLOSED));
	/* Nothing was told of it but that it is closed. */
	ASSERT_EQ(0, x_port(vm, told, EVTCHNSTAT_CLOSED));
	/* This may be the other end's doing: the port is there, and its event. */
	ASSERT_EQ(0, interdomain(vm, KVM_XEN_EVTCHN_DEASSIGN, other, PORT));
	bring_back(self, variant->away);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, SOON_MS));
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, other, SOON_MS));
	xvm_sleep_ms(300);
	EXPECT_FALSE(xvm_pending(self->shinfo, ipi));
	EXPECT_FALSE(xvm_pending(self->shinfo, kept));
	EXPECT_FALSE(xvm_pending(self->shinfo, told));
	/* The new owner's come. */
	ASSERT_EQ(0, xvm_ipi_port(vm, 0, ipi, 0));
	EXPECT_EQ(0, xvm_send(vm, ipi, 0));
	EXPECT_TRUE(xvm_pending(self->shinfo, ipi));
	take_away(self, variant->away);
	EXPECT_NE(0, xvm_send(vm, kept, 0));
	bring_back(self, variant->away);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, kept, SOON_MS));
}

/* A route may be restored, and used, before its vCPU is. */
TEST_F(event, vcpu_that_comes_later)
{
	uint8_t *info = self->mem.witness + (VCPU_INFO_PAGE + 3) * XVM_PAGE;
	struct caller late;
	int fd;

	xvm_route(&self->vm, GSI, 1, PORT, 1);
	fd = xvm_irqfd(&self->vm, GSI);
	xvm_signal(fd);
	xvm_sleep_ms(50);
	caller_create(&late, &self->vm, 1, CODE_PAGE * XVM_PAGE,
		      self->mem.map + CODE_PAGE * XVM_PAGE);
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 1,
				  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  (VCPU_INFO_PAGE + 3) * XVM_PAGE));
	caller_call(&late, HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0, 0);
	caller_call(&late, HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0, 0);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, SOON_MS));
	EXPECT_TRUE(wait_selected(info, PORT));
	close(fd);
}

/* ------------------------------------------------------------------------ */

struct flips {
	FIXTURE_DATA(event) *self;
	enum away away;
	int stop;		/* atomic */
};

static void *flip_thread(void *arg)
{
	struct flips *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE)) {
		take_away(f->self, f->away);
		bring_back(f->self, f->away);
	}
	return NULL;
}

/* Thousands of events while the page comes and goes: every one arrives. */
TEST_F_TIMEOUT(event, none_lost_while_the_page_comes_and_goes, 120)
{
	struct flips flips = { self, variant->away };
	unsigned int port, lost = 0;
	pthread_t thread;
	int fd[64], i;

	for (i = 0; i < 64; i++)
		fd[i] = -1;
	xvm_route(&self->vm, GSI, 64, 1, 0);
	for (i = 0; i < 64; i++)
		fd[i] = xvm_irqfd(&self->vm, GSI + i);
	ASSERT_EQ(0, pthread_create(&thread, NULL, flip_thread, &flips));
	for (i = 0; i < 30 && lost < LOST_ENOUGH; i++) {
		for (port = 1; port <= 64; port++)
			xvm_signal(fd[port - 1]);
		for (port = 1; port <= 64 && lost < LOST_ENOUGH; port++)
			if (!xvm_wait_pending(self->shinfo, port, SOON_MS))
				lost++;
		memset(self->shinfo + XEN_SHINFO_PENDING, 0, 16);
		__sync_synchronize();
	}
	__atomic_store_n(&flips.stop, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, lost);
	for (i = 0; i < 64; i++)
		close(fd[i]);
}

TEST_HARNESS_MAIN
