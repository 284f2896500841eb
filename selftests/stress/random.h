/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbers that a seed decides.  Every decision of the program is drawn from one
 * of these streams, and no stream is shared by two threads.
 */
#ifndef STRESS_RANDOM_H
#define STRESS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

#define pick(rng, array) \
	((array)[rng_below(rng, sizeof(array) / sizeof((array)[0]))])

/* One number out of two, the same each time: derives streams from seeds. */
uint64_t mix(uint64_t a, uint64_t b);

uint64_t rng_next(struct rng *rng);
/* 0 to @n - 1. */
uint32_t rng_below(struct rng *rng, uint32_t n);
/* True once in @n times. */
bool rng_once_in(struct rng *rng, uint32_t n);
/* A value at which code tends to break, or any. */
uint64_t rng_edge(struct rng *rng);

#endif
