// SPDX-License-Identifier: GPL-2.0
/* User side of the probe module, see probe.h. */
#include "probe.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "xvm.h"

bool probe_two_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) >= 2;
}

int probe_open(void)
{
	int fd = open(KVM_XEN_PROBE_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		xvm_die("no %s: is kvm_xen_probe.ko loaded?",
			KVM_XEN_PROBE_PATH);
	return fd;
}

void probe_count(int probe, pid_t tid)
{
	if (ioctl(probe, PROBE_IOC_COUNT, (unsigned long)tid))
		xvm_die("PROBE_IOC_COUNT");
}

uint64_t probe_calls(int probe, enum kvm_xen_probe_fn fn)
{
	struct kvm_xen_probe_counts counts;

	if (ioctl(probe, PROBE_IOC_READ, &counts))
		xvm_die("PROBE_IOC_READ");
	if (counts.missed)
		xvm_die("the probe missed %llu calls", counts.missed);
	return counts.calls[fn];
}

static void run_on(pid_t tid, int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(tid, sizeof(cpus), &cpus))
		xvm_die("sched_setaffinity");
}

void probe_hold(int probe, enum kvm_xen_probe_fn fn, pid_t tid, int max_ms)
{
	struct kvm_xen_probe_hold hold = {
		.fn = fn,
		.tid = tid,
		.max_us = max_ms * 1000,
	};

	/* Who is held stops his CPU, and whoever happens to be on it. */
	if (tid && probe_two_cpus()) {
		run_on(0, 0);
		run_on(tid, 1);
	}
	if (ioctl(probe, PROBE_IOC_HOLD, &hold))
		xvm_die("PROBE_IOC_HOLD");
}

enum kvm_xen_probe_state probe_state(int probe)
{
	int state = ioctl(probe, PROBE_IOC_STATE, 0);

	if (state < 0)
		xvm_die("PROBE_IOC_STATE");
	return state;
}

bool probe_wait_held(int probe, int ms)
{
	uint64_t end = xvm_now_ns() + ms * 1000000ULL;

	while (probe_state(probe) == PROBE_ARMED) {
		if (xvm_now_ns() > end)
			return false;
		xvm_sleep_ms(1);
	}
	return probe_state(probe) == PROBE_HELD;
}

void probe_release(int probe)
{
	if (ioctl(probe, PROBE_IOC_RELEASE, 0))
		xvm_die("PROBE_IOC_RELEASE");
}

static void *probe_task_thread(void *arg)
{
	struct probe_task *t = arg;

	__atomic_store_n(&t->tid, xvm_tid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&t->go, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	t->work(t->arg);
	return NULL;
}

void probe_task_create(struct probe_task *t, void (*work)(void *arg), void *arg)
{
	*t = (struct probe_task){ .work = work, .arg = arg };
	if (pthread_create(&t->thread, NULL, probe_task_thread, t))
		xvm_die("pthread_create");
	while (!__atomic_load_n(&t->tid, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
}

void probe_task_go(struct probe_task *t)
{
	__atomic_store_n(&t->go, 1, __ATOMIC_RELEASE);
}

bool probe_task_hold(struct probe_task *t, int probe, enum kvm_xen_probe_fn fn,
		     int max_ms)
{
	probe_hold(probe, fn, t->tid, max_ms);
	probe_task_go(t);
	return probe_wait_held(probe, 5000);
}

void probe_task_join(struct probe_task *t)
{
	if (pthread_join(t->thread, NULL))
		xvm_die("pthread_join");
}

void probe_task_end(struct probe_task *t, int probe)
{
	probe_release(probe);
	probe_task_join(t);
}

void probe_rwlocks(int probe, bool on)
{
	if (ioctl(probe, PROBE_IOC_RWLOCKS, (unsigned long)on))
		xvm_die("PROBE_IOC_RWLOCKS");
}

void probe_watch(int probe, const void *addr)
{
	if (ioctl(probe, PROBE_IOC_WATCH, addr))
		xvm_die("PROBE_IOC_WATCH");
}

unsigned int probe_watched(int probe)
{
	int writes = ioctl(probe, PROBE_IOC_WATCHED, 0);

	if (writes < 0)
		xvm_die("PROBE_IOC_WATCHED");
	return writes;
}
