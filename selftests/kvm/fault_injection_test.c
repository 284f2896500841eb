// SPDX-License-Identifier: GPL-2.0
/*
 * Operations that run out of memory.
 *
 * Affected: a VMM on a host short of memory; a guest whose VMM goes on after an
 * ioctl that failed. Tried: each operation once for every allocation that it makes,
 * and that one is refused. A right system answers with an errno it documents, leaves
 * things as they were before or as they were to become and nothing in between,
 * and does the same operation when it is asked again.
 *
 * Answers: -ENOMEM; and from what has to reach a page of user memory, which is
 * memory that is wanted too, -EFAULT.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"
#include "kselftest_harness.h"
#include "visitor.h"
#include "xvm.h"

#define SECONDS		240		/* a kernel that checks takes its time */
#define PORT		21
#define NPAGES		48
#define SHINFO		1		/* pages of guest memory */
#define HERE		2
#define THERE		3
#define NOWHERE		(-1L)
#define VISITOR		16
#define SLOT_GPA	0x1000000UL	/* a slot of its own */
#define SLOT_PAGES	8
#define MOVED_GPA	0x2000000UL
#define HUGE_GPA	0x4000000UL
#define HUGE_SIZE	0x200000UL
#define HUGE_PAGES	(HUGE_SIZE / XVM_PAGE)
#define GSI		5

FIXTURE(fault) {
	struct fault f;
	struct xvm vm;
	struct xvm_mem mem;
	int kvm;
};

FIXTURE_SETUP(fault)
{
	const char *missing = fault_missing();

	if (missing)
		SKIP(return, "%s", missing);
	self->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->kvm);
	fault_open(&self->f);
	xvm_mem_create(&self->mem, NPAGES);
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
}

FIXTURE_TEARDOWN(fault)
{
	TH_LOG("%u failures", self->f.points);
	xvm_destroy(&self->vm);
	fault_close(&self->f);
}

static int vm_ioctl(int fd, unsigned long cmd, unsigned long arg)
{
	int r = ioctl(fd, cmd, arg);

	return r < 0 ? -errno : r;
}

/* Creation. */

enum { MET_A_FAULT, MET_NONE, WRONG_ANSWER, WRONG_LATER };

/* The first VM of a process makes the kernel watch its address space. */
static int first_vm(int kvm, unsigned int nth)
{
	struct fault f;
	int fd;

	fault_open(&f);
	f.nth = nth;
	fd = FAULTED(&f, vm_ioctl(kvm, KVM_CREATE_VM, 0));
	if (fd < 0 && (!f.hit || fd != -ENOMEM))
		return WRONG_ANSWER;
	if (fd < 0 && vm_ioctl(kvm, KVM_CREATE_VM, 0) < 0)
		return WRONG_LATER;
	return f.hit ? MET_A_FAULT : MET_NONE;
}

TEST_F_TIMEOUT(fault, create_vm, SECONDS)
{
	struct fault *f = &self->f;
	int status;
	pid_t pid;

	while (fault_next(f)) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(first_vm(self->kvm, f->nth));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		ASSERT_GT(WRONG_ANSWER, WEXITSTATUS(status));
		f->hit = WEXITSTATUS(status) == MET_A_FAULT;
		f->points += f->hit;
	}
	/* The VM, its slots, its buses, its notifier and our state at least. */
	EXPECT_LE(5, f->points);
}

TEST_F_TIMEOUT(fault, create_vcpu, SECONDS)
{
	struct fault *f = &self->f;
	unsigned int id = 0;

	while (fault_next(f)) {
		int fd = FAULTED(f, vm_ioctl(self->vm.fd, KVM_CREATE_VCPU, id));

		if (fd < 0) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, fd);
			/* Its number is not taken, and neither is its place. */
			fd = vm_ioctl(self->vm.fd, KVM_CREATE_VCPU, id);
			ASSERT_LE(0, fd);
		}
		self->vm.cpu[id++] = fd;
		ASSERT_GT(XVM_CPU_MAX, id);
	}
	EXPECT_LE(5, f->points);
	/* The last of them can be used. */
	EXPECT_EQ(0, xvm_cpu_attr(&self->vm, id - 1,
				  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
				  HERE * XVM_PAGE));
}

TEST_F_TIMEOUT(fault, xen_hvm_config, SECONDS)
{
	struct kvm_xen_hvm_config on = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			 KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = 0x40000200,
	};
	struct fault *f = &self->f;
	int r;

	while (fault_next(f)) {
		int fd = vm_ioctl(self->kvm, KVM_CREATE_VM, 0);

		ASSERT_LE(0, fd);
		r = FAULTED(f, vm_ioctl(fd, KVM_XEN_HVM_CONFIG,
					(unsigned long)&on));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_EQ(0, vm_ioctl(fd, KVM_XEN_HVM_CONFIG,
					      (unsigned long)&on));
		}
		close(fd);
	}
	EXPECT_LE(1, f->points);
}

