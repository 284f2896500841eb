// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty rings that the VMM writes what it likes to, or that it fills.
 *
 * Affected: hosts whose VMM is at fault, or somebody else's by now: it has a task in the
 * kernel for as long as it likes, with the lock that changes of memory slots wait for; and
 * it has the kernel warn, which ends a host that was told to panic.
 * Tried: the probe holds a reset in its middle; what it has taken out is put in again, or
 * its task is killed. Entries are given back that were never put in; and a ring is filled
 * by what the VMM has KVM write. A right system goes once around, ends when it is told to,
 * takes out what was put in, overwrites nothing, and says nothing.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm_para.h>

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

/* The guest writes to all of its pages, of both slots in turn. Returns 0 if it could. */
static int write_all(FIXTURE_DATA(ring) *self)
{
	uint32_t gpas[2 * NPAGES];
	unsigned int i;

	for (i = 0; i < 2 * NPAGES; i++)
		gpas[i] = (i % 2 ? OTHER_GPA : GPA) + i / 2 * XVM_PAGE;
	visitor_list(&self->v, VISIT_WRITE, 2, gpas, 2 * NPAGES);
	return visitor_go(&self->v);
}

/* How many entries are the VMM's to see to. */
static int put_in(FIXTURE_DATA(ring) *self)
{
	unsigned int i;
	int n = 0;

	for (i = 0; i < XVM_RING; i++)
		n += self->ring[i].flags == KVM_DIRTY_GFN_F_DIRTY;
	return n;
}

/* The VMM gives back every entry, KVM may have put it in or not. */
static void give_back(FIXTURE_DATA(ring) *self)
{
	unsigned int i;

	for (i = 0; i < XVM_RING; i++)
		self->ring[i].flags = KVM_DIRTY_GFN_F_RESET;
}

/* So, after as many were put in as there are pages. Returns how many. */
static int fill(FIXTURE_DATA(ring) *self)
{
	int n;

	if (write_all(self))
		xvm_die("a guest that writes to its memory");
	n = put_in(self);
	give_back(self);
	return n;
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
	int again, nr;

	nr = fill(self);
	EXPECT_EQ(2 * NPAGES, nr);
	probe_task_create(&task, reset, self);
	ASSERT_TRUE(probe_task_hold(&task, self->window, PROBE_TDP_LOG, HOLD_MS));
	again = taken_out(self, true);
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	probe_task_end(&task, self->window);
	EXPECT_LT(0, again);
	EXPECT_EQ(nr, self->reset);
	/* What was given back twice was put in once. */
	EXPECT_EQ(0, xvm_reset_rings(&self->vm));
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
	int taken, status, nr;
	pid_t pid;

	nr = fill(self);
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
	EXPECT_EQ(nr - taken, xvm_reset_rings(&self->vm));
}

TEST_F_TIMEOUT(ring, what_was_never_put_in_is_not_taken_out, SECONDS)
{
	uint32_t gpa = GPA + 5 * XVM_PAGE;

	EXPECT_EQ(2, put_in(self));
	give_back(self);
	EXPECT_EQ(2, xvm_reset_rings(&self->vm));
	/* The guest goes on, and the next entry is the next. */
	visitor_list(&self->v, VISIT_WRITE, 3, &gpa, 1);
	EXPECT_EQ(0, visitor_go(&self->v));
	EXPECT_EQ(KVM_DIRTY_GFN_F_DIRTY, self->ring[2].flags);
	EXPECT_EQ(1, self->ring[2].slot);
	EXPECT_EQ(5, self->ring[2].offset);
	EXPECT_EQ(0, xvm_reset_rings(&self->vm));
	self->ring[2].flags = KVM_DIRTY_GFN_F_RESET;
	EXPECT_EQ(1, xvm_reset_rings(&self->vm));
	EXPECT_EQ(0, xvm_reset_rings(&self->vm));
}

static void *scribble(void *arg)
{
	FIXTURE_DATA(ring) *self = arg;
	unsigned int i, n = 1;

	while (!__atomic_load_n(&self->go, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < XVM_RING; i++) {
			n = n * 1664525 + 1013904223;
			self->ring[n / 65536 % XVM_RING].flags = n >> 30;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(ring, is_right_again_after_its_flags_were_scribbled_on, SECONDS)
{
	pthread_t scribbler;
	int i, r, nr = 0;

	ASSERT_EQ(0, pthread_create(&scribbler, NULL, scribble, self));
	/* Until it has met some that were given back. */
	for (i = 0; i < 200 || (!nr && i < 20000); i++) {
		r = write_all(self);
		/* Full is what the VMM has not given back in their order. */
		if (r && r != KVM_EXIT_DIRTY_RING_FULL)
			break;
		nr += xvm_reset_rings(&self->vm);
	}
	__atomic_store_n(&self->go, 1, __ATOMIC_RELEASE);
	pthread_join(scribbler, NULL);
	EXPECT_LE(200, i);
	EXPECT_LT(0, nr);
	/* All is given back, so all is watched. */
	give_back(self);
	r = xvm_reset_rings(&self->vm);
	EXPECT_LE(r, XVM_RING);
	memset((void *)self->ring, 0, XVM_RING * sizeof(*self->ring));
	EXPECT_EQ(0, write_all(self));
	EXPECT_EQ(2 * NPAGES, put_in(self));
}

/* KVM writes the time to a page of the guest's, for the VMM. */
static void write_wall_clock(FIXTURE_DATA(ring) *self, uint64_t gpa)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry msr;
	} set = {
		.head.nmsrs = 1,
		.msr = { .index = MSR_KVM_WALL_CLOCK_NEW, .data = gpa },
	};

	if (ioctl(self->vm.cpu[0], KVM_SET_MSRS, &set) != 1)
		xvm_die("KVM_SET_MSRS");
}

TEST_F_TIMEOUT(ring, is_not_overwritten_when_it_is_full, SECONDS)
{
	unsigned int i;

	for (i = 0; i < XVM_RING; i++)
		write_wall_clock(self, GPA + 7 * XVM_PAGE);
	EXPECT_EQ(XVM_RING, put_in(self));
	EXPECT_EQ(0, self->ring[0].offset);
	EXPECT_EQ(2, self->ring[1].slot);
	EXPECT_EQ(7, self->ring[2].offset);
	/* The guest is not entered before the VMM has seen to it. */
	EXPECT_EQ(KVM_EXIT_DIRTY_RING_FULL, write_all(self));
	give_back(self);
	EXPECT_EQ(XVM_RING, xvm_reset_rings(&self->vm));
	EXPECT_EQ(0, write_all(self));
	EXPECT_EQ(2 * NPAGES, put_in(self));
}

TEST_HARNESS_MAIN
