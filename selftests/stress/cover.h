/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Coverage: which of the kernel's code a thread went through, where the kernel has
 * KCOV, and the blocks of operations that reached code nobody had reached before.
 * On another kernel all of this does nothing.
 *
 * Set up once by the supervisor; rounds inherit it and share what it finds.
 */
#ifndef STRESS_COVER_H
#define STRESS_COVER_H

#include <stdbool.h>
#include <stdint.h>

#include "recipe.h"

struct cover;

bool cover_setup(void);
/* A thread's own record, NULL without KCOV. */
struct cover *cover_start(void);
/* A block is over: keep it if it went where nobody had been.  NULL: just count. */
void cover_block(struct cover *cover, const struct block *block);
/* Choose the parents of a round. */
void cover_breed(struct recipe *recipe);
uint32_t cover_reached(void);
uint32_t cover_corpus(void);

#endif
