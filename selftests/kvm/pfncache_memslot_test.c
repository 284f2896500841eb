// SPDX-License-Identifier: GPL-2.0
/*
 * What memory slot changes do to KVM's cached pages.
 *
 * Affected: live migration (dirty logging goes on and off), hotplug, and any VMM
 * that moves ROM, VGA or grant-frame slots while the guest runs.  Tried: change
 * slots, then raise events and look which pages they reach and what they cost.
 * A right system follows a page that really moved, stops at one that is gone, and
 * is not disturbed by a change that leaves the page's host address as it was:
 * the next event needs no refresh, and the dirty log misses nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "probe.h"
#include "xvm.h"

#define GSI		40
#define PORT		64	/* 64 ports for each step: a selector bit each */
#define SLOT		0	/* where the areas are */
#define OTHER_SLOT	5
#define OTHER_GPA	0x100000
#define SHINFO_PAGE	1
#define VCPU_INFO_PAGE	2
#define TIME_PAGE	3
#define RUNSTATE_PAGE	4
#define CODE_PAGE	5
#define NPAGES		8

FIXTURE(memslot) {
	struct xvm vm;
	struct xvm_mem mem;
	struct xvm_mem moved;	/* another place for the same guest pages */
	uint8_t *shinfo;
	uint8_t *vcpu_info;
	uint8_t *other;
	int probe;
	int step;
};

static void slot_set(struct xvm *vm, struct xvm_mem *mem, unsigned int flags)
{
	xvm_slot(vm, SLOT, flags, 0, NPAGES * XVM_PAGE, mem->map);
}

static void slot_delete(struct xvm *vm)
{
	xvm_slot(vm, SLOT, 0, 0, 0, NULL);
}

FIXTURE_SETUP(memslot)
{
	self->probe = probe_open();
	xvm_mem_create(&self->mem, NPAGES);
	xvm_mem_create(&self->moved, NPAGES);
	self->other = xvm_anon(NPAGES);
	self->shinfo = self->mem.witness + SHINFO_PAGE * XVM_PAGE;
	self->vcpu_info = self->mem.witness + VCPU_INFO_PAGE * XVM_PAGE;
	xvm_create(&self->vm, true);
	slot_set(&self->vm, &self->mem, 0);
	xvm_add_cpu(&self->vm, 0);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO_PAGE));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  VCPU_INFO_PAGE * XVM_PAGE));
	xvm_route(&self->vm, GSI, 1, PORT, 0);
	/* Wherever a page of the guest is touched first, it is not here. */
	memset(self->mem.map, 0, self->mem.size);
	ASSERT_EQ(0, xvm_send(&self->vm, 1, 0));
}

FIXTURE_TEARDOWN(memslot)
{
	xvm_destroy(&self->vm);
	close(self->probe);
}

static bool selected(const uint8_t *vcpu_info, unsigned int port)
{
	const uint64_t *sel = (const void *)(vcpu_info + XEN_VCPU_INFO_SEL);

	return *sel & (1ULL << (port / 64));
}

/*
 * Raise an event nobody raised yet and say what came of it: the number of
 * refreshes it took, or a negative errno if a bit is not where it must be.
 */
static int send_new(FIXTURE_DATA(memslot) *self)
{
	unsigned int port = PORT * (2 + self->step++);
	int r;

	probe_count(self->probe, 0);
	r = xvm_send(&self->vm, port, 0);
	if (r)
		return r;
	if (!xvm_pending(self->shinfo, port))
		return -ENODATA;
	if (!selected(self->vcpu_info, port))
		return -EWOULDBLOCK;
	return probe_calls(self->probe, PROBE_GPC_REFRESH);
}

TEST_F(memslot, other_slot_change_needs_no_refresh)
{
	int i;

	EXPECT_EQ(0, send_new(self));
	for (i = 0; i < 4; i++) {
		xvm_slot(&self->vm, OTHER_SLOT, 0, OTHER_GPA, XVM_PAGE,
			 self->other);
		EXPECT_EQ(0, send_new(self));
		xvm_slot(&self->vm, OTHER_SLOT, KVM_MEM_LOG_DIRTY_PAGES,
			 OTHER_GPA, XVM_PAGE, self->other);
		EXPECT_EQ(0, send_new(self));
		xvm_slot(&self->vm, OTHER_SLOT, 0, 0, 0, NULL);
		EXPECT_EQ(0, send_new(self));
	}
}

TEST_F(memslot, own_dirty_logging_needs_no_refresh)
{
	int i;

	for (i = 0; i < 4; i++) {
		slot_set(&self->vm, &self->mem, KVM_MEM_LOG_DIRTY_PAGES);
		EXPECT_EQ(0, send_new(self));
		slot_set(&self->vm, &self->mem, 0);
		EXPECT_EQ(0, send_new(self));
	}
}

