// SPDX-License-Identifier: GPL-2.0
/*
 * What goes on while somebody is at work on a guest's page tables.
 *
 * Affected: guests whose VMM reads their dirty log, takes memory or its slots away or has
 * some of it become private, and hosts that look for unused memory, or have the
 * mitigation of iTLB multihit on.
 * Tried: the probe holds a task in the middle of such work, with the lock that it has.
 * A right system lets a guest fault elsewhere, and has pages aged by whoever holds
 * which lock.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/mman.h>

#include "kselftest_harness.h"
#include "probe.h"
#include "visitor.h"
#include "xvm.h"

#define SECONDS		120
#define LOW_PAGES	32		/* slot 0: the visitor's own */
#define VISITOR		16
#define GPA		0x1000000UL	/* slot 1: what is worked on */
#define OTHER_GPA	0x2000000UL	/* slot 2: where the guest is */
#define NPAGES		64
#define SIZE		(NPAGES * XVM_PAGE)
#define HUGE_GPA	0x4000000UL	/* slot 3: code in a huge page */
#define HUGE_SIZE	0x200000UL
#define HOLD_MS		200

FIXTURE(lock) {
	struct xvm vm;
	struct xvm_mem low;
	struct visitor v;
	uint8_t *mem, *other;
	uint64_t log;
	int window;
	struct probe_task task;
	int reset;		/* entries of a dirty ring */
};

static void create(FIXTURE_DATA(lock) *self, unsigned int type, bool rings)
{
	xvm_create_type(&self->vm, type, true);
	if (rings)
		xvm_use_rings(&self->vm);
	xvm_slot(&self->vm, 0, 0, 0, self->low.size, self->low.map);
	xvm_slot(&self->vm, 1, 0, GPA, SIZE, self->mem);
	xvm_slot(&self->vm, 2, 0, OTHER_GPA, SIZE, self->other);
	visitor_create(&self->v, &self->vm, 0, VISITOR * XVM_PAGE,
		       self->low.map + VISITOR * XVM_PAGE);
	visitor_settle(&self->v);
	visitor_write(&self->v, GPA, 2);
	visitor_write(&self->v, OTHER_GPA, 2);
}

static void destroy(FIXTURE_DATA(lock) *self)
{
	visitor_destroy(&self->v);
	xvm_destroy(&self->vm);
}

FIXTURE_SETUP(lock)
{
	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	self->window = probe_open();
	xvm_mem_create(&self->low, LOW_PAGES);
	self->mem = xvm_anon(NPAGES);
	self->other = xvm_anon(NPAGES);
	memset(self->mem, 1, SIZE);
	memset(self->other, 1, SIZE);
	create(self, KVM_X86_DEFAULT_VM, false);
}

FIXTURE_TEARDOWN(lock)
{
	if (!probe_two_cpus())
		return;
	destroy(self);
	close(self->window);
}

/* The guest comes to a page that it has not been to; somebody is still held. */
static void guest_faults(struct __test_metadata *_metadata,
			 FIXTURE_DATA(lock) *self)
{
	uint64_t taken = visitor_stat(&self->v, "pf_taken");

	visitor_write(&self->v, OTHER_GPA + 37 * XVM_PAGE, 3);
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	EXPECT_EQ(taken + 1, visitor_stat(&self->v, "pf_taken"));
	EXPECT_EQ(3, self->other[37 * XVM_PAGE]);
}

static void guest_goes_on(struct __test_metadata *_metadata,
			  FIXTURE_DATA(lock) *self)
{
	guest_faults(_metadata, self);
	probe_task_end(&self->task, self->window);
}

static void get_log(void *arg)
{
	FIXTURE_DATA(lock) *self = arg;

	xvm_dirty_log(&self->vm, 1, &self->log);
}

static void clear_log(void *arg)
{
	FIXTURE_DATA(lock) *self = arg;

	xvm_clear_log(&self->vm, 1, 0, NPAGES, &self->log);
}

/* Slot 1 is logged, and one of its pages was written to. */
static void log_one(FIXTURE_DATA(lock) *self)
{
	xvm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, SIZE, self->mem);
	visitor_write(&self->v, GPA + 5 * XVM_PAGE, 2);
}

TEST_F_TIMEOUT(lock, guest_goes_on_while_its_log_is_read, SECONDS)
{
	log_one(self);
	probe_task_create(&self->task, get_log, self);
	ASSERT_TRUE(probe_task_hold(&self->task, self->window, PROBE_TDP_LOG,
				    HOLD_MS));
	guest_goes_on(_metadata, self);
	EXPECT_EQ(1UL << 5, self->log);
}

