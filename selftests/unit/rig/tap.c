// SPDX-License-Identifier: GPL-2.0
/*
 * The runner: TAP on standard output, everything the tests say in a log.
 *
 * unit [-t seconds] [-l log] [-r race-ms] [-j n] [-a words] [-n] [text...] runs the tests
 * whose name has one of the texts in it; -n leaves the planted bugs out, -j n has threads stay
 * at a step in n (rig/rig.c), -a words go into the line that says how to repeat a failure. A
 * child per test; the parent never starts a thread.
 * Exit: 0 all passed, 1 some failed, 2 bad usage, 3 the rig itself is broken.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <sys/mman.h>
#include <unistd.h>
#include "rig/cpu.h"
#include "rig/mem.h"
#include "rig/rcu.h"
#include "rig/tap.h"
#include "rig/wait.h"

#define SHOW_LINES	60

void __asan_poison_memory_region(void const volatile *p, size_t n)
	__attribute__((__weak__));
void AnnotateIgnoreReadsBegin(const char *f, int l) __attribute__((__weak__));

uint64_t unit_seed;
unsigned int unit_race_ms = 400;

static struct unit_test *first, **last = &first;
static FILE *log_file;
static const char *again = "";

void unit_test_register(struct unit_test *t)
{
	*last = t;
	last = &t->next;
}

/* A bug that only the other sanitizer finds is not planted in this run at all. */
static bool fits_sanitizer(const struct unit_test *t)
{
	if (t->flags & UNIT_T_address)
		return __asan_poison_memory_region;
	if (t->flags & UNIT_T_thread)
		return AnnotateIgnoreReadsBegin;
	return true;
}

static bool wanted(const char *name, char **texts, int n)
{
	for (int i = 0; i < n; i++)
		if (strstr(name, texts[i]))
			return true;
	return !n;
}

static void on_usr1(int sig)
{
	(void)sig;
	unit_log_tasks();
}

/* Of the run's seed and the test's name: a test alone does what it did among others. */
static uint64_t seed_of(const char *name)
{
	uint64_t seed = unit_seed;

	while (*name) {
		seed += (unsigned char)*name++;
		seed = unit_rand(&seed);
	}
	return seed;
}

static void run_child(const struct unit_test *t, bool rt, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out, 2);
	dup2(out, 1);
	setvbuf(stderr, NULL, _IOLBF, 0);
	signal(SIGUSR1, on_usr1);
	unit_rt = rt;
	/* With every other seed, what lasts ten milliseconds is over at once. */
	unit_jiffy_shift = unit_seed % 2 ? UNIT_JIFFY_MS : UNIT_JIFFY_HASTY;
	unit_jitter_seed = seed_of(t->name) + rt;
	unit_task_begin("main", NULL);
	t->fn();
	unit_rcu_stop();
	unit_expect_check();
	if (unit_alloc_outstanding())
		unit_fail("leak", "%ld allocations never freed",
			  unit_alloc_outstanding());
	unit_wait_end();
	unit_task_end();
	exit(0);
}

/* Wait for the child, at most @limit seconds. Return: its wait status. */
static int await(pid_t pid, unsigned int limit, bool *hung)
{
	uint64_t end = unit_now_ns() + limit * 1000000000ull;
	struct timespec nap = { .tv_nsec = 200 * 1000 };
	int status;

	*hung = false;
	for (;;) {
		pid_t r = waitpid(pid, &status, WNOHANG);

		if (r == pid)
			return status;
		if (r < 0 && errno != EINTR) {
			perror("unit: waitpid");
			exit(3);
		}
		if (!*hung && unit_now_ns() > end) {
			struct timespec say = { .tv_nsec = 200000000 };

			*hung = true;
			kill(pid, SIGUSR1);
			nanosleep(&say, NULL);
			kill(pid, SIGKILL);
		}
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < 5000000)
			nap.tv_nsec += 100000;
	}
}

/* What the child said; a hang has its last word from us. */
static char *slurp(int fd, bool hung, unsigned int limit)
{
	off_t n;
	char *s;

	if (hung) {
		lseek(fd, 0, SEEK_END);
		dprintf(fd, "unit: hang: still running after %u s\n", limit);
	}
	n = lseek(fd, 0, SEEK_END);
	s = malloc(n + 1);
	if (n < 0 || !s || pread(fd, s, n, 0) != n) {
		perror("unit: the test's output");
		exit(3);
	}
	s[n] = 0;
	return s;
}

