// SPDX-License-Identifier: GPL-2.0
/* Failures on request, see fault.h. What it sets is in debugfs, for all tasks. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "xvm.h"

#define NTH		"/proc/thread-self/fail-nth"
#define DEBUGFS		"/sys/kernel/debug/"

static bool try_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) ==
		  (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static void set(const char *path, const char *text)
{
	if (!try_write(path, text))
		xvm_die("cannot write %s to %s", text, path);
}

static unsigned long long read_number(const char *path)
{
	FILE *file = fopen(path, "r");
	char text[64];

	if (!file || !fgets(text, sizeof(text), file))
		xvm_die("nothing in %s", path);
	fclose(file);
	return strtoull(text, NULL, 0);
}

const char *fault_missing(void)
{
	if (access(NTH, W_OK))
		return "the kernel has no fault injection";
	if (access(DEBUGFS "failslab/require-start", F_OK) ||
	    access(DEBUGFS "fail_page_alloc/require-start", F_OK))
		return "the kernel cannot fail allocations below some code only";
	return NULL;
}

/* Which stacks count: @what is require or reject, of code in this range. */
static void set_stacks(const char *kind, const char *what, unsigned long start,
		       unsigned long end)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), DEBUGFS "%s/%s-start", kind, what);
	snprintf(text, sizeof(text), "%#lx", start);
	set(path, text);
	snprintf(path, sizeof(path), DEBUGFS "%s/%s-end", kind, what);
	snprintf(text, sizeof(text), "%#lx", end);
	set(path, text);
}

static unsigned long address_of(const char *symbol)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	unsigned long at, found = 0;
	char name[256];

	if (!file)
		xvm_die("no symbols");
	while (!found && fscanf(file, "%lx %*c %255s%*[^\n]", &at, name) == 2)
		if (!strcmp(name, symbol))
			found = at;
	fclose(file);
	return found;
}

void fault_open(struct fault *f)
{
	static unsigned long leak;	/* a long search, done once */

	*f = (struct fault){ .fd = open(NTH, O_RDWR | O_CLOEXEC) };
	if (f->fd < 0)
		xvm_die("cannot open %s", NTH);

	/* All that may fail: those that sleep, those of user memory, one page. */
	set(DEBUGFS "failslab/ignore-gfp-wait", "N");
	set(DEBUGFS "failslab/cache-filter", "N");
	set(DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N");
	set(DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N");
	set(DEBUGFS "fail_page_alloc/min-order", "0");
	/* A stack for each would drown what the kernel has to say. */
	set(DEBUGFS "failslab/verbose", "0");
	set(DEBUGFS "fail_page_alloc/verbose", "0");
	set_stacks("failslab", "require", 0, ~0UL);
	set_stacks("fail_page_alloc", "require", 0, ~0UL);
	/* Copies from and to user space are no allocations: leave them out. */
	if (!access(DEBUGFS "fail_usercopy", F_OK))
		set_stacks("fail_usercopy", "reject", 1, ~0UL);
	/* The search for leaks must not go blind. */
	if (!leak)
		leak = address_of("kmemleak_scan_area");
	if (leak)
		set_stacks("failslab", "reject", leak, leak + 512);
	/* Our own memory must not be what is short. */
	if (mlockall(MCL_CURRENT))
		xvm_die("mlockall");
}

void fault_close(struct fault *f)
{
	munlockall();
	close(f->fd);
}

void fault_only_kvm(void)
{
	unsigned long start = read_number("/sys/module/kvm/sections/.text");
	unsigned long size = read_number("/sys/module/kvm/coresize");

	set_stacks("failslab", "require", start, start + size);
	set_stacks("fail_page_alloc", "require", start, start + size);
}

bool fault_next(struct fault *f)
{
	if (f->nth && !f->hit)
		return false;
	if (++f->nth > FAULT_MAX)
		xvm_die("still failing after %d allocations", FAULT_MAX);
	return true;
}

void fault_arm(struct fault *f)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", f->nth);

	if (pwrite(f->fd, text, len, 0) != len)
		xvm_die("cannot arm");
}

/* What is left of the count tells whether it came to the end. */
void fault_disarm(struct fault *f)
{
	int err = errno;
	char text[16] = "";

	if (pread(f->fd, text, sizeof(text) - 1, 0) <= 0 ||
	    pwrite(f->fd, "0", 1, 0) != 1)
		xvm_die("cannot disarm");
	f->hit = atoi(text) == 0;
	f->points += f->hit;
	errno = err;
}

bool fault_function(const char *name, long value)
{
	char path[128], text[32];

	if (!try_write(DEBUGFS "fail_function/inject", name))
		return false;
	snprintf(path, sizeof(path), DEBUGFS "fail_function/%s/retval", name);
	snprintf(text, sizeof(text), "%#lx", value);
	set(path, text);
	set(DEBUGFS "fail_function/verbose", "0");
	set(DEBUGFS "fail_function/probability", "100");
	set(DEBUGFS "fail_function/interval", "0");
	set(DEBUGFS "fail_function/times", "1");
	return true;
}

bool fault_function_end(const char *name)
{
	bool hit = !read_number(DEBUGFS "fail_function/times");
	char text[128];

	snprintf(text, sizeof(text), "!%s", name);
	set(DEBUGFS "fail_function/inject", text);
	set(DEBUGFS "fail_function/probability", "0");
	return hit;
}
