// SPDX-License-Identifier: GPL-2.0
/*
 * A thread of the VMM that takes guest memory away all the time and loses nothing.
 *
 * QEMU is started with this library preloaded. It learns the memory slots from the
 * ioctls that QEMU makes, and does, in turn, what hosts do to the memory of a VM: each
 * operation invalidates pages, and each leaves what the guest and QEMU see as it was.
 *
 * STORM is "PAUSE OPERATION...": microseconds between operations, and their names, of
 * the table below. STORM_FLAG names a file: the storm begins when it is there, and is
 * over when it is gone. STORM_LOG names the file that then has a line for each
 * operation, also when QEMU ends before.
 *
 * Slots are held while an operation runs, so no range is unmapped under it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../guest/balloon.h"

#define PAGE		4096UL
#define HUGE		(2UL << 20)
#define SLOTS		64
#define RAM		(16 * HUGE)	/* slots this large are the guest's RAM */
#define BATCH		64
#define BALLOON_WINDOW	(8 * HUGE)
#define MPOL_MF_MOVE	2

struct slot {
	uint32_t id;
	char *start;
	size_t size;
	size_t cursor;
};

struct range {
	char *start;
	size_t size;
};

struct op {
	const char *name;
	/* Pages that were hit, or -1: the kernel refused. */
	long (*run)(struct slot *s, struct range r);
	unsigned long done, refused, pages;
};

