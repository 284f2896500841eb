// SPDX-License-Identifier: GPL-2.0
/*
 * What contention costs on this machine's own processors: the base kernel's caches
 * and ours, loaded side by side, in turn.
 *
 * usage: cores DIRECTORY REPETITIONS MILLISECONDS
 *
 * DIRECTORY has the objects of the sides. A line of output is a figure: metric,
 * unit, parameters, side, repetition, value, with tabs between. Each thread is bound
 * to a processor, and there are no more threads than processors.
 *
 * Exit: 0, or 3 if something could not be measured.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <x86intrin.h>

#include "side.h"

#define CACHES		512	/* in use while events are delivered */
#define LONGEST		(1 << 20)	/* ticks of a delivery; of longer ones only the longest is told */
#define LINES		128	/* bytes that processors fetch at a time */
#define OVERLAPS_MAX	(1 << 16)
#define GAP_NS		400	/* an unmapping, from its start to its end */
#define PAUSE_NS	400	/* from there to the next */
#define OVERLAP_PAUSE_NS 20000	/* of shared_info's own page */
#define WARM_UP_MS	2
#define TRIES		20	/* of what was disturbed */
#define NOTIFIER_LOOPS	512
#define REFRESH_LOOPS	512
#define INTERRUPTS	64
#define COUNT_LOOPS	64
#define PORTS		512	/* of each vCPU: lines of their own */
#define ZAPS		8	/* of one VM */
#define ZAP_PAGES	16384UL
#define ZAP_GFN		(1UL << 20)
#define FAULT_PAGES	(1UL << 17)	/* of each vCPU: more than a zap has time for */

static const unsigned int sizes[] = { 1, 64, 512, 4096 };
#define NR_SIZES	(sizeof(sizes) / sizeof(sizes[0]))

enum storm { NONE, UNRELATED, OVERLAP, STORMS };
static const char *const storm_name[] = { "none", "unrelated", "overlap" };

enum { OURS, STOCK, SIDES };
static const char *const side_name[] = { "ours", "stock" };

static int processors[CORES_VCPUS];
static unsigned int nr_processors;
static double ticks_per_ns;
static uint64_t clock_cost;
/*
 * How many deliveries took so many ticks: a list of them would touch a page for each
 * thousand, which is what the slowest thousandth then would show.
 */
static uint32_t took_ticks[LONGEST];
static uint64_t longest;
static uint32_t *overlaps;
static int stop;	/* atomic */

