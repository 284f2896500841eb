// SPDX-License-Identifier: GPL-2.0
/*
 * Inside the guest: work of several kinds at once, for a bounded time, each of which
 * knows what must come out.
 *
 * usage: xen-guest-load SECONDS KIND...
 *
 *   disk     pages written to a file, thrown out of the cache, read back, compared
 *   ipi      CPUs that wake each other in turn, and barriers across all of them
 *   timer    on each CPU periodic sleeps; none may end early, or be forgotten
 *   memory   a large buffer, of which no word may change by itself
 *   balloon  pages given to the VMM to discard, taken back, used, given again
 *
 * A kind with "!" behind its name is spoiled once, to see that it is noticed.
 * Lines begin with "guest: ", as xen-guest-work's. Exit status: 0 all came out as it
 * must, 1 not so, 2 wrong usage.
 *
 * The balloon's agreement: the first word of a page that its owner does not need says
 * GIVEN. The VMM makes it TAKEN, discards the page, and so makes it 0; the owner makes
 * it KEPT and has the page back as it is. Whoever comes first has it, atomically.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "balloon.h"

#define PAGE		4096UL
#define WORDS		(PAGE / sizeof(uint64_t))
#define NSEC		1000000000LL
#define CPUS		16
#define FILE_PATH	"/var/tmp/xen-guest-load"
#define FILE_PAGES	512UL		/* 2 MiB, written in one round */
#define CHUNK_PAGES	16UL
#define BUFFER_PAGES	8192UL		/* 32 MiB */
#define BALLOON_PAGES	2048UL		/* 8 MiB */
#define PERIOD_NS	5000000LL	/* of the timers */
#define LOST_S		60		/* what is as late as this is lost */
/* On a slow machine the time is longer, not the work less. */
#define LEAST_DISK	4
#define LEAST_IPI	400
#define LEAST_TIMER	100
#define LEAST_MEMORY	2000
#define LEAST_BALLOON	32
#define JOIN_S		(10 * LOST_S)	/* a worker that goes on for longer hangs */

struct worker {
	const char *kind;
	void *(*run)(void *worker);
	int cpu;
	bool spoil;
	pthread_t thread;
	struct worker *next;
};

static struct worker *workers;
static atomic_bool stop, failed;
static int nr_cpus;

static void tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	/* One write a line: the lines of several threads stay whole. */
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	dprintf(STDOUT_FILENO, "guest: %s\n", line);
}

#define fail(fmt, ...)							\
	do {								\
		tell("failed " fmt, ##__VA_ARGS__);			\
		atomic_store(&failed, true);				\
	} while (0)

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

static void sleep_us(long us)
{
	struct timespec ts = { .tv_nsec = us * 1000 };

	nanosleep(&ts, NULL);
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("CPU %d: %s", cpu, strerror(errno));
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* What a page holds follows from one number, and differs in each word. */
static void fill(uint64_t *page, uint64_t number)
{
	uint64_t x = mix(number + 1);
	size_t i;

	for (i = 0; i < WORDS; i++)
		page[i] = x + i * 0x9e3779b97f4a7c15ULL;
}

/* The first word that is not as fill() left it, or WORDS. */
static size_t wrong_word(const uint64_t *page, uint64_t number)
{
	uint64_t x = mix(number + 1);
	size_t i;

	for (i = 0; i < WORDS; i++) {
		if (page[i] != x + i * 0x9e3779b97f4a7c15ULL)
			return i;
	}
	return WORDS;
}

static bool same(const char *kind, const uint64_t *page, uint64_t number,
		 uint64_t where)
{
	size_t i = wrong_word(page, number);

	if (i == WORDS)
		return true;
	fail("%s: page %llu, word %zu is %#llx", kind, (unsigned long long)where,
	     i, (unsigned long long)page[i]);
	return false;
}

static void *pages(size_t n)
{
	void *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		fail("no memory: %s", strerror(errno));
		exit(1);
	}
	return p;
}

/* All of a chunk, or the reason why not. */
static bool io_done(const char *what, ssize_t got)
{
	if (got == (ssize_t)(CHUNK_PAGES * PAGE))
		return true;
	fail("disk: %s: %s", what, got < 0 ? strerror(errno) : "cut short");
	return false;
}

static bool disk_round(int fd, uint64_t *chunk, uint64_t round, bool spoil)
{
	const size_t len = CHUNK_PAGES * PAGE;
	uint64_t page, i;

	for (page = 0; page < FILE_PAGES; page += CHUNK_PAGES) {
		for (i = 0; i < CHUNK_PAGES; i++)
			fill(chunk + i * WORDS, round << 32 | (page + i));
		if (spoil && !page)
			chunk[1] ^= 1;
		if (!io_done("write", pwrite(fd, chunk, len, page * PAGE)))
			return false;
	}
	/* Clean pages are dropped; the disk has the only copy then. */
	if (fdatasync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)) {
		fail("disk: not written out: %s", strerror(errno));
		return false;
	}
	for (page = 0; page < FILE_PAGES; page += CHUNK_PAGES) {
		if (!io_done("read", pread(fd, chunk, len, page * PAGE)))
			return false;
		for (i = 0; i < CHUNK_PAGES; i++) {
			if (!same("disk", chunk + i * WORDS,
				  round << 32 | (page + i), page + i))
				return false;
		}
	}
	return true;
}

