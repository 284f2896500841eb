// SPDX-License-Identifier: GPL-2.0
/*
 * custom: the order in which locks are taken, over the whole run of a test.
 *
 * Nodes are lock classes, apart by subclass. An edge "B was taken while A was
 * held" stays, with where that happened. Taking a lock that closes a circle fails
 * the test at once and names both chains, though no thread is stuck yet. A
 * trylock cannot wait, so it adds no edge to itself.
 *
 * And per class: a lock that a hard interrupt waits for must never be held for
 * write with interrupts on, nor may a lock that is waited for with interrupts on
 * be taken inside one that interrupts wait for.
 *
 * Not instrumented for ThreadSanitizer and locked by hand, so that checking the
 * order does not itself order the threads.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include "rig/lock.h"

#define MAX_NODES	128
#define SUBCLASSES	4

enum {
	IRQ_READ = 1,		/* waited for in a hard interrupt, for read */
	IRQ_EXCL = 2,
	ON_READ = 4,		/* held with interrupts on, for read */
	ON_EXCL = 8,
};

struct edge {
	bool there;
	const char *held_at, *taken_at;
	char comm[24];
};

static struct unit_class *nodes[MAX_NODES];
static struct edge edges[MAX_NODES][MAX_NODES];
static int nr_nodes = SUBCLASSES;	/* node 0 is nobody */
static char graph_busy;

/* By hand: ThreadSanitizer watches what the C library copies, even here. */
static void copy_comm(char *to)
{
	for (size_t i = 0; i < sizeof(current->comm); i++)
		to[i] = current->comm[i];
}

static void graph_lock(void)
{
	while (__atomic_test_and_set(&graph_busy, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void graph_unlock(void)
{
	__atomic_clear(&graph_busy, __ATOMIC_RELEASE);
}

static int node_of(struct unit_class *c, int subclass)
{
	if (!c->nr) {
		if (nr_nodes + SUBCLASSES > MAX_NODES)
			unit_fail("rig", "no room for lock class %s", c->name);
		for (int i = 0; i < SUBCLASSES; i++)
			nodes[nr_nodes + i] = c;
		c->nr = nr_nodes;
		nr_nodes += SUBCLASSES;
	}
	return c->nr + subclass;
}

/* Is there a way @from ... @to? Leaves it in @path, and its length. */
static int find_path(int from, int to, int *path, int depth, bool *seen)
{
	path[depth] = from;
	if (from == to)
		return depth + 1;
	seen[from] = true;
	for (int n = 0; n < nr_nodes; n++)
		if (edges[from][n].there && !seen[n]) {
			int len = find_path(n, to, path, depth + 1, seen);

			if (len)
				return len;
		}
	return 0;
}

static void fail_cycle(int held, int taken, int *path, int len,
		       const char *held_at, const char *where)
{
	char old[1500] = "";
	size_t n = 0;

	for (int i = 0; i + 1 < len && n < sizeof(old) - 300; i++) {
		struct edge *e = &edges[path[i]][path[i + 1]];

		n += snprintf(old + n, sizeof(old) - n,
			      "\n    %s (at %s) then %s (at %s) by %s",
			      nodes[path[i]]->name, e->held_at,
			      nodes[path[i + 1]]->name, e->taken_at, e->comm);
	}
	graph_unlock();
	unit_fail("order", "locks taken in a circle\n  now: %s (at %s) then %s (at %s) by %s\n  before:%s",
		  nodes[held]->name, held_at, nodes[taken]->name, where,
		  current->comm, old);
}

static void check_usage(struct unit_class *c, const char *where)
{
	unsigned int u = c->usage;

	if (((u & IRQ_READ) && (u & ON_EXCL)) ||
	    ((u & IRQ_EXCL) && (u & (ON_READ | ON_EXCL)))) {
		graph_unlock();
		unit_fail("irq", "%s is waited for in hard interrupts, yet held with interrupts on (last at %s)",
			  c->name, where);
	}
	for (int a = 0; a < nr_nodes; a++)
		for (int b = 0; b < nr_nodes; b++) {
			struct unit_class *ca = nodes[a], *cb = nodes[b];

			if (!edges[a][b].there || ca == cb ||
			    !(ca->usage & (IRQ_READ | IRQ_EXCL)) ||
			    !(cb->usage & (ON_EXCL)))
				continue;
			graph_unlock();
			unit_fail("irq", "%s, taken with interrupts on, is also taken under %s, which hard interrupts wait for (last at %s)",
				  cb->name, ca->name, where);
		}
}

void unit_order_acquire(struct unit_class *class, int subclass,
			enum unit_lock_mode mode, bool try, bool irqs_on,
			const char *where)
{
	bool shared = mode == UNIT_SHARED;
	unsigned int usage = 0;
	int me, i;

	if (subclass < 0 || subclass >= SUBCLASSES)
		unit_fail("order", "subclass %d of %s at %s", subclass,
			  class->name, where);
	if (class->type != UNIT_MUTEX && !unit_rt) {
		if (current->hardirq && !try)
			usage = shared ? IRQ_READ : IRQ_EXCL;
		else if (irqs_on)
			usage = shared ? ON_READ : ON_EXCL;
	}

	graph_lock();
	me = node_of(class, subclass);
	for (i = 0; i < current->nr_held && !try; i++) {
		struct unit_held *h = &current->held[i];
		int held = node_of(unit_lock_class(h->lock), h->subclass);
		bool seen[MAX_NODES] = { false };
		int path[MAX_NODES], len;
		struct edge *e = &edges[held][me];

		if (e->there)
			continue;
		/* An interrupt's reader may pass readers of its class. */
		if (held == me && current->hardirq && shared &&
		    h->mode == UNIT_SHARED)
			continue;
		if (held == me) {
			graph_unlock();
			unit_fail("order", "%s taken at %s while another of its class is held since %s",
				  class->name, where, h->where);
		}
		len = find_path(me, held, path, 0, seen);
		if (len)
			fail_cycle(held, me, path, len, h->where, where);
		e->held_at = h->where;
		e->taken_at = where;
		copy_comm(e->comm);
		e->there = true;
		usage |= 1u << 31;
	}
	if (usage & ~class->usage) {
		class->usage |= usage & ~(1u << 31);
		check_usage(class, where);
	}
	graph_unlock();
}

unsigned long unit_class_count(const char *name)
{
	unsigned long n = 0;

	graph_lock();
	for (int i = SUBCLASSES; i < nr_nodes; i += SUBCLASSES)
		if (!strcmp(nodes[i]->name, name))
			n += __atomic_load_n(&nodes[i]->taken,
					     __ATOMIC_RELAXED);
	graph_unlock();
	return n;
}
