/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The name of a round, from which the whole of it follows: RUN.INDEX, and after a
 * colon the blocks of operations that earlier rounds found worth repeating.
 *
 *	1234.17				round 17 of seed 1234
 *	1234.17:8f3a2b10,77ab01c2/5/9	... with two such blocks, one mutated twice
 *
 * A block is a short sequence of operations that follows from its 32-bit base;
 * a mutation replaces some of them and follows from its 16 bits.
 */
#ifndef STRESS_RECIPE_H
#define STRESS_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_MUTATIONS	4
#define RECIPE_PARENTS	4
#define RECIPE_TEXT	256

struct block {
	uint32_t base;
	unsigned int mutations;
	uint16_t mutation[BLOCK_MUTATIONS];
};

struct recipe {
	uint32_t run;
	uint32_t index;
	unsigned int parents;
	struct block parent[RECIPE_PARENTS];
};

/* All seeds of the round are derived from this one. */
uint64_t recipe_seed(const struct recipe *recipe);
void recipe_print(const struct recipe *recipe, char text[RECIPE_TEXT]);
bool recipe_parse(struct recipe *recipe, const char *text);

#endif
