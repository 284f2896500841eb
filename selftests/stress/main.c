// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations of KVM's Xen ABI, from several threads, in rounds; see
 * docs/testing.rst.  This file is the supervisor: it runs each round as a process
 * group of its own, bounds its time, looks at the host after it, and tells.
 *
 *	xen_stress --seed 1234 --rounds 20	rounds 1234.0 to 1234.19
 *	xen_stress 1234.17			one round again
 *	xen_stress --kept			those that once found something
 *	xen_stress --can-fail			does it notice what is planted?
 *
 * Exit status: 0 all rounds were as they must be, 1 not so, 2 wrong usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "cover.h"
#include "kept.h"
#include "plant.h"
#include "stress.h"

static struct {
	unsigned int rounds, first, limit;
	uint32_t seed;
	bool marks;		/* in the kernel's log, for who reads both */
	const char *only;	/* one result of those a run has */
	enum plant plant;
} opt = { .rounds = 1, .limit = 60 };

static struct shared *shared;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/* A line for the kernel's log, so that a complaint has its round. */
static void mark(const char *word, const char *name)
{
	char text[RECIPE_TEXT + 32];
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC), n;

	n = snprintf(text, sizeof(text), opt.marks ? "@@%s %s\n" :
		     "xen_stress: %s round %s\n", word, name);
	if (fd >= 0) {
		if (write(fd, text, n) != n)
			perror("/dev/kmsg");
		close(fd);
	}
}

static void failed(char *why, size_t room, const char *fmt, ...)
{
	va_list ap;

	if (*why)
		return;
	va_start(ap, fmt);
	vsnprintf(why, room, fmt, ap);
	va_end(ap);
}

static void say_doing(void)
{
	for (int i = 0; i < NWORKER; i++)
		if (shared->now[i])
			printf("# worker %d was doing %s\n", i, shared->now[i]);
}

/* Wait for all processes of the round; false if there are any at @deadline. */
static bool reap(pid_t first, uint64_t deadline, int *status)
{
	int s;
	pid_t pid;

	for (;;) {
		pid = waitpid(-1, &s, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid == first)
			*status = s;
		if (pid <= 0) {
			if (now_ms() > deadline)
				return false;
			usleep(5000);
		}
	}
}

static void judge_end(int status, char *why, size_t room)
{
	if (shared->failed)
		failed(why, room, "%s", shared->failure);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
		 shared->dying)
		return;
	else if (WIFSIGNALED(status))
		failed(why, room, "the program died of signal %d",
		       WTERMSIG(status));
	else if (WEXITSTATUS(status))
		failed(why, room, "the program ended with status %d",
		       WEXITSTATUS(status));
	else
		return;
	say_doing();
}

/* One round.  Empty @why: it was as it must be. */
static void run_round(const struct recipe *recipe, const char *name, char *why,
		      size_t room)
{
	uint64_t deadline = now_ms() + opt.limit * 1000;
	int status = 0;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	plant_begin(opt.plant);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		plant_round(opt.plant, shared);
		_exit(round_run(recipe, shared));
	}
	setpgid(pid, pid);
	if (!reap(pid, deadline, &status)) {
		failed(why, room, "no end within %u s", opt.limit);
		say_doing();
		check_stacks(pid);
		kill(-pid, SIGKILL);
		if (!reap(pid, now_ms() + 10000, &status)) {
			check_stacks(pid);
			printf("@@failed %s no end within %u s, and it cannot be killed\n",
			       name, opt.limit);
			exit(1);
		}
		return;
	}
	judge_end(status, why, room);
}

static bool supervise(const struct recipe *recipe)
{
	char name[RECIPE_TEXT], why[512] = "", state[128];
	uint64_t begin = now_ms(), ms;

	recipe_print(recipe, name);
	mark("case", name);
	printf("@@round %s begins\n", name);
	run_round(recipe, name, why, sizeof(why));
	state[0] = 0;
	if (!check_clean(state, sizeof(state)) ||
	    !check_alive(state, sizeof(state)))
		failed(why, sizeof(why), "%s", state);
	plant_end();
	mark("end", name);
	ms = now_ms() - begin;
	printf("@@round %s ends %s ops=%lu exits=%lu hypercalls=%lu errors=%lu ms=%lu places=%u kept=%u\n",
	       name, *why ? "failed" : shared->dying ? "killed" : "done",
	       shared->ops, shared->exits, shared->hypercalls, shared->errors,
	       ms, cover_reached(), cover_corpus());
	if (*why)
		printf("@@failed %s %s\n", name, why);
	fflush(stdout);
	return !*why;
}

/* TAP: a plan, and one line for each result. */
static bool wanted(const char *name)
{
	return !opt.only || !strcmp(opt.only, name);
}

static void plan(unsigned int results)
{
	if (results)
		printf("1..%u\n", opt.only ? 1 : results);
	else
		printf("1..0 # SKIP no round has failed so far\n");
}

