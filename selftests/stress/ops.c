// SPDX-License-Identifier: GPL-2.0
/*
 * Which operations a block consists of, and how their answers are judged.  No state
 * but what the round has.
 */
#include "stress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_OPS	16
#define GROUPS		4

static const struct op *const groups[GROUPS] = {
	xen_ops, event_ops, memory_ops, life_ops,
};

/* A block has a character: how likely each group is in it, out of 16. */
static const unsigned int character[][GROUPS] = {
	{ 8, 4, 3, 1 },		/* areas that move */
	{ 4, 9, 2, 1 },		/* events */
	{ 2, 2, 11, 1 },	/* memory */
	{ 4, 4, 4, 4 },		/* everything */
};

static const struct op *choose(const struct block *block, struct rng *rng)
{
	const unsigned int *chance = character[block->base % 4];
	const struct op *op;
	unsigned int n, sum = 0;
	int group = 0;

	n = rng_below(rng, 16);
	while (n >= chance[group])
		n -= chance[group++];
	for (op = groups[group]; op->name; op++)
		sum += op->weight;
	n = rng_below(rng, sum);
	for (op = groups[group]; n >= op->weight; op++)
		n -= op->weight;
	return op;
}

/* The seed of each operation; a mutation changes some of them. */
static uint64_t op_seed(const struct block *block, unsigned int n)
{
	uint64_t seed = mix(block->base, n), m;
	unsigned int i;

	for (i = 0; i < block->mutations; i++) {
		m = mix(block->mutation[i], block->base);
		if (m % BLOCK_OPS == n || m / BLOCK_OPS % BLOCK_OPS == n)
			seed = mix(seed, m);
	}
	return seed;
}

void run_block(struct worker *w, const struct block *block)
{
	unsigned int n;

	for (n = 0; n < BLOCK_OPS && !w->round->shared->failed; n++) {
		struct rng rng = { op_seed(block, n) };
		const struct op *op = choose(block, &rng);

		w->round->shared->now[w->id] = op->name;
		op->fn(w, &rng);
		w->round->shared->now[w->id] = NULL;
		w->round->shared->ops++;
	}
}

void fail_round(struct round *round, const char *fmt, ...)
{
	va_list ap;

	/* The first failure is the one that is told. */
	if (atomic_exchange(&round->shared->failed, 1))
		return;
	va_start(ap, fmt);
	vsnprintf(round->shared->failure, sizeof(round->shared->failure), fmt,
		  ap);
	va_end(ap);
}

int judge(struct round *round, const char *what, const char *detail, long r,
	  uint64_t wanted)
{
	int err = r < 0 ? -r : 0;
	uint64_t bit = err == EOPNOTSUPP ? 1ULL << 63 :
		       err < 63 ? 1ULL << err : 0;

	if (err)
		round->shared->errors++;
	if (!(wanted & bit))
		fail_round(round, "%s%s%s answered %s, which its ABI does not allow",
			   what, *detail ? " " : "", detail,
			   err ? strerror(err) : "success");
	return -err;
}