static void __attribute__((__noreturn__, __format__(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	fputs("cores: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(3);
}

static uint64_t ticks(void)
{
	uint64_t now;

	_mm_lfence();
	now = __rdtsc();
	_mm_lfence();
	return now;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static double to_ns(double t)
{
	return t / ticks_per_ns;
}

/* How often the thread's processor was taken away. */
static long switches(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_THREAD, &u))
		die("getrusage");
	return u.ru_nivcsw;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void calibrate(void)
{
	uint32_t empty[1001];
	uint64_t ns, t;
	int i;

	ns = now_ns();
	t = ticks();
	while (now_ns() - ns < 50000000)
		;
	ticks_per_ns = (double)(ticks() - t) / (now_ns() - ns);
	for (i = 0; i < 1001; i++) {
		t = ticks();
		empty[i] = ticks() - t;
	}
	qsort(empty, 1001, sizeof(*empty), by_size);
	clock_cost = empty[500];
}

static void find_processors(void)
{
	cpu_set_t set;
	int i;

	if (sched_getaffinity(0, sizeof(set), &set))
		die("which processors there are is not known");
	for (i = 0; i < CPU_SETSIZE && nr_processors < CORES_VCPUS; i++)
		if (CPU_ISSET(i, &set))
			processors[nr_processors++] = i;
}

static void bind_to(unsigned int nr)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processors[nr], &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("a thread cannot be bound to processor %d", processors[nr]);
}

static const struct cores_side *load(const char *directory, const char *name)
{
	const struct cores_side *side;
	char path[4096];
	void *so;

	snprintf(path, sizeof(path), "%s/%s.so", directory, name);
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	side = so ? dlsym(so, "cores_side") : NULL;
	if (!side)
		die("%s", dlerror());
	return side;
}

static void tell(const char *metric, const char *unit, const char *parameters,
		 int side, unsigned int rep, double value)
{
	printf("%s\t%s\t%s\t%s\t%u\t%.6g\n", metric, unit, parameters,
	       side_name[side], rep, value);
	fflush(stdout);
}

/* One thread with something to do, until it is told to stop. */
/* Each on lines of its own: who counts is not to hold up who delivers. */
struct __attribute__((__aligned__(LINES))) worker {
	const struct cores_side *side;
	unsigned int cpu;
	enum storm storm;
	uint64_t done;
	long lost;		/* its processor, as often */
	pthread_t thread;
};

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void spin(uint64_t for_ticks)
{
	uint64_t start = __rdtsc();

	while (__rdtsc() - start < for_ticks)
		;
}

/*
 * Without a storm it is as busy: threads of one processor core share more than memory,
 * and what that costs is no storm's.
 */
static void *storm_main(void *arg)
{
	struct worker *w = arg;
	unsigned int gap = GAP_NS * ticks_per_ns;
	unsigned int pause = ticks_per_ns * (w->storm == OVERLAP ?
					     OVERLAP_PAUSE_NS : PAUSE_NS);
	uint64_t start;

	bind_to(w->cpu);
	w->side->enter(w->cpu);
	while (!stopped()) {
		start = ticks();
		if (w->storm == OVERLAP)
			w->side->overlap(gap);
		else if (w->storm == UNRELATED)
			w->side->unrelated(gap);
		else
			spin(gap);
		start = ticks() - start - gap;
		if (w->storm == OVERLAP && w->done < OVERLAPS_MAX)
			overlaps[w->done] = start < UINT32_MAX ? start :
								 UINT32_MAX;
		w->done++;
		spin(pause);
	}
	return NULL;
}

/* Delivers, and notes how long each took. */
static void *latency_main(void *arg)
{
	struct worker *w = arg;
	uint64_t start, took;

	bind_to(w->cpu);
	w->side->enter(w->cpu);
	for (; !stopped(); w->done++) {
		start = ticks();
		w->side->deliver(0, w->done % PORTS);
		took = ticks() - start;
		took = took > clock_cost ? took - clock_cost : 0;
		longest = took > longest ? took : longest;
		took_ticks[took < LONGEST ? took : LONGEST - 1]++;
	}
	return NULL;
}

static void *rate_main(void *arg)
{
	struct worker *w = arg;

	bind_to(w->cpu);
	w->side->enter(w->cpu);
	for (; !stopped(); w->done++)
		w->side->deliver(w->cpu % 8,
				 w->cpu % 8 * PORTS + w->done % PORTS);
	return NULL;
}

static void start(struct worker *w, void *(*main)(void *))
{
	if (pthread_create(&w->thread, NULL, main, w))
		die("no thread");
}

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

static void join(struct worker *w, unsigned int nr)
{
	unsigned int i;

	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < nr; i++)
		pthread_join(w[i].thread, NULL);
	__atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
}

/* What @part of @n deliveries took at most, ticks. */
static uint64_t percentile(uint64_t n, double part)
{
	uint64_t left = n * part, t = 0;

	while (left >= took_ticks[t])
		left -= took_ticks[t++];
	return t < LONGEST - 1 ? t : longest;
}

/* False: other work of the machine's took too much of the time. */
static bool try_latency(const struct cores_side *side, int nr, enum storm storm,
			unsigned int rep, unsigned int ms)
{
	struct worker w[2] = {
		{ .side = side, .cpu = 0 },
		{ .side = side, .cpu = 1, .storm = storm },
	};
	char parameters[64];
	unsigned int threads = nr_processors > 1 ? 2 : 1;
	uint64_t n, nr_overlaps;

	memset(took_ticks, 0, sizeof(took_ticks));
	longest = 0;
	side->begin(CACHES);
	if (threads > 1) {
		start(&w[1], storm_main);
		sleep_ms(WARM_UP_MS);
	}
	start(&w[0], latency_main);
	sleep_ms(ms);
	join(w, threads);
	n = w[0].done;
	if (n < 1000 || (threads > 1 && w[1].done < 10)) {
		side->end();
		return false;
	}
	snprintf(parameters, sizeof(parameters), "storm=%s", storm_name[storm]);
	tell("events_lost", "events", parameters, nr, rep, side->lost());
	if (storm == OVERLAP) {
		nr_overlaps = w[1].done < OVERLAPS_MAX ? w[1].done :
							 OVERLAPS_MAX;
		qsort(overlaps, nr_overlaps, sizeof(*overlaps), by_size);
		tell("notifier_overlap", "ns", "caches=512", nr, rep,
		     to_ns(overlaps[nr_overlaps / 2]));
	}
	side->end();

	tell("deliver_p50", "ns", parameters, nr, rep, to_ns(percentile(n, 0.5)));
	tell("deliver_p99", "ns", parameters, nr, rep, to_ns(percentile(n, 0.99)));
	tell("deliver_p999", "ns", parameters, nr, rep,
	     to_ns(percentile(n, 0.999)));
	tell("deliver_max", "ns", parameters, nr, rep, to_ns(longest));
	return true;
}

static void latency(const struct cores_side *side, int nr, enum storm storm,
		    unsigned int rep, unsigned int ms)
{
	int tries = TRIES;

	while (!try_latency(side, nr, storm, rep, ms))
		if (!--tries)
			die("%s, storm=%s: too few events; the machine is busy",
			    side_name[nr], storm_name[storm]);
}

/* What the rig has for an interrupt of other CPUs, while another runs. */
static void interrupts(const struct cores_side *side, int nr, unsigned int rep)
{
	struct worker w = { .side = side, .cpu = 1 };
	uint32_t took[INTERRUPTS];
	uint64_t t;
	int i;

	bind_to(0);
	side->begin(1);
	start(&w, storm_main);
	sleep_ms(WARM_UP_MS);
	for (i = 0; i < INTERRUPTS; i++) {
		t = ticks();
		side->interrupt();
		took[i] = ticks() - t;
	}
	join(&w, 1);
	side->end();
	qsort(took, INTERRUPTS, sizeof(*took), by_size);
	tell("rig_interrupt", "ns", "", nr, rep, to_ns(took[INTERRUPTS / 2]));
}

static void rate(const struct cores_side *side, int nr, unsigned int cpus,
		 unsigned int rep, unsigned int ms)
{
	struct worker w[CORES_VCPUS] = {};
	uint64_t done = 0, began;
	char parameters[64];
	unsigned int i;

	side->begin(CACHES);
	began = now_ns();
	for (i = 0; i < cpus; i++) {
		w[i].side = side;
		w[i].cpu = i;
		start(&w[i], rate_main);
	}
	sleep_ms(ms);
	join(w, cpus);
	began = now_ns() - began;
	for (i = 0; i < cpus; i++)
		done += w[i].done;
	side->end();
	snprintf(parameters, sizeof(parameters), "cpus=%u", cpus);
	tell("deliver_rate", "1/s", parameters, nr, rep, done * 1e9 / began);
}

/* Invalidations and what follows them, nobody else being there. */
static void alone(const struct cores_side *side, int nr, unsigned int caches,
		  unsigned int rep)
{
	uint64_t sum = 0, t;
	char parameters[64];
	int tries = TRIES;
	unsigned int i;
	long before;

	snprintf(parameters, sizeof(parameters), "caches=%u", caches);
	bind_to(0);
	side->begin(caches);
	for (i = 0; i < NOTIFIER_LOOPS; i++)
		side->unrelated(0);
	do {
		before = switches();
		t = ticks();
		for (i = 0; i < NOTIFIER_LOOPS; i++)
			side->unrelated(0);
		t = ticks() - t;
	} while (switches() != before && --tries);
	tell("notifier_unrelated", "ns", parameters, nr, rep,
	     to_ns(t) / NOTIFIER_LOOPS);
	if (caches == CACHES) {
		tries = TRIES;
		do {
			before = switches();
			for (sum = i = 0; i < REFRESH_LOOPS; i++) {
				side->overlap(0);
				t = ticks();
				side->refresh();
				sum += ticks() - t - clock_cost;
			}
		} while (switches() != before && --tries);
		tell("refresh", "ns", parameters, nr, rep,
		     to_ns(sum) / REFRESH_LOOPS);
	}
	side->end();
}

/* Faults in memory of its own, which is fresh, for as long as there is some. */
static void *fault_main(void *arg)
{
	struct worker *w = arg;
	unsigned long first = (w->cpu - 1) * FAULT_PAGES, i;

	bind_to(w->cpu);
	w->lost = -switches();
	w->side->enter(w->cpu);
	for (i = 0; !stopped() && i < FAULT_PAGES; i++) {
		w->side->fault(w->cpu, first + i);
		__atomic_store_n(&w->done, w->done + 1, __ATOMIC_RELAXED);
	}
	/* All of them, before the zap was over: it must have been held up. */
	w->lost += switches() + !stopped();
	return NULL;
}

static uint64_t all_done(struct worker *w, unsigned int nr)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < nr; i++)
		sum += __atomic_load_n(&w[i].done, __ATOMIC_RELAXED);
	return sum;
}