/* An irqfd that may not sleep delivers at once, it need not ask its worker. */
TEST_F(memslot, irqfd_needs_no_refresh)
{
	int fd = xvm_irqfd(&self->vm, GSI);

	xvm_slot(&self->vm, OTHER_SLOT, 0, OTHER_GPA, XVM_PAGE, self->other);
	probe_count(self->probe, 0);
	xvm_signal(fd);
	EXPECT_TRUE(xvm_wait_pending(self->shinfo, PORT, 1000));
	EXPECT_TRUE(selected(self->vcpu_info, PORT));
	EXPECT_EQ(0, probe_calls(self->probe, PROBE_GPC_REFRESH));
	close(fd);
}

/* Whether the dirty log of SLOT has @page since it was read last. */
static bool dirty(struct xvm *vm, unsigned int page)
{
	uint64_t bitmap[1] = {};

	xvm_dirty_log(vm, SLOT, bitmap);
	return bitmap[0] & (1ULL << page);
}

TEST_F(memslot, dirty_log_has_runstate_writes)
{
	uint8_t *runstate = self->mem.witness + RUNSTATE_PAGE * XVM_PAGE;
	int i;

	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
				  RUNSTATE_PAGE * XVM_PAGE));
	for (i = 0; i < 3; i++) {
		slot_set(&self->vm, &self->mem, KVM_MEM_LOG_DIRTY_PAGES);
		dirty(&self->vm, RUNSTATE_PAGE);
		EXPECT_FALSE(dirty(&self->vm, RUNSTATE_PAGE));
		memset(runstate, 0, XEN_RUNSTATE_SIZE);
		ASSERT_EQ(0, xvm_runstate(&self->vm, 0, 2));
		EXPECT_EQ(2, runstate[0]);
		EXPECT_TRUE(dirty(&self->vm, RUNSTATE_PAGE));
		/* And once more: the log was emptied by reading it. */
		EXPECT_FALSE(dirty(&self->vm, RUNSTATE_PAGE));
		ASSERT_EQ(0, xvm_runstate(&self->vm, 0, 1));
		EXPECT_TRUE(dirty(&self->vm, RUNSTATE_PAGE));
		slot_set(&self->vm, &self->mem, 0);
		ASSERT_EQ(0, xvm_runstate(&self->vm, 0, 3));
		EXPECT_EQ(3, runstate[0]);
	}
}

TEST_F(memslot, dirty_log_has_clock_writes)
{
	const uint32_t *version = (const void *)(self->mem.witness +
						 TIME_PAGE * XVM_PAGE);
	uint8_t *code = self->mem.map + CODE_PAGE * XVM_PAGE;
	uint32_t before;
	int i;

	for (i = 0; i < 3; i++) {
		slot_set(&self->vm, &self->mem, KVM_MEM_LOG_DIRTY_PAGES);
		dirty(&self->vm, TIME_PAGE);
		before = *version;
		/* Setting the area asks for an update when the vCPU runs. */
		ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
				TIME_PAGE * XVM_PAGE));
		/* The slot changes between the request and the write. */
		xvm_slot(&self->vm, OTHER_SLOT, 0, OTHER_GPA, XVM_PAGE,
			 self->other);
		xvm_run_once(&self->vm, 0, CODE_PAGE * XVM_PAGE, code);
		xvm_slot(&self->vm, OTHER_SLOT, 0, 0, 0, NULL);
		EXPECT_NE(before, *version);
		EXPECT_TRUE(dirty(&self->vm, TIME_PAGE));
		slot_set(&self->vm, &self->mem, 0);
	}
}

TEST_F(memslot, moved_host_address_is_followed)
{
	uint8_t *shinfo = self->moved.witness + SHINFO_PAGE * XVM_PAGE;
	uint8_t *vcpu_info = self->moved.witness + VCPU_INFO_PAGE * XVM_PAGE;
	uint8_t before[2 * XVM_PAGE];
	unsigned int port;
	int i;

	for (i = 0; i < 3; i++) {
		port = PORT * (2 + i);
		slot_delete(&self->vm);
		slot_set(&self->vm, &self->moved, 0);
		memcpy(before, self->shinfo, sizeof(before));
		ASSERT_EQ(0, xvm_send(&self->vm, port, 0));
		EXPECT_TRUE(xvm_pending(shinfo, port));
		/* The vCPU delivers what the sender could not. */
		ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				VCPU_INFO_PAGE * XVM_PAGE));
		ASSERT_EQ(0, xvm_send(&self->vm, port + 1024, 0));
		EXPECT_TRUE(xvm_pending(shinfo, port + 1024));
		EXPECT_TRUE(selected(vcpu_info, port + 1024));
		/* Both pages as they were. */
		EXPECT_EQ(0, memcmp(before, self->shinfo, sizeof(before)));

		/* And back. */
		slot_delete(&self->vm);
		slot_set(&self->vm, &self->mem, 0);
		memcpy(before, shinfo, sizeof(before));
		ASSERT_EQ(0, xvm_send(&self->vm, port + 2048, 0));
		EXPECT_TRUE(xvm_pending(self->shinfo, port + 2048));
		EXPECT_EQ(0, memcmp(before, shinfo, sizeof(before)));
	}
}

