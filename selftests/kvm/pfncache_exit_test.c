// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to a guest's cached pages when the process that owns the guest
 * dies while someone else still holds descriptors of the VM.
 *
 * Affected: a host where VM or vCPU descriptors, or the eventfd of an irqfd, are
 * held by a second process or by VFIO or vhost.  Tried: the owner is killed, then
 * an interrupt comes in through the eventfd, or a Xen timer armed before fires.
 * A right system writes nothing: the address space the page was looked up in is
 * gone, and the page may be anybody's by then.  Here it stays ours, through the
 * memfd, so that the test can see the write.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "xvm.h"

#define GSI		32
#define PORT_ALIVE	15	/* sent while the owner lives */
#define PORT_DEAD	16	/* sent, or fires, after it died */
#define PORT_TIMER	17
#define SHINFO_PAGE	0
#define VCPU_INFO_PAGE	1
#define NR_FDS		4
#define TIMER_MS	300

enum address { BY_GFN, BY_HVA };

FIXTURE(owner_died) {
	struct xvm_mem mem;
	uint8_t before[2 * XVM_PAGE];
	int sock[2];
	int fds[NR_FDS];	/* VM, vCPU, eventfd alive, eventfd dead */
	pid_t owner;
};

FIXTURE_VARIANT(owner_died) {
	enum address address;
};

FIXTURE_VARIANT_ADD(owner_died, gfn) { .address = BY_GFN };
FIXTURE_VARIANT_ADD(owner_died, hva) { .address = BY_HVA };

/* The VMM: makes the guest, hands out its descriptors, then waits to die. */
static void __attribute__((noreturn))
owner(struct xvm_mem *mem, enum address address, int sock)
{
	static struct xvm vm;
	int fds[NR_FDS];
	int r;

	xvm_create(&vm, true);
	xvm_add_cpu(&vm, 0);
	if (address == BY_GFN) {
		xvm_slot(&vm, 0, 0, 0, mem->size, mem->map);
		r = xvm_shinfo_gfn(&vm, SHINFO_PAGE) ?:
		    xvm_cpu_attr(&vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				 VCPU_INFO_PAGE * XVM_PAGE);
	} else {
		r = xvm_shinfo_hva(&vm, mem->map + SHINFO_PAGE * XVM_PAGE) ?:
		    xvm_cpu_attr(&vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA,
				 (uintptr_t)mem->map + VCPU_INFO_PAGE * XVM_PAGE);
	}
	if (r)
		xvm_die("shared_info: %d", r);

	xvm_route(&vm, GSI, 2, PORT_ALIVE, 0);
	fds[0] = vm.fd;
	fds[1] = vm.cpu[0];
	fds[2] = xvm_irqfd(&vm, GSI);
	fds[3] = xvm_irqfd(&vm, GSI + 1);
	xvm_timer(&vm, 0, PORT_TIMER, TIMER_MS * 1000000ULL);
	xvm_send_fds(sock, fds, NR_FDS);
	for (;;)
		pause();
}

FIXTURE_SETUP(owner_died)
{
	int status;

	xvm_mem_create(&self->mem, 2);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				self->sock));
	self->owner = fork();
	ASSERT_LE(0, self->owner);
	if (!self->owner)
		owner(&self->mem, variant->address, self->sock[1]);

	close(self->sock[1]);
	xvm_recv_fds(self->sock[0], self->fds, NR_FDS);

	/* The event does arrive while the owner is there. */
	xvm_signal(self->fds[2]);
	ASSERT_TRUE(xvm_wait_pending(self->mem.witness, PORT_ALIVE, 1000));
	ASSERT_FALSE(xvm_pending(self->mem.witness, PORT_TIMER)) {
		TH_LOG("the timer fired before the owner was killed");
	}

	ASSERT_EQ(0, kill(self->owner, SIGKILL));
	ASSERT_EQ(self->owner, waitpid(self->owner, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));

	memcpy(self->before, self->mem.witness, sizeof(self->before));
}

FIXTURE_TEARDOWN(owner_died)
{
	int i;

	for (i = 0; i < NR_FDS; i++)
		close(self->fds[i]);
}

TEST_F(owner_died, irqfd_writes_nothing)
{
	int i;

	/* At once, through the irqfd's worker, and again after that. */
	for (i = 0; i < 3; i++) {
		xvm_signal(self->fds[3]);
		EXPECT_FALSE(xvm_wait_pending(self->mem.witness, PORT_DEAD, 20));
	}
	EXPECT_EQ(0, memcmp(self->before, self->mem.witness,
			    sizeof(self->before)));
}

TEST_F(owner_died, timer_writes_nothing)
{
	EXPECT_FALSE(xvm_wait_pending(self->mem.witness, PORT_TIMER,
				      2 * TIMER_MS));
	EXPECT_EQ(0, memcmp(self->before, self->mem.witness,
			    sizeof(self->before)));
}

/* A VM whose owner is gone still comes apart in order. */
TEST_F(owner_died, vm_is_torn_down_by_last_holder)
{
	xvm_signal(self->fds[3]);
	close(self->fds[3]);
	close(self->fds[2]);
	close(self->fds[1]);
	close(self->fds[0]);
	xvm_sleep_ms(2 * TIMER_MS);
	EXPECT_FALSE(xvm_pending(self->mem.witness, PORT_TIMER));
}

TEST_HARNESS_MAIN
