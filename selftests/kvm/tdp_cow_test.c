// SPDX-License-Identifier: GPL-2.0
/*
 * Writes to pages that the host has write-protected for its own reasons.
 *
 * Affected: every guest that writes to memory it has only read so far, and guests of
 * a VMM that forks. Tried: writes to pages that are the zero page, to pages that
 * a child shares, and to pages that the kernel has merged. A right system gives the page to the guest in one exit.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "visitor.h"
#include "xvm.h"

#define SECONDS		120
#define LOW_PAGES	32		/* slot 0: the visitor's own */
#define VISITOR		16
#define GPA		0x1000000UL	/* slot 1 */
#define NPAGES		64
#define KSM		"/sys/kernel/mm/ksm/"
#define KSM_SECONDS	60

FIXTURE(cow) {
	struct xvm vm;
	struct xvm_mem low;
	struct visitor v;
	uint8_t *mem;
	uint32_t all[NPAGES];
};

FIXTURE_SETUP(cow)
{
	unsigned int i;

	xvm_mem_create(&self->low, LOW_PAGES);
	self->mem = xvm_anon(NPAGES);
	for (i = 0; i < NPAGES; i++)
		self->all[i] = GPA + i * XVM_PAGE;
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->low.size, self->low.map);
	xvm_slot(&self->vm, 1, 0, GPA, NPAGES * XVM_PAGE, self->mem);
	visitor_create(&self->v, &self->vm, 0, VISITOR * XVM_PAGE,
		       self->low.map + VISITOR * XVM_PAGE);
	visitor_settle(&self->v);
}

FIXTURE_TEARDOWN(cow)
{
	visitor_destroy(&self->v);
	xvm_destroy(&self->vm);
}

static uint64_t write_faults(FIXTURE_DATA(cow) *self, uint8_t byte)
{
	uint64_t before = visitor_stat(&self->v, "pf_taken");

	visitor_visit(&self->v, VISIT_WRITE, byte, self->all, NPAGES);
	return visitor_stat(&self->v, "pf_taken") - before;
}

static unsigned int wrong_bytes(FIXTURE_DATA(cow) *self, uint8_t byte)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < NPAGES; i++)
		wrong += self->mem[i * XVM_PAGE] != byte;
	return wrong;
}

TEST_F_TIMEOUT(cow, write_to_zero_page_is_one_exit, SECONDS)
{
	visitor_visit(&self->v, VISIT_READ, 0, self->all, NPAGES);
	EXPECT_EQ(NPAGES, write_faults(self, 1));
	EXPECT_EQ(0, wrong_bytes(self, 1));
	EXPECT_EQ(0, write_faults(self, 2));
	EXPECT_EQ(0, wrong_bytes(self, 2));
}

TEST_F_TIMEOUT(cow, write_after_fork_is_one_exit, SECONDS)
{
	int hold[2], status;
	uint8_t *mem = self->mem;
	pid_t child;
	char byte;

	write_faults(self, 3);
	ASSERT_EQ(0, pipe(hold));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		unsigned int i, wrong = 0;

		close(hold[1]);
		/* Until the parent has written: then what was there is here. */
		if (read(hold[0], &byte, 1) != 1)
			_exit(2);
		for (i = 0; i < NPAGES; i++)
			wrong += mem[i * XVM_PAGE] != 3;
		_exit(!!wrong);
	}
	close(hold[0]);
	/* Its own pages are shared memory, and were not protected. */
	visitor_read(&self->v, VISITOR * XVM_PAGE);
	EXPECT_EQ(NPAGES, write_faults(self, 4));
	EXPECT_EQ(0, wrong_bytes(self, 4));
	ASSERT_EQ(1, write(hold[1], "x", 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

static void ksm_set(const char *name, const char *value)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), KSM "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		xvm_die("%s", path);
	close(fd);
}

static long ksm_get(const char *name)
{
	char path[64], value[32] = "";
	int fd;

	snprintf(path, sizeof(path), KSM "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, value, sizeof(value) - 1) < 0)
		xvm_die("%s", path);
	close(fd);
	return atol(value);
}

/* All pages are one page from here on, or @false if the kernel does not get that far. */
static bool merge(uint8_t *mem, size_t size)
{
	long want = ksm_get("pages_sharing") + NPAGES - 1;
	int i;

	if (madvise(mem, size, MADV_MERGEABLE))
		xvm_die("MADV_MERGEABLE");
	ksm_set("pages_to_scan", "4096");
	ksm_set("sleep_millisecs", "10");
	ksm_set("run", "1");
	for (i = 0; i < KSM_SECONDS * 10 && ksm_get("pages_sharing") < want; i++)
		xvm_sleep_ms(100);
	/* What is merged stays so, and nothing else is. */
	ksm_set("run", "0");
	return ksm_get("pages_sharing") >= want;
}

TEST_F_TIMEOUT(cow, write_to_merged_page_is_one_exit, SECONDS)
{
	if (access(KSM "run", W_OK))
		SKIP(return, "the kernel does not merge pages");
	memset(self->mem, 5, NPAGES * XVM_PAGE);
	write_faults(self, 5);
	ASSERT_TRUE(merge(self->mem, NPAGES * XVM_PAGE));
	visitor_visit(&self->v, VISIT_READ, 0, self->all, NPAGES);
	EXPECT_EQ(0, wrong_bytes(self, 5));
	EXPECT_EQ(NPAGES, write_faults(self, 6));
	EXPECT_EQ(0, wrong_bytes(self, 6));
	EXPECT_EQ(5, self->mem[1]);
	EXPECT_EQ(0, write_faults(self, 7));
}

TEST_HARNESS_MAIN