/* The areas: one test for each, of first use, of a move, of a refresh. */

enum area { SHINFO_GFN, SHINFO_HVA, VCPU_INFO, VCPU_INFO_HVA, TIME_INFO,
	    RUNSTATE };

static const unsigned int attr_of[] = {
	[VCPU_INFO] = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
	[VCPU_INFO_HVA] = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA,
	[TIME_INFO] = KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
	[RUNSTATE] = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
};

FIXTURE(area) {
	struct fault f;
	struct xvm vm;
	struct xvm_mem mem;
	struct visitor v;
	unsigned int runs;
};

FIXTURE_VARIANT(area) {
	enum area area;
};

FIXTURE_VARIANT_ADD(area, shinfo_gfn) { .area = SHINFO_GFN };
FIXTURE_VARIANT_ADD(area, shinfo_hva) { .area = SHINFO_HVA };
FIXTURE_VARIANT_ADD(area, vcpu_info) { .area = VCPU_INFO };
FIXTURE_VARIANT_ADD(area, vcpu_info_hva) { .area = VCPU_INFO_HVA };
FIXTURE_VARIANT_ADD(area, time_info) { .area = TIME_INFO };
FIXTURE_VARIANT_ADD(area, runstate) { .area = RUNSTATE };

static bool is_shinfo(const FIXTURE_VARIANT(area) *v)
{
	return v->area == SHINFO_GFN || v->area == SHINFO_HVA;
}

static bool is_hva(const FIXTURE_VARIANT(area) *v)
{
	return v->area == SHINFO_HVA || v->area == VCPU_INFO_HVA;
}

FIXTURE_SETUP(area)
{
	const char *missing = fault_missing();

	if (missing)
		SKIP(return, "%s", missing);
	fault_open(&self->f);
	xvm_mem_create(&self->mem, NPAGES);
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	visitor_create(&self->v, &self->vm, 0, VISITOR * XVM_PAGE,
		       self->mem.map + VISITOR * XVM_PAGE);
	if (!is_shinfo(variant))
		ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO));
}

FIXTURE_TEARDOWN(area)
{
	TH_LOG("%u failures", self->f.points);
	visitor_destroy(&self->v);
	xvm_destroy(&self->vm);
	fault_close(&self->f);
}

static int place(FIXTURE_DATA(area) *self, const FIXTURE_VARIANT(area) *v,
		 long page)
{
	uint64_t where = page * XVM_PAGE;

	if (is_hva(v))
		where += (uintptr_t)self->mem.map;
	if (page == NOWHERE)
		where = is_hva(v) ? 0 : KVM_XEN_INVALID_GPA;
	if (v->area == SHINFO_GFN)
		return xvm_shinfo_gfn(&self->vm, page == NOWHERE ?
				      KVM_XEN_INVALID_GFN : page);
	if (v->area == SHINFO_HVA)
		return xvm_shinfo_hva(&self->vm, (void *)where);
	return xvm_cpu_attr(&self->vm, 0, attr_of[v->area], where);
}

static long placed(FIXTURE_DATA(area) *self, const FIXTURE_VARIANT(area) *v)
{
	uint64_t where;

	if (v->area == SHINFO_GFN)
		where = xvm_get_shinfo_gfn(&self->vm) * XVM_PAGE;
	else if (v->area == SHINFO_HVA)
		where = xvm_get_shinfo_hva(&self->vm);
	else if (xvm_get_cpu_attr(&self->vm, 0, attr_of[v->area], &where))
		return NOWHERE;
	if (is_hva(v))
		return where ? (where - (uintptr_t)self->mem.map) / XVM_PAGE :
			       NOWHERE;
	return where / XVM_PAGE >= NPAGES ? NOWHERE : (long)(where / XVM_PAGE);
}

/*
 * Something for KVM to write into the area. Of vcpu_info and the clock the vCPU
 * sees to itself, when it runs next.
 */
static int use(FIXTURE_DATA(area) *self, const FIXTURE_VARIANT(area) *v)
{
	struct kvm_clock_data clock = { .clock = 1000000000ULL };
	int r;

	if (v->area == RUNSTATE)
		return xvm_runstate(&self->vm, 0, 1 + self->runs++ % 3);
	if (v->area == TIME_INFO)
		r = vm_ioctl(self->vm.fd, KVM_SET_CLOCK, (unsigned long)&clock);
	else
		r = xvm_send(&self->vm, PORT, 0);
	return r || is_shinfo(v) ? r : visitor_go(&self->v);
}

/* Nothing is there, and the guest has something to run. */
static void wipe(FIXTURE_DATA(area) *self)
{
	memset(self->mem.witness, 0, VISITOR * XVM_PAGE);
	visitor_list(&self->v, VISIT_NONE, 0, NULL, 0);
}

