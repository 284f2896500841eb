// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory as the MMU maps it: what a visit costs, and what the dirty log says.
 *
 * Affected: a VMM that migrates its guest, and its guest meanwhile. Tried: visits to
 * known pages, in every mode the vendor module can be loaded in (selftests/tests.cfg
 * loads it again with other parameters). A right system logs the pages that were
 * written and no others, in all of them; what differs is the price, and that is
 * known to the fault:
 *
 *	page modification log		a write to a clean page is no fault
 *	no such log			one fault a page
 *	no accessed bits		one fault a page that was aged
 *
 * Counted by KVM's own statistics. The guest has one vCPU that does nothing else,
 * so the numbers are exact.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "visitor.h"
#include "xvm.h"

#define SECONDS		120
#define PATIENCE	2
#define PORT		13
#define LOW_PAGES	32		/* slot 0: the visitor's own */
#define VISITOR		16
#define GPA		0x1000000UL	/* slot 1 */
#define NPAGES		256
#define WORDS		(NPAGES / 64)
#define HUGE_GPA	0x4000000UL	/* slot 2 */
#define HUGE_SIZE	0x200000UL
#define HUGE_PAGES	(HUGE_SIZE / XVM_PAGE)
#define FAR_TABLES	64		/* leaf tables that slot 2 may need */
#define GIGA_GPA	0x40000000UL	/* slot 3 */
#define GIGA_SIZE	0x40000000UL
#define GIGA_FILE	"/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"
#define NOBODY		0xd0000000UL	/* no slot there */

/* How the vendor module was loaded. */
struct mode {
	bool tdp;		/* two-dimensional paging; else shadow paging */
	bool accessed;		/* accessed and dirty bits */
	bool pml;
};

static struct mode mode_now(void)
{
	struct mode m;

	if (access("/sys/module/kvm_intel", F_OK)) {
		m.tdp = xvm_param("kvm_amd/parameters/npt");
		m.accessed = true;
		m.pml = false;
	} else {
		m.tdp = xvm_param("kvm_intel/parameters/ept");
		m.accessed = !m.tdp ||
			     xvm_param("kvm_intel/parameters/eptad");
		m.pml = xvm_param("kvm_intel/parameters/pml");
	}
	return m;
}

FIXTURE(tdp) {
	struct mode mode;
	struct xvm vm;
	struct xvm_mem low;
	struct visitor v;
	uint8_t *mem;
	uint32_t all[NPAGES];
};

FIXTURE_SETUP(tdp)
{
	unsigned int i;

	self->mode = mode_now();
	xvm_mem_create(&self->low, LOW_PAGES);
	self->mem = xvm_anon(NPAGES);
	memset(self->mem, 0, NPAGES * XVM_PAGE);
	for (i = 0; i < NPAGES; i++)
		self->all[i] = GPA + i * XVM_PAGE;
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->low.size, self->low.map);
	xvm_slot(&self->vm, 1, 0, GPA, NPAGES * XVM_PAGE, self->mem);
	visitor_create(&self->v, &self->vm, 0, VISITOR * XVM_PAGE,
		       self->low.map + VISITOR * XVM_PAGE);
	visitor_settle(&self->v);
}

FIXTURE_TEARDOWN(tdp)
{
	visitor_destroy(&self->v);
	xvm_destroy(&self->vm);
}

/* What a visit to all pages costs in faults. */
static uint64_t faults(FIXTURE_DATA(tdp) *self, enum visit what)
{
	uint64_t before = visitor_stat(&self->v, "pf_taken");

	visitor_visit(&self->v, what, 1, self->all, NPAGES);
	return visitor_stat(&self->v, "pf_taken") - before;
}

TEST_F_TIMEOUT(tdp, first_visit_is_at_most_one_fault_a_page, SECONDS)
{
	uint64_t mapped = visitor_stat(&self->v, "pages_4k"), cost;

	cost = faults(self, VISIT_WRITE);
	EXPECT_EQ(mapped + NPAGES, visitor_stat(&self->v, "pages_4k"));
	/* Neighbours may be mapped as well. */
	EXPECT_GE(NPAGES, cost);
	EXPECT_EQ(0, faults(self, VISIT_READ));
	EXPECT_EQ(0, faults(self, VISIT_WRITE));
}

