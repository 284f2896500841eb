/* SPDX-License-Identifier: GPL-2.0 */
/* Defects that are planted to see that the stress program notices them. */
#ifndef STRESS_PLANT_H
#define STRESS_PLANT_H

#include "stress.h"

enum plant {
	PLANT_NONE,
	PLANT_LEAK,	/* a VM that stays when its round is over */
	PLANT_PIN,	/* pages that stay pinned */
	PLANT_ERRNO,	/* an answer that the ABI does not know */
	PLANT_HANG,	/* a process of the round that does not end */
	PLANT_CRASH,	/* the program itself dies */
	PLANTS
};

extern const char *const plant_names[PLANTS];

enum plant plant_find(const char *name);
/* In the supervisor: put it in before the round, take it out after its end. */
void plant_begin(enum plant plant);
void plant_end(void);
/* In the round's process. */
void plant_round(enum plant plant, struct shared *shared);

#endif
