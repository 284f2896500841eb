// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: areas are placed and taken away, pages under them are
 * replaced, discarded and protected, memory slots come and go, and events keep
 * being raised, from several threads.
 *
 * What must hold is that a page which is no longer mapped is no longer written:
 * every page that is taken away is looked at when its mapping is gone, and again
 * some time later.  And when the storm is over, the next event arrives.
 *
 * KVM_XEN_SEED in the environment repeats a run (it is printed); under a
 * deterministic emulator the run is the same to the instruction.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "xvm.h"

#define SPOTS		4	/* places of guest memory that areas lie on */
#define RETIRED		8	/* pages that wait, unmapped, to be looked at */
#define NPAGES		(SPOTS + RETIRED)
#define CPUS		4
#define OTHER_SLOT	3
#define OTHER_GPA	0x400000
#define ROUNDS		4000

FIXTURE(storm) {
	struct xvm vm;
	struct xvm_mem mem;
	uint8_t *other;
	uint8_t copies[RETIRED][XVM_PAGE];
	int retired[RETIRED];	/* pages of the memfd, oldest at @next */
	int at[SPOTS];		/* the page that is mapped there */
	int next;
	int stop;		/* atomic */
	unsigned long placed, sent, slots;	/* one thread each */
};

static unsigned int storm_seed(void)
{
	const char *text = getenv("KVM_XEN_SEED");
	unsigned int seed = text ? strtoul(text, NULL, 0) : 1;

	fprintf(stderr, "# KVM_XEN_SEED=%u\n", seed);
	return seed;
}

static bool storm_over(FIXTURE_DATA(storm) *s)
{
	return __atomic_load_n(&s->stop, __ATOMIC_ACQUIRE);
}

/* Places and takes away areas; any answer but a broken one is right. */
static void *placer(void *arg)
{
	FIXTURE_DATA(storm) *s = arg;
	unsigned int seed = storm_seed() + 1;
	uint64_t gpa;
	int r, cpu;

	while (!storm_over(s)) {
		gpa = rand_r(&seed) % SPOTS * XVM_PAGE;
		cpu = rand_r(&seed) % CPUS;
		switch (rand_r(&seed) % 6) {
		case 0:
			r = xvm_shinfo_gfn(&s->vm, gpa / XVM_PAGE);
			break;
		case 1:
			r = xvm_shinfo_hva(&s->vm, s->mem.map + gpa);
			break;
		case 2:
			r = xvm_cpu_attr(&s->vm, cpu,
					 KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
					 gpa + cpu * XEN_VCPU_INFO_SIZE);
			break;
		case 3:
			r = xvm_cpu_attr(&s->vm, cpu,
					 KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
					 gpa ? gpa - 16 : gpa);
			break;
		case 4:
			r = xvm_cpu_attr(&s->vm, cpu,
					 KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
					 KVM_XEN_INVALID_GPA);
			break;
		default:
			r = xvm_runstate(&s->vm, cpu, rand_r(&seed) % 4);
		}
		if (r && r != -EFAULT)
			xvm_die("an area could not be placed: %d", r);
		s->placed++;
	}
	return NULL;
}

static void *sender(void *arg)
{
	FIXTURE_DATA(storm) *s = arg;
	unsigned int seed = storm_seed() + 2;
	int r;

	while (!storm_over(s)) {
		r = xvm_send(&s->vm, 1 + rand_r(&seed) % 4095,
			     rand_r(&seed) % CPUS);
		if (r && r != -EFAULT)
			xvm_die("an event could not be raised: %d", r);
		s->sent++;
	}
	return NULL;
}

static void *slotter(void *arg)
{
	FIXTURE_DATA(storm) *s = arg;

	while (!storm_over(s)) {
		xvm_slot(&s->vm, OTHER_SLOT, 0, OTHER_GPA, XVM_PAGE, s->other);
		xvm_slot(&s->vm, 0, s->slots & 1 ? KVM_MEM_LOG_DIRTY_PAGES : 0,
			 0, SPOTS * XVM_PAGE, s->mem.map);
		xvm_slot(&s->vm, OTHER_SLOT, 0, 0, 0, NULL);
		s->slots++;
		xvm_sleep_ms(1);
	}
	return NULL;
}