/* Pages that the host has are mapped several at a time, if that costs nothing. */
TEST_F_TIMEOUT(tdp, neighbours_come_with_a_page, SECONDS)
{
	if (!self->mode.accessed)
		SKIP(return, "what the guest has not used could not be told");
	EXPECT_GE(NPAGES / 4, faults(self, VISIT_READ));
	EXPECT_EQ(0, faults(self, VISIT_WRITE));
}

/* KVM_PRE_FAULT_MEMORY: what it says, and what it has done then. */
static int map_ahead(FIXTURE_DATA(tdp) *self, uint64_t gpa, uint64_t pages,
		     uint64_t *left)
{
	struct kvm_pre_fault_memory range = {
		.gpa = gpa,
		.size = pages * XVM_PAGE,
	};
	int r = ioctl(self->vm.cpu[0], KVM_PRE_FAULT_MEMORY, &range);

	*left = range.size / XVM_PAGE;
	if (range.gpa != gpa + (pages - *left) * XVM_PAGE)
		xvm_die("%llu pages of gpa %#llx are left, which is at %#llx",
			(unsigned long long)*left, (unsigned long long)gpa,
			(unsigned long long)range.gpa);
	return r ? -errno : 0;
}

/* No more, no less, and where it stopped is told. */
TEST_F_TIMEOUT(tdp, what_is_mapped_ahead_is_what_was_asked_for, SECONDS)
{
	uint64_t mapped = visitor_stat(&self->v, "pages_4k"), left, more;

	if (!self->mode.tdp)
		SKIP(return, "shadow paging maps nothing ahead");
	/* Pages 60 to 63 are not there. */
	ASSERT_EQ(0, madvise(self->mem + 60 * XVM_PAGE, 4 * XVM_PAGE,
			     MADV_DONTNEED));
	EXPECT_EQ(0, map_ahead(self, GPA + 3 * XVM_PAGE, 100, &left));
	EXPECT_EQ(0, left);
	EXPECT_EQ(mapped + 100, visitor_stat(&self->v, "pages_4k"));
	/* Some of it is mapped already. */
	EXPECT_EQ(0, map_ahead(self, GPA + 90 * XVM_PAGE, 30, &left));
	EXPECT_EQ(0, left);
	EXPECT_EQ(mapped + 117, visitor_stat(&self->v, "pages_4k"));
	/* Behind the slot there is nothing. */
	EXPECT_EQ(0, map_ahead(self, GPA + (NPAGES - 7) * XVM_PAGE, 9, &left));
	EXPECT_EQ(2, left);
	EXPECT_EQ(mapped + 124, visitor_stat(&self->v, "pages_4k"));
	EXPECT_EQ(-ENOENT, map_ahead(self, GPA + NPAGES * XVM_PAGE, 2, &more));
	EXPECT_EQ(2, more);
	EXPECT_EQ(mapped + 124, visitor_stat(&self->v, "pages_4k"));
}

