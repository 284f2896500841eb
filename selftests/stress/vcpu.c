// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that run vCPUs, one for each.  They make the guest start, start it anew
 * when it is lost, and answer its exits with values of their own stream.  They end
 * when the round says so and someone kicks them.
 */
#include "stress.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cover.h"

/* A fresh start, in one of two modes.  Anything here may find the vCPU gone. */
static void start(int v, int c, struct rng *rng)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	int fd = FD_CPU(v, c);

	memset(&sregs, 0, sizeof(sregs));
	if (ioctl(fd, KVM_GET_SREGS, &sregs))
		return;
	/* Guests write anywhere, there too. */
	guest_tables((uint8_t *)STABLE(v));
	guest_registers(c, !rng_once_in(rng, 3), &sregs, &regs);
	ioctl(fd, KVM_SET_SREGS, &sregs);
	ioctl(fd, KVM_SET_REGS, &regs);
	ioctl(fd, KVM_SET_MP_STATE, &runnable);
}

static void answer_hypercall(struct kvm_run *run, int fd, struct rng *rng)
{
	struct kvm_regs regs;

	run->xen.u.hcall.result = rng_edge(rng);
	/* The guest is elsewhere when it comes back. */
	if (rng_once_in(rng, 16) && !ioctl(fd, KVM_GET_REGS, &regs)) {
		regs.rip += 3;
		ioctl(fd, KVM_SET_REGS, &regs);
	}
}

static void exited(struct round *round, int v, int c, struct rng *rng)
{
	struct kvm_run *run = cpu_run(v, c);

	round->shared->exits++;
	switch (run->exit_reason) {
	case KVM_EXIT_XEN:
		round->shared->hypercalls++;
		answer_hypercall(run, FD_CPU(v, c), rng);
		break;
	case KVM_EXIT_IO:
		if (run->io.port == LOST_PORT)
			start(v, c, rng);
		break;
	case KVM_EXIT_MMIO:
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SYSTEM_EVENT:
	case KVM_EXIT_IOAPIC_EOI:
		break;
	case KVM_EXIT_HLT:	/* where KVM has no interrupt controller */
		break;
	default:
		start(v, c, rng);
	}
}

void *cpu_thread(void *arg)
{
	struct cpu *me = arg;
	struct round *round = me->round;
	struct kvm_run *run = cpu_run(me->v, me->c);
	struct rng rng = { mix(round->seed, 1000 + me->v * NCPU + me->c) };
	struct cover *cover = cover_start();
	uint32_t life = 0, n = 0;
	int r;

	/* Guests that spin must not starve the workers. */
	setpriority(PRIO_PROCESS, syscall(SYS_gettid), 10);
	while (!round->stop) {
		if (life != round->life[me->v]) {
			life = round->life[me->v];
			start(me->v, me->c, &rng);
		}
		if (!(++n % 64))
			cover_block(cover, NULL);
		if (rng_once_in(&rng, 32))
			run->immediate_exit = 1;
		r = ioctl(FD_CPU(me->v, me->c), KVM_RUN, 0) ? -errno : 0;
		if (!round->stop)
			run->immediate_exit = 0;
		r = judge(round, "KVM_RUN", "", r, OK | GONE | E(EFAULT) |
			  E(EAGAIN));
		switch (r) {
		case 0:
			exited(round, me->v, me->c, &rng);
			break;
		case -EINTR:
			break;
		case -ENOTTY:
			usleep(1000);
			break;
		default:
			start(me->v, me->c, &rng);
			usleep(200);
		}
	}
	me->runs = false;
	return NULL;
}

void cpu_kick(struct cpu *cpu)
{
	if (cpu->runs)
		pthread_kill(cpu->thread, SIGUSR1);
}
