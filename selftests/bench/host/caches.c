// SPDX-License-Identifier: GPL-2.0
/*
 * What the MMU notifier costs a VM with many caches, and what it costs to look one
 * up again: an event is mprotect() of one page, which changes nothing but its
 * protection, and there are as many caches as there are pages of vCPUs' areas.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tell.h"
#include "xvm.h"

#define VCPUS		1024		/* four caches each */
#define MANY_PAGES	(4 * VCPUS)
#define ROUNDS		64
#define PORT		9

/* @other and @shinfo are like each other: nothing lies beside them. */
static struct xvm vm;
static uint8_t *guest, *shinfo, *other;

/* Caches of a vCPU: vcpu_info, time, and run state across two pages. */
static void use(unsigned int id, unsigned int caches)
{
	const uint64_t at = (uint64_t)id * 4 * XVM_PAGE;
	int r = 0;

	if (caches > 0)
		r = xvm_cpu_attr(&vm, id, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, at);
	if (!r && caches > 1)
		r = xvm_cpu_attr(&vm, id, KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
				 at + XVM_PAGE);
	if (!r && caches > 2)
		r = xvm_cpu_attr(&vm, id, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
				 at + 2 * XVM_PAGE + (caches > 3 ? XVM_PAGE -
				 XEN_RUNSTATE_SIZE / 2 : 0));
	if (r)
		xvm_die("areas of vCPU %u: %d", id, r);
}

/* The least of many: what a timer interrupt costs belongs to none. */
static uint64_t event_cost(uint8_t *page, bool look_up)
{
	uint64_t start, cost, best = ~0ULL;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		*(volatile uint8_t *)page = 0;
		start = bench_ticks();
		if (mprotect(page, XVM_PAGE, PROT_READ))
			xvm_die("mprotect");
		cost = bench_ticks() - start;
		if (mprotect(page, XVM_PAGE, PROT_READ | PROT_WRITE))
			xvm_die("mprotect");
		best = cost < best ? cost : best;
		if (look_up && xvm_shinfo_hva(&vm, page))
			xvm_die("shared_info");
	}
	return best;
}

/* Of an event that finds the page away, more than of one that finds it. */
static double refresh_cost(void)
{
	uint64_t start, cost, best = ~0ULL, least = ~0ULL;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		*(volatile uint8_t *)shinfo = 0;
		if (mprotect(shinfo, XVM_PAGE, PROT_READ) ||
		    mprotect(shinfo, XVM_PAGE, PROT_READ | PROT_WRITE))
			xvm_die("mprotect");
		*(volatile uint8_t *)shinfo = 0;
		start = bench_ticks();
		if (xvm_send(&vm, PORT, 0))
			xvm_die("the event was refused");
		cost = bench_ticks() - start;
		best = cost < best ? cost : best;
		/* The same fate, and the page is there: pending already. */
		start = bench_ticks();
		if (xvm_send(&vm, PORT, 0))
			xvm_die("the event was refused");
		cost = bench_ticks() - start;
		least = cost < least ? cost : least;
	}
	if (!xvm_pending(shinfo, PORT))
		xvm_die("the event did not arrive");
	return (double)best - least;
}

int main(void)
{
	static const unsigned int sizes[] = { 1, 64, 512, 4096 };
	struct rlimit files = { 2 * VCPUS + 64, 2 * VCPUS + 64 };
	unsigned int i, used = 1;
	double unheard, unheard_of_shinfo;
	char parameters[32];

	bench_begin();
	if (setrlimit(RLIMIT_NOFILE, &files))
		xvm_die("setrlimit");
	guest = xvm_anon(MANY_PAGES);
	shinfo = xvm_anon(3) + XVM_PAGE;
	other = xvm_anon(3) + XVM_PAGE;
	for (i = 0; i < MANY_PAGES; i++)
		guest[i * XVM_PAGE] = 0;
	/* Before there is a VM: what is no part of an event. */
	unheard = event_cost(other, false);
	unheard_of_shinfo = event_cost(shinfo, false);
	xvm_create(&vm, false);
	xvm_slot(&vm, 0, 0, 0, MANY_PAGES * XVM_PAGE, guest);
	for (i = 0; i < VCPUS; i++)
		xvm_add_cpu(&vm, i);
	if (xvm_shinfo_hva(&vm, shinfo))
		xvm_die("shared_info");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* Whole vCPUs, and one that has three caches for the rest. */
		for (; used + 4 <= sizes[i]; used += 4)
			use(used / 4, 4);
		use(VCPUS - 1, sizes[i] - used);
		snprintf(parameters, sizeof(parameters), "caches=%u", sizes[i]);
		bench_tell("notifier_unrelated", "instructions", parameters,
			   event_cost(other, false) - unheard);
	}
	bench_tell("notifier_overlap", "instructions", "caches=4096",
		   event_cost(shinfo, true) - unheard_of_shinfo);
	bench_tell("refresh", "instructions", "caches=4096", refresh_cost());
	xvm_destroy(&vm);
	return 0;
}
