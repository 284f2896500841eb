// SPDX-License-Identifier: GPL-2.0
/*
 * How KVM looks a cached page up while the VMM's mappings are being changed.
 *
 * Affected: guests whose VMM balloons, migrates or unmaps memory all the time.
 * Tried: point shared_info at a page while an invalidation, held open by the
 * probe, covers other addresses, or this one.  A right system looks the page up
 * once and does not wait for what does not concern it; it sleeps, rather than
 * spins, for what does; it is not led on by an invalidation that its own lookup
 * causes; and a task that is killed while it waits dies at once.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "probe.h"
#include "xvm.h"

#define PORT		31
#define SHINFO_PAGE	1
#define OTHER_PAGE	2	/* guest memory too */
#define NPAGES		4	/* in the memslot; one more lies outside */
#define HOLD_MS		200
#define MS		1000000ULL

FIXTURE(refresh) {
	struct xvm vm;
	struct xvm_mem mem;
	uint8_t *guest;
	uint8_t *shinfo;
	uint8_t *other;		/* outside every memslot */
	int probe;		/* counts */
	int window;		/* holds */
};

FIXTURE_VARIANT(refresh) {
	bool hva;		/* by host address, outside every memslot */
};

FIXTURE_VARIANT_ADD(refresh, gfn) { .hva = false };
FIXTURE_VARIANT_ADD(refresh, hva) { .hva = true };

FIXTURE_SETUP(refresh)
{
	self->probe = probe_open();
	self->window = probe_open();
	/* Shared pages: stock modules may go on writing to a discarded one. */
	xvm_mem_create(&self->mem, NPAGES + 1);
	self->guest = self->mem.map;
	self->shinfo = self->guest +
		       (variant->hva ? NPAGES : SHINFO_PAGE) * XVM_PAGE;
	memset(self->guest, 0, self->mem.size);
	self->other = xvm_anon(1);
	memset(self->other, 0, XVM_PAGE);
	xvm_create(&self->vm, true);
	xvm_add_cpu(&self->vm, 0);
	xvm_slot(&self->vm, 0, 0, 0, NPAGES * XVM_PAGE, self->guest);
}

FIXTURE_TEARDOWN(refresh)
{
	xvm_destroy(&self->vm);
	close(self->probe);
	close(self->window);
}

static int point(struct xvm *vm, const FIXTURE_VARIANT(refresh) *variant,
		 uint8_t *shinfo)
{
	return variant->hva ? xvm_shinfo_hva(vm, shinfo) :
			      xvm_shinfo_gfn(vm, SHINFO_PAGE);
}

/* A thread that discards a page and is held while it does so. */
struct invalidator {
	pthread_t thread;
	uint8_t *page;
	pid_t tid;		/* atomic: set by the thread */
	int go;			/* atomic */
	int r;
};