static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot slots[SLOTS];	/* under slots_lock */
static uint64_t seed = 88172645463325252ULL;
static atomic_bool started;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* More is allowed for a moment, never less, so nobody can meet with a fault. */
static long protect(struct slot *s, struct range r)
{
	(void)s;
	if (mprotect(r.start, r.size, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    mprotect(r.start, r.size, PROT_READ | PROT_WRITE))
		return -1;
	return r.size / PAGE;
}

static long advise(struct range r, int advice)
{
	return madvise(r.start, r.size, advice) ? -1 : (long)(r.size / PAGE);
}

static long cold(struct slot *s, struct range r)
{
	(void)s;
	return advise(r, MADV_COLD);
}

/* To swap, where the host has any. */
static long pageout(struct slot *s, struct range r)
{
	(void)s;
	return advise(r, MADV_PAGEOUT);
}

static long populate(struct slot *s, struct range r)
{
	(void)s;
	return advise(r, MADV_POPULATE_WRITE);
}

static long merge(struct slot *s, struct range r)
{
	(void)s;
	return advise(r, random64() % 4 ? MADV_MERGEABLE : MADV_UNMERGEABLE);
}

/* Whole huge pages: what lies scattered is copied into one. */
static long collapse(struct slot *s, struct range r)
{
	uintptr_t start = (uintptr_t)r.start & -HUGE;

	if (start < (uintptr_t)s->start ||
	    start + HUGE > (uintptr_t)s->start + s->size)
		return 0;
	if (madvise((void *)start, HUGE, MADV_COLLAPSE))
		return -1;
	return HUGE / PAGE;
}

/* To the other node of the host's memory. */
static long move(struct slot *s, struct range r)
{
	void *page[BATCH];
	int node[BATCH], status[BATCH];
	size_t i, n = r.size / PAGE;
	long moved = 0;

	(void)s;
	n = n < BATCH ? n : BATCH;
	for (i = 0; i < n; i++) {
		page[i] = r.start + i * PAGE;
		node[i] = random64() & 1;
	}
	if (syscall(SYS_move_pages, 0, n, page, node, status, MPOL_MF_MOVE) < 0)
		return -1;
	for (i = 0; i < n; i++)
		moved += status[i] >= 0;
	return moved;
}

/*
 * All memory write-protected, to be copied when it is written next. The child is
 * QEMU's only in name: no handlers run in it, and no signal tells of its end.
 */
static long forked(struct slot *s, struct range r)
{
	long pid;

	if (madvise(r.start, r.size, MADV_DOFORK))
		return -1;
	pid = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
	if (!pid)
		syscall(SYS_exit_group, 0);
	/* As QEMU has it. */
	if (madvise(r.start, r.size, MADV_DONTFORK) || pid < 0)
		return -1;
	while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	(void)s;
	return r.size / PAGE;
}

/* Memory beside the guest's, which concerns nobody. */
static long scratch(struct slot *s, struct range r)
{
	char *p = mmap(NULL, r.size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)s;
	if (p == MAP_FAILED)
		return -1;
	*p = 1;
	if (munmap(p, r.size))
		return -1;
	return r.size / PAGE;
}

/* What the guest says it can do without: see xen-guest-load.c. */
static long balloon(struct slot *s, struct range r)
{
	size_t end = s->cursor + BALLOON_WINDOW;
	long discarded = 0;

	(void)r;
	for (; s->cursor < end && s->cursor < s->size; s->cursor += PAGE) {
		_Atomic uint64_t *word = (_Atomic uint64_t *)(s->start + s->cursor);
		uint64_t state = BALLOON_GIVEN;

		if (atomic_load_explicit(word, memory_order_relaxed) != state ||
		    !atomic_compare_exchange_strong(word, &state, BALLOON_TAKEN))
			continue;
		if (madvise((void *)word, PAGE, MADV_DONTNEED)) {
			atomic_store(word, BALLOON_GIVEN);
			return -1;
		}
		discarded++;
	}
	if (s->cursor >= s->size)
		s->cursor = 0;
	return discarded;
}

/* Loses a page, which no storm may: to see that it is noticed. */
static long lose(struct slot *s, struct range r)
{
	(void)s;
	r.size = PAGE;
	return advise(r, MADV_DONTNEED);
}

static struct op ops[] = {
	{ .name = "protect", .run = protect },
	{ .name = "cold", .run = cold },
	{ .name = "pageout", .run = pageout },
	{ .name = "populate", .run = populate },
	{ .name = "merge", .run = merge },
	{ .name = "collapse", .run = collapse },
	{ .name = "move", .run = move },
	{ .name = "fork", .run = forked },
	{ .name = "scratch", .run = scratch },
	{ .name = "balloon", .run = balloon },
	{ .name = "lose", .run = lose },
};

#define OPS (sizeof(ops) / sizeof(ops[0]))

/* A power of two of pages in it, at a multiple of that. */
static struct range some_of(struct slot *s)
{
	size_t size = PAGE << random64() % 10;
	struct range r;

	while (size > s->size)
		size /= 2;
	r.start = s->start + random64() % (s->size / size) * size;
	r.size = size;
	return r;
}

/* Every third time a small slot: the pages that QEMU shares with the guest. */
static struct slot *some_slot(bool ram)
{
	int i, n = random64() % SLOTS;

	for (i = 0; i < SLOTS; i++) {
		struct slot *s = &slots[(n + i) % SLOTS];

		if (s->size && ram == (s->size >= RAM))
			return s;
	}
	return NULL;
}

static void one(struct op *op)
{
	bool ram = random64() % 3;
	struct slot *s;
	long pages;

	pthread_mutex_lock(&slots_lock);
	s = some_slot(ram || op->run == balloon || op->run == lose);
	if (s) {
		pages = op->run(s, some_of(s));
		if (pages < 0) {
			op->refused++;
		} else {
			op->done++;
			op->pages += pages;
		}
	}
	pthread_mutex_unlock(&slots_lock);
}

static void write_log(void)
{
	const char *path = getenv("STORM_LOG");
	FILE *f = path ? fopen(path, "w") : NULL;
	size_t i;

	if (!f)
		return;
	for (i = 0; i < OPS; i++) {
		if (ops[i].done || ops[i].refused)
			fprintf(f, "%s %lu refused %lu pages %lu\n", ops[i].name,
				ops[i].done, ops[i].refused, ops[i].pages);
	}
	fclose(f);
}

static void *storm_loop(void *words)
{
	const char *flag = getenv("STORM_FLAG");
	struct timespec pause = { };
	struct op *chosen[OPS];
	char *word, *rest = NULL;
	size_t i, n = 0;

	word = strtok_r(words, " ", &rest);
	pause.tv_nsec = word ? atol(word) * 1000 : 0;
	while ((word = strtok_r(NULL, " ", &rest))) {
		for (i = 0; i < OPS; i++) {
			if (!strcmp(word, ops[i].name))
				break;
		}
		if (i == OPS || n == OPS) {
			fprintf(stderr, "storm: %s is no operation\n", word);
			return NULL;
		}
		chosen[n++] = &ops[i];
	}
	if (!n || !flag)
		return NULL;
	while (access(flag, F_OK))
		usleep(100000);
	while (!access(flag, F_OK)) {
		one(chosen[random64() % n]);
		nanosleep(&pause, NULL);
	}
	write_log();
	return NULL;
}

static void slot_set(const struct kvm_userspace_memory_region *r)
{
	int i, unused = -1;

	for (i = 0; i < SLOTS; i++) {
		if (slots[i].size && slots[i].id == r->slot)
			break;
		if (!slots[i].size)
			unused = i;
	}
	if (i == SLOTS)
		i = unused;
	if (i < 0)
		return;
	slots[i] = (struct slot) {
		.id = r->slot,
		.start = (char *)(uintptr_t)r->userspace_addr,
		.size = r->memory_size,
	};
}

static void start(void)
{
	const char *words = getenv("STORM");
	pthread_t thread;

	if (!words || atomic_exchange(&started, true))
		return;
	atexit(write_log);
	if (pthread_create(&thread, NULL, storm_loop, strdup(words)))
		fprintf(stderr, "storm: no thread\n");
}

/* QEMU's own call, and a look at what it says of memory. */
int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int fd, unsigned long request, ...);
	struct kvm_userspace_memory_region *r;
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!real)
		real = dlsym(RTLD_NEXT, "ioctl");
	if (request != KVM_SET_USER_MEMORY_REGION &&
	    request != KVM_SET_USER_MEMORY_REGION2)
		return real(fd, request, arg);

	/* The second kind begins like the first. */
	r = arg;
	pthread_mutex_lock(&slots_lock);
	ret = real(fd, request, arg);
	if (!ret)
		slot_set(r);
	pthread_mutex_unlock(&slots_lock);
	if (r->memory_size >= RAM)
		start();
	return ret;
}
