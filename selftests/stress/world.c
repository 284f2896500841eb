// SPDX-License-Identifier: GPL-2.0
/*
 * The world of a round: the memory that guests are made of, and the life of VMs.
 *
 * A VM's opening and closing are serialised by life_lock; everything else may meet
 * a VM in any state.
 */
#include "stress.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define XEN_MSR		0x40000200
#define XEN_LEAF	0x40000000

static const char arena_memfd[] = "xen_stress";

static void *map_at(uintptr_t where, size_t size, int flags, int fd, off_t at)
{
	void *p = mmap((void *)where, size, PROT_READ | PROT_WRITE,
		       flags | MAP_FIXED, fd, at);

	return p == MAP_FAILED ? NULL : p;
}

static void empty_run(int v, int c)
{
	map_at(RUN(v, c), 3 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

void arena_part(struct round *round, int part)
{
	uintptr_t where = ARENA + part * ARENA_PART;
	const int anon = MAP_PRIVATE | MAP_ANONYMOUS;

	switch (part) {
	case 0:	/* private memory, in huge pages where that works out */
		map_at(where, ARENA_PART, anon, -1, 0);
		madvise((void *)where, ARENA_PART, MADV_HUGEPAGE);
		break;
	case 1:	/* a file's, shared */
		map_at(where, ARENA_PART, MAP_SHARED, round->memfd, 0);
		break;
	case 2:	/* a file's, copied on write; pages of equal contents merge */
		map_at(where, ARENA_PART, MAP_PRIVATE, round->memfd, ARENA_PART);
		madvise((void *)where, ARENA_PART, MADV_MERGEABLE);
		break;
	default: /* reserved huge pages, if the host has any left */
		if (round->hugetlb &&
		    map_at(where, ARENA_PART, anon | MAP_HUGETLB, -1, 0))
			break;
		map_at(where, ARENA_PART, anon, -1, 0);
		madvise((void *)where, ARENA_PART, MADV_MERGEABLE);
	}
}

void world_make(struct round *round)
{
	int none = open("/dev/null", O_RDWR);
	int i, v, c;

	round->memfd = memfd_create(arena_memfd, MFD_CLOEXEC);
	if (round->memfd < 0 || ftruncate(round->memfd, ARENA_SIZE) ||
	    none < 0 || dup2(none, FD_NONE) < 0) {
		perror("xen_stress: memfd");
		_exit(2);
	}
	for (i = 0; i < ARENA_SIZE / ARENA_PART; i++)
		arena_part(round, i);
	for (v = 0; v < NVM; v++) {
		pthread_mutex_init(&round->life_lock[v], NULL);
		dup2(FD_NONE, FD_VM(v));
		map_at(STABLE(v), STABLE_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		guest_tables((uint8_t *)STABLE(v));
		for (c = 0; c < NCPU; c++) {
			dup2(FD_NONE, FD_CPU(v, c));
			empty_run(v, c);
		}
	}
	for (i = 0; i < NEVENTFD; i++) {
		int fd = eventfd(0, EFD_NONBLOCK);

		dup2(fd, FD_EVENT(i));
		close(fd);
	}
	close(none);
}

struct kvm_run *cpu_run(int v, int c)
{
	return (struct kvm_run *)RUN(v, c);
}

/* What the processor can, and Xen's leaves, which KVM itself looks for. */
static void cpu_features(int kvm, int fd)
{
	const struct kvm_cpuid_entry2 xen[] = {
		{ .function = XEN_LEAF, .eax = XEN_LEAF + 4,
		  .ebx = 0x566e6558, .ecx = 0x65584d4d, .edx = 0x4d4d566e },
		{ .function = XEN_LEAF + 3, .index = 1,
		  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
		{ .function = XEN_LEAF + 3, .index = 2,
		  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
	};
	const int room = 200, more = sizeof(xen) / sizeof(xen[0]);
	struct kvm_cpuid2 *cpuid;
	int i, n;

	cpuid = calloc(1, sizeof(*cpuid) + (room + more) * sizeof(xen[0]));
	if (!cpuid)
		return;
	cpuid->nent = room;
	if (!ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid)) {
		/* KVM's own leaves would stand in Xen's place. */
		for (i = n = 0; i < cpuid->nent; i++)
			if (cpuid->entries[i].function >> 28 != XEN_LEAF >> 28)
				cpuid->entries[n++] = cpuid->entries[i];
		memcpy(cpuid->entries + n, xen, sizeof(xen));
		cpuid->nent = n + more;
		ioctl(fd, KVM_SET_CPUID2, cpuid);
	}
	free(cpuid);
}

static void slot(int fd, int id, uint32_t flags, uint64_t gpa, uint64_t size,
		 uintptr_t hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = id, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = hva,
	};

	ioctl(fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void configure(struct round *round, int fd, int v, struct rng *rng)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP,
					.args = { NGSI } };
	struct kvm_enable_cap manual = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { 1 + 2 * rng_below(rng, 2) } };
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			 KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = XEN_MSR,
	};
	struct kvm_xen_hvm_attr mode = {
		.type = KVM_XEN_ATTR_TYPE_LONG_MODE,
		.u.long_mode = !rng_once_in(rng, 4),
	};
	struct kvm_xen_hvm_attr shinfo = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
		.u.shared_info.gfn = ARENA_GPA / PAGE + rng_below(rng, 8),
	};

	switch (rng_below(rng, 8)) {
	case 0:		/* no interrupt controller at all */
		break;
	case 1:
		ioctl(fd, KVM_CREATE_IRQCHIP, 0);
		break;
	default:
		ioctl(fd, KVM_ENABLE_CAP, &split);
	}
	if (rng_once_in(rng, 3))
		ioctl(fd, KVM_ENABLE_CAP, &manual);
	slot(fd, SLOT_STABLE, 0, STABLE_GPA, STABLE_SIZE, STABLE(v));
	slot(fd, SLOT_ARENA, rng_once_in(rng, 3) ? KVM_MEM_LOG_DIRTY_PAGES : 0,
	     ARENA_GPA, ARENA_SIZE, ARENA);
	if (rng_once_in(rng, 16))
		return;		/* a VM that is none of Xen's */
	judge(round, "KVM_XEN_HVM_CONFIG", "new VM",
	      ioctl(fd, KVM_XEN_HVM_CONFIG, &config) ? -errno : 0, OK);
	judge(round, "KVM_XEN_HVM_SET_ATTR", "long mode of a new VM",
	      ioctl(fd, KVM_XEN_HVM_SET_ATTR, &mode) ? -errno : 0, OK);
	if (!rng_once_in(rng, 4))
		ioctl(fd, KVM_XEN_HVM_SET_ATTR, &shinfo);
}

