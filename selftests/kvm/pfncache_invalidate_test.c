// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM does with its cached pages when the VMM's mappings change.
 *
 * Affected: every VMM that remaps, unmaps, protects or discards memory while a
 * guest runs.  Tried: each of these on the page under shared_info or vcpu_info,
 * at rest and in the middle of the lookup of that page, and on pages that no
 * cache uses.  A right system writes to the page that is mapped at the time of
 * the event, never again to one that was; and an event that concerns no cache
 * costs nothing for the caches there are.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "kselftest_harness.h"
#include "probe.h"
#include "xvm.h"

#define PORT		21
#define PORT2		22
#define VCPU_INFO	XEN_VCPU_INFO_SEL	/* see it by its selector word */

/* Caches: shared_info or vcpu_info, addressed by guest or by host address. */
enum area { SHINFO, VCPU };

FIXTURE(cache) {
	struct xvm vm;
	struct xvm_mem mem;
	uint8_t *page;		/* where the cache under test points */
	int probe;
};

FIXTURE_VARIANT(cache) {
	enum area area;
	bool hva;		/* by host address, outside every memslot */
};

FIXTURE_VARIANT_ADD(cache, shinfo_gfn) { .area = SHINFO };
FIXTURE_VARIANT_ADD(cache, shinfo_hva) { .area = SHINFO, .hva = true };
FIXTURE_VARIANT_ADD(cache, vcpu_info_gpa) { .area = VCPU };
FIXTURE_VARIANT_ADD(cache, vcpu_info_hva) { .area = VCPU, .hva = true };

/*
 * Pages of the memfd: 0 is a shared_info that stays, for the tests of vcpu_info;
 * 1 is where the cache under test points; 2 takes its place.
 */
#define STAY	0
#define OLD	1
#define NEW	2
#define NPAGES	4

FIXTURE_SETUP(cache)
{
	self->probe = probe_open();
	xvm_mem_create(&self->mem, NPAGES);
	xvm_create(&self->vm, true);
	xvm_add_cpu(&self->vm, 0);
	if (!variant->hva)
		xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	self->page = self->mem.map + OLD * XVM_PAGE;
	if (variant->area == VCPU) {
		/* By host address: never in the way of what is tested. */
		ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, self->mem.witness +
					    STAY * XVM_PAGE));
	}
}

FIXTURE_TEARDOWN(cache)
{
	xvm_destroy(&self->vm);
	close(self->probe);
}

static int cache_point(struct xvm *vm, const FIXTURE_VARIANT(cache) *variant,
		       uint8_t *page)
{
	if (variant->area == SHINFO)
		return variant->hva ? xvm_shinfo_hva(vm, page) :
				      xvm_shinfo_gfn(vm, OLD);
	return xvm_cpu_attr(vm, 0, variant->hva ?
			    KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA :
			    KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
			    variant->hva ? (uintptr_t)page : OLD * XVM_PAGE);
}

/* Makes KVM use the cache once.  Returns whether the event got anywhere. */
static int cache_use(struct xvm *vm, const FIXTURE_VARIANT(cache) *variant,
		     unsigned int port)
{
	return xvm_send(vm, port, 0);
}

/* Whether the event on @port was written into @page. */
static bool cache_wrote(const FIXTURE_VARIANT(cache) *variant,
			const uint8_t *page, unsigned int port)
{
	const uint64_t *sel = (const void *)(page + XEN_VCPU_INFO_SEL);

	return variant->area == SHINFO ? xvm_pending(page, port) :
					 *sel & (1ULL << (port / 64));
}

struct pointer {
	struct xvm *vm;
	const FIXTURE_VARIANT(cache) *variant;
	uint8_t *page;
	pid_t tid;		/* atomic: set by the thread */
	int go;			/* atomic */
	int r;
};