/* The guest finds what is there, as if it had faulted it in; and it goes with its page. */
TEST_F_TIMEOUT(tdp, what_is_mapped_ahead_costs_no_fault, SECONDS)
{
	uint64_t left, taken, i;

	if (!self->mode.tdp || !self->mode.accessed)
		SKIP(return, "shadow paging, or no accessed bits");
	for (i = 0; i < NPAGES; i++)
		self->mem[i * XVM_PAGE] = i;
	EXPECT_EQ(0, map_ahead(self, GPA, NPAGES, &left));
	taken = visitor_stat(&self->v, "pf_taken");
	for (i = 0; i < NPAGES; i++)
		EXPECT_EQ(i & 0xff, visitor_read(&self->v, GPA + i * XVM_PAGE));
	EXPECT_EQ(0, faults(self, VISIT_WRITE));
	EXPECT_EQ(taken, visitor_stat(&self->v, "pf_taken"));
	ASSERT_EQ(0, madvise(self->mem, NPAGES * XVM_PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, visitor_read(&self->v, GPA + 77 * XVM_PAGE));
}

static void log_on(FIXTURE_DATA(tdp) *self, unsigned int slot, uint64_t gpa,
		   uint64_t size, void *hva)
{
	xvm_slot(&self->vm, slot, KVM_MEM_LOG_DIRTY_PAGES, gpa, size, hva);
}

/* The price of a write to a page that is clean by the log, told by the mode. */
TEST_F_TIMEOUT(tdp, dirtying_again_costs_what_the_mode_says, SECONDS)
{
	uint64_t want = self->mode.pml ? 0 : NPAGES, log[WORDS];
	unsigned int i;

	faults(self, VISIT_WRITE);
	log_on(self, 1, GPA, NPAGES * XVM_PAGE, self->mem);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, faults(self, VISIT_READ));
		EXPECT_EQ(want, faults(self, VISIT_WRITE));
		EXPECT_EQ(0, faults(self, VISIT_WRITE));
		xvm_dirty_log(&self->vm, 1, log);
	}
	/* Without the log it costs nothing, whatever it cost before. */
	xvm_slot(&self->vm, 1, 0, GPA, NPAGES * XVM_PAGE, self->mem);
	faults(self, VISIT_WRITE);
	EXPECT_EQ(0, faults(self, VISIT_WRITE));
}

/*
 * All pages are mapped, and then logged: the first visit to a page maps it to be
 * written to, and so logs it, whatever the visit was.
 */
static void log_all(FIXTURE_DATA(tdp) *self)
{
	uint64_t log[WORDS];

	faults(self, VISIT_WRITE);
	log_on(self, 1, GPA, NPAGES * XVM_PAGE, self->mem);
	xvm_dirty_log(&self->vm, 1, log);
}

static uint64_t random_state = 88172645463325252ULL;