static bool written(FIXTURE_DATA(area) *self, long page)
{
	uint8_t *p = self->mem.witness + page * XVM_PAGE;
	unsigned int i;

	for (i = 0; i < XVM_PAGE; i++)
		if (p[i])
			return true;
	return false;
}

/* Where KVM writes, if it does, is where the attribute says. */
static bool is_coherent(FIXTURE_DATA(area) *self,
			const FIXTURE_VARIANT(area) *v)
{
	long at = placed(self, v);

	wipe(self);
	if (use(self, v) && at != NOWHERE)
		return false;
	return written(self, HERE) == (at == HERE) &&
	       written(self, THERE) == (at == THERE);
}

/* The page has to be found anew, in memory that has to be found too. */
static void take_away(FIXTURE_DATA(area) *self, long page)
{
	if (fallocate(self->mem.memfd, FALLOC_FL_PUNCH_HOLE |
		      FALLOC_FL_KEEP_SIZE, page * XVM_PAGE, XVM_PAGE))
		xvm_die("punching a hole");
}

static bool is_answer(int r)
{
	return r == -ENOMEM || r == -EFAULT;
}

TEST_F_TIMEOUT(area, first_use, SECONDS)
{
	struct fault *f = &self->f;
	int r;

	while (fault_next(f)) {
		ASSERT_EQ(0, place(self, variant, NOWHERE));
		take_away(self, HERE);
		r = FAULTED(f, place(self, variant, HERE));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_TRUE(is_answer(r)) TH_LOG("errno %d", -r);
			ASSERT_NE(THERE, placed(self, variant));
			ASSERT_TRUE(is_coherent(self, variant));
			ASSERT_EQ(0, place(self, variant, HERE));
		}
		ASSERT_EQ(HERE, placed(self, variant));
		ASSERT_TRUE(is_coherent(self, variant));
	}
	/* The page; and nodes of an index that had nothing in it. */
	EXPECT_LE(1, f->points);
}

TEST_F_TIMEOUT(area, moved, SECONDS)
{
	struct fault *f = &self->f;
	int r;

	while (fault_next(f)) {
		ASSERT_EQ(0, place(self, variant, HERE));
		take_away(self, THERE);
		r = FAULTED(f, place(self, variant, THERE));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_TRUE(is_answer(r)) TH_LOG("errno %d", -r);
			ASSERT_TRUE(is_coherent(self, variant));
			ASSERT_EQ(0, place(self, variant, THERE));
		}
		ASSERT_EQ(THERE, placed(self, variant));
		ASSERT_TRUE(is_coherent(self, variant));
	}
	EXPECT_LE(1, f->points);
}

TEST_F_TIMEOUT(area, refreshed, SECONDS)
{
	struct fault *f = &self->f;
	int r;

	ASSERT_EQ(0, place(self, variant, HERE));
	ASSERT_TRUE(is_coherent(self, variant));
	while (fault_next(f)) {
		wipe(self);
		take_away(self, HERE);
		r = FAULTED(f, use(self, variant));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_TRUE(is_answer(r)) TH_LOG("errno %d", -r);
			/* It follows by itself; sent again it is the same. */
			ASSERT_EQ(0, use(self, variant));
			ASSERT_TRUE(written(self, HERE));
		} else if (is_shinfo(variant)) {
			ASSERT_TRUE(written(self, HERE));
		}
		ASSERT_EQ(HERE, placed(self, variant));
		ASSERT_TRUE(is_coherent(self, variant));
	}
	EXPECT_LE(1, f->points);
}

/*
 * An invalidation cannot be refused. Private memory: what is written to the page
 * that was taken away is not seen in the one that came for it.
 */
TEST_F_TIMEOUT(fault, invalidation_needs_no_memory, SECONDS)
{
	struct fault *f = &self->f;
	uint8_t *page = xvm_anon(1);

	page[0] = 1;
	xvm_add_cpu(&self->vm, 0);
	ASSERT_EQ(0, xvm_shinfo_hva(&self->vm, page));
	ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
	fault_only_kvm();
	while (fault_next(f)) {
		ASSERT_EQ(0, FAULTED(f, madvise(page, XVM_PAGE,
						MADV_DONTNEED)));
		ASSERT_EQ(0, page[0]);
		ASSERT_EQ(0, xvm_send(&self->vm, PORT, 0));
		ASSERT_TRUE(xvm_pending(page, PORT));
	}
	EXPECT_EQ(0, f->points);
}

/* Event channels. */

static int evtchn(struct xvm *vm, unsigned int flags, unsigned int port,
		  unsigned int vcpu)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn.send_port = port,
		.u.evtchn.type = 2,		/* interdomain, looped back */
		.u.evtchn.flags = flags,
		.u.evtchn.deliver.port.port = port,
		.u.evtchn.deliver.port.vcpu = vcpu,
		.u.evtchn.deliver.port.priority = XVM_PRIO,
	};

	return vm_ioctl(vm->fd, KVM_XEN_HVM_SET_ATTR, (unsigned long)&attr);
}