/* A thread that points the cache at a page, once it is told to. */
static void *pointer_thread(void *arg)
{
	struct pointer *p = arg;

	__atomic_store_n(&p->tid, xvm_tid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&p->go, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	p->r = cache_point(p->vm, p->variant, p->page);
	return NULL;
}

/*
 * Point the cache at the page in a second thread, stop that thread right after
 * KVM found the page and before it uses it, run @change, let it go on.
 */
static int point_around(int probe, struct pointer *p, void (*change)(void *),
			void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, pointer_thread, p))
		xvm_die("pthread_create");
	while (!__atomic_load_n(&p->tid, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	probe_hold(probe, PROBE_HVA_TO_PFN, p->tid, 1000);
	__atomic_store_n(&p->go, 1, __ATOMIC_RELEASE);
	if (!probe_wait_held(probe, 5000))
		xvm_die("nothing looked the page up");
	change(arg);
	if (probe_state(probe) != PROBE_HELD)
		xvm_die("the window closed too early");
	probe_release(probe);
	pthread_join(thread, NULL);
	return p->r;
}

struct change {
	struct xvm_mem *mem;
	uint8_t *page;
	uint8_t before[XVM_PAGE];	/* the old page when it was let go */
};

static void change_remap(void *arg)
{
	struct change *c = arg;

	xvm_map(c->mem, NEW, c->page);
	memcpy(c->before, c->mem->witness + OLD * XVM_PAGE, XVM_PAGE);
}

static void change_unmap(void *arg)
{
	struct change *c = arg;

	if (munmap(c->page, XVM_PAGE))
		xvm_die("munmap");
	memcpy(c->before, c->mem->witness + OLD * XVM_PAGE, XVM_PAGE);
}

TEST_F(cache, remap_during_lookup_is_followed)
{
	uint8_t *witness = self->mem.witness;
	struct change change = { &self->mem, self->page };
	struct pointer p = { &self->vm, variant, self->page };

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	ASSERT_EQ(0, point_around(self->probe, &p, change_remap, &change));
	ASSERT_EQ(0, cache_use(&self->vm, variant, PORT));
	EXPECT_TRUE(cache_wrote(variant, witness + NEW * XVM_PAGE, PORT));
	EXPECT_EQ(0, memcmp(change.before, witness + OLD * XVM_PAGE, XVM_PAGE));
}

TEST_F(cache, unmap_during_lookup_is_seen)
{
	uint8_t *witness = self->mem.witness;
	struct change change = { &self->mem, self->page };
	struct pointer p = { &self->vm, variant, self->page };

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	/* Whether the ioctl or the event says so, nobody may write. */
	point_around(self->probe, &p, change_unmap, &change);
	cache_use(&self->vm, variant, PORT);
	EXPECT_EQ(0, memcmp(change.before, witness + OLD * XVM_PAGE, XVM_PAGE));
}

TEST_F(cache, remap_is_followed)
{
	uint8_t *witness = self->mem.witness;
	struct change change = { &self->mem, self->page };

	ASSERT_EQ(0, cache_point(&self->vm, variant, self->page));
	ASSERT_EQ(0, cache_use(&self->vm, variant, PORT));
	ASSERT_TRUE(cache_wrote(variant, witness + OLD * XVM_PAGE, PORT));

	change_remap(&change);
	/* vcpu_info is the vCPU's to look up again, shared_info the sender's. */
	if (variant->area == VCPU)
		ASSERT_EQ(0, cache_point(&self->vm, variant, self->page));
	ASSERT_EQ(0, cache_use(&self->vm, variant, PORT2));
	EXPECT_TRUE(cache_wrote(variant, witness + NEW * XVM_PAGE, PORT2));
	EXPECT_EQ(0, memcmp(change.before, witness + OLD * XVM_PAGE, XVM_PAGE));
}

TEST_F(cache, unmap_is_seen)
{
	uint8_t *witness = self->mem.witness;
	struct change change = { &self->mem, self->page };
	int r;

	ASSERT_EQ(0, cache_point(&self->vm, variant, self->page));
	change_unmap(&change);
	r = cache_use(&self->vm, variant, PORT);
	EXPECT_EQ(variant->area == SHINFO ? -EFAULT : 0, r);
	EXPECT_EQ(-EFAULT, cache_point(&self->vm, variant, self->page));
	EXPECT_EQ(0, memcmp(change.before, witness + OLD * XVM_PAGE, XVM_PAGE));

	/* The mapping comes back, and so does the cache. */
	xvm_map(&self->mem, NEW, self->page);
	ASSERT_EQ(0, cache_point(&self->vm, variant, self->page));
	ASSERT_EQ(0, cache_use(&self->vm, variant, PORT2));
	EXPECT_TRUE(cache_wrote(variant, witness + NEW * XVM_PAGE, PORT2));
}

TEST_F(cache, write_protection_is_obeyed)
{
	uint8_t *witness = self->mem.witness;
	struct change change = { &self->mem, self->page };

	ASSERT_EQ(0, cache_point(&self->vm, variant, self->page));
	ASSERT_EQ(0, mprotect(self->page, XVM_PAGE, PROT_READ));
	memcpy(change.before, witness + OLD * XVM_PAGE, XVM_PAGE);
	cache_use(&self->vm, variant, PORT);
	EXPECT_EQ(0, memcmp(change.before, witness + OLD * XVM_PAGE, XVM_PAGE));

	ASSERT_EQ(0, mprotect(self->page, XVM_PAGE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, cache_point(&self->vm, variant, self->page));
	ASSERT_EQ(0, cache_use(&self->vm, variant, PORT2));
	EXPECT_TRUE(cache_wrote(variant, witness + OLD * XVM_PAGE, PORT2));
}

/* Private memory: what KVM writes after a fork() is the parent's alone. */
TEST_F(cache, copy_on_write_is_obeyed)
{
	int status, to_child[2];
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(self->page, mmap(self->page, XVM_PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				   -1, 0));
	memset(self->page, 0, XVM_PAGE);
	ASSERT_EQ(0, cache_point(&self->vm, variant, self->page));
	ASSERT_EQ(0, pipe(to_child));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (read(to_child[0], &byte, 1) != 1)
			_exit(2);
		_exit(cache_wrote(variant, self->page, PORT));
	}
	if (variant->area == VCPU)
		ASSERT_EQ(0, cache_point(&self->vm, variant, self->page));
	ASSERT_EQ(0, cache_use(&self->vm, variant, PORT));
	EXPECT_TRUE(cache_wrote(variant, self->page, PORT));
	ASSERT_EQ(1, write(to_child[1], &byte, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* ------------------------------------------------------------------------ */

#define CPUS		1024	/* four caches each, each on a page of its own */
#define MANY_PAGES	(4 * CPUS)
#define FAR		(1UL << 40)	/* between the two mappings measured */
#define ROUNDS		3
#define EVENTS		64	/* each on a page of its own */

FIXTURE(many) {
	struct xvm vm;
	uint8_t *guest;		/* guest memory with the caches' pages */
	uint8_t *other;		/* EVENTS pages that are not guest memory */
	uint8_t *spare;		/* EVENTS pages of guest memory without a cache */
	int probe;
};

FIXTURE_SETUP(many)
{
	struct rlimit files = { 2 * CPUS + 64, 2 * CPUS + 64 };
	int i;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	self->probe = probe_open();
	self->guest = xvm_anon(MANY_PAGES + EVENTS);
	memset(self->guest, 0, MANY_PAGES * XVM_PAGE);
	self->spare = self->guest + MANY_PAGES * XVM_PAGE;
	/* Alike in all but the highest bits, should anybody hash addresses. */
	self->other = mmap(self->guest - FAR, EVENTS * XVM_PAGE,
			   PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			   -1, 0);
	ASSERT_EQ(self->guest - FAR, self->other);
	madvise(self->other, EVENTS * XVM_PAGE, MADV_NOHUGEPAGE);
	xvm_create(&self->vm, false);
	xvm_slot(&self->vm, 0, 0, 0, (MANY_PAGES + EVENTS) * XVM_PAGE,
		 self->guest);
	for (i = 0; i < CPUS; i++)
		xvm_add_cpu(&self->vm, i);
	ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, xvm_anon(1)));
}

FIXTURE_TEARDOWN(many)
{
	xvm_destroy(&self->vm);
	close(self->probe);
}

/* Guest addresses of the areas of vCPU @i: a page for each cache. */
static uint64_t vcpu_info_at(int i)
{
	return (uint64_t)i * 4 * XVM_PAGE;
}

/* Across two pages, and so two caches. */
static uint64_t runstate_at(int i)
{
	return vcpu_info_at(i) + 3 * XVM_PAGE - XEN_RUNSTATE_SIZE / 2;
}

static void many_activate(struct xvm *vm, bool on)
{
	const uint64_t off = KVM_XEN_INVALID_GPA;
	int i, r;

	for (i = 0; i < CPUS; i++) {
		r = xvm_cpu_attr(vm, i, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				 on ? vcpu_info_at(i) : off) ?:
		    xvm_cpu_attr(vm, i, KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
				 on ? vcpu_info_at(i) + XVM_PAGE : off) ?:
		    xvm_cpu_attr(vm, i, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
				 on ? runstate_at(i) : off);
		if (r)
			xvm_die("attributes of vCPU %d: %d", i, r);
	}
}

/* What it costs, in TSC ticks, to discard EVENTS pages from @page on. */
static uint64_t event_cost(uint8_t *page, bool at_once)
{
	size_t step = at_once ? EVENTS * XVM_PAGE : XVM_PAGE, done;
	uint64_t start, sum = 0;

	for (done = 0; done < EVENTS * XVM_PAGE; done += step) {
		page[done] = 1;
		start = __rdtsc();
		if (madvise(page + done, step, MADV_DONTNEED))
			xvm_die("madvise");
		sum += __rdtsc() - start;
	}
	return sum;
}

/*
 * Compare the cost with one cache active and with CPUS * 4 + 1, in turns, and by
 * the best of each: a timer interrupt now and then belongs to neither.  Returns
 * the ratio in percent.
 */
static unsigned int cost_percent(struct xvm *vm, uint8_t *page, bool at_once)
{
	uint64_t cost, one = UINT64_MAX, many = UINT64_MAX;
	int i;

	event_cost(page, at_once);
	for (i = 0; i < ROUNDS; i++) {
		cost = event_cost(page, at_once);
		one = cost < one ? cost : one;
		many_activate(vm, true);
		cost = event_cost(page, at_once);
		many = cost < many ? cost : many;
		many_activate(vm, false);
	}
	fprintf(stderr, "# %llu with 1 cache, %llu with %d: %llu%%\n",
		(unsigned long long)one, (unsigned long long)many,
		CPUS * 4 + 1, (unsigned long long)(many * 100 / one));
	return many * 100 / one;
}

/* Ours: 100 to 104 under -icount. Stock: 2,600 to 3,000. */
#define PERCENT_ALLOWED 110

TEST_F_TIMEOUT(many, unrelated_event_costs_the_same, 120)
{
	EXPECT_GT(PERCENT_ALLOWED,
		  cost_percent(&self->vm, self->other, false));
}

TEST_F_TIMEOUT(many, unrelated_large_event_costs_the_same, 120)
{
	EXPECT_GT(PERCENT_ALLOWED, cost_percent(&self->vm, self->other, true));
}

TEST_F_TIMEOUT(many, guest_memory_event_costs_the_same, 120)
{
	EXPECT_GT(PERCENT_ALLOWED,
		  cost_percent(&self->vm, self->spare, false));
}

TEST_F_TIMEOUT(many, unrelated_event_takes_no_cache_lock, 120)
{
	uint64_t locks;

	many_activate(&self->vm, true);
	*(volatile uint8_t *)self->other = 1;
	probe_rwlocks(self->probe, true);
	/* The counter does count: a refresh takes the lock of its cache. */
	probe_count(self->probe, 0);
	ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, self->other));
	ASSERT_LT(0, probe_calls(self->probe, PROBE_RWLOCK));
	ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, NULL));

	probe_count(self->probe, 0);
	ASSERT_EQ(0, madvise(self->other, XVM_PAGE, MADV_DONTNEED));
	locks = probe_calls(self->probe, PROBE_RWLOCK);
	probe_rwlocks(self->probe, false);
	EXPECT_EQ(0, locks);
}