static uint64_t random_word(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Writes to a random set of pages, reads the others; adds the set to @want. */
static void visit_at_random(FIXTURE_DATA(tdp) *self, uint64_t gpa,
			    unsigned int words, uint64_t *want)
{
	static uint32_t writes[VISITOR_MAX], reads[VISITOR_MAX];
	unsigned int i, nw = 0, nr = 0;

	for (i = 0; i < words * 64; i++) {
		uint32_t at = gpa + i * XVM_PAGE;

		if (random_word() >> 40 & 1) {
			want[i / 64] |= 1ULL << i % 64;
			writes[nw++] = at;
		} else {
			reads[nr++] = at;
		}
	}
	visitor_visit(&self->v, VISIT_READ, 0, reads, nr);
	visitor_visit(&self->v, VISIT_WRITE, 9, writes, nw);
}

TEST_F_TIMEOUT(tdp, log_is_exact, SECONDS)
{
	uint64_t log[WORDS], want[WORDS];
	unsigned int i;

	log_all(self);
	for (i = 0; i < 5; i++) {
		memset(want, 0, sizeof(want));
		visit_at_random(self, GPA, WORDS, want);
		xvm_dirty_log(&self->vm, 1, log);
		EXPECT_EQ(0, memcmp(want, log, sizeof(log)));
	}
	xvm_dirty_log(&self->vm, 1, log);
	memset(want, 0, sizeof(want));
	EXPECT_EQ(0, memcmp(want, log, sizeof(log)));
}

/* Cleared is what is asked for, and no more. */
TEST_F_TIMEOUT(tdp, log_is_exact_when_cleared_by_halves, SECONDS)
{
	uint64_t log[WORDS], want[WORDS] = {};
	unsigned int i, first;

	xvm_manual_log(&self->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	log_all(self);
	xvm_clear_log(&self->vm, 1, 0, NPAGES, memset(log, 0xff, sizeof(log)));
	for (i = 0; i < 6; i++) {
		visit_at_random(self, GPA, WORDS, want);
		xvm_dirty_log(&self->vm, 1, log);
		EXPECT_EQ(0, memcmp(want, log, sizeof(log)));
		first = i % 2 * WORDS / 2;
		xvm_clear_log(&self->vm, 1, first * 64, NPAGES / 2, log + first);
		memset(want + first, 0, sizeof(want) / 2);
	}
}

TEST_F_TIMEOUT(tdp, all_is_dirty_at_first_if_asked_for, SECONDS)
{
	uint64_t log[WORDS], want[WORDS];
	unsigned int i;

	xvm_manual_log(&self->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
		       KVM_DIRTY_LOG_INITIALLY_SET);
	faults(self, VISIT_WRITE);
	log_on(self, 1, GPA, NPAGES * XVM_PAGE, self->mem);
	memset(want, 0xff, sizeof(want));
	for (i = 0; i < 3; i++) {
		xvm_dirty_log(&self->vm, 1, log);
		EXPECT_EQ(0, memcmp(want, log, sizeof(log)));
		xvm_clear_log(&self->vm, 1, 0, NPAGES, log);
		memset(want, 0, sizeof(want));
		visit_at_random(self, GPA, WORDS, want);
	}
}

TEST_F_TIMEOUT(tdp, aged_page_costs_what_the_mode_says, SECONDS)
{
	uint64_t want = self->mode.accessed ? 0 : NPAGES;

	if (!xvm_ages_memory())
		SKIP(return, "the kernel keeps no generations of pages");
	faults(self, VISIT_WRITE);
	ASSERT_TRUE(xvm_age_memory());
	/* Its own pages were aged too. */
	visitor_read(&self->v, VISITOR * XVM_PAGE);
	EXPECT_EQ(want, faults(self, VISIT_WRITE));
	EXPECT_EQ(0, faults(self, VISIT_WRITE));
}

/* An aged page that is written to is dirty, though it was not mapped. */
TEST_F_TIMEOUT(tdp, log_is_exact_for_aged_pages, SECONDS)
{
	uint64_t log[WORDS], want[WORDS];
	unsigned int i;

	if (!xvm_ages_memory())
		SKIP(return, "the kernel keeps no generations of pages");
	log_all(self);
	for (i = 0; i < 3; i++) {
		memset(want, 0, sizeof(want));
		ASSERT_TRUE(xvm_age_memory());
		visit_at_random(self, GPA, WORDS, want);
		ASSERT_TRUE(xvm_age_memory());
		xvm_dirty_log(&self->vm, 1, log);
		EXPECT_EQ(0, memcmp(want, log, sizeof(log)));
	}
}

/* Page tables of KVM's, in pages, all processors' counts together. */
static uint64_t table_pages(void)
{
	int refresh = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
	unsigned long long kb = 0;
	char line[128];
	FILE *file;

	if (refresh < 0 || write(refresh, "1", 1) != 1)
		xvm_die("stat_refresh");
	close(refresh);
	file = fopen("/proc/meminfo", "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "SecPageTables: %llu kB", &kb) == 1)
			break;
	if (!file || !kb)
		xvm_die("/proc/meminfo has no SecPageTables");
	fclose(file);
	return kb * 1024 / XVM_PAGE;
}

/* A slot that goes alone leaves nothing of its own behind, tables neither. */
TEST_F_TIMEOUT(tdp, deleted_slot_takes_its_tables, SECONDS)
{
	uint8_t *mem = xvm_anon(FAR_TABLES * HUGE_PAGES);
	uint64_t mapped, taken, before;
	uint32_t each[FAR_TABLES];
	unsigned int i;

	if (!self->mode.tdp)
		SKIP(return, "shadow paging drops everything");
	faults(self, VISIT_WRITE);
	xvm_no_quirk(&self->vm, KVM_X86_QUIRK_SLOT_ZAP_ALL);
	before = table_pages();
	mapped = visitor_stat(&self->v, "pages_4k");
	xvm_slot(&self->vm, 2, 0, HUGE_GPA, FAR_TABLES * HUGE_SIZE, mem);
	for (i = 0; i < FAR_TABLES; i++)
		each[i] = HUGE_GPA + i * HUGE_SIZE;
	visitor_visit(&self->v, VISIT_WRITE, 6, each, FAR_TABLES);
	EXPECT_LE(before + FAR_TABLES, table_pages());
	xvm_slot(&self->vm, 2, 0, HUGE_GPA, 0, mem);
	EXPECT_EQ(mapped, visitor_stat(&self->v, "pages_4k"));
	EXPECT_GE(before + FAR_TABLES / 2, table_pages());
	/* What stays is as it was. */
	taken = visitor_stat(&self->v, "pf_taken");
	EXPECT_EQ(0, faults(self, VISIT_WRITE));
	EXPECT_EQ(taken, visitor_stat(&self->v, "pf_taken"));
	munmap(mem, FAR_TABLES * HUGE_SIZE);
}

/* Deletes slot 2 when some of it is mapped. */
struct deleter {
	FIXTURE_DATA(tdp) *self;
	uint64_t mapped;
};

static void *delete_slot(void *arg)
{
	struct deleter *d = arg;

	while (visitor_stat(&d->self->v, "pages_4k") < d->mapped)
		xvm_sleep_ms(1);
	xvm_slot(&d->self->vm, 2, 0, HUGE_GPA, 0, NULL);
	return NULL;
}

static volatile sig_atomic_t too_long;

static void is_too_long(int sig)
{
	too_long = 1;
}

/* Who maps ahead and who deletes do not wait for each other. */
TEST_F_TIMEOUT(tdp, slot_goes_while_it_is_mapped_ahead, SECONDS)
{
	struct sigaction action = { .sa_handler = is_too_long };
	uint8_t *mem = xvm_anon(FAR_TABLES * HUGE_PAGES);
	struct deleter d = { .self = self };
	pthread_t thread;
	uint64_t left;

	if (!self->mode.tdp)
		SKIP(return, "shadow paging maps nothing ahead");
	sigaction(SIGALRM, &action, NULL);
	d.mapped = visitor_stat(&self->v, "pages_4k") + 100;
	xvm_slot(&self->vm, 2, 0, HUGE_GPA, FAR_TABLES * HUGE_SIZE, mem);
	ASSERT_EQ(0, pthread_create(&thread, NULL, delete_slot, &d));
	alarm(PATIENCE);
	EXPECT_EQ(0, map_ahead(self, HUGE_GPA, FAR_TABLES * HUGE_PAGES, &left));
	alarm(0);
	EXPECT_EQ(0, too_long);
	EXPECT_NE(0, left);
	pthread_join(thread, NULL);
	munmap(mem, FAR_TABLES * HUGE_SIZE);
}

/* A deletion takes all that was mapped; it can be mapped ahead again. */
TEST_F_TIMEOUT(tdp, memory_is_mapped_ahead_after_a_slot_has_gone, SECONDS)
{
	struct sigaction action = { .sa_handler = is_too_long };
	uint64_t mapped, left;

	if (!self->mode.tdp)
		SKIP(return, "shadow paging maps nothing ahead");
	sigaction(SIGALRM, &action, NULL);
	mapped = visitor_stat(&self->v, "pages_4k");
	EXPECT_EQ(0, map_ahead(self, GPA, 8, &left));
	EXPECT_EQ(mapped + 8, visitor_stat(&self->v, "pages_4k"));
	xvm_slot(&self->vm, 2, 0, HUGE_GPA, XVM_PAGE, self->mem);
	xvm_slot(&self->vm, 2, 0, HUGE_GPA, 0, NULL);
	EXPECT_EQ(0, visitor_stat(&self->v, "pages_4k"));
	alarm(PATIENCE);
	EXPECT_EQ(0, map_ahead(self, GPA, 8, &left));
	alarm(0);
	EXPECT_EQ(0, too_long);
	EXPECT_EQ(8, visitor_stat(&self->v, "pages_4k"));
}


/* Addresses without memory: every access comes to the VMM, until there is some. */

static int next_mmio(FIXTURE_DATA(tdp) *self, bool write, uint8_t byte)
{
	struct kvm_run *run = self->vm.run[0];

	if (visitor_go(&self->v) != KVM_EXIT_MMIO ||
	    run->mmio.phys_addr != NOBODY || run->mmio.len != 1 ||
	    run->mmio.is_write != write)
		return -1;
	if (write)
		return run->mmio.data[0];
	run->mmio.data[0] = byte;
	return 0;
}

TEST_F_TIMEOUT(tdp, access_without_memory_is_seen_every_time, SECONDS)
{
	static const uint32_t thrice[] = { NOBODY, NOBODY, NOBODY };
	uint64_t made = visitor_stat(&self->v, "pf_mmio_spte_created");
	uint8_t *page = xvm_anon(1);
	struct kvm_regs regs;
	unsigned int round, i;

	for (round = 0; round < 2; round++) {
		visitor_list(&self->v, VISIT_WRITE, 0x40 + round, thrice, 3);
		for (i = 0; i < 3; i++)
			ASSERT_EQ(0x40 + round, next_mmio(self, true, 0));
		ASSERT_EQ(0, visitor_go(&self->v));
		visitor_list(&self->v, VISIT_READ, 0, thrice, 3);
		for (i = 0; i < 3; i++)
			ASSERT_EQ(0, next_mmio(self, false, 0x50 + i));
		ASSERT_EQ(0, visitor_go(&self->v));
		ASSERT_EQ(0, ioctl(self->vm.cpu[0], KVM_GET_REGS, &regs));
		EXPECT_EQ(0x52, regs.rbx & 0xff);
		/* Remembered: one fault for as long as the slots stay. */
		if (xvm_param("kvm/parameters/mmio_caching"))
			EXPECT_EQ(made + round + 1,
				  visitor_stat(&self->v,
					       "pf_mmio_spte_created"));

		xvm_slot(&self->vm, 2, 0, NOBODY, XVM_PAGE, page);
		visitor_write(&self->v, NOBODY, 0x60 + round);
		EXPECT_EQ(0x60 + round, page[0]);
		EXPECT_EQ(0x60 + round, visitor_read(&self->v, NOBODY));
		xvm_slot(&self->vm, 2, 0, NOBODY, 0, NULL);
	}
}

/* What is written where nothing may be written comes to the VMM; the rest not. */
TEST_F_TIMEOUT(tdp, read_only_slot_is_read, SECONDS)
{
	uint8_t *page = xvm_anon(1);
	uint32_t gpa = NOBODY;

	page[0] = 0x77;
	xvm_slot(&self->vm, 2, KVM_MEM_READONLY, NOBODY, XVM_PAGE, page);
	EXPECT_EQ(0x77, visitor_read(&self->v, NOBODY));
	visitor_list(&self->v, VISIT_WRITE, 0x78, &gpa, 1);
	EXPECT_EQ(0x78, next_mmio(self, true, 0));
	EXPECT_EQ(0, visitor_go(&self->v));
	EXPECT_EQ(0x77, page[0]);
	EXPECT_EQ(0x77, visitor_read(&self->v, NOBODY));
}

/* Large pages. */

/*
 * Mapped whole by one visit; in small pages while it is logged, exactly; whole
 * again when the log is off.
 */
static void large_page(struct __test_metadata *_metadata,
		       FIXTURE_DATA(tdp) *self, const char *stat,
		       unsigned int slot, uint64_t gpa, uint64_t size,
		       uint8_t *mem)
{
	uint64_t taken, small, log[HUGE_PAGES / 64];
	uint64_t want[HUGE_PAGES / 64] = {};
	size_t words = size / XVM_PAGE / 64;
	uint64_t *whole = calloc(words, sizeof(*whole));
	uint32_t each[HUGE_PAGES];
	unsigned int i, round;

	ASSERT_NE(NULL, whole);
	mem[0] = 1;
	xvm_slot(&self->vm, slot, 0, gpa, size, mem);
	small = visitor_stat(&self->v, "pages_4k");
	taken = visitor_stat(&self->v, "pf_taken");
	visitor_write(&self->v, gpa, 2);
	for (i = 0; i < HUGE_PAGES; i++)
		each[i] = gpa + i * XVM_PAGE;
	visitor_visit(&self->v, VISIT_WRITE, 3, each, HUGE_PAGES);
	EXPECT_EQ(taken + 1, visitor_stat(&self->v, "pf_taken"));
	EXPECT_EQ(1, visitor_stat(&self->v, stat));
	EXPECT_EQ(small, visitor_stat(&self->v, "pages_4k"));

	for (round = 0; round < 2; round++) {
		log_on(self, slot, gpa, size, mem);
		xvm_dirty_log(&self->vm, slot, whole);
		visitor_visit(&self->v, VISIT_WRITE, 4, each, HUGE_PAGES);
		memset(want, 0xff, sizeof(want));
		xvm_dirty_log(&self->vm, slot, whole);
		memcpy(log, whole, sizeof(log));
		EXPECT_EQ(0, memcmp(want, log, sizeof(log)));
		for (i = 0; i < 3; i++) {
			memset(want, 0, sizeof(want));
			visit_at_random(self, gpa, HUGE_PAGES / 64, want);
			xvm_dirty_log(&self->vm, slot, whole);
			memcpy(log, whole, sizeof(log));
			EXPECT_EQ(0, memcmp(want, log, sizeof(log)));
		}
		EXPECT_EQ(0, visitor_stat(&self->v, stat));
		EXPECT_LE(small + HUGE_PAGES,
			  visitor_stat(&self->v, "pages_4k"));

		xvm_slot(&self->vm, slot, 0, gpa, size, mem);
		visitor_write(&self->v, gpa, 2);
		EXPECT_EQ(1, visitor_stat(&self->v, stat));
		EXPECT_EQ(small, visitor_stat(&self->v, "pages_4k"));
	}
	free(whole);
}

TEST_F_TIMEOUT(tdp, two_megabytes_are_one_page, SECONDS)
{
	uint8_t *mem = xvm_huge(HUGE_SIZE, MAP_HUGE_2MB);

	ASSERT_NE(MAP_FAILED, mem);
	large_page(_metadata, self, "pages_2m", 2, HUGE_GPA, HUGE_SIZE, mem);
}

/* When the log is off, what was large is large again, before anybody looks. */
TEST_F_TIMEOUT(tdp, log_off_costs_no_fault, SECONDS)
{
	uint8_t *mem = xvm_huge(HUGE_SIZE, MAP_HUGE_2MB);
	uint64_t taken, log[HUGE_PAGES / 64];
	uint32_t each[HUGE_PAGES];
	unsigned int i;

	ASSERT_NE(MAP_FAILED, mem);
	if (!self->mode.tdp || !self->mode.accessed)
		SKIP(return, "shadow paging, or no accessed bits");
	if (xvm_param("kvm/parameters/nx_huge_pages"))
		SKIP(return, "large pages are not executable");
	for (i = 0; i < HUGE_PAGES; i++)
		each[i] = HUGE_GPA + i * XVM_PAGE;
	mem[0] = 1;
	xvm_slot(&self->vm, 2, 0, HUGE_GPA, HUGE_SIZE, mem);
	visitor_visit(&self->v, VISIT_WRITE, 3, each, HUGE_PAGES);
	log_on(self, 2, HUGE_GPA, HUGE_SIZE, mem);
	visitor_visit(&self->v, VISIT_WRITE, 4, each, HUGE_PAGES);
	xvm_dirty_log(&self->vm, 2, log);
	EXPECT_EQ(0, visitor_stat(&self->v, "pages_2m"));

	taken = visitor_stat(&self->v, "pf_taken");
	xvm_slot(&self->vm, 2, 0, HUGE_GPA, HUGE_SIZE, mem);
	EXPECT_EQ(1, visitor_stat(&self->v, "pages_2m"));
	visitor_visit(&self->v, VISIT_WRITE, 5, each, HUGE_PAGES);
	EXPECT_EQ(taken, visitor_stat(&self->v, "pf_taken"));
	EXPECT_EQ(5, mem[HUGE_SIZE - XVM_PAGE]);
}

static bool cpu_has(const char *flag)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	bool found = false;
	char word[64];

	if (!file)
		xvm_die("/proc/cpuinfo");
	while (!found && fscanf(file, "%63s", word) == 1)
		found = !strcmp(word, flag);
	fclose(file);
	return found;
}

/* How many pages of a gigabyte the host is to have put aside; negative if it has none. */
static int giga_pages(void)
{
	FILE *file = fopen(GIGA_FILE, "r");
	int nr;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &nr) != 1)
		xvm_die(GIGA_FILE);
	fclose(file);
	return nr;
}