static void *invalidator_thread(void *arg)
{
	struct invalidator *i = arg;

	__atomic_store_n(&i->tid, xvm_tid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&i->go, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	i->r = madvise(i->page, XVM_PAGE, MADV_DONTNEED);
	return NULL;
}

/* Returns with the invalidation of @page begun and not ended, for @ms at most. */
static void invalidation_begin(struct invalidator *i, int window, uint8_t *page,
			       int ms)
{
	*i = (struct invalidator){ .page = page };
	if (pthread_create(&i->thread, NULL, invalidator_thread, i))
		xvm_die("pthread_create");
	while (!__atomic_load_n(&i->tid, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	probe_hold(window, PROBE_GPC_INVALIDATE, i->tid, ms);
	__atomic_store_n(&i->go, 1, __ATOMIC_RELEASE);
	if (!probe_wait_held(window, 5000))
		xvm_die("no invalidation came");
}

static void invalidation_end(struct invalidator *i, int window)
{
	probe_release(window);
	if (pthread_join(i->thread, NULL) || i->r)
		xvm_die("madvise");
}

TEST_F(refresh, unrelated_invalidation_is_not_waited_for)
{
	struct invalidator i;
	uint64_t lookups;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	invalidation_begin(&i, self->window, self->other, HOLD_MS);
	probe_count(self->probe, xvm_tid());
	ASSERT_EQ(0, point(&self->vm, variant, self->shinfo));
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	lookups = probe_calls(self->probe, PROBE_HVA_TO_PFN);
	invalidation_end(&i, self->window);
	EXPECT_EQ(1, lookups);

	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	EXPECT_TRUE(xvm_pending(self->shinfo, PORT));
}

/* The same, where the other page is guest memory and so concerns the MMU. */
TEST_F(refresh, invalidation_of_other_guest_page_is_not_waited_for)
{
	struct invalidator i;
	uint64_t lookups;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	invalidation_begin(&i, self->window,
			   self->guest + OTHER_PAGE * XVM_PAGE, HOLD_MS);
	probe_count(self->probe, xvm_tid());
	ASSERT_EQ(0, point(&self->vm, variant, self->shinfo));
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	lookups = probe_calls(self->probe, PROBE_HVA_TO_PFN);
	invalidation_end(&i, self->window);
	EXPECT_EQ(1, lookups);
}

struct pointer {
	struct xvm *vm;
	const FIXTURE_VARIANT(refresh) *variant;
	uint8_t *shinfo;
	pid_t tid;		/* atomic: set by the thread */
	int go;			/* atomic */
	int done;		/* atomic */
	uint64_t cpu_ns;
	int r;
};

static void *pointer_thread(void *arg)
{
	struct pointer *p = arg;

	__atomic_store_n(&p->tid, xvm_tid(), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&p->go, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	p->cpu_ns = xvm_thread_cpu_ns();
	p->r = point(p->vm, p->variant, p->shinfo);
	p->cpu_ns = xvm_thread_cpu_ns() - p->cpu_ns;
	__atomic_store_n(&p->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static pthread_t pointer_start(struct pointer *p)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, pointer_thread, p))
		xvm_die("pthread_create");
	while (!__atomic_load_n(&p->tid, __ATOMIC_ACQUIRE))
		xvm_sleep_ms(1);
	return thread;
}

/* An unrelated invalidation that begins and ends within the lookup. */
TEST_F(refresh, unrelated_invalidation_does_not_repeat_lookup)
{
	struct pointer p = { &self->vm, variant, self->shinfo };
	pthread_t thread = pointer_start(&p);

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	probe_count(self->probe, p.tid);
	probe_hold(self->window, PROBE_HVA_TO_PFN, p.tid, HOLD_MS);
	__atomic_store_n(&p.go, 1, __ATOMIC_RELEASE);
	ASSERT_TRUE(probe_wait_held(self->window, 5000));
	ASSERT_EQ(0, madvise(self->guest + OTHER_PAGE * XVM_PAGE, XVM_PAGE,
			     MADV_DONTNEED));
	ASSERT_EQ(0, madvise(self->other, XVM_PAGE, MADV_DONTNEED));
	ASSERT_EQ(PROBE_HELD, probe_state(self->window));
	probe_release(self->window);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, p.r);
	EXPECT_EQ(1, probe_calls(self->probe, PROBE_HVA_TO_PFN));
}

TEST_F(refresh, sleeps_while_its_page_is_invalidated)
{
	struct pointer p = { &self->vm, variant, self->shinfo };
	pthread_t thread = pointer_start(&p);
	struct invalidator i;
	bool early;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	invalidation_begin(&i, self->window, self->shinfo, 2 * HOLD_MS);
	probe_count(self->probe, p.tid);
	__atomic_store_n(&p.go, 1, __ATOMIC_RELEASE);
	xvm_sleep_ms(HOLD_MS);
	early = __atomic_load_n(&p.done, __ATOMIC_ACQUIRE);
	ASSERT_EQ(PROBE_HELD, probe_state(self->window));
	invalidation_end(&i, self->window);
	ASSERT_EQ(0, pthread_join(thread, NULL));

	EXPECT_FALSE(early);
	EXPECT_EQ(0, p.r);
	EXPECT_GT(HOLD_MS * MS / 20, p.cpu_ns) {
		TH_LOG("%llu us of CPU time in %d ms of waiting",
		       (unsigned long long)p.cpu_ns / 1000, HOLD_MS);
	}
	EXPECT_GE(2, probe_calls(self->probe, PROBE_HVA_TO_PFN));
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	EXPECT_TRUE(xvm_pending(self->shinfo, PORT));
}

static int __attribute__((noreturn)) killed_task(void *arg)
{
	struct pointer *p = arg;

	/* Only its own death may end it: no exit() in a shared address space. */
	point(p->vm, p->variant, p->shinfo);
	__atomic_store_n(&p->done, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
}

TEST_F(refresh, gives_up_when_killed)
{
	struct pointer p = { &self->vm, variant, self->shinfo };
	uint8_t *stack = xvm_anon(16);
	struct invalidator i;
	pid_t pid, dead = 0;
	int ms, status;

	if (!probe_two_cpus())
		SKIP(return, "a held task needs a CPU of its own");
	/* On stock modules the task spins: do not let it have our CPU to itself. */
	invalidation_begin(&i, self->window, self->shinfo, 5 * HOLD_MS);
	/* A process of its own, so that it can be killed, in our address space. */
	pid = clone(killed_task, stack + 16 * XVM_PAGE,
		    CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, &p);
	ASSERT_LT(0, pid);
	xvm_sleep_ms(HOLD_MS / 4);
	ASSERT_FALSE(__atomic_load_n(&p.done, __ATOMIC_ACQUIRE)) {
		TH_LOG("the lookup did not wait for the invalidation");
	}
	ASSERT_EQ(0, kill(pid, SIGKILL));
	for (ms = 0; !dead && ms < HOLD_MS; ms++) {
		xvm_sleep_ms(1);
		dead = waitpid(pid, &status, WNOHANG);
	}
	EXPECT_EQ(PROBE_HELD, probe_state(self->window));
	EXPECT_EQ(pid, dead);
	invalidation_end(&i, self->window);
	if (!dead)
		waitpid(pid, &status, 0);

	/* Nobody is the worse for it. */
	ASSERT_EQ(0, point(&self->vm, variant, self->shinfo));
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	EXPECT_TRUE(xvm_pending(self->shinfo, PORT));
}

/* Put private memory where shared_info goes. */
static void make_private(uint8_t *page)
{
	if (mmap(page, XVM_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page)
		xvm_die("mmap");
}

/*
 * A page that was only read is the zero page: the lookup, which wants to write,
 * replaces it, and so invalidates the very address it looks up.
 */
TEST_F(refresh, own_copy_on_write_does_not_repeat_lookup)
{
	volatile uint8_t *read = self->shinfo;

	make_private(self->shinfo);
	ASSERT_EQ(0, *read);
	probe_count(self->probe, xvm_tid());
	ASSERT_EQ(0, point(&self->vm, variant, self->shinfo));
	EXPECT_LE(1, probe_calls(self->probe, PROBE_GPC_INVALIDATE));
	EXPECT_EQ(1, probe_calls(self->probe, PROBE_HVA_TO_PFN));
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	EXPECT_TRUE(xvm_pending(self->shinfo, PORT));
}

/* Many pages of this kind in a row: every lookup ends, and ends right. */
TEST_F(refresh, ends_on_fresh_pages)
{
	volatile uint8_t *read = self->shinfo;
	int i;

	make_private(self->shinfo);
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, madvise(self->shinfo, XVM_PAGE, MADV_DONTNEED));
		if (i & 1)
			ASSERT_EQ(0, *read);
		ASSERT_EQ(0, point(&self->vm, variant, self->shinfo));
		ASSERT_EQ(0, xvm_send(&self->vm, PORT + i, 0));
		ASSERT_TRUE(xvm_pending(self->shinfo, PORT + i));
	}
}

TEST_HARNESS_MAIN