/* The index must find what does overlap, wherever it lies among the others. */
TEST_F_TIMEOUT(many, overlapping_event_finds_its_caches, 120)
{
	uint8_t *page;
	int i;

	many_activate(&self->vm, true);
	ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, self->other));
	for (i = 0; i < CPUS; i += CPUS / 16) {
		page = self->guest + vcpu_info_at(i);
		ASSERT_EQ(0, madvise(page, XVM_PAGE, MADV_DONTNEED));
		/* A cache that was not taken would keep the page that has gone. */
		ASSERT_EQ(0, xvm_cpu_attr(&self->vm, i,
					  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
					  vcpu_info_at(i)));
		ASSERT_EQ(0, xvm_send(&self->vm, 64 + i, i));
		EXPECT_NE(0, *(uint64_t *)(page + XEN_VCPU_INFO_SEL));
	}
}

/* One event over all of guest memory takes them all. */
TEST_F_TIMEOUT(many, event_over_all_memory_takes_every_cache, 120)
{
	const uint64_t *sel;
	int i;

	many_activate(&self->vm, true);
	ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, self->other));
	ASSERT_EQ(0, madvise(self->guest, MANY_PAGES * XVM_PAGE,
			     MADV_DONTNEED));
	for (i = 0; i < CPUS; i++) {
		sel = (void *)(self->guest + vcpu_info_at(i) +
			       XEN_VCPU_INFO_SEL);
		ASSERT_EQ(0, xvm_cpu_attr(&self->vm, i,
					  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
					  vcpu_info_at(i)));
		ASSERT_EQ(0, xvm_send(&self->vm, 64 + i, i));
		ASSERT_NE(0, *sel);
	}
}

TEST_HARNESS_MAIN