TEST_F(memslot, deleted_slot_is_not_written)
{
	uint8_t before[NPAGES * XVM_PAGE];

	slot_delete(&self->vm);
	memcpy(before, self->mem.witness, sizeof(before));
	EXPECT_EQ(-EFAULT, xvm_send(&self->vm, PORT * 3, 0));
	EXPECT_EQ(-EFAULT, xvm_shinfo_gfn(&self->vm, SHINFO_PAGE));
	EXPECT_EQ(0, memcmp(before, self->mem.witness, sizeof(before)));
	slot_set(&self->vm, &self->mem, 0);
	ASSERT_EQ(0, xvm_send(&self->vm, PORT * 3, 0));
	EXPECT_TRUE(xvm_pending(self->shinfo, PORT * 3));
}

/* The slot moves in guest memory: the address the cache has is empty now. */
TEST_F(memslot, moved_guest_address_is_not_written)
{
	uint8_t before[NPAGES * XVM_PAGE];

	xvm_slot(&self->vm, SLOT, 0, OTHER_GPA, NPAGES * XVM_PAGE,
		 self->mem.map);
	memcpy(before, self->mem.witness, sizeof(before));
	EXPECT_EQ(-EFAULT, xvm_send(&self->vm, PORT * 3, 0));
	EXPECT_EQ(0, memcmp(before, self->mem.witness, sizeof(before)));
}

/*
 * The host address stays but the page behind it was replaced while the slot was
 * away: the cache must have lost it, whatever its address says.
 */
TEST_F(memslot, page_replaced_under_same_address_is_followed)
{
	uint8_t *new = self->moved.witness + SHINFO_PAGE * XVM_PAGE;
	uint8_t before[XVM_PAGE];

	slot_delete(&self->vm);
	xvm_map(&self->moved, SHINFO_PAGE,
		self->mem.map + SHINFO_PAGE * XVM_PAGE);
	slot_set(&self->vm, &self->mem, 0);
	memcpy(before, self->shinfo, sizeof(before));
	ASSERT_EQ(0, xvm_send(&self->vm, PORT * 3, 0));
	EXPECT_TRUE(xvm_pending(new, PORT * 3));
	EXPECT_EQ(0, memcmp(before, self->shinfo, sizeof(before)));
}

/* ------------------------------------------------------------------------ */

struct churn {
	struct xvm *vm;
	uint8_t *other;
	int stop;		/* atomic */
	unsigned int rounds;
};

static void *churn_thread(void *arg)
{
	struct churn *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
		xvm_slot(c->vm, OTHER_SLOT, 0, OTHER_GPA, XVM_PAGE, c->other);
		xvm_slot(c->vm, OTHER_SLOT, 0, 0, 0, NULL);
		c->rounds++;
	}
	return NULL;
}

/* Events during a storm of unrelated slot changes: all arrive, none is slow. */
TEST_F_TIMEOUT(memslot, events_amid_slot_changes_need_no_refresh, 60)
{
	struct churn churn = { &self->vm, self->other };
	unsigned int port, refreshes;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, churn_thread, &churn));
	probe_count(self->probe, 0);
	for (port = 2 * PORT; port < 4096; port++) {
		ASSERT_EQ(0, xvm_send(&self->vm, port, 0));
		ASSERT_TRUE(xvm_pending(self->shinfo, port));
		if (port % 16 == 0)
			xvm_sleep_ms(1);
	}
	refreshes = probe_calls(self->probe, PROBE_GPC_REFRESH);
	__atomic_store_n(&churn.stop, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	/* Few are enough, and a kernel that checks much does few. */
	ASSERT_LT(3, churn.rounds);
	EXPECT_EQ(0, refreshes) {
		TH_LOG("%u refreshes in %u slot changes", refreshes,
		       churn.rounds * 2);
	}
}

TEST_HARNESS_MAIN