TEST_F_TIMEOUT(fault, evtchn_register, SECONDS)
{
	struct fault *f = &self->f;
	unsigned int port = PORT;
	int r;

	xvm_add_cpu(&self->vm, 0);
	while (fault_next(f)) {
		r = FAULTED(f, evtchn(&self->vm, 0, port, 0));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_EQ(-ENOENT, evtchn(&self->vm,
						  KVM_XEN_EVTCHN_UPDATE, port,
						  0));
			ASSERT_EQ(0, evtchn(&self->vm, 0, port, 0));
		}
		ASSERT_EQ(-EEXIST, evtchn(&self->vm, 0, port, 0));
		port++;
	}
	EXPECT_LE(1, f->points);
}

TEST_F_TIMEOUT(fault, evtchn_update, SECONDS)
{
	struct fault *f = &self->f;
	int r;

	xvm_add_cpu(&self->vm, 0);
	xvm_add_cpu(&self->vm, 1);
	ASSERT_EQ(0, evtchn(&self->vm, 0, PORT, 0));
	while (fault_next(f)) {
		r = FAULTED(f, evtchn(&self->vm, KVM_XEN_EVTCHN_UPDATE, PORT,
				      1));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_EQ(0, evtchn(&self->vm, KVM_XEN_EVTCHN_UPDATE,
					    PORT, 1));
		}
	}
	EXPECT_LE(1, f->points);
}

/* What takes nothing cannot be refused. */
TEST_F_TIMEOUT(fault, evtchn_deassign_needs_no_memory, SECONDS)
{
	struct fault *f = &self->f;

	xvm_add_cpu(&self->vm, 0);
	ASSERT_EQ(0, evtchn(&self->vm, 0, PORT, 0));
	while (fault_next(f)) {
		ASSERT_EQ(0, FAULTED(f, evtchn(&self->vm,
					       KVM_XEN_EVTCHN_DEASSIGN, PORT,
					       0)));
		ASSERT_EQ(0, evtchn(&self->vm, 0, PORT, 0));
	}
	EXPECT_EQ(0, f->points);
}

TEST_F_TIMEOUT(fault, evtchn_reset_needs_no_memory, SECONDS)
{
	struct fault *f = &self->f;
	unsigned int i;

	xvm_add_cpu(&self->vm, 0);
	while (fault_next(f)) {
		for (i = 0; i < 8; i++)
			ASSERT_EQ(0, evtchn(&self->vm, 0, PORT + i, 0));
		ASSERT_EQ(0, FAULTED(f, evtchn(&self->vm, KVM_XEN_EVTCHN_RESET,
					       0, 0)));
		for (i = 0; i < 8; i++)
			ASSERT_EQ(-ENOENT, evtchn(&self->vm,
						  KVM_XEN_EVTCHN_DEASSIGN,
						  PORT + i, 0));
	}
	EXPECT_EQ(0, f->points);
}

/* Lines: the routing table, and eventfds on it. */

static int try_route(struct xvm *vm, unsigned int port)
{
	struct {
		struct kvm_irq_routing table;
		struct kvm_irq_routing_entry entry;
	} r = {
		.table.nr = 1,
		.entry = {
			.gsi = GSI,
			.type = KVM_IRQ_ROUTING_XEN_EVTCHN,
			.u.xen_evtchn.port = port,
			.u.xen_evtchn.priority = XVM_PRIO,
		},
	};

	return vm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, (unsigned long)&r);
}

static int try_irqfd(struct xvm *vm, int fd, unsigned int flags)
{
	struct kvm_irqfd irqfd = { .gsi = GSI, .fd = fd, .flags = flags };

	return vm_ioctl(vm->fd, KVM_IRQFD, (unsigned long)&irqfd);
}

static void lines_begin(FIXTURE_DATA(fault) *self)
{
	xvm_add_cpu(&self->vm, 0);
	if (xvm_shinfo_gfn(&self->vm, SHINFO) || try_route(&self->vm, PORT))
		xvm_die("the route that is to be changed");
}

static bool arrives(FIXTURE_DATA(fault) *self, int fd, unsigned int port,
		    int ms)
{
	uint8_t *shinfo = self->mem.witness + SHINFO * XVM_PAGE;

	memset(shinfo, 0, XVM_PAGE);
	xvm_signal(fd);
	return xvm_wait_pending(shinfo, port, ms);
}

TEST_F_TIMEOUT(fault, gsi_routing, SECONDS)
{
	struct fault *f = &self->f;
	unsigned int old = PORT, new;
	int fd, r;

	lines_begin(self);
	fd = xvm_irqfd(&self->vm, GSI);
	while (fault_next(f)) {
		new = old ^ 1;
		r = FAULTED(f, try_route(&self->vm, new));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_TRUE(arrives(self, fd, old, 5000));
			ASSERT_EQ(0, try_route(&self->vm, new));
		}
		ASSERT_TRUE(arrives(self, fd, new, 5000));
		old = new;
	}
	EXPECT_LE(2, f->points);
	close(fd);
}

