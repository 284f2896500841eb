// SPDX-License-Identifier: GPL-2.0
/*
 * A round: its VMs are made, worker threads run their blocks of operations beside
 * the vCPUs' threads, and then it ends in one of several ways.
 *
 * What the workers do follows from the recipe alone, whatever the answers are.
 */
#include "stress.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cover.h"
#include "xenabi.h"

#define BLOCKS		48	/* of each worker */

/* How a round ends. */
enum { TIDY, LEAVE, DIE };

static void no_op(int signal)
{
}

/* The @n-th block of worker @id: new, or one of the parents' with a change. */
static struct block next_block(const struct round *round, int id, int n)
{
	const struct recipe *recipe = round->recipe;
	struct rng rng = { mix(round->seed, 100 * (id + 1) + n) };
	struct block block = { .base = rng_next(&rng) };
	uint16_t mutation = rng_next(&rng);
	bool new = rng_next(&rng) & 1;

	if (!recipe->parents || new)
		return block;
	block = recipe->parent[rng_below(&rng, recipe->parents)];
	if (block.mutations < BLOCK_MUTATIONS)
		block.mutation[block.mutations++] = mutation;
	return block;
}

struct job {
	struct worker worker;
	pthread_t thread;
	int die_at;	/* the block before which it kills us all, or -1 */
};

static void *work(void *arg)
{
	struct job *job = arg;
	struct worker *w = &job->worker;
	struct rng rng = { mix(w->round->seed, 50 + w->id) };
	struct block block;
	int n;

	w->cover = cover_start();
	for (n = 0; n < BLOCKS && !w->round->shared->failed; n++) {
		if (n == job->die_at)
			round_die(w->round, &rng);
		block = next_block(w->round, w->id, n);
		run_block(w, &block);
		cover_block(w->cover, &block);
	}
	return NULL;
}

/* vCPUs are taken out of their guests, and out of waits without an end. */
static void *kick(void *arg)
{
	struct round *round = arg;
	struct rng rng = { mix(round->seed, 10) };

	while (!round->stop) {
		usleep(500 + rng_below(&rng, 2000));
		cpu_kick(&round->cpu[rng_below(&rng, round->vms)]
				    [rng_below(&rng, round->cpus)]);
	}
	return NULL;
}

/* Another process keeps our descriptors a little longer than we live. */
static void leave_heir(struct rng *rng)
{
	int us = rng_below(rng, 8000), i;
	uint64_t one = 1;

	if (fork())
		return;
	/* Timers fire and events come while nobody's memory is there. */
	usleep(us);
	for (i = 0; i < NEVENTFD; i++)
		if (write(FD_EVENT(i), &one, sizeof(one)) != sizeof(one))
			usleep(1);
	usleep(us);
	_exit(0);
}

static void arm_timers(struct round *round, struct rng *rng)
{
	struct kvm_clock_data clock = {};
	int v, c;

	if (no_timer)
		return;
	for (v = 0; v < round->vms; v++) {
		ioctl(FD_VM(v), KVM_GET_CLOCK, &clock);
		for (c = 0; c < round->cpus; c++) {
			struct kvm_xen_vcpu_attr attr = {
				.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
				.u.timer.port = 1 + rng_below(rng, FEW_PORTS),
				.u.timer.priority = PRIO_2LEVEL,
				.u.timer.expires_ns = clock.clock +
						      rng_below(rng, 4000000),
			};

			ioctl(FD_CPU(v, c), KVM_XEN_VCPU_SET_ATTR, &attr);
		}
	}
}

/* The VMM is killed: timers armed, irqfds live, vCPUs in their guests. */
void round_die(struct round *round, struct rng *rng)
{
	if (!rng_once_in(rng, 4))
		arm_timers(round, rng);
	if (rng_next(rng) & 1)
		leave_heir(rng);
	round->shared->dying = 1;
	kill(getpid(), SIGKILL);
	pause();
}

static void start_cpus(struct round *round)
{
	int v, c;

	for (v = 0; v < round->vms; v++) {
		for (c = 0; c < round->cpus; c++) {
			struct cpu *cpu = &round->cpu[v][c];

			*cpu = (struct cpu){ .round = round, .v = v, .c = c };
			if (pthread_create(&cpu->thread, NULL, cpu_thread, cpu))
				_exit(2);
			cpu->runs = true;
		}
	}
}

static void stop_cpus(struct round *round)
{
	int v, c;

	round->stop = true;
	for (v = 0; v < round->vms; v++) {
		for (c = 0; c < round->cpus; c++) {
			struct cpu *cpu = &round->cpu[v][c];

			while (cpu->runs) {
				cpu_run(v, c)->immediate_exit = 1;
				cpu_kick(cpu);
				usleep(200);
			}
			pthread_join(cpu->thread, NULL);
		}
	}
}

static void end(struct round *round, int how, struct rng *rng)
{
	int v;

	switch (how) {
	case DIE:
		round_die(round, rng);
		break;
	case TIDY:
		stop_cpus(round);
		for (v = 0; v < round->vms; v++)
			vm_close(round, v, rng);
		break;
	default:	/* everything goes as the process goes */
		break;
	}
}

/* The process of the round; the result is its exit status. */
int round_run(const struct recipe *recipe, struct shared *shared)
{
	struct sigaction action = { .sa_handler = no_op };
	static struct round round;
	struct job job[NWORKER];
	struct rng rng;
	pthread_t kicker;
	int i, how, killer, at;

	round = (struct round){ .recipe = recipe, .shared = shared };
	round.seed = recipe_seed(recipe);
	rng.state = round.seed;
	round.vms = 1 + rng_below(&rng, NVM);
	round.cpus = 1 + rng_below(&rng, NCPU);
	round.workers = 2 + rng_below(&rng, NWORKER - 1);
	round.hugetlb = rng_next(&rng) & 1;
	how = rng_below(&rng, 4);
	killer = rng_below(&rng, 3) ? -1 : (int)rng_below(&rng, round.workers);
	at = rng_below(&rng, BLOCKS);

	sigaction(SIGUSR1, &action, NULL);
	world_make(&round);
	for (i = 0; i < round.vms; i++)
		vm_open(&round, i, &rng);
	start_cpus(&round);
	if (pthread_create(&kicker, NULL, kick, &round))
		_exit(2);
	for (i = 0; i < round.workers; i++) {
		job[i] = (struct job){ .worker = { .round = &round, .id = i },
				       .die_at = i == killer ? at : -1 };
		if (pthread_create(&job[i].thread, NULL, work, &job[i]))
			_exit(2);
	}
	for (i = 0; i < round.workers; i++)
		pthread_join(job[i].thread, NULL);
	end(&round, shared->failed ? LEAVE : how, &rng);
	return shared->failed;
}
