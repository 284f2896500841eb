// SPDX-License-Identifier: GPL-2.0
/* Names of rounds, see recipe.h.  No state. */
#include "recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

/* Parents are not part of it: what is drawn does not depend on how they came. */
uint64_t recipe_seed(const struct recipe *recipe)
{
	return mix(recipe->run, recipe->index);
}

static int print_block(char *text, size_t room, const struct block *block)
{
	int n = snprintf(text, room, "%x", block->base);

	for (unsigned int i = 0; i < block->mutations; i++)
		n += snprintf(text + n, room - n, "/%x", block->mutation[i]);
	return n;
}

void recipe_print(const struct recipe *recipe, char text[RECIPE_TEXT])
{
	int n = snprintf(text, RECIPE_TEXT, "%u.%u", recipe->run, recipe->index);

	for (unsigned int i = 0; i < recipe->parents; i++) {
		n += snprintf(text + n, RECIPE_TEXT - n, i ? "," : ":");
		n += print_block(text + n, RECIPE_TEXT - n, &recipe->parent[i]);
	}
}

static bool number(const char **text, int base, uint32_t *value)
{
	char *end;
	unsigned long v = strtoul(*text, &end, base);

	if (end == *text || **text == '-' || v > UINT32_MAX)
		return false;
	*value = v;
	*text = end;
	return true;
}

static bool parse_block(const char **text, struct block *block)
{
	uint32_t mutation;

	block->mutations = 0;
	if (!number(text, 16, &block->base))
		return false;
	while (**text == '/') {
		++*text;
		if (block->mutations == BLOCK_MUTATIONS ||
		    !number(text, 16, &mutation) || mutation > UINT16_MAX)
			return false;
		block->mutation[block->mutations++] = mutation;
	}
	return true;
}

bool recipe_parse(struct recipe *recipe, const char *text)
{
	memset(recipe, 0, sizeof(*recipe));
	if (!number(&text, 10, &recipe->run) || *text++ != '.' ||
	    !number(&text, 10, &recipe->index))
		return false;
	if (*text != ':')
		return !*text;
	do {
		text++;
		if (recipe->parents == RECIPE_PARENTS ||
		    !parse_block(&text, &recipe->parent[recipe->parents++]))
			return false;
	} while (*text == ',');
	return !*text;
}