/* Every other round goes past the page cache altogether. */
static void *disk_work(void *worker)
{
	int cached = open(FILE_PATH, O_RDWR | O_CREAT, 0600);
	int direct = open(FILE_PATH, O_RDWR | O_DIRECT);
	uint64_t *chunk = pages(CHUNK_PAGES);
	struct worker *w = worker;
	uint64_t round = 0;

	if (cached < 0 || direct < 0) {
		fail("disk: %s: %s", FILE_PATH, strerror(errno));
		return NULL;
	}
	while (!stop || round < LEAST_DISK) {
		if (!disk_round(round & 1 ? direct : cached, chunk, round,
				w->spoil && round == 1))
			return NULL;
		round++;
	}
	unlink(FILE_PATH);
	tell("load disk %llu rounds of %lu MiB, written, dropped, read back, equal",
	     (unsigned long long)round, FILE_PAGES * PAGE >> 20);
	return NULL;
}

struct pair {
	int there, back;
	int cpu;
	atomic_bool done;
};

/* One wake-up, and no other, within the time after which it is lost. */
static bool woken(int fd, const char *by)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n = 0;

	if (poll(&p, 1, LOST_S * 1000) != 1) {
		fail("ipi: no wake-up by %s in %d s", by, LOST_S);
		return false;
	}
	if (read(fd, &n, sizeof(n)) != sizeof(n) || n != 1) {
		fail("ipi: %llu wake-ups by %s instead of one",
		     (unsigned long long)n, by);
		return false;
	}
	return true;
}

static void wake(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		fail("ipi: %s", strerror(errno));
}

static void *echo(void *arg)
{
	struct pair *p = arg;

	stay_on(p->cpu);
	while (woken(p->there, "the other CPU") && !p->done)
		wake(p->back);
	return NULL;
}

/*
 * This CPU wakes the next, which wakes this one. A barrier is over when each CPU
 * that runs a thread of ours has answered; so is a change of protection.
 */
static void *ipi_work(void *worker)
{
	struct pair p = { .there = eventfd(0, 0), .back = eventfd(0, 0) };
	unsigned long long rounds = 0, barriers = 0;
	struct worker *w = worker;
	volatile char *page = pages(1);
	int64_t begin, took;
	pthread_t other;

	p.cpu = (w->cpu + 1) % nr_cpus;
	stay_on(w->cpu);
	if (pthread_create(&other, NULL, echo, &p)) {
		fail("ipi: no thread");
		return NULL;
	}
	begin = now_ns();
	while (!stop || rounds < LEAST_IPI) {
		if (!w->spoil || rounds != 100)
			wake(p.there);
		if (!woken(p.back, "its echo"))
			return NULL;
		if (++rounds % 8)
			continue;
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
			fail("ipi: membarrier: %s", strerror(errno));
		*page = 1;
		if (mprotect((void *)page, PAGE, PROT_READ) ||
		    mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE))
			fail("ipi: mprotect: %s", strerror(errno));
		barriers++;
	}
	took = now_ns() - begin;
	p.done = true;
	wake(p.there);
	pthread_join(other, NULL);
	tell("load ipi %llu rounds between CPU %d and CPU %d, %llu barriers, in %lld us",
	     rounds, w->cpu, p.cpu, barriers, (long long)(took / 1000));
	return NULL;
}