TEST_F_TIMEOUT(fault, irqfd, SECONDS)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), r;
	struct fault *f = &self->f;

	ASSERT_LE(0, fd);
	lines_begin(self);
	while (fault_next(f)) {
		r = FAULTED(f, try_irqfd(&self->vm, fd, 0));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_FALSE(arrives(self, fd, PORT, 20));
			/* What was signalled meanwhile counts once attached. */
			ASSERT_EQ(0, try_irqfd(&self->vm, fd, 0));
		}
		ASSERT_TRUE(arrives(self, fd, PORT, 5000));
		r = FAULTED(f, try_irqfd(&self->vm, fd,
					 KVM_IRQFD_FLAG_DEASSIGN));
		if (r) {
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_EQ(0, try_irqfd(&self->vm, fd,
					       KVM_IRQFD_FLAG_DEASSIGN));
		}
	}
	EXPECT_LE(1, f->points);
	close(fd);
}

TEST_F_TIMEOUT(fault, xen_timer_needs_no_memory, SECONDS)
{
	uint8_t *shinfo = self->mem.witness + SHINFO * XVM_PAGE;
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer.port = PORT,
		.u.timer.priority = XVM_PRIO,
	};
	struct kvm_clock_data clock;
	struct fault *f = &self->f;

	xvm_add_cpu(&self->vm, 0);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, SHINFO));
	/* The port is what needs memory, the first time. */
	ASSERT_EQ(0, ioctl(self->vm.cpu[0], KVM_XEN_VCPU_SET_ATTR, &attr));
	while (fault_next(f)) {
		memset(shinfo, 0, XVM_PAGE);
		ASSERT_EQ(0, ioctl(self->vm.fd, KVM_GET_CLOCK, &clock));
		attr.u.timer.expires_ns = clock.clock + 2000000;
		ASSERT_EQ(0, FAULTED(f, vm_ioctl(self->vm.cpu[0],
						 KVM_XEN_VCPU_SET_ATTR,
						 (unsigned long)&attr)));
		/* Put there by an interrupt, which finds the page mapped. */
		ASSERT_TRUE(xvm_wait_pending(shinfo, PORT, 5000));
	}
	EXPECT_EQ(0, f->points);
}

/* Memory slots. A page in them serves as shared_info: is the slot there? */

static bool slot_is_at(FIXTURE_DATA(fault) *self, struct xvm_mem *mem,
		       uint64_t gpa)
{
	bool there = !xvm_shinfo_gfn(&self->vm, gpa / XVM_PAGE);

	memset(mem->witness, 0, XVM_PAGE);
	if (there && (xvm_send(&self->vm, PORT, 0) ||
		      !xvm_pending(mem->witness, PORT)))
		xvm_die("a slot that is there, and is not");
	if (xvm_shinfo_gfn(&self->vm, KVM_XEN_INVALID_GFN))
		xvm_die("shared_info cannot be disabled");
	return there;
}

TEST_F_TIMEOUT(fault, memslot_create_and_delete, SECONDS)
{
	struct fault *f = &self->f;
	struct xvm_mem mem;
	int r;

	xvm_add_cpu(&self->vm, 0);
	xvm_mem_create(&mem, SLOT_PAGES);
	while (fault_next(f)) {
		r = FAULTED(f, xvm_try_slot(&self->vm, 1, 0, SLOT_GPA,
					    mem.size, mem.map));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_FALSE(slot_is_at(self, &mem, SLOT_GPA));
			ASSERT_EQ(0, xvm_try_slot(&self->vm, 1, 0, SLOT_GPA,
						  mem.size, mem.map));
		}
		ASSERT_TRUE(slot_is_at(self, &mem, SLOT_GPA));
		xvm_slot(&self->vm, 1, 0, SLOT_GPA, 0, NULL);
	}
	EXPECT_LE(2, f->points);
	f->nth = 0;
	while (fault_next(f)) {
		xvm_slot(&self->vm, 1, 0, SLOT_GPA, mem.size, mem.map);
		r = FAULTED(f, xvm_try_slot(&self->vm, 1, 0, SLOT_GPA, 0,
					    NULL));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_TRUE(slot_is_at(self, &mem, SLOT_GPA));
			ASSERT_EQ(0, xvm_try_slot(&self->vm, 1, 0, SLOT_GPA, 0,
						  NULL));
		}
		ASSERT_FALSE(slot_is_at(self, &mem, SLOT_GPA));
	}
	EXPECT_LE(3, f->points);
}

