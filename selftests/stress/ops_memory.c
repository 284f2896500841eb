// SPDX-License-Identifier: GPL-2.0
/*
 * Operations: memory slots, and the memory behind them.
 *
 * What is taken away from the arena is put back by the same operation, mostly at
 * once; in between there may be a hole, which faults and lookups then find.
 */
#include "stress.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int any_vm(struct worker *w, struct rng *rng)
{
	return FD_VM(rng_below(rng, w->round->vms));
}

/* A range of whole pages in the arena; mostly short. */
struct range {
	void *start;
	size_t size;
};

static struct range any_range(struct rng *rng)
{
	size_t pages = ARENA_SIZE / PAGE, first, n;

	if (rng_next(rng) & 1)		/* few places, so that threads meet */
		first = rng_below(rng, 16) * 32 * 4;
	else
		first = rng_below(rng, pages);
	n = rng_once_in(rng, 4) ? 1 + rng_below(rng, 512) :
	    1 + rng_below(rng, 4);
	if (rng_once_in(rng, 4)) {	/* the areas of the vCPUs */
		first = 16;
		n = NVM * NCPU;
	}
	if (n > pages - first)
		n = pages - first;
	return (struct range){ (void *)(ARENA + first * PAGE), n * PAGE };
}

static long answer(long r)
{
	return r < 0 ? -errno : 0;
}

static void op_slot(struct worker *w, struct rng *rng)
{
	int flip = rng_below(rng, FLIPS);
	struct kvm_userspace_memory_region region = {
		.slot = SLOT_FLIP + flip,
		.guest_phys_addr = FLIP_GPA + flip * FLIP_SIZE,
		.memory_size = FLIP_SIZE,
		.userspace_addr = ARENA + rng_below(rng, 7) * MB,
		.flags = rng_below(rng, 4),	/* dirty logging, read-only */
	};
	uint64_t wanted = OK | E(EINVAL) | E(EEXIST);

	switch (rng_below(rng, 10)) {
	case 0:
	case 1:
	case 2:
		region.memory_size = 0;
		break;
	case 3:		/* over a neighbour */
		region.guest_phys_addr += FLIP_SIZE / 2;
		break;
	case 4:
		region.guest_phys_addr = rng_edge(rng);
		break;
	case 5:
		region.memory_size = rng_edge(rng);
		break;
	case 6:
		region.flags = rng_edge(rng);
		break;
	case 7:		/* small pages where there were large ones */
		region.memory_size = 3 * PAGE;
		break;
	}
	if (!rng_once_in(rng, 32))
		region.userspace_addr &= -PAGE;
	judge(w->round, "KVM_SET_USER_MEMORY_REGION", "",
	      answer(ioctl(any_vm(w, rng), KVM_SET_USER_MEMORY_REGION, &region)),
	      wanted | E(ENOMEM) | GONE);
}

/* The slot that is always there: logging on, off, read-only, away, back. */
static void op_arena_slot(struct worker *w, struct rng *rng)
{
	struct kvm_userspace_memory_region region = {
		.slot = SLOT_ARENA,
		.guest_phys_addr = ARENA_GPA,
		.memory_size = ARENA_SIZE,
		.userspace_addr = ARENA,
		.flags = rng_next(rng) & 1 ? KVM_MEM_LOG_DIRTY_PAGES : 0,
	};
	int fd = any_vm(w, rng);

	if (rng_once_in(rng, 8)) {
		region.memory_size = 0;
		judge(w->round, "KVM_SET_USER_MEMORY_REGION", "away",
		      answer(ioctl(fd, KVM_SET_USER_MEMORY_REGION, &region)),
		      OK | E(EINVAL) | GONE);
		if (rng_next(rng) & 1)
			usleep(rng_below(rng, 300));
		region.memory_size = ARENA_SIZE;
		if (rng_once_in(rng, 4))
			region.flags |= KVM_MEM_READONLY;
	}
	judge(w->round, "KVM_SET_USER_MEMORY_REGION", "arena",
	      answer(ioctl(fd, KVM_SET_USER_MEMORY_REGION, &region)),
	      OK | E(EINVAL) | E(EEXIST) | GONE);
}