struct zap {
	uint64_t took, faults;
};

static int by_time(const void *a, const void *b)
{
	const struct zap *x = a, *y = b;

	return x->took < y->took ? -1 : x->took > y->took;
}

/*
 * One processor zaps 64 MiB of 4K pages in one invalidation, the others fault in
 * memory that it does not concern. Only what is done while it lasts counts.
 */
static void zap_beside(const struct cores_side *side, int nr, unsigned int rep)
{
	unsigned int others = nr_processors - 1, i, k;
	struct worker w[CORES_VCPUS] = {};
	struct zap zap[ZAPS];
	uint64_t took = 0, faults = 0, t;
	int tries = ZAPS * TRIES;
	char parameters[64];
	long lost;

	for (k = 0; k < ZAPS; k += !lost || tries <= 0) {
		bind_to(0);
		side->mmu_begin(nr_processors);
		for (i = 0; i < ZAP_PAGES; i++)
			side->fault(0, ZAP_GFN + i);
		if (side->mapped() != ZAP_PAGES)
			die("%s: %ld pages are mapped", side_name[nr],
			    side->mapped());
		for (i = 0; i < others; i++) {
			w[i] = (struct worker){ .side = side, .cpu = i + 1 };
			start(&w[i], fault_main);
		}
		while (all_done(w, others) < 100)
			sched_yield();
		lost = -switches();
		zap[k].faults = all_done(w, others);
		t = ticks();
		side->zap(ZAP_GFN, ZAP_PAGES);
		zap[k].took = ticks() - t;
		zap[k].faults = all_done(w, others) - zap[k].faults;
		join(w, others);
		if (side->mapped() != (long)all_done(w, others))
			die("%s: %ld pages are mapped after the zap",
			    side_name[nr], side->mapped());
		side->mmu_end();
		/* Once more, if a processor was taken away. */
		lost += switches();
		for (i = 0; i < others; i++)
			lost += w[i].lost;
		tries--;
	}
	/* The middle half. */
	qsort(zap, ZAPS, sizeof(*zap), by_time);
	for (k = ZAPS / 4; k < ZAPS - ZAPS / 4; k++) {
		took += zap[k].took;
		faults += zap[k].faults;
	}
	snprintf(parameters, sizeof(parameters), "cpus=%u", nr_processors);
	tell("fault_beside_zap", "1/s", parameters, nr, rep,
	     faults / to_ns(took) * 1e9);
	tell("zap_beside_faults", "ns", parameters, nr, rep, to_ns(took) / (ZAPS / 2));
}