TEST_F_TIMEOUT(lock, guest_goes_on_while_its_log_is_cleared, SECONDS)
{
	xvm_manual_log(&self->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	log_one(self);
	xvm_dirty_log(&self->vm, 1, &self->log);
	EXPECT_EQ(1UL << 5, self->log);
	probe_task_create(&self->task, clear_log, self);
	ASSERT_TRUE(probe_task_hold(&self->task, self->window, PROBE_TDP_LOG,
				    HOLD_MS));
	guest_goes_on(_metadata, self);
	xvm_dirty_log(&self->vm, 1, &self->log);
	EXPECT_EQ(0, self->log);
}

static void reset_rings(void *arg)
{
	FIXTURE_DATA(lock) *self = arg;

	self->reset = xvm_reset_rings(&self->vm);
}

TEST_F_TIMEOUT(lock, guest_goes_on_while_its_ring_is_reset, SECONDS)
{
	volatile struct kvm_dirty_gfn *ring;

	destroy(self);
	create(self, KVM_X86_DEFAULT_VM, true);
	ring = xvm_ring(&self->vm, 0);
	log_one(self);
	EXPECT_EQ(KVM_DIRTY_GFN_F_DIRTY, ring[0].flags);
	EXPECT_EQ(1, ring[0].slot);
	EXPECT_EQ(5, ring[0].offset);
	EXPECT_EQ(0, ring[1].flags);
	ring[0].flags = KVM_DIRTY_GFN_F_RESET;
	probe_task_create(&self->task, reset_rings, self);
	ASSERT_TRUE(probe_task_hold(&self->task, self->window, PROBE_TDP_LOG,
				    HOLD_MS));
	guest_goes_on(_metadata, self);
	EXPECT_EQ(1, self->reset);
	EXPECT_EQ(0, ring[1].flags);
	/* It is watched again. */
	visitor_write(&self->v, GPA + 5 * XVM_PAGE, 3);
	EXPECT_EQ(KVM_DIRTY_GFN_F_DIRTY, ring[1].flags);
	EXPECT_EQ(5, ring[1].offset);
	munmap((void *)ring, XVM_RING * sizeof(*ring));
}

static void discard(void *arg)
{
	FIXTURE_DATA(lock) *self = arg;

	if (madvise(self->mem, SIZE, MADV_DONTNEED))
		xvm_die("madvise");
}

TEST_F_TIMEOUT(lock, guest_goes_on_while_pages_are_unmapped, SECONDS)
{
	probe_task_create(&self->task, discard, self);
	ASSERT_TRUE(probe_task_hold(&self->task, self->window, PROBE_TDP_ZAP,
				    HOLD_MS));
	guest_goes_on(_metadata, self);
	EXPECT_EQ(0, visitor_read(&self->v, GPA));
}

static void make_private(void *arg)
{
	FIXTURE_DATA(lock) *self = arg;

	xvm_attributes(&self->vm, GPA, SIZE, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

TEST_F_TIMEOUT(lock, guest_goes_on_while_attributes_change, SECONDS)
{
	uint32_t at = GPA;

	if (!xvm_has_type(KVM_X86_SW_PROTECTED_VM))
		SKIP(return, "only guests of other machines have private memory here");
	destroy(self);
	create(self, KVM_X86_SW_PROTECTED_VM, false);
	probe_task_create(&self->task, make_private, self);
	ASSERT_TRUE(probe_task_hold(&self->task, self->window, PROBE_TDP_ZAP,
				    HOLD_MS));
	guest_goes_on(_metadata, self);
	/* There is no private memory, and what was shared is not to be reached. */
	visitor_list(&self->v, VISIT_WRITE, 4, &at, 1);
	EXPECT_EQ(-EFAULT, visitor_go(&self->v));
	EXPECT_EQ(KVM_EXIT_MEMORY_FAULT, self->vm.run[0]->exit_reason);
	EXPECT_EQ(2, self->mem[0]);
	xvm_attributes(&self->vm, GPA, SIZE, 0);
	EXPECT_EQ(0, visitor_go(&self->v));
	EXPECT_EQ(4, self->mem[0]);
}

static void delete_slot(void *arg)
{
	FIXTURE_DATA(lock) *self = arg;

	xvm_slot(&self->vm, 1, 0, GPA, 0, self->mem);
}

TEST_F_TIMEOUT(lock, guest_goes_on_while_a_slot_is_deleted, SECONDS)
{
	xvm_no_quirk(&self->vm, KVM_X86_QUIRK_SLOT_ZAP_ALL);
	probe_task_create(&self->task, delete_slot, self);
	ASSERT_TRUE(probe_task_hold(&self->task, self->window, PROBE_TDP_ZAP,
				    HOLD_MS));
	guest_goes_on(_metadata, self);
}

/* What goes is what the slot has mapped, to the last page. */
TEST_F_TIMEOUT(lock, deleted_slot_takes_its_own_pages, SECONDS)
{
	uint64_t without, taken;
	uint32_t all[NPAGES];
	unsigned int i;

	xvm_no_quirk(&self->vm, KVM_X86_QUIRK_SLOT_ZAP_ALL);
	for (i = 0; i < NPAGES; i++)
		all[i] = OTHER_GPA + i * XVM_PAGE;
	visitor_visit(&self->v, VISIT_WRITE, 4, all, NPAGES);
	xvm_slot(&self->vm, 1, 0, GPA, 0, self->mem);
	without = visitor_stat(&self->v, "pages_4k");
	xvm_slot(&self->vm, 1, 0, GPA, SIZE, self->mem);
	for (i = 0; i < NPAGES; i++)
		all[i] = GPA + i * XVM_PAGE;
	visitor_visit(&self->v, VISIT_WRITE, 4, all, NPAGES);
	EXPECT_EQ(without + NPAGES, visitor_stat(&self->v, "pages_4k"));
	taken = visitor_stat(&self->v, "pf_taken");
	xvm_slot(&self->vm, 1, 0, GPA, 0, self->mem);
	EXPECT_EQ(without, visitor_stat(&self->v, "pages_4k"));
	visitor_write(&self->v, OTHER_GPA + 11 * XVM_PAGE, 5);
	EXPECT_EQ(taken, visitor_stat(&self->v, "pf_taken"));
	EXPECT_EQ(5, self->other[11 * XVM_PAGE]);
}

/* All trees are invalidated under mmu_lock held for write; that is when. */
TEST_F_TIMEOUT(lock, pages_are_aged_whoever_holds_the_lock, SECONDS)
{
	if (!xvm_ages_memory())
		SKIP(return, "the kernel keeps no generations of pages");
	probe_task_create(&self->task, delete_slot, self);
	ASSERT_TRUE(probe_task_hold(&self->task, self->window, PROBE_ALL_CPUS,
				    5 * HOLD_MS));
	ASSERT_TRUE(xvm_age_memory());
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	probe_task_end(&self->task, self->window);
}

/* A parameter of KVM's gets a value, and what it had is put into @old, if there is one. */
static void param_set(const char *name, const char *value, char *old)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/kvm/parameters/%s", name);
	file = fopen(path, "r+");
	if (!file || (old && fscanf(file, "%15s", old) != 1))
		xvm_die("%s", path);
	rewind(file);
	if (fputs(value, file) == EOF || fclose(file))
		xvm_die("%s: %s", path, value);
}

/* The thread of this process that has so begun its name; 0 if there is none. */
static pid_t thread_called(const char *begin)
{
	char path[300], name[32];
	struct dirent *d;
	pid_t tid = 0;
	FILE *file;
	DIR *dir;

	dir = opendir("/proc/self/task");
	if (!dir)
		xvm_die("/proc/self/task");
	while (!tid && (d = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", d->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file) &&
		    !strncmp(name, begin, strlen(begin)))
			tid = atoi(d->d_name);
		fclose(file);
	}
	closedir(dir);
	return tid;
}

/* Small pages of code are dropped, for the huge page that they are part of. */
TEST_F_TIMEOUT(lock, guest_goes_on_while_nx_pages_are_recovered, SECONDS)
{
	char on[16], ratio[16], period[16];
	struct visitor code;
	uint8_t *mem;
	pid_t tid;

	mem = xvm_huge(HUGE_SIZE, MAP_HUGE_2MB);
	ASSERT_NE(MAP_FAILED, (void *)mem);
	param_set("nx_huge_pages_recovery_period_ms", "3600000", period);
	param_set("nx_huge_pages_recovery_ratio", "1", ratio);
	param_set("nx_huge_pages", "1", on);
	xvm_slot(&self->vm, 3, 0, HUGE_GPA, HUGE_SIZE, mem);
	visitor_create(&code, &self->vm, 1, HUGE_GPA, mem);
	visitor_settle(&code);
	/* What nx_huge_pages has taken is back too. */
	visitor_settle(&self->v);
	visitor_write(&self->v, OTHER_GPA, 2);
	EXPECT_EQ(1, visitor_stat(&self->v, "nx_lpage_splits"));
	EXPECT_EQ(0, visitor_stat(&self->v, "pages_2m"));

	tid = thread_called("kvm-nx-lpage-re");
	ASSERT_NE(0, tid);
	probe_hold(self->window, PROBE_TDP_NX, tid, HOLD_MS);
	param_set("nx_huge_pages_recovery_period_ms", "1000", NULL);
	ASSERT_TRUE(probe_wait_held(self->window, 10000));
	guest_faults(_metadata, self);
	probe_release(self->window);
	while (visitor_stat(&self->v, "nx_lpage_splits"))
		xvm_sleep_ms(1);

	param_set("nx_huge_pages_recovery_period_ms", "3600000", NULL);
	visitor_write(&self->v, HUGE_GPA + 300 * XVM_PAGE, 6);
	EXPECT_EQ(1, visitor_stat(&self->v, "pages_2m"));
	EXPECT_EQ(6, mem[300 * XVM_PAGE]);
	visitor_destroy(&code);
	param_set("nx_huge_pages", on, NULL);
	param_set("nx_huge_pages_recovery_ratio", ratio, NULL);
	param_set("nx_huge_pages_recovery_period_ms", period, NULL);
}

TEST_HARNESS_MAIN
