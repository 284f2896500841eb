/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User side of the probe module: counts calls in KVM, holds race windows open.
 * Each function stops the test when the probe does not answer as it must.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#include "probe/kvm_xen_probe.h"

int probe_open(void);
/* Counts @tid from now on, or every task of this address space if it is 0. */
void probe_count(int probe, pid_t tid);
uint64_t probe_calls(int probe, enum kvm_xen_probe_fn fn);
/*
 * A held task keeps its CPU, so only another CPU can use the time. For the tests
 * that hold one; needs the harness.
 */
#define PROBE_NEEDS_TWO_CPUS()						\
	do {								\
		if (sysconf(_SC_NPROCESSORS_ONLN) < 2)			\
			SKIP(return, "a held task needs a CPU of its own"); \
	} while (0)

/* Holds @tid (0: whoever comes first) when it returns from @fn. */
void probe_hold(int probe, enum kvm_xen_probe_fn fn, pid_t tid, int max_ms);
/* True once a task is held; false if none came within @ms. */
bool probe_wait_held(int probe, int ms);
enum kvm_xen_probe_state probe_state(int probe);
void probe_release(int probe);
void probe_rwlocks(int probe, bool on);

#endif