TEST_F_TIMEOUT(fault, memslot_move, SECONDS)
{
	uint64_t old = SLOT_GPA, new;
	struct fault *f = &self->f;
	struct xvm_mem mem;
	int r;

	xvm_add_cpu(&self->vm, 0);
	xvm_mem_create(&mem, SLOT_PAGES);
	xvm_slot(&self->vm, 1, 0, old, mem.size, mem.map);
	while (fault_next(f)) {
		new = old ^ SLOT_GPA ^ MOVED_GPA;
		r = FAULTED(f, xvm_try_slot(&self->vm, 1, 0, new, mem.size,
					    mem.map));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_TRUE(slot_is_at(self, &mem, old));
			ASSERT_FALSE(slot_is_at(self, &mem, new));
			ASSERT_EQ(0, xvm_try_slot(&self->vm, 1, 0, new,
						  mem.size, mem.map));
		}
		ASSERT_FALSE(slot_is_at(self, &mem, old));
		ASSERT_TRUE(slot_is_at(self, &mem, new));
		old = new;
	}
	EXPECT_LE(2, f->points);
}

/* A guest's own accesses. */

FIXTURE(guest) {
	struct fault f;
	struct xvm vm;
	struct xvm_mem mem;
	struct visitor v;
	uint8_t *huge;
};

FIXTURE_SETUP(guest)
{
	const char *missing = fault_missing();

	if (missing)
		SKIP(return, "%s", missing);
	fault_open(&self->f);
	xvm_mem_create(&self->mem, NPAGES);
	xvm_create(&self->vm, true);
	xvm_slot(&self->vm, 0, 0, 0, self->mem.size, self->mem.map);
	visitor_create(&self->v, &self->vm, 0, VISITOR * XVM_PAGE,
		       self->mem.map + VISITOR * XVM_PAGE);
	self->huge = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			  MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	ASSERT_NE(MAP_FAILED, self->huge);
	memset(self->huge, 0, HUGE_SIZE);
	/* Where it was before is known from here on. */
	visitor_write(&self->v, 0, 1);
}

FIXTURE_TEARDOWN(guest)
{
	TH_LOG("%u failures", self->f.points);
	visitor_destroy(&self->v);
	xvm_destroy(&self->vm);
	munmap(self->huge, HUGE_SIZE);
	fault_close(&self->f);
}

/* A VM whose page tables are still to be made, and memory behind its slot. */
struct fresh {
	struct xvm vm;
	struct visitor v;
	uint8_t *mem;
	uint32_t gpas[SLOT_PAGES];
};

static void fresh_begin(struct fresh *n, FIXTURE_DATA(guest) *self, bool memory)
{
	unsigned int i;

	n->mem = xvm_anon(SLOT_PAGES);
	for (i = 0; i < SLOT_PAGES; i++)
		n->gpas[i] = SLOT_GPA + i * XVM_PAGE;
	if (memory)
		memset(n->mem, 0, SLOT_PAGES * XVM_PAGE);
	xvm_create(&n->vm, true);
	xvm_slot(&n->vm, 0, 0, 0, self->mem.size, self->mem.map);
	xvm_slot(&n->vm, 1, 0, SLOT_GPA, SLOT_PAGES * XVM_PAGE, n->mem);
	visitor_create(&n->v, &n->vm, 0, VISITOR * XVM_PAGE,
		       self->mem.map + VISITOR * XVM_PAGE);
}

static void fresh_end(struct fresh *n)
{
	visitor_destroy(&n->v);
	xvm_destroy(&n->vm);
	munmap(n->mem, SLOT_PAGES * XVM_PAGE);
}

TEST_F_TIMEOUT(guest, page_fault, SECONDS)
{
	struct fault *f = &self->f;
	struct fresh n;
	unsigned int i;
	int r;

	while (fault_next(f)) {
		fresh_begin(&n, self, false);
		visitor_list(&n.v, VISIT_WRITE, 0x5a, n.gpas, SLOT_PAGES);
		r = FAULTED(f, visitor_go(&n.v));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_TRUE(is_answer(r)) TH_LOG("errno %d", -r);
			ASSERT_EQ(0, visitor_go(&n.v));
		}
		for (i = 0; i < SLOT_PAGES; i++)
			ASSERT_EQ(0x5a, n.mem[i * XVM_PAGE]);
		fresh_end(&n);
	}
	/* The pages, the root, what KVM keeps in stock for tables. */
	EXPECT_LE(SLOT_PAGES + 4, f->points);
}

