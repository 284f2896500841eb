// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest's memory costs: faults, the dirty log, memory slots that go, and
 * unmapping. Counts are of KVM's own statistics, costs are the guest's visits less
 * those of the same pages when they are mapped.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "tell.h"
#include "visitor.h"
#include "xvm.h"

#define LOW_PAGES	32		/* slot 0: the visitor's own */
#define VISITOR		16
#define GPA		0x1000000UL
#define FAULTS		VISITOR_MAX	/* pages, 32 MiB */
#define MANY		65536U		/* 256 MiB, for what is told by the GiB */
#define APART		16		/* pages that are nobody's neighbours */
#define FEW		256
#define HUGE		512		/* pages in one of 2 MiB */
#define OTHER_SLOT	3
#define OTHER_GPA	0x80000000UL
#define ROUNDS		3
#define UNIT		"instructions"

struct world {
	struct xvm vm;
	struct xvm_mem low;
	struct visitor v;
	uint8_t *mem;
	unsigned int pages;
	uint32_t list[MANY];
};

static struct world w;

static uint8_t *huge_pages(void)
{
	void *mem = mmap(NULL, MANY * XVM_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (mem == MAP_FAILED)
		xvm_die("huge pages");
	return mem;
}

/* @pages at @mem, which the host has if @there; every @step-th of them is visited. */
static void begin(uint8_t *mem, unsigned int pages, bool there, unsigned int step,
		  unsigned int flags)
{
	unsigned int i;

	xvm_mem_create(&w.low, LOW_PAGES);
	w.mem = mem;
	w.pages = pages;
	for (i = 0; i * step < pages; i++) {
		w.list[i] = GPA + i * step * XVM_PAGE;
		if (there)
			w.mem[i * step * XVM_PAGE] = 1;
	}
	xvm_create(&w.vm, true);
	xvm_manual_log(&w.vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	xvm_slot(&w.vm, 0, 0, 0, w.low.size, w.low.map);
	xvm_slot(&w.vm, 1, flags, GPA, pages * XVM_PAGE, w.mem);
	visitor_create(&w.v, &w.vm, 0, VISITOR * XVM_PAGE,
		       w.low.map + VISITOR * XVM_PAGE);
	visitor_settle(&w.v);
}

static void end(void)
{
	visitor_destroy(&w.v);
	xvm_destroy(&w.vm);
	munmap(w.mem, w.pages * XVM_PAGE);
	munmap(w.low.map, w.low.size);
	munmap(w.low.witness, w.low.size);
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* In as many runs as it takes. */
static uint64_t visit_cost(enum visit what, unsigned int nr)
{
	uint64_t start = bench_ticks();
	unsigned int i, n;

	for (i = 0; i < nr; i += n) {
		n = min(nr - i, VISITOR_MAX);
		visitor_visit(&w.v, what, 5, w.list + i, n);
	}
	return bench_ticks() - start;
}

static uint64_t exits(enum visit what, unsigned int nr)
{
	uint64_t before = visitor_stat(&w.v, "pf_taken");

	visitor_visit(&w.v, what, 5, w.list, nr);
	return visitor_stat(&w.v, "pf_taken") - before;
}

/* One fault for a page, or for all that come with it. */
static void faults(const char *parameters, unsigned int step)
{
	uint64_t first;

	begin(xvm_anon(FAULTS), FAULTS, true, step, 0);
	first = visit_cost(VISIT_WRITE, FAULTS / step);
	bench_tell("fault_4k", UNIT, parameters,
		   ((double)first - visit_cost(VISIT_WRITE, FAULTS / step)) /
		   (FAULTS / step));
	end();
}

static uint64_t slot_cost(unsigned int flags)
{
	uint64_t start = bench_ticks();

	xvm_slot(&w.vm, 1, flags, GPA, w.pages * XVM_PAGE, w.mem);
	return bench_ticks() - start;
}

/* Huge pages: mapped, made small because they are logged, and huge again. */
static void two_megabytes(void)
{
	uint64_t first, least = ~0ULL, again = ~0ULL;
	unsigned int i;

	/* They are few: a timer interrupt among them would be seen. */
	for (i = 0; i < ROUNDS; i++) {
		if (i)
			end();
		begin(huge_pages(), MANY, true, HUGE, 0);
		least = min(least, visit_cost(VISIT_WRITE, MANY / HUGE));
		if (visitor_stat(&w.v, "pages_2m") != MANY / HUGE)
			xvm_die("they are not mapped as huge pages");
		again = min(again, visit_cost(VISIT_WRITE, MANY / HUGE));
	}
	bench_tell("fault_2m", UNIT, "", ((double)least - again) / (MANY / HUGE));
	bench_tell("split", UNIT, "mib=256 per=2M",
		   (double)slot_cost(KVM_MEM_LOG_DIRTY_PAGES) / (MANY / HUGE));
	if (visitor_stat(&w.v, "pages_2m"))
		xvm_die("they were not split");
	/* The log is off; what the guest then pays belongs to it. */
	first = slot_cost(0);
	first += visit_cost(VISIT_WRITE, MANY / HUGE);
	if (visitor_stat(&w.v, "pages_2m") != MANY / HUGE)
		xvm_die("they are not huge again");
	bench_tell("recover", UNIT, "mib=256 per=2M",
		   ((double)first - visit_cost(VISIT_WRITE, MANY / HUGE)) /
		   (MANY / HUGE));
	end();
}

static void counts(void)
{
	begin(xvm_anon(FAULTS), FAULTS, true, 1, 0);
	bench_tell("exits_fresh_page", "exits", "pages=256",
		   exits(VISIT_WRITE, FEW));
	end();
	begin(xvm_anon(FAULTS), FAULTS, false, 1, 0);
	exits(VISIT_READ, FEW);		/* the zero page */
	bench_tell("exits_cow_write", "exits", "pages=256",
		   exits(VISIT_WRITE, FEW));
	end();
}

/* A pass over the tables gives way to a task that wants the CPU, and flushes before. */
static void let_others_in(bool yes)
{
	struct sched_param p = { .sched_priority = yes ? 0 : 1 };

	if (sched_setscheduler(0, yes ? SCHED_OTHER : SCHED_FIFO, &p))
		xvm_die("sched_setscheduler");
}

static void log_and_unmap(void)
{
	static uint64_t all[MANY / 64];
	uint64_t start, best = ~0ULL, before;
	unsigned int i;

	memset(all, 0xff, sizeof(all));
	begin(xvm_anon(MANY), MANY, true, 1, KVM_MEM_LOG_DIRTY_PAGES);
	for (i = 0; i < ROUNDS; i++) {
		visit_cost(VISIT_WRITE, MANY);
		start = bench_ticks();
		xvm_clear_log(&w.vm, 1, 0, MANY, all);
		best = min(best, bench_ticks() - start);
	}
	bench_tell("clear_dirty", UNIT, "mib=256 per=page", (double)best / MANY);
	end();

	begin(xvm_anon(MANY), MANY, true, 1, 0);
	visit_cost(VISIT_WRITE, MANY);
	before = visitor_stat(&w.v, "remote_tlb_flush_requests");
	let_others_in(false);
	start = bench_ticks();
	if (mprotect(w.mem, MANY * XVM_PAGE, PROT_NONE))
		xvm_die("mprotect");
	start = bench_ticks() - start;
	let_others_in(true);
	bench_tell("zap_1g", UNIT, "mib=256 per=page", (double)start / MANY);
	bench_tell("flushes", "flushes", "mib=256",
		   visitor_stat(&w.v, "remote_tlb_flush_requests") - before);
	end();
}

static void slots(void)
{
	uint8_t *other = xvm_anon(1);
	uint64_t start;

	begin(xvm_anon(MANY), MANY, true, 1, 0);
	visit_cost(VISIT_WRITE, MANY);
	xvm_slot(&w.vm, OTHER_SLOT, 0, OTHER_GPA, XVM_PAGE, other);
	start = bench_ticks();
	xvm_slot(&w.vm, OTHER_SLOT, 0, 0, 0, NULL);
	bench_tell("slot_delete", UNIT, "mapped=65536", bench_ticks() - start);
	/* Whatever that took from the guest it maps again. */
	visit_cost(VISIT_WRITE, MANY);
	visitor_destroy(&w.v);
	start = bench_ticks();
	xvm_destroy(&w.vm);
	bench_tell("teardown", UNIT, "mapped=65536", bench_ticks() - start);
}

int main(void)
{
	bench_begin();
	faults("neighbours=no", APART);
	faults("neighbours=yes", 1);
	counts();
	log_and_unmap();
	two_megabytes();
	slots();
	return 0;
}
