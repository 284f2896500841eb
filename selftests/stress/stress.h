/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the stress program share: a round, its VMs, its threads, and
 * how an answer of the kernel is judged.
 *
 * A round is a process of its own.  Descriptors sit at fixed numbers and mappings
 * at fixed addresses; what is closed is replaced in one step by something that
 * answers ENOTTY, or by empty memory.  So any thread may close anything at any
 * moment without another one hitting what it did not mean.
 */
#ifndef STRESS_H
#define STRESS_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/kvm.h>

#include "random.h"
#include "recipe.h"

#define PAGE		4096UL
#define MB		(1UL << 20)

#define NVM		3
#define NCPU		3
#define NWORKER		4
#define NEVENTFD	8
#define NGSI		24
#define PRIO_2LEVEL	((uint32_t)-1)

/* Descriptors. */
#define FD_NONE		100		/* answers ENOTTY to every ioctl */
#define FD_VM(v)	(110 + (v))
#define FD_CPU(v, c)	(120 + (v) * NCPU + (c))
#define FD_EVENT(e)	(140 + (e))

/*
 * Addresses here.  They are far from where mmap() puts what has no address, so a
 * hole in the arena is never filled with memory that the program itself uses.
 */
#define ARENA		0x1000000000UL	/* what the guests' memory consists of */
#define ARENA_SIZE	(8 * MB)
#define ARENA_PART	(2 * MB)	/* each fourth is of another kind */
#define STABLE(v)	(0x1100000000UL + (v) * MB)
#define RUN(v, c)	(0x1200000000UL + ((v) * NCPU + (c)) * 16 * PAGE)

/*
 * Addresses in the guests.  Code and tables lie where nothing random points: a
 * guest that goes astray far enough can end the emulator under the host.
 */
#define STABLE_GPA	0xd0000000UL
#define STABLE_SIZE	(32 * PAGE)
#define SPOIL_GPA	(STABLE_GPA + 9 * PAGE)	/* may be written over: two pages */
#define ARENA_GPA	(2 * MB)	/* the arena, whole */
#define FLIP_GPA	(16 * MB)	/* slots that come and go, FLIPS of them */
#define FLIP_SIZE	MB
#define FLIPS		4
#define SLOT_STABLE	0
#define SLOT_ARENA	1
#define SLOT_FLIP	2

/* Seen by the supervisor too, and so by it after the round's death. */
struct shared {
	_Atomic uint64_t ops;
	_Atomic uint64_t exits;		/* of guests to user space */
	_Atomic uint64_t hypercalls;	/* among them, Xen's */
	_Atomic uint64_t errors;	/* answers other than success */
	_Atomic int failed;
	_Atomic int dying;		/* the round kills itself, as planned */
	char failure[256];
	_Atomic(const char *) now[NWORKER];	/* what each worker is doing */
};

struct round;

/* A vCPU's thread. */
struct cpu {
	struct round *round;
	int v, c;
	pthread_t thread;
	_Atomic bool runs;
};

struct round {
	const struct recipe *recipe;
	struct shared *shared;
	int vms, cpus, workers;		/* immutable once threads run */
	uint64_t seed;
	int memfd;
	bool hugetlb;
	_Atomic bool stop;		/* for vCPU threads */
	_Atomic uint32_t life[NVM];	/* counts openings; odd: VM is there */
	pthread_mutex_t life_lock[NVM];	/* held by who opens or closes */
	struct cpu cpu[NVM][NCPU];
};

/* A worker thread. */
struct worker {
	struct round *round;
	int id;
	struct cover *cover;		/* where it went, if the kernel tells */
};

/* Sets of answers. */
#define OK		1ULL
#define E(err)		((err) == EOPNOTSUPP ? 1ULL << 63 : 1ULL << (err))
/* The object was closed, or we are being killed. */
#define GONE		(E(ENOTTY) | E(EINTR))

/*
 * Judge the answer @r of a system call that is to be one of @wanted; else the
 * round failed.  Returns 0, or a negative errno.
 */
int judge(struct round *round, const char *what, const char *detail, long r,
	  uint64_t wanted);
void fail_round(struct round *round, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* world.c: memory, VMs. */
void world_make(struct round *round);
void vm_open(struct round *round, int v, struct rng *rng);
void vm_close(struct round *round, int v, struct rng *rng);
void cpu_close(int v, int c);
struct kvm_run *cpu_run(int v, int c);
/* Make one part of the arena anew, all at once. */
void arena_part(struct round *round, int part);
/* A guest address, a user address: of use, at the edge, or wrong. */
uint64_t any_gpa(struct rng *rng);
uint64_t any_hva(struct rng *rng);
/* Where guests know vcpu_info areas to be. */
uint64_t spot_gpa(int v, int c, int n);

/* guest.c: what vCPUs execute. */
#define LOST_PORT	0x81		/* an exception brought it here */
void guest_tables(uint8_t *stable);
void guest_code(uint8_t *stable, int c, struct rng *rng);
void guest_data(uint8_t *stable, struct rng *rng);
void guest_registers(int c, bool longmode, struct kvm_sregs *sregs,
		     struct kvm_regs *regs);

/* vcpu.c: threads that run them. */
void *cpu_thread(void *arg);
void cpu_kick(struct cpu *cpu);

/* ops.c: the table of operations. */
struct op {
	const char *name;
	unsigned int weight;
	void (*fn)(struct worker *w, struct rng *rng);
};

/* Switches, see docs/testing.rst. */
extern bool any_msr;	/* for hypercalls, not only those of Xen's range */
extern bool no_timer;	/* no Xen timer is armed */
extern const struct op xen_ops[], event_ops[], memory_ops[], life_ops[];
void run_block(struct worker *w, const struct block *block);

/* round.c. */
int round_run(const struct recipe *recipe, struct shared *shared);
void round_die(struct round *round, struct rng *rng);

#endif
