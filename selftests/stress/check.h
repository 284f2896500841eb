/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What must hold once a round is over and all its processes are gone: nothing of
 * KVM's is left, and a new VM works.
 */
#ifndef STRESS_CHECK_H
#define STRESS_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* What the host has now, while no VM exists. */
void check_begin(void);
/* False, and why: something was left behind. */
bool check_clean(char *why, size_t room);
/* Memory in use did not grow from round to round; for the end of a long run. */
bool check_memory(unsigned int rounds, char *why, size_t room);
/* False, and why: a new VM cannot be made, or its event does not arrive. */
bool check_alive(char *why, size_t room);
/* The kernel merges pages of equal contents, if it can. */
void check_merging(bool on);
/* Print what each task of process group @pgid is doing. */
void check_stacks(int pgid);

#endif