static void giga_pages_set(int nr)
{
	FILE *file = fopen(GIGA_FILE, "w");

	if (!file || fprintf(file, "%d", nr) < 0 || fclose(file))
		xvm_die(GIGA_FILE);
}

TEST_F_TIMEOUT(tdp, one_gigabyte_is_one_page, SECONDS)
{
	int nr = giga_pages();
	uint8_t *mem;

	if (!self->mode.tdp)
		SKIP(return, "shadow paging of a guest without paging has none");
	if (nr < 0 || !cpu_has("pdpe1gb"))
		SKIP(return, "the CPU has no pages of a gigabyte");
	if (!nr)
		giga_pages_set(1);
	mem = xvm_huge(GIGA_SIZE, MAP_HUGE_1GB);
	if (mem == MAP_FAILED)
		SKIP(return, "no gigabyte of memory in one piece");
	large_page(_metadata, self, "pages_1g", 3, GIGA_GPA, GIGA_SIZE, mem);
	munmap(mem, GIGA_SIZE);
	giga_pages_set(nr);
}

/* Addresses that need a fifth level of tables. */
TEST_F_TIMEOUT(tdp, five_levels_reach_beyond_48_bits, SECONDS)
{
	struct kvm_pre_fault_memory range = {
		.gpa = 1ULL << 49,
		.size = XVM_PAGE,
	};
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = { .head.nent = 256 };
	unsigned int i, bits = 0;
	uint64_t mapped;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, kvm);
	ASSERT_EQ(0, ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid));
	close(kvm);
	for (i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entries[i].function == 0x80000008)
			bits = cpuid.entries[i].eax & 0xff;
	if (!self->mode.tdp || !cpu_has("la57") || bits <= 48)
		SKIP(return, "the CPU has no five levels of tables");
	xvm_add_cpu(&self->vm, 1);
	ASSERT_EQ(0, ioctl(self->vm.cpu[1], KVM_SET_CPUID2, &cpuid));
	xvm_slot(&self->vm, 2, 0, range.gpa, NPAGES * XVM_PAGE, self->mem);
	mapped = visitor_stat(&self->v, "pages_4k");
	ASSERT_EQ(0, ioctl(self->vm.cpu[1], KVM_PRE_FAULT_MEMORY, &range));
	EXPECT_EQ(0, range.size);
	EXPECT_EQ(mapped + 1, visitor_stat(&self->v, "pages_4k"));
}