TEST_F_TIMEOUT(guest, pre_fault, SECONDS)
{
	struct fault *f = &self->f;
	uint64_t faults;
	struct fresh n;
	int r;

	if (ioctl(self->vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY) <=
	    0)
		SKIP(return, "KVM has no KVM_PRE_FAULT_MEMORY");
	while (fault_next(f)) {
		struct kvm_pre_fault_memory range = {
			.gpa = SLOT_GPA,
			.size = SLOT_PAGES * XVM_PAGE,
		};

		fresh_begin(&n, self, true);
		r = FAULTED(f, vm_ioctl(n.vm.cpu[0], KVM_PRE_FAULT_MEMORY,
					(unsigned long)&range));
		if (r)
			ASSERT_TRUE(is_answer(r)) TH_LOG("errno %d", -r);
		if (r || range.size) {
			ASSERT_TRUE(f->hit);
			/* It says how far it came, and goes on there. */
			ASSERT_EQ(SLOT_GPA + SLOT_PAGES * XVM_PAGE,
				  range.gpa + range.size);
			ASSERT_EQ(0, vm_ioctl(n.vm.cpu[0],
					      KVM_PRE_FAULT_MEMORY,
					      (unsigned long)&range));
			ASSERT_EQ(0, range.size);
		}
		ASSERT_EQ(SLOT_PAGES, visitor_stat(&n.v, "pages_4k"));
		/* The first run faults its own pages in. */
		visitor_read(&n.v, VISITOR * XVM_PAGE);
		faults = visitor_stat(&n.v, "pf_fixed");
		visitor_visit(&n.v, VISIT_READ, 0, n.gpas, SLOT_PAGES);
		ASSERT_EQ(faults, visitor_stat(&n.v, "pf_fixed"));
		fresh_end(&n);
	}
	EXPECT_LE(3, f->points);
}

static void huge_begin(FIXTURE_DATA(guest) *self)
{
	xvm_slot(&self->vm, 1, 0, HUGE_GPA, HUGE_SIZE, self->huge);
	visitor_write(&self->v, HUGE_GPA, 1);
}

/* Write to some pages; their bits, and no others, are in the log. */
static bool log_is_exact(FIXTURE_DATA(guest) *self)
{
	static const unsigned int pages[] = { 0, 1, 63, 64, 300, 511 };
	uint64_t log[HUGE_PAGES / 64], want[HUGE_PAGES / 64] = {};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		visitor_write(&self->v, HUGE_GPA + pages[i] * XVM_PAGE, i);
		want[pages[i] / 64] |= 1ULL << pages[i] % 64;
	}
	xvm_dirty_log(&self->vm, 1, log);
	return !memcmp(log, want, sizeof(log));
}

static int try_log(FIXTURE_DATA(guest) *self, unsigned int flags)
{
	return xvm_try_slot(&self->vm, 1, flags, HUGE_GPA, HUGE_SIZE,
			    self->huge);
}

/* Turning the log on splits what is mapped in one piece; off, the opposite. */
TEST_F_TIMEOUT(guest, dirty_log_on_and_off, SECONDS)
{
	uint64_t log[HUGE_PAGES / 64];
	struct fault *f = &self->f;
	int r;

	while (fault_next(f)) {
		huge_begin(self);
		ASSERT_EQ(1, visitor_stat(&self->v, "pages_2m"));
		r = FAULTED(f, try_log(self, KVM_MEM_LOG_DIRTY_PAGES));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_EQ(0, try_log(self, KVM_MEM_LOG_DIRTY_PAGES));
		}
		xvm_dirty_log(&self->vm, 1, log);
		ASSERT_TRUE(log_is_exact(self));
		xvm_slot(&self->vm, 1, 0, HUGE_GPA, 0, NULL);
	}
	/* The slot, its bitmap, the tables of what is split. */
	EXPECT_LE(3, f->points);
	f->nth = 0;
	while (fault_next(f)) {
		huge_begin(self);
		ASSERT_EQ(0, try_log(self, KVM_MEM_LOG_DIRTY_PAGES));
		ASSERT_TRUE(log_is_exact(self));
		r = FAULTED(f, try_log(self, 0));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_TRUE(log_is_exact(self));
			ASSERT_EQ(0, try_log(self, 0));
		}
		visitor_write(&self->v, HUGE_GPA, 2);
		ASSERT_EQ(1, visitor_stat(&self->v, "pages_2m"));
		xvm_slot(&self->vm, 1, 0, HUGE_GPA, 0, NULL);
	}
}

TEST_F_TIMEOUT(guest, get_dirty_log_needs_no_memory, SECONDS)
{
	uint64_t log[HUGE_PAGES / 64];
	struct kvm_dirty_log get = { .slot = 1, .dirty_bitmap = log };
	struct fault *f = &self->f;

	huge_begin(self);
	ASSERT_EQ(0, try_log(self, KVM_MEM_LOG_DIRTY_PAGES));
	xvm_dirty_log(&self->vm, 1, log);
	while (fault_next(f)) {
		visitor_write(&self->v, HUGE_GPA + 77 * XVM_PAGE, 7);
		ASSERT_EQ(0, FAULTED(f, vm_ioctl(self->vm.fd,
						 KVM_GET_DIRTY_LOG,
						 (unsigned long)&get)));
		ASSERT_EQ(1ULL << 77 % 64, log[77 / 64]);
		ASSERT_TRUE(log_is_exact(self));
	}
	EXPECT_EQ(0, f->points);
}