FIXTURE_SETUP(storm)
{
	int i;

	xvm_mem_create(&self->mem, NPAGES);
	self->other = xvm_anon(1);
	for (i = 0; i < SPOTS; i++)
		self->at[i] = i;
	for (i = 0; i < RETIRED; i++)
		self->retired[i] = SPOTS + i;
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, SPOTS * XVM_PAGE, self->mem.map);
	for (i = 0; i < CPUS; i++)
		xvm_add_cpu(&self->vm, i);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, 0));
}

FIXTURE_TEARDOWN(storm)
{
	xvm_destroy(&self->vm);
}

static uint8_t *storm_page(FIXTURE_DATA(storm) *s, int page)
{
	return s->mem.witness + page * XVM_PAGE;
}

/* Map the page that was away longest at @spot.  False: it was written to. */
static bool replace(FIXTURE_DATA(storm) *s, int spot)
{
	int new = s->retired[s->next], old = s->at[spot];
	bool clean = !memcmp(s->copies[s->next], storm_page(s, new), XVM_PAGE);

	memset(storm_page(s, new), 0, XVM_PAGE);
	xvm_map(&s->mem, new, s->mem.map + spot * XVM_PAGE);
	s->at[spot] = new;
	/* From here on nobody may write to the old page. */
	memcpy(s->copies[s->next], storm_page(s, old), XVM_PAGE);
	s->retired[s->next] = old;
	s->next = (s->next + 1) % RETIRED;
	return clean;
}

TEST_F_TIMEOUT(storm, page_taken_away_is_not_written, 100)
{
	void *(*const threads[])(void *) = { placer, sender, slotter };
	unsigned int seed = storm_seed();
	pthread_t thread[3];
	int i, spot, dirty = 0;
	uint8_t *map;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, threads[i], self));
	for (i = 0; i < ROUNDS; i++) {
		spot = rand_r(&seed) % SPOTS;
		map = self->mem.map + spot * XVM_PAGE;
		switch (rand_r(&seed) % 4) {
		case 0:
			ASSERT_EQ(0, madvise(map, XVM_PAGE, MADV_DONTNEED));
			break;
		case 1:
			ASSERT_EQ(0, mprotect(map, XVM_PAGE, PROT_READ));
			ASSERT_EQ(0, mprotect(map, XVM_PAGE,
					      PROT_READ | PROT_WRITE));
			break;
		default:
			dirty += !replace(self, spot);
		}
		if (i % 8 == 0)
			xvm_sleep_ms(1);
	}
	__atomic_store_n(&self->stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	fprintf(stderr, "# %lu areas placed, %lu events, %lu slot changes\n",
		self->placed, self->sent, self->slots * 3);
	/* It was a storm, not a breeze. */
	ASSERT_LT(100, self->placed);
	ASSERT_LT(100, self->sent);
	EXPECT_EQ(0, dirty);

	/* After the storm everything works. */
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, 1));
	memset(storm_page(self, self->at[1]), 0, XVM_PAGE);
	ASSERT_EQ(0, xvm_send(&self->vm, 77, 0));
	EXPECT_TRUE(xvm_pending(storm_page(self, self->at[1]), 77));
}

/* Threads that all look the same cache up while its page comes and goes. */
TEST_F_TIMEOUT(storm, concurrent_lookups_end_right, 100)
{
	pthread_t thread[4];
	int i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, sender, self));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, madvise(self->mem.map, XVM_PAGE, MADV_DONTNEED));
		if (i % 8 == 0)
			xvm_sleep_ms(1);
	}
	__atomic_store_n(&self->stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	memset(storm_page(self, self->at[0]), 0, XVM_PAGE);
	ASSERT_EQ(0, xvm_send(&self->vm, 78, 0));
	EXPECT_TRUE(xvm_pending(storm_page(self, self->at[0]), 78));
}

TEST_HARNESS_MAIN
