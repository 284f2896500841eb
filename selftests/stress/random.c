// SPDX-License-Identifier: GPL-2.0
/* Numbers that a seed decides, see random.h.  No state but the caller's. */
#include "random.h"

/* A bijection of 64 bits that leaves no input bit's neighbours alike. */
static uint64_t scramble(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}

uint64_t mix(uint64_t a, uint64_t b)
{
	return scramble(scramble(a + 1) + b);
}

uint64_t rng_next(struct rng *rng)
{
	rng->state += 0x9e3779b97f4a7c15ULL;
	return scramble(rng->state);
}

uint32_t rng_below(struct rng *rng, uint32_t n)
{
	return (rng_next(rng) >> 32) * n >> 32;
}

bool rng_once_in(struct rng *rng, uint32_t n)
{
	return !rng_below(rng, n);
}

uint64_t rng_edge(struct rng *rng)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0x1001,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
		0x7fffffffffff, 0x800000000000, 0xffffffffff600000,
		0x7fffffffffffffff, 0x8000000000000000,
		0xfffffffffffff000, 0xfffffffffffffffe, 0xffffffffffffffff,
	};
	uint64_t r = rng_next(rng);

	switch (rng_below(rng, 4)) {
	case 0:
		return pick(rng, edges);
	case 1:	/* next to a power of two */
		return (1ULL << (r & 63)) + (int64_t)(r >> 62) - 1;
	case 2:	/* small */
		return r & 0xffff;
	default:
		return r >> (r & 63);
	}
}