/* What KVM writes for Xen, and what the guest sees of it. */
TEST_F_TIMEOUT(tdp, guest_sees_events, SECONDS)
{
	uint32_t byte = GPA + 7 * XVM_PAGE + XEN_SHINFO_PENDING + PORT / 8;
	uint8_t *page = self->mem + 7 * XVM_PAGE;
	unsigned int i;

	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, GPA / XVM_PAGE + 7));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, visitor_read(&self->v, byte));
		ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
		EXPECT_EQ(1 << PORT % 8, visitor_read(&self->v, byte));
		/* The guest clears it, and the next event sets it again. */
		visitor_write(&self->v, byte, 0);
		ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
		EXPECT_EQ(1 << PORT % 8, visitor_read(&self->v, byte));
		/* Another page comes for both. */
		ASSERT_EQ(0, madvise(page, XVM_PAGE, MADV_DONTNEED));
	}
}

/* A write of KVM's is in the log like one of the guest's. */
TEST_F_TIMEOUT(tdp, what_the_kernel_writes_is_logged, SECONDS)
{
	uint64_t log[WORDS], want[WORDS] = { 1ULL << 9 };
	unsigned int i;

	log_all(self);
	ASSERT_EQ(0, xvm_cpu_attr(&self->vm, 0,
				  KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
				  GPA + 9 * XVM_PAGE));
	xvm_dirty_log(&self->vm, 1, log);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, xvm_runstate(&self->vm, 0, i % 4));
		EXPECT_EQ(i % 4, self->mem[9 * XVM_PAGE]);
		xvm_dirty_log(&self->vm, 1, log);
		EXPECT_EQ(0, memcmp(want, log, sizeof(log)));
	}
}

TEST_HARNESS_MAIN