static bool result(bool good, const char *name)
{
	static unsigned int number;

	printf("%s %u %s\n", good ? "ok" : "not ok", ++number, name);
	return good;
}

static bool memory_result(void)
{
	char why[128];
	bool good = check_memory(opt.rounds, why, sizeof(why));

	printf("# %s\n", why);
	if (!good)
		printf("@@failed %u memory: %s\n", opt.seed, why);
	return result(good, "memory");
}

static bool run_rounds(void)
{
	struct recipe recipe = { .run = opt.seed };
	char name[64], why[128];
	bool good = true;
	unsigned int i;

	plan(opt.rounds + 1);
	for (i = 0; i < opt.rounds; i++) {
		recipe.index = opt.first + i;
		/* Without what coverage adds, so that results keep their names. */
		snprintf(name, sizeof(name), "round-%u.%u", recipe.run,
			 recipe.index);
		if (!wanted(name))
			continue;
		cover_breed(&recipe);
		good &= result(supervise(&recipe), name);
		/* The first rounds fill what the kernel keeps for later. */
		if (i == 1)
			check_memory(0, why, sizeof(why));
	}
	if (wanted("memory"))
		good &= memory_result();
	return good;
}

static bool run_named(int n, char **names)
{
	struct recipe recipe;
	bool good = true;
	char name[RECIPE_TEXT + 8];

	plan(n);
	for (; n--; names++) {
		if (!recipe_parse(&recipe, *names)) {
			fprintf(stderr, "xen_stress: %s is not the name of a round\n",
				*names);
			exit(2);
		}
		snprintf(name, sizeof(name), "round-%s", *names);
		if (wanted(name))
			good &= result(supervise(&recipe), name);
	}
	return good;
}

/* Each planted defect has to fail its round; without one, none may fail. */
static bool run_can_fail(void)
{
	struct recipe recipe = { .run = 1, .index = 4 };
	unsigned int limit = opt.limit;
	bool good = true;
	char name[64];

	plan(PLANTS);
	for (opt.plant = PLANT_NONE; opt.plant < PLANTS; opt.plant++) {
		snprintf(name, sizeof(name), "planted.%s", plant_names[opt.plant]);
		if (!wanted(name))
			continue;
		opt.limit = opt.plant == PLANT_HANG ? limit / 10 : limit;
		good &= result(supervise(&recipe) == (opt.plant == PLANT_NONE),
			       name);
	}
	return good;
}

static int wrong_usage(void)
{
	fprintf(stderr,
		"usage: xen_stress [--seed N] [--first N] [--rounds N] [--limit SECONDS]\n"
		"                  [--marks] [--any-msr] [--no-timer] [--plant NAME] [ROUND... | --kept | --can-fail]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "first", required_argument, NULL, 'f' },
		{ "rounds", required_argument, NULL, 'n' },
		{ "limit", required_argument, NULL, 'l' },
		{ "marks", no_argument, NULL, 'm' },
		{ "plant", required_argument, NULL, 'p' },
		{ "any-msr", no_argument, NULL, 'a' },
		{ "no-timer", no_argument, NULL, 't' },
		{ "kept", no_argument, NULL, 'k' },
		{ "can-fail", no_argument, NULL, 'c' },
		{}
	};
	bool kept = false, can_fail = false, good;
	const char *slow = getenv("LAB_SLOW");
	int o;

	while ((o = getopt_long(argc, argv, "r:", options, NULL)) != -1) {
		switch (o) {
		case 's':
			opt.seed = strtoul(optarg, NULL, 0);
			break;
		case 'f':
			opt.first = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			opt.rounds = strtoul(optarg, NULL, 0);
			break;
		case 'l':
			opt.limit = strtoul(optarg, NULL, 0);
			break;
		case 'm':
			opt.marks = true;
			break;
		case 'p':
			opt.plant = plant_find(optarg);
			if (opt.plant == PLANTS)
				return wrong_usage();
			break;
		case 'a':
			any_msr = true;
			break;
		case 't':
			no_timer = true;
			break;
		case 'k':
			kept = true;
			break;
		case 'c':
			can_fail = true;
			break;
		case 'r':	/* as programs on the kselftest harness have it */
			opt.only = optarg;
			break;
		default:
			return wrong_usage();
		}
	}
	/* The limit is of a fast host's seconds. */
	if (slow && atoi(slow) > 0)
		opt.limit *= atoi(slow);
	setvbuf(stdout, NULL, _IOLBF, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return wrong_usage();
	/* What a round leaves behind becomes our child. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	printf("# coverage: %s\n", cover_setup() ? "KCOV" : "none");
	check_begin();
	check_merging(true);
	if (kept)
		good = run_named(sizeof(kept_rounds) / sizeof(kept_rounds[0]) - 1,
				 (char **)kept_rounds);
	else if (can_fail)
		good = run_can_fail();
	else if (optind < argc)
		good = run_named(argc - optind, argv + optind);
	else
		good = run_rounds();
	check_merging(false);
	return !good;
}
