// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs that a vCPU's task sleeps and is woken, or has to make room for
 * another. That other and the vCPU's share the program's CPU; who is woken has the
 * higher priority, so it runs at once, and what is measured is the same each time.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cost.h"
#include "tell.h"

#define ROUNDS		64
#define SENT_PORT	6
#define AREA		(12 * XVM_PAGE)	/* run state: this page and the next */
#define RUNNABLE	24		/* in it: time[RUNSTATE_runnable] */
#define UNIT		"instructions"

/* SCHEDOP_poll's argument of a 32-bit caller. */
struct poll_arg {
	uint32_t ports, nr;
	uint64_t timeout;
	uint32_t port;
} __attribute__((packed));

static struct calls c;

/* This thread is before all others of its CPU. */
static void go_first(void)
{
	struct sched_param first = { .sched_priority = 1 };

	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &first))
		xvm_die("no priority");
}

/* Wakes for each event, and knows the shortest time between two. */
static struct reader {
	pthread_t thread;
	int fd;
	uint64_t least;
} reader;

static void *read_on(void *arg)
{
	uint64_t count, now, last = 0;

	go_first();
	while (read(reader.fd, &count, sizeof(count)) == sizeof(count)) {
		now = bench_ticks();
		if (now - last < reader.least)
			__atomic_store_n(&reader.least, now - last,
					 __ATOMIC_RELAXED);
		last = now;
	}
	xvm_die("eventfd");
}

/* The vCPU stops for the reader, which its own event wakes, and goes on. */
static uint64_t trip_cost(uint64_t area)
{
	uint64_t *runnable = (void *)(c.mem.map + area + RUNNABLE), before;
	int r = area ? xvm_cpu_attr(&c.vm, 0,
				    KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
				    area) : 0;

	if (r)
		xvm_die("run state: %d", r);
	before = *runnable;
	reader.least = ~0ULL;
	cost_call(&c);
	if (area && *runnable == before)
		xvm_die("the vCPU made room for nobody");
	return __atomic_load_n(&reader.least, __ATOMIC_RELAXED);
}

static void sched_out(void)
{
	struct kvm_xen_hvm_attr port = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn = {
			.send_port = SENT_PORT,
			.type = EVTCHNSTAT_INTERDOMAIN,
		},
	};
	double call;

	reader.fd = eventfd(0, 0);
	port.u.evtchn.deliver.eventfd.fd = reader.fd;
	if (xvm_vm_attr(&c.vm, &port))
		xvm_die("a port of an eventfd");
	*(uint32_t *)calls_arg(&c, 0) = SENT_PORT;
	cost_loop(&c, HYPERVISOR_EVTCHN_OP, EVTCHNOP_SEND, calls_arg_gpa(0),
		  false);
	/* Nobody wakes for it yet. */
	call = cost_call(&c);
	if (pthread_create(&reader.thread, NULL, read_on, NULL))
		xvm_die("pthread_create");
	bench_tell("schedout_runstate", UNIT, "pages=0", trip_cost(0) - call);
	bench_tell("schedout_runstate", UNIT, "pages=1", trip_cost(AREA) - call);
	bench_tell("schedout_runstate", UNIT, "pages=2",
		   trip_cost(AREA + XVM_PAGE - XEN_RUNSTATE_SIZE / 2) - call);
}

/* A guest that waits for its port, forgets the event and waits again. */
static void *poll_on(void *arg)
{
	go_first();
	cost_run(&c, ~0U);
	xvm_die("the guest has come to an end");
}

/* Who is woken takes it and sleeps again before this one goes on. */
static uint64_t wake_cost(int fd)
{
	uint64_t start, cost, best = ~0ULL;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		start = bench_ticks();
		if (fd >= 0)
			xvm_signal(fd);
		else if (xvm_send(&c.vm, COST_PORT, 0))
			xvm_die("the event was refused");
		cost = bench_ticks() - start;
		best = cost < best ? cost : best;
		if (xvm_pending(c.shinfo, COST_PORT))
			xvm_die("nobody was woken");
	}
	return best;
}

/* As a guest's lock waits: for a port that is masked. Needs the reader. */
static void polls(void)
{
	struct poll_arg *arg = calls_arg(&c, 0);
	double least = wake_cost(reader.fd);
	pthread_t thread;

	*arg = (struct poll_arg){
		.ports = calls_arg_gpa(0) + offsetof(struct poll_arg, port),
		.nr = 1,
		.port = COST_PORT,
	};
	calls_mask(&c, COST_PORT);
	if (xvm_cpu_attr(&c.vm, 0, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, AREA))
		xvm_die("run state");
	cost_loop(&c, HYPERVISOR_SCHED_OP, SCHEDOP_POLL, calls_arg_gpa(0), true);
	if (pthread_create(&thread, NULL, poll_on, NULL))
		xvm_die("pthread_create");
	/* A vCPU that has another task than before takes some time. */
	xvm_sleep_ms(200);
	bench_tell("poll_wake", UNIT, "", wake_cost(-1) - least);
}

int main(void)
{
	bench_begin();
	cost_create(&c);
	sched_out();
	polls();
	/* Reader and guest end with the program. */
	return 0;
}