/* The same, one after the other. False: the processor was taken away. */
static bool try_zap_alone(const struct cores_side *side, int nr, unsigned int rep,
			  bool last)
{
	uint64_t faults, t;
	unsigned int i;
	long lost;

	bind_to(0);
	lost = switches();
	side->mmu_begin(1);
	side->fault(0, ZAP_GFN);
	faults = ticks();
	for (i = 0; i < ZAP_PAGES; i++)
		side->fault(0, ZAP_GFN + i);
	faults = ticks() - faults;
	t = ticks();
	side->zap(ZAP_GFN, ZAP_PAGES);
	t = ticks() - t;
	if (side->mapped())
		die("%s: %ld pages are mapped after the zap", side_name[nr],
		    side->mapped());
	side->mmu_end();
	if (switches() != lost && !last)
		return false;
	tell("fault_4k", "ns", "", nr, rep, to_ns(faults) / ZAP_PAGES);
	tell("zap_alone", "ns", "", nr, rep, to_ns(t));
	return true;
}

static void zap_alone(const struct cores_side *side, int nr, unsigned int rep)
{
	int tries = TRIES;

	while (!try_zap_alone(side, nr, rep, !--tries))
		;
}

/* Locks taken by an event of each kind. */
static void count(const struct cores_side *side, int nr)
{
	unsigned long before;
	char parameters[64];
	unsigned int i, j;

	for (i = 0; i < NR_SIZES; i++) {
		side->begin(sizes[i]);
		before = side->locks();
		for (j = 0; j < COUNT_LOOPS; j++)
			side->unrelated(0);
		snprintf(parameters, sizeof(parameters),
			 "event=unrelated caches=%u", sizes[i]);
		tell("lock_acquisitions", "locks", parameters, nr, 0,
		     (double)(side->locks() - before) / COUNT_LOOPS);
		side->end();
	}
	side->begin(CACHES);
	before = side->locks();
	for (j = 0; j < COUNT_LOOPS; j++)
		side->deliver(0, j);
	tell("lock_acquisitions", "locks", "event=deliver", nr, 0,
	     (double)(side->locks() - before) / COUNT_LOOPS);
	side->overlap(0);
	before = side->locks();
	side->refresh();
	tell("lock_acquisitions", "locks", "event=refresh", nr, 0,
	     side->locks() - before);
	before = side->locks();
	side->overlap(0);
	tell("lock_acquisitions", "locks", "event=overlap", nr, 0,
	     side->locks() - before);
	side->end();
}

