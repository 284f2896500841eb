// SPDX-License-Identifier: GPL-2.0
/*
 * Coverage by KCOV, see cover.h.
 *
 * Reached places are kept in a table of hashes that rounds share and fill without
 * a lock; two places of one hash count as one, which at this size is rare.  The
 * corpus is a ring: a new block takes a number, and the place of the oldest.
 */
#include "cover.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kcov.h>

#include "random.h"

#define KCOV		"/sys/kernel/debug/kcov"
#define RECORD		(1 << 16)	/* words; a block that goes further is cut */
#define PLACES_BITS	20
#define CORPUS		512

struct cover {
	uint64_t *record;
};

static struct {
	_Atomic uint32_t reached;
	_Atomic uint32_t kept;
	_Atomic uint8_t place[1 << PLACES_BITS];
	struct block corpus[CORPUS];
} *found;

bool cover_setup(void)
{
	if (access(KCOV, R_OK | W_OK))
		return false;
	found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (found == MAP_FAILED)
		found = NULL;
	return found;
}

struct cover *cover_start(void)
{
	struct cover *cover;
	int fd;

	if (!found)
		return NULL;
	fd = open(KCOV, O_RDWR | O_CLOEXEC);
	cover = calloc(1, sizeof(*cover));
	if (fd < 0 || !cover || ioctl(fd, KCOV_INIT_TRACE, RECORD))
		goto out;
	cover->record = mmap(NULL, RECORD * sizeof(uint64_t),
			     PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cover->record == MAP_FAILED)
		goto out;
	if (ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		goto out;
	__atomic_store_n(&cover->record[0], 0, __ATOMIC_RELAXED);
	/* The descriptor stays open: KCOV ends with it. */
	return cover;
out:
	if (fd >= 0)
		close(fd);
	free(cover);
	return NULL;
}

void cover_block(struct cover *cover, const struct block *block)
{
	uint64_t i, n, hash;
	uint32_t new = 0;

	if (!cover)
		return;
	n = __atomic_load_n(&cover->record[0], __ATOMIC_RELAXED);
	for (i = 1; i <= n && i < RECORD; i++) {
		hash = mix(cover->record[i], 0) >> (64 - PLACES_BITS);
		if (!found->place[hash] &&
		    !atomic_exchange(&found->place[hash], 1))
			new++;
	}
	__atomic_store_n(&cover->record[0], 0, __ATOMIC_RELAXED);
	found->reached += new;
	if (new && block)
		found->corpus[found->kept++ % CORPUS] = *block;
}

void cover_breed(struct recipe *recipe)
{
	struct rng rng = { mix(recipe_seed(recipe), 1) };
	uint32_t size;

	recipe->parents = 0;
	if (!found || !found->kept)
		return;
	size = found->kept < CORPUS ? found->kept : CORPUS;
	while (recipe->parents < RECIPE_PARENTS)
		recipe->parent[recipe->parents++] =
			found->corpus[rng_below(&rng, size)];
}

uint32_t cover_reached(void)
{
	return found ? found->reached : 0;
}

uint32_t cover_corpus(void)
{
	if (!found)
		return 0;
	return found->kept < CORPUS ? found->kept : CORPUS;
}