static void show(const char *said)
{
	int lines = 0;

	while (*said && lines++ < SHOW_LINES) {
		int n = strcspn(said, "\n");

		printf("# %.*s\n", n, said);
		said += n + (said[n] == '\n');
	}
}

/* Does @said contain one of the texts, which are separated by '|'? */
static bool says(const char *said, const char *texts)
{
	char one[200];

	while (*texts) {
		int n = strcspn(texts, "|");

		snprintf(one, sizeof(one), "%.*s", n, texts);
		if (strstr(said, one))
			return true;
		texts += n + (texts[n] == '|');
	}
	return false;
}

/* Return: did it pass? */
static bool run_one(const struct unit_test *t, bool rt, int nr,
		    const char *name, unsigned int limit)
{
	int out = memfd_create("out", 0), status;
	uint64_t began = unit_now_ns();
	bool hung, ok;
	char *said;
	pid_t pid;

	fflush(stdout);
	if (log_file)
		fflush(log_file);
	pid = out < 0 ? -1 : fork();
	if (pid < 0) {
		perror("unit: fork");
		exit(3);
	}
	if (!pid)
		run_child(t, rt, out);
	status = await(pid, limit, &hung);
	said = slurp(out, hung, limit);
	close(out);

	if (t->expect)
		ok = !(WIFEXITED(status) && !WEXITSTATUS(status)) &&
		     says(said, t->expect);
	else
		ok = !hung && WIFEXITED(status) && !WEXITSTATUS(status);
	printf("%sok %d - %s\n", ok ? "" : "not ", nr, name);
	if (!ok) {
		if (hung)
			printf("# killed\n");
		else if (WIFSIGNALED(status))
			printf("# died of signal %d\n", WTERMSIG(status));
		else
			printf("# ended with status %d\n", WEXITSTATUS(status));
		if (t->expect)
			printf("# a planted bug that should have been found with: %s\n",
			       t->expect);
		show(said);
		printf("# again: %sSEED=%llu selftests/unit/run '%s'\n", again,
		       (unsigned long long)unit_seed, name);
	}
	if (log_file)
		fprintf(log_file, "%s %d - %s (%llu ms)\n%s\n",
			ok ? "ok" : "not ok", nr, name,
			(unsigned long long)(unit_now_ns() - began) / 1000000,
			said);
	free(said);
	return ok;
}

int main(int argc, char **argv)
{
	int nr = 0, total = 0, passed = 0, failed = 0, c;
	uint64_t began = unit_now_ns();
	unsigned int limit = 20;
	bool no_planted = false;
	struct unit_test *t;
	const char *seed = getenv("SEED");

	while ((c = getopt(argc, argv, "t:l:r:j:a:n")) != -1) {
		switch (c) {
		case 't':
			limit = atoi(optarg);
			break;
		case 'r':
			unit_race_ms = atoi(optarg);
			break;
		case 'j':
			unit_jitter_n = atoi(optarg);
			break;
		case 'a':
			again = optarg;
			break;
		case 'n':
			no_planted = true;
			break;
		case 'l':
			log_file = fopen(optarg, "w");
			if (log_file)
				break;
			perror(optarg);
			return 3;
		default:
			return 2;
		}
	}
	unit_seed = seed && *seed ? strtoull(seed, NULL, 0) :
		    (uint64_t)time(NULL) << 16 ^ getpid();
	signal(SIGPIPE, SIG_DFL);

	for (int pass = 0; pass < 2; pass++) {
		if (pass) {
			if (!total) {
				fprintf(stderr, "unit: no test has that in its name\n");
				return 2;
			}
			printf("TAP version 13\n1..%d\n# SEED=%llu\n", total,
			       (unsigned long long)unit_seed);
		}
		for (t = first; t; t = t->next)
			for (int rt = 0; rt <= !!(t->flags & UNIT_T_RT); rt++) {
				char name[200];

				snprintf(name, sizeof(name), "%s%s",
					 rt ? "rt: " : "", t->name);
				if (!wanted(name, argv + optind, argc - optind) ||
				    !fits_sanitizer(t) ||
				    (t->expect && no_planted))
					continue;
				if (!pass) {
					total++;
				} else if (run_one(t, rt, ++nr, name,
						   t->limit ? t->limit : limit)) {
					passed++;
				} else {
					failed++;
				}
			}
	}
	printf("# %.1f s\n", (unit_now_ns() - began) / 1e9);
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return failed ? 1 : 0;
}