static void cpu_open(int kvm, int vm, int v, int c, struct rng *rng)
{
	int fd = ioctl(vm, KVM_CREATE_VCPU, (unsigned long)c);
	struct kvm_xen_vcpu_attr info = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
		.u.gpa = spot_gpa(v, c, 0),
	};

	if (fd < 0)
		return;
	map_at(RUN(v, c), 3 * PAGE, MAP_SHARED, fd, 0);
	cpu_features(kvm, fd);
	if (!rng_once_in(rng, 4))
		ioctl(fd, KVM_XEN_VCPU_SET_ATTR, &info);
	guest_code((uint8_t *)STABLE(v), c, rng);
	dup2(fd, FD_CPU(v, c));
	close(fd);
}

/* Does nothing if it is there, so that two who want it do not make two. */
void vm_open(struct round *round, int v, struct rng *rng)
{
	struct rng mine = { rng_next(rng) };
	int kvm, fd, c;

	pthread_mutex_lock(&round->life_lock[v]);
	if (round->life[v] & 1)
		goto out;
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	fd = ioctl(kvm, KVM_CREATE_VM, 0UL);
	judge(round, "KVM_CREATE_VM", "", fd < 0 ? -errno : 0, OK);
	if (fd >= 0) {
		guest_data((uint8_t *)STABLE(v), &mine);
		configure(round, fd, v, &mine);
		for (c = 0; c < round->cpus; c++)
			cpu_open(kvm, fd, v, c, &mine);
		dup2(fd, FD_VM(v));
		close(fd);
		round->life[v]++;
	}
	close(kvm);
out:
	pthread_mutex_unlock(&round->life_lock[v]);
}

void cpu_close(int v, int c)
{
	empty_run(v, c);
	dup2(FD_NONE, FD_CPU(v, c));
}

/* The VM and its vCPUs in any order: the last of them ends it. */
void vm_close(struct round *round, int v, struct rng *rng)
{
	int first = rng_below(rng, round->cpus + 1), i, n;

	pthread_mutex_lock(&round->life_lock[v]);
	for (i = 0; i <= round->cpus; i++) {
		n = (first + i) % (round->cpus + 1);
		if (n < round->cpus)
			cpu_close(v, n);
		else
			dup2(FD_NONE, FD_VM(v));
	}
	if (round->life[v] & 1)
		round->life[v]++;
	pthread_mutex_unlock(&round->life_lock[v]);
}

uint64_t spot_gpa(int v, int c, int n)
{
	return ARENA_GPA + (16 + v * NCPU + c) * PAGE + n * 0x140;
}

uint64_t any_gpa(struct rng *rng)
{
	uint64_t page = ARENA_GPA + rng_below(rng, ARENA_SIZE / PAGE) * PAGE;

	switch (rng_below(rng, 12)) {
	case 0:
		return rng_edge(rng);
	case 1:	/* the last bytes of a page */
		return page + PAGE - rng_below(rng, 80);
	case 2:	/* a slot that may be there */
		return FLIP_GPA + rng_below(rng, FLIPS * FLIP_SIZE);
	case 3:
		return page + rng_below(rng, PAGE);
	case 4:	/* what hypercalls point at */
		return SPOIL_GPA + rng_below(rng, 2 * PAGE / 64) * 64;
	case 5:	/* the last page of the arena, and what follows it */
		return ARENA_GPA + ARENA_SIZE - PAGE + rng_below(rng, 2 * PAGE);
	default: /* few pages, so that threads meet */
		return ARENA_GPA + rng_below(rng, 16) * PAGE * 32 +
		       rng_below(rng, 64) * 64;
	}
}

/* Only where a write of KVM's does no harm to the program. */
uint64_t any_hva(struct rng *rng)
{
	uint64_t page = ARENA + rng_below(rng, ARENA_SIZE / PAGE) * PAGE;

	switch (rng_below(rng, 8)) {
	case 0:	/* nothing is there, or nothing can be */
		return rng_next(rng) & 1 ? ARENA + ARENA_SIZE + 64 * MB :
		       0xffffffff80000000ULL | rng_edge(rng);
	case 1:
		return page + PAGE - rng_below(rng, 80);
	case 2:
		return page + rng_below(rng, PAGE);
	default:
		return ARENA + rng_below(rng, 16) * PAGE * 32 +
		       rng_below(rng, 64) * 64;
	}
}
