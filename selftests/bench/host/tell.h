/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of the bench that run in a host have in common. */
#ifndef BENCH_TELL_H
#define BENCH_TELL_H

#include <stdint.h>

/* The program is alone on the host's first CPU, where a tick is an instruction. */
void bench_begin(void);
/* A figure, on standard output. */
void bench_tell(const char *metric, const char *unit, const char *parameters,
		double value);
/* Ticks of the TSC. */
uint64_t bench_ticks(void);

#endif
