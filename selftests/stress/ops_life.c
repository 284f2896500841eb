// SPDX-License-Identifier: GPL-2.0
/*
 * Operations: life and death.  VMs and vCPUs are closed and opened, vCPUs taken out
 * of the guest, their state set; the process forks.
 */
#include "stress.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void op_close(struct worker *w, struct rng *rng)
{
	int v = rng_below(rng, w->round->vms), us = rng_below(rng, 500);
	bool stays = rng_once_in(rng, 4);

	vm_close(w->round, v, rng);
	if (stays)
		return;
	usleep(us);
	vm_open(w->round, v, rng);
}

static void op_open(struct worker *w, struct rng *rng)
{
	int v = rng_below(rng, w->round->vms);

	/* One that lost a vCPU gets it back only so. */
	if (rng_once_in(rng, 4))
		vm_close(w->round, v, rng);
	vm_open(w->round, v, rng);
}

static void op_close_cpu(struct worker *w, struct rng *rng)
{
	cpu_close(rng_below(rng, w->round->vms), rng_below(rng, w->round->cpus));
}

static void op_kick(struct worker *w, struct rng *rng)
{
	cpu_kick(&w->round->cpu[rng_below(rng, w->round->vms)]
			       [rng_below(rng, w->round->cpus)]);
}

static void op_exit_soon(struct worker *w, struct rng *rng)
{
	int v = rng_below(rng, w->round->vms), c = rng_below(rng, w->round->cpus);

	cpu_run(v, c)->immediate_exit = rng_next(rng);
	if (rng_next(rng) & 1)
		cpu_kick(&w->round->cpu[v][c]);
}

/* Other steps, under the feet of those who execute them. */
static void op_code(struct worker *w, struct rng *rng)
{
	int v = rng_below(rng, w->round->vms);
	struct rng mine = { rng_next(rng) };

	if (rng_next(rng) & 1)
		guest_data((uint8_t *)STABLE(v), &mine);
	else
		guest_code((uint8_t *)STABLE(v),
			   rng_below(rng, w->round->cpus), &mine);
}

static void op_clock(struct worker *w, struct rng *rng)
{
	struct kvm_clock_data clock = { .clock = rng_edge(rng) };
	int fd = FD_VM(rng_below(rng, w->round->vms));

	if (rng_next(rng) & 1) {
		if (ioctl(fd, KVM_GET_CLOCK, &clock))
			return;
		clock.clock += rng_below(rng, 1000000);
		clock.flags = 0;
	}
	judge(w->round, "KVM_SET_CLOCK", "",
	      ioctl(fd, KVM_SET_CLOCK, &clock) ? -errno : 0, OK | GONE);
}

/* What guests write themselves, written by the VMM. */
static void op_msr(struct worker *w, struct rng *rng)
{
	static const uint32_t msrs[] = {
		0x40000200,	/* the hypercall page */
		0x4b564d01,	/* KVM's clock */
		0x4b564d03,	/* steal time */
		0x10,		/* the time stamp counter */
		0x3b,		/* its offset */
	};
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = {
		.head.nmsrs = 1,
		.entry.index = pick(rng, msrs),
		.entry.data = rng_once_in(rng, 4) ? rng_edge(rng) :
			      any_gpa(rng) | rng_below(rng, 2),
	};
	int fd = FD_CPU(rng_below(rng, w->round->vms),
			rng_below(rng, w->round->cpus));
	long r = ioctl(fd, KVM_SET_MSRS, &msr);

	/* How many were set: none, or one. */
	judge(w->round, "KVM_SET_MSRS", "", r < 0 ? -errno : 0, OK | GONE);
}

static void op_mp_state(struct worker *w, struct rng *rng)
{
	struct kvm_mp_state state = { .mp_state = rng_below(rng, 6) };
	int fd = FD_CPU(rng_below(rng, w->round->vms),
			rng_below(rng, w->round->cpus));

	judge(w->round, "KVM_SET_MP_STATE", "",
	      ioctl(fd, KVM_SET_MP_STATE, &state) ? -errno : 0,
	      OK | E(EINVAL) | GONE);
}

/*
 * A child has copies of all descriptors and none of the threads; what it asks of
 * the VM is refused, since the memory is not the VM's.  It may outlive us.
 */
static void op_fork(struct worker *w, struct rng *rng)
{
	struct kvm_irq_routing_xen_evtchn event = {
		.port = 1, .priority = PRIO_2LEVEL,
	};
	int v = rng_below(rng, w->round->vms), e = rng_below(rng, NEVENTFD);
	int us = rng_below(rng, 5000), r;
	uint64_t one = 1;

	if (fork())
		return;
	r = ioctl(FD_VM(v), KVM_XEN_HVM_EVTCHN_SEND, &event) ? -errno : 0;
	judge(w->round, "KVM_XEN_HVM_EVTCHN_SEND", "from another process", r,
	      E(EIO) | E(ENOTTY));
	usleep(us);
	if (write(FD_EVENT(e), &one, sizeof(one)) != sizeof(one))
		usleep(us);
	_exit(0);
}

static void op_move(struct worker *w, struct rng *rng)
{
	cpu_set_t set;
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int i, which = 1 + rng_below(rng, (1u << n) - 1);
	struct cpu *cpu = &w->round->cpu[rng_below(rng, w->round->vms)]
					[rng_below(rng, w->round->cpus)];

	CPU_ZERO(&set);
	for (i = 0; i < n; i++)
		if (which & 1u << i)
			CPU_SET(i, &set);
	if (cpu->runs)
		pthread_setaffinity_np(cpu->thread, sizeof(set), &set);
}

static void op_wait(struct worker *w, struct rng *rng)
{
	usleep(rng_below(rng, 1000));
}

const struct op life_ops[] = {
	{ "close", 4, op_close },
	{ "open", 10, op_open },
	{ "close-cpu", 1, op_close_cpu },
	{ "kick", 8, op_kick },
	{ "exit-soon", 6, op_exit_soon },
	{ "code", 8, op_code },
	{ "clock", 4, op_clock },
	{ "msr", 6, op_msr },
	{ "mp-state", 2, op_mp_state },
	{ "fork", 1, op_fork },
	{ "move", 3, op_move },
	{ "wait", 8, op_wait },
	{}
};
