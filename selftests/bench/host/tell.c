// SPDX-License-Identifier: GPL-2.0
/* The beginning of a program of the bench, and its figures; see tell.h. */
#include "tell.h"

#include <sched.h>
#include <stdio.h>
#include <x86intrin.h>

#include "xvm.h"

void bench_begin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		xvm_die("sched_setaffinity");
	if (!xvm_ticks_are_instructions())
		xvm_die("a tick of the TSC is not an instruction");
}

void bench_tell(const char *metric, const char *unit, const char *parameters,
		double value)
{
	printf("@@figure\t%s\t%s\t%s\t%.10g\n", metric, unit, parameters, value);
	fflush(stdout);
}

uint64_t bench_ticks(void)
{
	return __rdtsc();
}