static void op_dirty_log(struct worker *w, struct rng *rng)
{
	static _Thread_local uint64_t bitmap[ARENA_SIZE / PAGE / 64];
	uint32_t slot = rng_once_in(rng, 16) ? rng_edge(rng) :
			rng_next(rng) & 1 ? SLOT_ARENA :
			rng_below(rng, SLOT_FLIP + FLIPS);
	struct kvm_dirty_log get = { .slot = slot, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = {
		.slot = slot, .dirty_bitmap = bitmap,
		.first_page = rng_below(rng, 4) * 64,
		.num_pages = 64 * (1 + rng_below(rng, 8)),
	};
	uint64_t wanted = OK | E(EINVAL) | E(ENOENT) | GONE;
	int fd = any_vm(w, rng);

	if (rng_once_in(rng, 16)) {
		clear.first_page = rng_edge(rng);
		clear.num_pages = rng_edge(rng);
		/* Whatever bitmap that needs, ours is shorter. */
		wanted |= E(EFAULT) | E(ENOMEM);
		clear.dirty_bitmap = NULL;
	}
	judge(w->round, "KVM_GET_DIRTY_LOG", "",
	      answer(ioctl(fd, KVM_GET_DIRTY_LOG, &get)),
	      wanted | E(EFAULT));
	if (rng_next(rng) & 1)
		judge(w->round, "KVM_CLEAR_DIRTY_LOG", "",
		      answer(ioctl(fd, KVM_CLEAR_DIRTY_LOG, &clear)), wanted);
}

static void op_advise(struct worker *w, struct rng *rng)
{
	static const int kinds[] = {
		MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED,
		MADV_FREE, MADV_REMOVE, MADV_COLD, MADV_PAGEOUT, MADV_HUGEPAGE,
		MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_UNMERGEABLE,
		MADV_POPULATE_WRITE, MADV_POPULATE_READ, MADV_COLLAPSE,
		MADV_DONTFORK, MADV_DOFORK,
	};
	struct range range = any_range(rng);

	/* What kinds of memory there are, and so what is right, is varied. */
	madvise(range.start, range.size, pick(rng, kinds));
}

static void op_protect(struct worker *w, struct rng *rng)
{
	struct range range = any_range(rng);

	mprotect(range.start, range.size,
		 rng_once_in(rng, 3) ? PROT_NONE : PROT_READ);
	if (rng_once_in(rng, 4))
		usleep(rng_below(rng, 200));
	mprotect(range.start, range.size, PROT_READ | PROT_WRITE);
}

static void op_unmap(struct worker *w, struct rng *rng)
{
	struct range range = any_range(rng);

	munmap(range.start, range.size);
	if (rng_once_in(rng, 4))
		usleep(rng_below(rng, 200));
	mmap(range.start, range.size, PROT_READ | PROT_WRITE,
	     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void op_remap(struct worker *w, struct rng *rng)
{
	struct range from = any_range(rng), to = any_range(rng);
	size_t size = from.size < to.size ? from.size : to.size;

	mremap(from.start, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to.start);
	mmap(from.start, size, PROT_READ | PROT_WRITE,
	     MAP_FIXED | MAP_SHARED, w->round->memfd,
	     (uintptr_t)from.start - ARENA);
}

static void op_renew(struct worker *w, struct rng *rng)
{
	arena_part(w->round, rng_below(rng, ARENA_SIZE / ARENA_PART));
}

/* The file behind half of the arena loses pages under everyone's mapping. */
static void op_punch(struct worker *w, struct rng *rng)
{
	struct range range = any_range(rng);

	fallocate(w->round->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  (uintptr_t)range.start - ARENA, range.size);
}

/* Pages of equal contents, which merge; guests write them apart again. */
static void op_equal(struct worker *w, struct rng *rng)
{
	struct range range = any_range(rng);

	madvise(range.start, range.size, MADV_DONTNEED);
	madvise(range.start, range.size, MADV_MERGEABLE);
	madvise(range.start, range.size, MADV_POPULATE_WRITE);
}

const struct op memory_ops[] = {
	{ "slot", 12, op_slot },
	{ "arena-slot", 8, op_arena_slot },
	{ "dirty-log", 8, op_dirty_log },
	{ "advise", 20, op_advise },
	{ "protect", 6, op_protect },
	{ "unmap", 6, op_unmap },
	{ "remap", 4, op_remap },
	{ "renew", 2, op_renew },
	{ "punch", 4, op_punch },
	{ "equal", 2, op_equal },
	{}
};