static void *timer_work(void *worker)
{
	int64_t next, late, worst = 0, sum = 0;
	unsigned long long n = 0;
	struct worker *w = worker;

	stay_on(w->cpu);
	next = now_ns();
	while (!stop || n < LEAST_TIMER) {
		int64_t due;
		struct timespec ts;

		next += PERIOD_NS;
		ts.tv_sec = next / NSEC;
		ts.tv_nsec = next % NSEC;
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
			;
		due = w->spoil && n == LEAST_TIMER / 2 ? next + NSEC : next;
		late = now_ns() - due;
		if (late < 0) {
			fail("timer: on CPU %d early by %lld ns", w->cpu,
			     (long long)-late);
			return NULL;
		}
		if (late > LOST_S * NSEC)
			fail("timer: on CPU %d late by %lld s", w->cpu,
			     (long long)(late / NSEC));
		worst = late > worst ? late : worst;
		sum += late;
		n++;
		/* What was missed meanwhile is not made up for. */
		if (late > PERIOD_NS)
			next = now_ns();
	}
	tell("load timer %llu sleeps on CPU %d, none early, late by %lld us, at most %lld",
	     n, w->cpu, (long long)(n ? sum / (int64_t)n / 1000 : 0),
	     (long long)(worst / 1000));
	return NULL;
}

/*
 * A page's number is its generation and place. The last quarter has pages that are
 * alike in twos until they are written again: work for KSM.
 */
static uint64_t number_of(const uint32_t *generation, size_t i)
{
	if (i >= BUFFER_PAGES / 4 * 3 && !generation[i])
		return i / 2;
	return (uint64_t)generation[i] << 32 | i;
}

static void *memory_work(void *worker)
{
	uint32_t *generation = calloc(BUFFER_PAGES, sizeof(*generation));
	uint64_t *buffer = pages(BUFFER_PAGES);
	struct worker *w = worker;
	unsigned long long n = 0;
	uint64_t seed = 1;
	size_t i;

	for (i = 0; i < BUFFER_PAGES; i++)
		fill(buffer + i * WORDS, number_of(generation, i));
	while (!stop || n < LEAST_MEMORY) {
		seed = mix(seed + 1);
		i = seed % BUFFER_PAGES;
		if (w->spoil && n == LEAST_MEMORY / 2)
			buffer[i * WORDS + 7] ^= 1;
		if (!same("memory", buffer + i * WORDS,
			  number_of(generation, i), i))
			return NULL;
		generation[i]++;
		fill(buffer + i * WORDS, number_of(generation, i));
		/* Room for the others. */
		if (!(++n % 64))
			sleep_us(1000);
	}
	for (i = 0; i < BUFFER_PAGES; i++) {
		if (!same("memory", buffer + i * WORDS,
			  number_of(generation, i), i))
			return NULL;
	}
	tell("load memory %lu MiB as they were left, %llu pages rewritten meanwhile",
	     BUFFER_PAGES * PAGE >> 20, n);
	return NULL;
}

/*
 * Pages that stay where they are: else a page's old place would say GIVEN while it
 * belongs to somebody else.
 */
static uint64_t *balloon_pages(void)
{
	FILE *f = fopen("/proc/sys/vm/compact_unevictable_allowed", "w");
	uint64_t *buffer = pages(BALLOON_PAGES);

	if (!f || fputs("0", f) < 0 || fclose(f) ||
	    madvise(buffer, BALLOON_PAGES * PAGE, MADV_NOHUGEPAGE) ||
	    mlock(buffer, BALLOON_PAGES * PAGE)) {
		fail("balloon: %s", strerror(errno));
		return NULL;
	}
	return buffer;
}

/* The page is ours again. Was it discarded? */
static bool take_back(uint64_t *page, bool *discarded)
{
	_Atomic uint64_t *word = (_Atomic uint64_t *)page;
	int64_t begin = now_ns();
	uint64_t state = BALLOON_GIVEN;
	size_t i;

	*discarded = false;
	if (atomic_compare_exchange_strong(word, &state, BALLOON_KEPT))
		return true;
	while (atomic_load(word) == BALLOON_TAKEN) {
		if (now_ns() - begin > LOST_S * NSEC) {
			fail("balloon: taken, and not discarded in %d s", LOST_S);
			return false;
		}
		sleep_us(1000);
	}
	for (i = 0; i < WORDS; i++) {
		if (page[i]) {
			fail("balloon: word %zu of a discarded page is %#llx", i,
			     (unsigned long long)page[i]);
			return false;
		}
	}
	*discarded = true;
	return true;
}

/* Filled with what is not worth keeping, and given. */
static void give(uint64_t *page)
{
	size_t i;

	for (i = 1; i < WORDS; i++)
		page[i] = BALLOON_GIVEN + i;
	atomic_store((_Atomic uint64_t *)page, BALLOON_GIVEN);
}