static void repetition(const struct cores_side *const *side, unsigned int rep,
		       unsigned int ms)
{
	unsigned int first = rep % SIDES, i, k;
	enum storm storm;
	int nr;

	for (storm = NONE; storm < STORMS; storm++)
		for (i = 0; i < SIDES && (storm == NONE || nr_processors > 1);
		     i++) {
			nr = (first + i) % SIDES;
			latency(side[nr], nr, storm, rep, ms);
		}
	for (k = 1; k <= nr_processors; k++)
		for (i = 0; i < SIDES; i++) {
			nr = (first + i) % SIDES;
			rate(side[nr], nr, k, rep, ms);
		}
	for (k = 0; k < NR_SIZES; k++)
		for (i = 0; i < SIDES; i++) {
			nr = (first + i) % SIDES;
			alone(side[nr], nr, sizes[k], rep);
		}
	for (i = 0; i < SIDES; i++) {
		nr = (first + i) % SIDES;
		zap_alone(side[nr], nr, rep);
		if (nr_processors > 1) {
			zap_beside(side[nr], nr, rep);
			interrupts(side[nr], nr, rep);
		}
	}
}

int main(int argc, char **argv)
{
	const struct cores_side *side[SIDES], *counting[SIDES];
	unsigned int reps, ms, i;

	if (argc != 4)
		die("usage: cores DIRECTORY REPETITIONS MILLISECONDS");
	reps = atoi(argv[2]);
	ms = atoi(argv[3]);
	if (reps < 1 || ms < 1)
		die("nothing would be measured");
	overlaps = calloc(OVERLAPS_MAX, sizeof(*overlaps));
	if (!overlaps)
		die("no memory");
	find_processors();
	calibrate();
	side[OURS] = load(argv[1], "ours");
	side[STOCK] = load(argv[1], "stock");
	counting[OURS] = load(argv[1], "ours-count");
	counting[STOCK] = load(argv[1], "stock-count");
	for (i = 0; i < SIDES; i++)
		count(counting[i], i);
	for (i = 0; i < reps; i++)
		repetition(side, i, ms);
	return 0;
}
