// SPDX-License-Identifier: GPL-2.0
/*
 * What an operator can see of a VM's caches: the file pfncache in the VM's
 * directory of debugfs, lines of "name value".
 *
 * Stock modules have no such file; there these tests skip, and expect.cfg says so.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "xvm.h"

#define KVM_DEBUGFS	"/sys/kernel/debug/kvm"
#define PORT		5
#define STORM		2000
#define MS		1000000ULL

FIXTURE(stats) {
	struct xvm vm;
	uint8_t *page;
	char path[300];
};

/* The VM's directory is called after its owner and its descriptor. */
static void stats_path(char *path, size_t size, int fd)
{
	snprintf(path, size, KVM_DEBUGFS "/%d-%d/pfncache", getpid(), fd);
}

/* The value of @name, or -1 if there is no such line. */
static long stats_value(const char *path, const char *name)
{
	char key[64];
	long value, found = -1;
	FILE *f = fopen(path, "r");

	if (!f)
		xvm_die("cannot open %s", path);
	while (fscanf(f, "%63s %ld", key, &value) == 2)
		if (!strcmp(key, name))
			found = value;
	fclose(f);
	return found;
}

FIXTURE_SETUP(stats)
{
	xvm_create(&self->vm, true);
	xvm_add_cpu(&self->vm, 0);
	self->page = xvm_anon(1);
	ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, self->page));
	stats_path(self->path, sizeof(self->path), self->vm.fd);
	if (access(self->path, R_OK))
		SKIP(return, "these modules have no pfncache statistics");
}

FIXTURE_TEARDOWN(stats)
{
	if (self->vm.fd >= 0)
		xvm_destroy(&self->vm);
}

TEST_F(stats, count_caches_that_are_active)
{
	EXPECT_EQ(1, stats_value(self->path, "caches"));
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA,
				  (uintptr_t)xvm_anon(1)));
	EXPECT_EQ(2, stats_value(self->path, "caches"));
	ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, NULL));
	EXPECT_EQ(1, stats_value(self->path, "caches"));
}

TEST_F(stats, count_hits_apart_from_events)
{
	uint8_t *other = xvm_anon(1);
	long events = stats_value(self->path, "invalidations");
	long hits = stats_value(self->path, "hits");

	*other = 1;
	ASSERT_EQ(0, madvise(other, XVM_PAGE, MADV_DONTNEED));
	EXPECT_LE(events + 1, stats_value(self->path, "invalidations"));
	EXPECT_EQ(hits, stats_value(self->path, "hits"));
	ASSERT_EQ(0, madvise(self->page, XVM_PAGE, MADV_DONTNEED));
	EXPECT_EQ(hits + 1, stats_value(self->path, "hits"));
}

TEST_F(stats, count_lookups)
{
	long lookups = stats_value(self->path, "page_resolutions");

	ASSERT_EQ(0, madvise(self->page, XVM_PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	EXPECT_EQ(lookups + 1, stats_value(self->path, "page_resolutions"));
	/* What is cached is not looked up. */
	ASSERT_EQ(0, xvm_send(&self->vm, PORT + 1, 0));
	EXPECT_EQ(lookups + 1, stats_value(self->path, "page_resolutions"));
}

/*
 * shared_info goes as often as it is used, and CPUs are called for it every ten
 * milliseconds at most, by a clock whose tick is four.
 */
TEST_F(stats, storm_of_its_page_calls_cpus_seldom)
{
	long quiesces = stats_value(self->path, "quiesces");
	long calls = stats_value(self->path, "calls");
	uint64_t begin = xvm_now_ns();
	int i;

	for (i = 0; i < STORM; i++) {
		ASSERT_EQ(0, xvm_send(&self->vm, PORT + i % 32, 0));
		ASSERT_EQ(0, madvise(self->page, XVM_PAGE, MADV_DONTNEED));
	}
	calls = stats_value(self->path, "calls") - calls;
	fprintf(stderr, "# calls %ld, of %d unmaps\n", calls, STORM);
	EXPECT_LE(quiesces + STORM, stats_value(self->path, "quiesces"));
	EXPECT_LE(1, calls);
	EXPECT_GE(2 + (xvm_now_ns() - begin) / (8 * MS), calls);
	EXPECT_GT(STORM / 10, calls);
}

/* Reading while the VM goes away: the file goes with it, nothing else does. */
TEST_F(stats, file_goes_with_the_vm)
{
	FILE *f = fopen(self->path, "r");
	char line[64];

	ASSERT_NE(NULL, f);
	xvm_destroy(&self->vm);
	EXPECT_NE(0, access(self->path, F_OK));
	while (fgets(line, sizeof(line), f))
		;
	fclose(f);
}

TEST_HARNESS_MAIN