/* With all bits set at first, splitting is left to the clearing. */
TEST_F_TIMEOUT(guest, clear_dirty_log, SECONDS)
{
	uint64_t log[HUGE_PAGES / 64];
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
			  KVM_DIRTY_LOG_INITIALLY_SET },
	};
	struct kvm_clear_dirty_log clear = {
		.slot = 1,
		.num_pages = HUGE_PAGES,
		.dirty_bitmap = log,
	};
	struct fault *f = &self->f;
	int r;

	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &cap));
	while (fault_next(f)) {
		huge_begin(self);
		ASSERT_EQ(0, try_log(self, KVM_MEM_LOG_DIRTY_PAGES));
		xvm_dirty_log(&self->vm, 1, log);
		r = FAULTED(f, vm_ioctl(self->vm.fd, KVM_CLEAR_DIRTY_LOG,
					(unsigned long)&clear));
		if (r) {
			ASSERT_TRUE(f->hit);
			ASSERT_EQ(-ENOMEM, r);
			ASSERT_EQ(0, vm_ioctl(self->vm.fd, KVM_CLEAR_DIRTY_LOG,
					      (unsigned long)&clear));
		}
		ASSERT_TRUE(log_is_exact(self));
		xvm_slot(&self->vm, 1, 0, HUGE_GPA, 0, NULL);
	}
	EXPECT_LE(1, f->points);
}

/* Failures that no allocation can cause: functions of ours that are made to. */

TEST_F_TIMEOUT(fault, page_that_cannot_be_mapped, SECONDS)
{
	xvm_add_cpu(&self->vm, 0);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, HERE));
	if (!fault_function("gpc_map_pfn", 0))
		SKIP(return, "the modules have no gpc_map_pfn() that may fail");
	EXPECT_EQ(-EFAULT, xvm_shinfo_gfn(&self->vm, THERE));
	EXPECT_TRUE(fault_function_end("gpc_map_pfn"));
	/* What worked before goes on working. */
	EXPECT_EQ(HERE, xvm_get_shinfo_gfn(&self->vm));
	EXPECT_EQ(0, xvm_send(&self->vm, PORT, 0));
	EXPECT_TRUE(xvm_pending(self->mem.witness + HERE * XVM_PAGE, PORT));
	EXPECT_FALSE(xvm_pending(self->mem.witness + THERE * XVM_PAGE, PORT));
}

TEST_F_TIMEOUT(fault, page_that_cannot_be_indexed, SECONDS)
{
	xvm_add_cpu(&self->vm, 0);
	ASSERT_EQ(0, xvm_shinfo_gfn(&self->vm, HERE));
	if (!fault_function("gpc_index_insert", -ENOMEM))
		SKIP(return, "the modules have no gpc_index_insert() that may fail");
	EXPECT_EQ(-ENOMEM, xvm_shinfo_gfn(&self->vm, THERE));
	EXPECT_TRUE(fault_function_end("gpc_index_insert"));
	/* What worked before goes on working. */
	EXPECT_EQ(HERE, xvm_get_shinfo_gfn(&self->vm));
	EXPECT_EQ(0, xvm_send(&self->vm, PORT, 0));
	EXPECT_TRUE(xvm_pending(self->mem.witness + HERE * XVM_PAGE, PORT));
	EXPECT_FALSE(xvm_pending(self->mem.witness + THERE * XVM_PAGE, PORT));
}

/* Last: all that came before ended in a process that is gone. */

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
#define LEAK_AGE_MS	6000	/* what is younger is not reported */

FIXTURE(end) {
	FILE *leaks;
};

FIXTURE_SETUP(end)
{
	const char *missing = fault_missing();

	if (missing)
		SKIP(return, "%s", missing);
	self->leaks = fopen(KMEMLEAK, "r+");
	if (!self->leaks)
		SKIP(return, "the kernel does not look for leaks");
	setvbuf(self->leaks, NULL, _IONBF, 0);
}

FIXTURE_TEARDOWN(end)
{
	fclose(self->leaks);
}

TEST_F_TIMEOUT(end, nothing_is_leaked, SECONDS)
{
	unsigned int i, leaks = 0;
	char line[256];

	xvm_sleep_ms(LEAK_AGE_MS);
	/* Twice: what moved during the first is found in the second. */
	for (i = 0; i < 2; i++)
		ASSERT_EQ(1, fwrite("scan", 4, 1, self->leaks));
	rewind(self->leaks);
	while (fgets(line, sizeof(line), self->leaks)) {
		leaks += !strncmp(line, "unreferenced object", 19);
		TH_LOG("%s", line);
	}
	EXPECT_EQ(0, leaks);
}

TEST_HARNESS_MAIN
