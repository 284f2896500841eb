// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest's memory costs: faults, the dirty log, memory slots that go, and
 * unmapping. Counts are of KVM's own statistics, costs are the guest's visits less
 * those of the same pages when they are mapped.
 *
 * usage: memory MIB
 *
 * So much is what is asked by the GiB measured on: with 1024, a whole one.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "tell.h"
#include "visitor.h"
#include "xvm.h"

#define LOW_PAGES	32		/* slot 0: the visitor's own */
#define VISITOR		16
#define GPA		0x1000000UL
#define FAULTS		VISITOR_MAX	/* pages, 32 MiB */
#define APART		16		/* pages that are nobody's neighbours */
#define FEW		256
#define HUGE		512		/* pages in one of 2 MiB */
#define OTHER_SLOT	3
#define OTHER_GPA	0x80000000UL
#define MOST_MIB	1024U		/* below OTHER_GPA */
#define PER_MIB		256U		/* pages */
#define ROUNDS		3
#define UNIT		"instructions"

struct world {
	struct xvm vm;
	struct xvm_mem low;
	struct visitor v;
	uint8_t *mem;
	unsigned int pages;
	uint32_t list[MOST_MIB * PER_MIB];
};

static struct world w;
/* What is asked by the GiB: its MiB, its pages, and the memory, one for all guests. */
static unsigned int mib, many;
static uint8_t *memory;

static void tell_per(const char *metric, const char *per, double value)
{
	char parameters[32];

	snprintf(parameters, sizeof(parameters), "mib=%u per=%s", mib, per);
	bench_tell(metric, UNIT, parameters, value);
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

/* The host keeps the memory. */
static void end(void)
{
	visitor_destroy(&w.v);
	xvm_destroy(&w.vm);
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

/*
 * The guest has all of it mapped, and has written to it. An exit for each page would
 * take the emulator most of its time.
 */
static void map_all(void)
{
	struct kvm_pre_fault_memory range = {
		.gpa = GPA,
		.size = w.pages * XVM_PAGE,
	};
	int r;

	/* Stock's never comes to an end with tables that were thrown away. */
	visitor_visit(&w.v, VISIT_NONE, 0, NULL, 0);
	do {
		r = ioctl(w.vm.cpu[0], KVM_PRE_FAULT_MEMORY, &range);
	} while (r && errno == EINTR);
	if (r || range.size)
		xvm_die("KVM_PRE_FAULT_MEMORY");
	visit_cost(VISIT_WRITE, w.pages);
	/* The visitor's own are there, too. */
	if (visitor_stat(&w.v, "pages_4k") < w.pages)
		xvm_die("they are not mapped as small pages");
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

	begin(memory, FAULTS, true, step, 0);
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
	uint8_t *mem = xvm_huge(many * XVM_PAGE, 0);
	uint64_t first, least = ~0ULL, again = ~0ULL;
	unsigned int i, nr = many / HUGE;

	if (mem == MAP_FAILED)
		xvm_die("huge pages");
	/* They are few: a timer interrupt among them would be seen. */
	for (i = 0; i < ROUNDS; i++) {
		if (i)
			end();
		begin(mem, many, true, HUGE, 0);
		least = min(least, visit_cost(VISIT_WRITE, nr));
		if (visitor_stat(&w.v, "pages_2m") != nr)
			xvm_die("they are not mapped as huge pages");
		again = min(again, visit_cost(VISIT_WRITE, nr));
	}
	bench_tell("fault_2m", UNIT, "", ((double)least - again) / nr);
	tell_per("split", "2M", (double)slot_cost(KVM_MEM_LOG_DIRTY_PAGES) / nr);
	if (visitor_stat(&w.v, "pages_2m"))
		xvm_die("they were not split");
	/* The log is off; what the guest then pays belongs to it. */
	first = slot_cost(0);
	first += visit_cost(VISIT_WRITE, nr);
	if (visitor_stat(&w.v, "pages_2m") != nr)
		xvm_die("they are not huge again");
	tell_per("recover", "2M", ((double)first - visit_cost(VISIT_WRITE, nr)) / nr);
	end();
	munmap(mem, many * XVM_PAGE);
}

static void counts(void)
{
	uint8_t *mem = xvm_anon(FEW);

	begin(memory, FAULTS, true, 1, 0);
	bench_tell("exits_fresh_page", "exits", "pages=256",
		   exits(VISIT_WRITE, FEW));
	end();
	begin(mem, FEW, false, 1, 0);
	exits(VISIT_READ, FEW);		/* the zero page */
	bench_tell("exits_cow_write", "exits", "pages=256",
		   exits(VISIT_WRITE, FEW));
	end();
	munmap(mem, FEW * XVM_PAGE);
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
	static uint64_t all[MOST_MIB * PER_MIB / 64];
	uint64_t start, before;
	char parameters[16];

	memset(all, 0xff, sizeof(all));
	begin(memory, many, true, 1, KVM_MEM_LOG_DIRTY_PAGES);
	map_all();
	start = bench_ticks();
	xvm_clear_log(&w.vm, 1, 0, many, all);
	tell_per("clear_dirty", "page", ((double)bench_ticks() - start) / many);
	end();

	begin(memory, many, true, 1, 0);
	map_all();
	before = visitor_stat(&w.v, "remote_tlb_flush_requests");
	let_others_in(false);
	start = bench_ticks();
	if (mprotect(memory, many * XVM_PAGE, PROT_NONE))
		xvm_die("mprotect");
	start = bench_ticks() - start;
	let_others_in(true);
	tell_per("zap_1g", "page", (double)start / many);
	snprintf(parameters, sizeof(parameters), "mib=%u", mib);
	bench_tell("flushes", "flushes", parameters,
		   visitor_stat(&w.v, "remote_tlb_flush_requests") - before);
	end();
	if (mprotect(memory, many * XVM_PAGE, PROT_READ | PROT_WRITE))
		xvm_die("mprotect");
}

static void slots(void)
{
	uint8_t *other = xvm_anon(1);
	char parameters[16];
	uint64_t start;

	snprintf(parameters, sizeof(parameters), "mapped=%u", many);
	begin(memory, many, true, 1, 0);
	map_all();
	xvm_slot(&w.vm, OTHER_SLOT, 0, OTHER_GPA, XVM_PAGE, other);
	start = bench_ticks();
	xvm_slot(&w.vm, OTHER_SLOT, 0, 0, 0, NULL);
	bench_tell("slot_delete", UNIT, parameters, bench_ticks() - start);
	/* Whatever that took from the guest it maps again. */
	map_all();
	visitor_destroy(&w.v);
	start = bench_ticks();
	xvm_destroy(&w.vm);
	bench_tell("teardown", UNIT, parameters, bench_ticks() - start);
}

int main(int argc, char **argv)
{
	mib = argc == 2 ? atoi(argv[1]) : 0;
	many = mib * PER_MIB;
	if (many < FAULTS || mib > MOST_MIB)
		xvm_die("usage: memory MIB, of 32 to %u", MOST_MIB);
	bench_begin();
	memory = xvm_anon(many);
	/* First, while the host does not have the pages in between. */
	faults("neighbours=no", APART);
	faults("neighbours=yes", 1);
	counts();
	log_and_unmap();
	two_megabytes();
	slots();
	return 0;
}
