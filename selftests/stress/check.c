// SPDX-License-Identifier: GPL-2.0
/*
 * What must hold after a round, see check.h.  Owns the values of the host before
 * the first round.
 */
#include "check.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"
#include "xvm.h"

#define PATIENCE_MS	5000	/* for what the kernel does later */
#define GROWTH_KB	8192	/* of the host's own memory, over a run */
#define GROWTH_ROUND_KB	16	/* and for each round */

static struct {
	long references;	/* of KVM's module */
	long pinned;		/* pages: taken less released */
	long tables_kb;		/* of second-level page tables */
	long used_kb;
} before;

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/* The number behind @key in a file of "key value" lines; -1 without it. */
static long value(const char *path, const char *key)
{
	char line[256];
	size_t length = strlen(key);
	long found = -1;
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, length) && isspace(line[length])) {
			found = strtol(line + length, NULL, 10);
			break;
		}
	}
	if (f)
		fclose(f);
	return found;
}

static long references(void)
{
	static const char *const modules[] = { "kvm_amd", "kvm_intel" };
	char path[64];
	long count = -1;
	FILE *f;

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/module/%s/refcnt", modules[i]);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%ld", &count) != 1)
			count = -1;
		fclose(f);
	}
	return count;
}

/* VMs that debugfs shows, a directory each. */
static int vms(char *name, size_t room)
{
	DIR *dir = opendir("/sys/kernel/debug/kvm");
	struct dirent *entry;
	int n = 0;

	while (dir && (entry = readdir(dir))) {
		if (!isdigit(entry->d_name[0]))
			continue;
		snprintf(name, room, "%.*s", (int)room - 1, entry->d_name);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

static long pinned(void)
{
	return value("/proc/vmstat", "nr_foll_pin_acquired") -
	       value("/proc/vmstat", "nr_foll_pin_released");
}

/* Free pages that processors keep at hand; nothing short of a shortage takes them. */
static long at_hand_kb(void)
{
	FILE *f = fopen("/proc/zoneinfo", "re");
	long pages, sum = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &pages) == 1)
			sum += pages;
	if (f)
		fclose(f);
	return sum * (sysconf(_SC_PAGESIZE) / 1024);
}

static long used_kb(void)
{
	static const char *const freed[] = {
		"MemFree:", "Buffers:", "Cached:", "SReclaimable:", "AnonPages:",
	};
	long used = value("/proc/meminfo", "MemTotal:");

	for (size_t i = 0; i < sizeof(freed) / sizeof(freed[0]); i++)
		used -= value("/proc/meminfo", freed[i]);
	return used - at_hand_kb();
}

static void settle(void)
{
	/* Counters that each processor keeps for itself are added up. */
	write_text("/proc/sys/vm/stat_refresh", "1");
}

void check_begin(void)
{
	settle();
	before.references = references();
	before.pinned = pinned();
	before.tables_kb = value("/proc/meminfo", "SecPageTables:");
}

static bool clean(char *why, size_t room)
{
	char name[64];
	long now;

	settle();
	now = vms(name, sizeof(name));
	if (now) {
		snprintf(why, room, "%ld VMs are left, %s among them", now, name);
		return false;
	}
	now = references();
	if (now != before.references) {
		snprintf(why, room, "KVM's module has %ld users and had %ld",
			 now, before.references);
		return false;
	}
	now = value("/proc/meminfo", "SecPageTables:");
	if (now != before.tables_kb) {
		snprintf(why, room, "page tables of VMs: %ld kB and %ld before",
			 now, before.tables_kb);
		return false;
	}
	now = pinned();
	if (now != before.pinned) {
		snprintf(why, room, "%ld pages are pinned and %ld were before",
			 now, before.pinned);
		return false;
	}
	return true;
}

bool check_clean(char *why, size_t room)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 20) {
		if (clean(why, room))
			return true;
		usleep(20000);
	}
	return false;
}

bool check_memory(unsigned int rounds, char *why, size_t room)
{
	long now, limit = GROWTH_KB + rounds * GROWTH_ROUND_KB;

	write_text("/proc/sys/vm/drop_caches", "3");
	settle();
	now = used_kb();
	/* Debug kernels hold freed memory back, and have a better way to tell. */
	if (!before.used_kb || !access("/sys/kernel/debug/kmemleak", F_OK))
		before.used_kb = now;
	snprintf(why, room, "the kernel uses %ld kB, %+ld since the first round",
		 now, now - before.used_kb);
	return now - before.used_kb <= limit;
}

void check_merging(bool on)
{
	write_text("/sys/kernel/mm/ksm/sleep_millisecs", "20");
	write_text("/sys/kernel/mm/ksm/pages_to_scan", "500");
	/* 2: what was merged is taken apart again. */
	write_text("/sys/kernel/mm/ksm/run", on ? "1" : "2");
}

/* Dies of SIGABRT where it does not work. */
static void new_vm(void)
{
	static struct xvm vm;
	uint8_t *memory = xvm_anon(4);

	xvm_create(&vm, true);
	xvm_slot(&vm, 0, 0, 0, 4 * XVM_PAGE, memory);
	xvm_add_cpu(&vm, 0);
	if (xvm_shinfo_gfn(&vm, 1) ||
	    xvm_cpu_attr(&vm, 0, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, 2 * XVM_PAGE))
		xvm_die("Xen's areas");
	if (xvm_send(&vm, 42, 0) || !xvm_pending(memory + XVM_PAGE, 42))
		xvm_die("the event was sent and did not arrive");
	if (!no_timer)
		xvm_timer(&vm, 0, 43, 2000000);
	if (!no_timer && !xvm_wait_pending(memory + XVM_PAGE, 43, 2000))
		xvm_die("the timer was set and did not fire");
	xvm_run_once(&vm, 0, 3 * XVM_PAGE, memory + 3 * XVM_PAGE);
	xvm_destroy(&vm);
}

bool check_alive(char *why, size_t room)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		new_vm();
		_exit(0);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && !status)
		return true;
	snprintf(why, room, "a new VM does not work, status %#x", status);
	return false;
}

static void print_file(const char *path, const char *what)
{
	char line[256];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		printf("#   %s%s%s", what, line, strchr(line, '\n') ? "" : "\n");
	if (f)
		fclose(f);
}

static void print_task(int pid, int tid)
{
	char path[64];

	printf("# task %d\n", tid);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	print_file(path, "system call ");
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", pid, tid);
	print_file(path, " ");
}

static bool in_group(int pid, int pgid)
{
	char path[64], text[512] = "", *end;
	int fd, parent, group;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	end = strrchr(text, ')');
	return end && sscanf(end, ") %*c %d %d", &parent, &group) == 2 &&
	       group == pgid;
}

void check_stacks(int pgid)
{
	DIR *proc = opendir("/proc"), *tasks;
	struct dirent *entry, *task;
	char path[64];
	int pid;

	while (proc && (entry = readdir(proc))) {
		pid = atoi(entry->d_name);
		if (!pid || !in_group(pid, pgid))
			continue;
		printf("# process %d\n", pid);
		snprintf(path, sizeof(path), "/proc/%d/task", pid);
		tasks = opendir(path);
		while (tasks && (task = readdir(tasks)))
			if (isdigit(task->d_name[0]))
				print_task(pid, atoi(task->d_name));
		if (tasks)
			closedir(tasks);
	}
	if (proc)
		closedir(proc);
	fflush(stdout);
	/* And every task that sleeps for good, in the kernel's log. */
	write_text("/proc/sysrq-trigger", "w");
}
