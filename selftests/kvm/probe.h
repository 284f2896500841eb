/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User side of the probe module: counts calls in KVM, holds race windows open.
 * Each function stops the test when the probe does not answer as it must.
 */
#ifndef PROBE_H
#define PROBE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "probe/kvm_xen_probe.h"

int probe_open(void);
/* Counts @tid from now on, or every task of this address space if it is 0. */
void probe_count(int probe, pid_t tid);
uint64_t probe_calls(int probe, enum kvm_xen_probe_fn fn);
/* A held task keeps its CPU: are there others, for what is to be done meanwhile? */
bool probe_two_cpus(void);

/*
 * Holds @tid (0: whoever comes first) when it returns from @fn. From here on @tid runs
 * on another CPU than the caller, if there are two.
 */
void probe_hold(int probe, enum kvm_xen_probe_fn fn, pid_t tid, int max_ms);
/* True once a task is held; false if none came within @ms. */
bool probe_wait_held(int probe, int ms);
enum kvm_xen_probe_state probe_state(int probe);
void probe_release(int probe);
/* A task of the test's: does its work when it is told to, so that it can be held. */
struct probe_task {
	void (*work)(void *arg);
	void *arg;
	pthread_t thread;
	pid_t tid;		/* atomic: set by the thread */
	int go;			/* atomic */
};

void probe_task_create(struct probe_task *t, void (*work)(void *arg), void *arg);
/* Let it work, and wait for the end of that. */
void probe_task_go(struct probe_task *t);
void probe_task_join(struct probe_task *t);
/* Let it work, until it returns from @fn for the first time. True if it does. */
bool probe_task_hold(struct probe_task *t, int probe, enum kvm_xen_probe_fn fn,
		     int max_ms);
/* Let go of it, and wait for the end of its work. */
void probe_task_end(struct probe_task *t, int probe);

void probe_rwlocks(int probe, bool on);

/* Counts what the kernel writes to the four bytes at @addr, from now on. */
void probe_watch(int probe, const void *addr);
unsigned int probe_watched(int probe);

#endif