/*
 * A page that was given is used when it was discarded, or was not and it is its turn;
 * it is compared and given again the next time round.
 */
static void *balloon_work(void *worker)
{
	unsigned long long discarded = 0, kept = 0;
	bool *used = calloc(BALLOON_PAGES, sizeof(*used));
	uint64_t *buffer = balloon_pages();
	bool was_discarded = false;
	int64_t begin = now_ns();
	size_t i;

	(void)worker;
	if (!buffer)
		return NULL;
	for (i = 0; i < BALLOON_PAGES; i++)
		give(buffer + i * WORDS);
	for (i = 0; !stop || discarded < LEAST_BALLOON;
	     i = (i + 1) % BALLOON_PAGES) {
		uint64_t *page = buffer + i * WORDS;

		if (!i && now_ns() - begin > JOIN_S / 2 * NSEC) {
			fail("balloon: the VMM discarded %llu pages in %d s",
			     discarded, JOIN_S / 2);
			return NULL;
		}
		if (!i)
			sleep_us(20000);
		if (used[i]) {
			if (!same("balloon", page, i, i))
				return NULL;
			give(page);
			used[i] = false;
			continue;
		}
		/* Mostly left to the VMM; now and then raced for. */
		if (*(volatile uint64_t *)page == BALLOON_GIVEN && i % 64)
			continue;
		if (!take_back(page, &was_discarded))
			return NULL;
		discarded += was_discarded;
		kept += !was_discarded;
		fill(page, i);
		used[i] = true;
	}
	/* Nothing that says GIVEN goes back to the guest's kernel. */
	for (i = 0; i < BALLOON_PAGES; i++) {
		uint64_t *page = buffer + i * WORDS;

		if (used[i] && !same("balloon", page, i, i))
			return NULL;
		if (!used[i] && !take_back(page, &was_discarded))
			return NULL;
		discarded += !used[i] && was_discarded;
		page[0] = 0;
	}
	tell("load balloon %llu pages discarded by the VMM, %llu taken back before",
	     discarded, kept);
	return NULL;
}

static void add(const char *kind, void *(*run)(void *worker), int cpu, bool spoil)
{
	struct worker *w = calloc(1, sizeof(*w));

	w->kind = kind;
	w->run = run;
	w->cpu = cpu;
	w->spoil = spoil;
	w->next = workers;
	workers = w;
}

static bool add_kind(const char *word)
{
	size_t len = strcspn(word, "!");
	bool spoil = word[len] == '!';
	int cpu;

	if (!strncmp(word, "disk", len)) {
		add("disk", disk_work, 0, spoil);
	} else if (!strncmp(word, "ipi", len)) {
		for (cpu = 0; cpu < nr_cpus && nr_cpus > 1; cpu += 2)
			add("ipi", ipi_work, cpu, spoil && !cpu);
	} else if (!strncmp(word, "timer", len)) {
		for (cpu = 0; cpu < nr_cpus; cpu++)
			add("timer", timer_work, cpu, spoil && !cpu);
	} else if (!strncmp(word, "memory", len)) {
		add("memory", memory_work, 0, spoil);
	} else if (!strncmp(word, "balloon", len)) {
		add("balloon", balloon_work, 0, spoil);
	} else {
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct timespec end;
	struct worker *w;
	int i, seconds;
	int64_t begin;

	nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	nr_cpus = nr_cpus > CPUS ? CPUS : nr_cpus;
	seconds = argc > 1 ? atoi(argv[1]) : 0;
	for (i = 2; i < argc; i++) {
		if (!add_kind(argv[i]))
			seconds = 0;
	}
	if (seconds < 1 || !workers) {
		fprintf(stderr, "usage: xen-guest-load SECONDS KIND...\n");
		return 2;
	}
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	for (w = workers; w; w = w->next) {
		if (pthread_create(&w->thread, NULL, w->run, w)) {
			fail("%s: no thread", w->kind);
			return 1;
		}
	}
	begin = now_ns();
	while (now_ns() - begin < seconds * NSEC && !failed)
		sleep_us(100000);
	stop = true;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += JOIN_S;
	for (w = workers; w; w = w->next) {
		if (pthread_timedjoin_np(w->thread, NULL, &end)) {
			fail("%s: did not end", w->kind);
			_exit(1);
		}
	}
	return atomic_load(&failed);
}
