// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty rings that the VMM goes on writing to while they are reset.
 *
 * Affected: hosts whose VMM is at fault, or somebody else's by now: it has a task in the
 * kernel for as long as it likes, with the lock that changes of memory slots wait for.
 * Tried: the probe holds a reset in its middle; what it has taken out is put in again, or
 * its task is killed. A right system goes once around, and ends when it is told to.
 */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "probe.h"
#include "visitor.h"
#include "xvm.h"

#define SECONDS		120
#define LOW_PAGES	32		/* slot 0: the visitor's own */
#define VISITOR		16
#define GPA		0x1000000UL	/* slots 1 and 2, in tables of their own */
#define OTHER_GPA	0x2000000UL
#define NPAGES		64
#define SIZE		(NPAGES * XVM_PAGE)
#define HOLD_MS		200

FIXTURE(ring) {
	struct xvm vm;
	struct xvm_mem low;
	struct visitor v;
	volatile struct kvm_dirty_gfn *ring;
	int window;
	int go;			/* atomic */
	int reset;
};

FIXTURE_SETUP(ring)
{
	uint8_t *mem;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	self->window = probe_open();
	xvm_mem_create(&self->low, LOW_PAGES);
	mem = xvm_anon(2 * NPAGES);
	xvm_create(&self->vm, true);
	xvm_use_rings(&self->vm);
	xvm_slot(&self->vm, 0, 0, 0, self->low.size, self->low.map);
	xvm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, SIZE, mem);
	xvm_slot(&self->vm, 2, KVM_MEM_LOG_DIRTY_PAGES, OTHER_GPA, SIZE, mem + SIZE);
	visitor_create(&self->v, &self->vm, 0, VISITOR * XVM_PAGE,
		       self->low.map + VISITOR * XVM_PAGE);
	visitor_settle(&self->v);
	visitor_write(&self->v, GPA, 2);
	visitor_write(&self->v, OTHER_GPA, 2);
	self->ring = xvm_ring(&self->vm, 0);
}

FIXTURE_TEARDOWN(ring)
{
	if (!probe_two_cpus())
		return;
	munmap((void *)self->ring, XVM_RING * sizeof(*self->ring));
	visitor_destroy(&self->v);
	xvm_destroy(&self->vm);
	close(self->window);
}

/* The VMM has seen to every entry, KVM may have made it or not. */
static void fill(FIXTURE_DATA(ring) *self)
{
	unsigned int i;

	for (i = 0; i < XVM_RING; i++) {
		self->ring[i].slot = 1 + i % 2;
		self->ring[i].offset = i % NPAGES;
		self->ring[i].flags = KVM_DIRTY_GFN_F_RESET;
	}
}

/* How many have been taken out; @again: they are put in again. */
static int taken_out(FIXTURE_DATA(ring) *self, bool again)
{
	unsigned int i;
	int n = 0;

	for (i = 0; i < XVM_RING; i++) {
		if (self->ring[i].flags)
			continue;
		n++;
		if (again)
			self->ring[i].flags = KVM_DIRTY_GFN_F_RESET;
	}
	return n;
}

static void reset(void *arg)
{
	FIXTURE_DATA(ring) *self = arg;

	self->reset = xvm_reset_rings(&self->vm);
}

TEST_F_TIMEOUT(ring, reset_goes_once_around, SECONDS)
{
	struct probe_task task;
	int again;

	fill(self);
	probe_task_create(&task, reset, self);
	ASSERT_TRUE(probe_task_hold(&task, self->window, PROBE_TDP_LOG, HOLD_MS));
	again = taken_out(self, true);
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	probe_task_end(&task, self->window);
	EXPECT_LT(0, again);
	EXPECT_EQ(XVM_RING, self->reset);
	/* The rest is there for the next. */
	EXPECT_EQ(again, xvm_reset_rings(&self->vm));
	EXPECT_EQ(XVM_RING, taken_out(self, false));
}

static int __attribute__((noreturn)) killed_task(void *arg)
{
	FIXTURE_DATA(ring) *self = arg;

	while (!__atomic_load_n(&self->go, __ATOMIC_ACQUIRE))
		sched_yield();
	/* Only its own death may end it: no exit() in a shared address space. */
	reset(self);
	for (;;)
		pause();
}

TEST_F_TIMEOUT(ring, reset_ends_when_its_task_is_killed, SECONDS)
{
	uint8_t *stack = xvm_anon(16);
	int taken, status;
	pid_t pid;

	fill(self);
	/* A process of its own, so that it can be killed, in our address space. */
	pid = clone(killed_task, stack + 16 * XVM_PAGE,
		    CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, self);
	ASSERT_LT(0, pid);
	probe_hold(self->window, PROBE_TDP_LOG, pid, HOLD_MS);
	__atomic_store_n(&self->go, 1, __ATOMIC_RELEASE);
	ASSERT_TRUE(probe_wait_held(self->window, 5000));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	taken = taken_out(self, false);
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	probe_release(self->window);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_LT(0, taken);
	/* The rest is there for somebody else. */
	EXPECT_EQ(taken, taken_out(self, false));
	EXPECT_EQ(XVM_RING - taken, xvm_reset_rings(&self->vm));
}

TEST_HARNESS_MAIN
