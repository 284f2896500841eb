// SPDX-License-Identifier: GPL-2.0
/*
 * Guests that are saved and restored amid a storm of events.
 *
 * Affected: every guest that is migrated. Tried: a VMM that knows nothing of how KVM
 * keeps events stops what sends them, reads the attributes that all kernels have,
 * copies the memory and goes on in a new VM; a thousand times, with events from
 * irqfds, ioctls, timers and vCPUs under way and pages that were replaced meanwhile. A
 * right system shows the new VM all that was sent to the old one.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "caller.h"
#include "tally.h"
#include "xvm.h"

#define CPUS		2
#define CYCLES		1000
#define SOON_MS		2000
#define LOST_ENOUGH	3	/* to know what is to be known */
#define MS		1000000ULL
#define VECTOR		0x31
#define OTHER_APIC	0x77u
#define APIC_ID		0x20	/* registers of the local APIC */
#define APIC_SPIV	0xf0
#define APIC_IRR	0x200

#define ARG_PAGE	0
#define SHINFO_PAGE	1
#define INFO_PAGE	2
#define CODE_PAGE	(INFO_PAGE + CPUS)
#define NPAGES		(CODE_PAGE + CALLER_PAGES)

/* Ports: lines and ioctls of vCPU 0; IPIs and the timer of vCPU 1. */
#define LINES		16
#define FIRST_LINE	64
#define FIRST_SENT	(FIRST_LINE + LINES)
#define NR_SENT		64
#define FIRST_IPI	512
#define NR_IPIS		4
#define TIMER		600

/* A life of the guest: one VM over one copy of its memory. */
struct life {
	struct xvm vm;
	struct xvm_mem mem;
	struct caller cpu[CPUS];
	int fd[LINES];
};

/* What a VMM saves of a vCPU and of the VM. */
struct saved {
	struct kvm_clock_data clock;
	uint64_t shinfo;
	struct {
		struct kvm_xen_vcpu_attr info, timer;
	} cpu[CPUS];
};

FIXTURE(migrate) {
	struct life *now;
	struct life lives[2];
	struct tally tally[CPUS];
};

static void must(int r)
{
	if (r)
		xvm_die("refused: %d", r);
}

static void life_begin(FIXTURE_DATA(migrate) *self, struct life *l)
{
	struct xvm *vm = &l->vm;
	int i;

	xvm_create(vm, true);
	xvm_slot(vm, 0, 0, 0, l->mem.size, l->mem.map);
	for (i = 0; i < CPUS; i++) {
		caller_create(&l->cpu[i], vm, i, CODE_PAGE * XVM_PAGE,
			      l->mem.map + CODE_PAGE * XVM_PAGE);
		self->tally[i].shinfo = l->mem.witness + SHINFO_PAGE * XVM_PAGE;
		self->tally[i].vcpu_info = l->mem.witness +
					   (INFO_PAGE + i) * XVM_PAGE;
	}
	xvm_route(vm, 0, LINES, FIRST_LINE, 0);
	for (i = 0; i < LINES; i++)
		l->fd[i] = xvm_irqfd(vm, i);
	for (i = 0; i < NR_IPIS; i++)
		must(xvm_ipi_port(vm, 0, FIRST_IPI + i, 1));
	self->now = l;
}

static void life_end(struct life *l)
{
	int i;

	for (i = 0; i < LINES; i++)
		close(l->fd[i]);
	xvm_destroy(&l->vm);
}

static void cpu_ioctl(struct life *l, int i, unsigned long cmd,
		      struct kvm_xen_vcpu_attr *attr, unsigned int type)
{
	attr->type = type;
	if (ioctl(l->vm.cpu[i], cmd, attr))
		xvm_die("attribute %u of vCPU %d", type, i);
}

static void vm_save(struct life *l, struct saved *s)
{
	int i;

	s->shinfo = xvm_get_shinfo_gfn(&l->vm);
	for (i = 0; i < CPUS; i++) {
		cpu_ioctl(l, i, KVM_XEN_VCPU_GET_ATTR, &s->cpu[i].info,
			  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO);
		cpu_ioctl(l, i, KVM_XEN_VCPU_GET_ATTR, &s->cpu[i].timer,
			  KVM_XEN_VCPU_ATTR_TYPE_TIMER);
	}
	memset(&s->clock, 0, sizeof(s->clock));
	if (ioctl(l->vm.fd, KVM_GET_CLOCK, &s->clock))
		xvm_die("KVM_GET_CLOCK");
	s->clock.flags = 0;
}

static void vm_restore(struct life *l, struct saved *s)
{
	int i;

	if (ioctl(l->vm.fd, KVM_SET_CLOCK, &s->clock))
		xvm_die("KVM_SET_CLOCK");
	must(xvm_shinfo_gfn(&l->vm, s->shinfo));
	for (i = 0; i < CPUS; i++) {
		cpu_ioctl(l, i, KVM_XEN_VCPU_SET_ATTR, &s->cpu[i].info,
			  KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO);
		cpu_ioctl(l, i, KVM_XEN_VCPU_SET_ATTR, &s->cpu[i].timer,
			  KVM_XEN_VCPU_ATTR_TYPE_TIMER);
	}
}

static struct life *other_life(FIXTURE_DATA(migrate) *self)
{
	return &self->lives[self->now == &self->lives[0]];
}

static void copy_pages(FIXTURE_DATA(migrate) *self, int first, int end)
{
	memcpy(other_life(self)->mem.witness + first * XVM_PAGE,
	       self->now->mem.witness + first * XVM_PAGE,
	       (end - first) * XVM_PAGE);
}

/* The old VM ends. */
static void go_over(FIXTURE_DATA(migrate) *self, struct saved *saved)
{
	struct life *new = other_life(self);

	life_end(self->now);
	life_begin(self, new);
	vm_restore(new, saved);
}

/* The guest moves to the other copy of its memory. */
static void migrate(FIXTURE_DATA(migrate) *self)
{
	struct saved saved;

	vm_save(self->now, &saved);
	copy_pages(self, 0, NPAGES);
	go_over(self, &saved);
}

/* What a VMM knows that has asked for nothing. */
static void vm_known(struct life *l, struct saved *s)
{
	int i;

	memset(s, 0, sizeof(*s));
	s->shinfo = SHINFO_PAGE;
	if (ioctl(l->vm.fd, KVM_GET_CLOCK, &s->clock))
		xvm_die("KVM_GET_CLOCK");
	s->clock.flags = 0;
	for (i = 0; i < CPUS; i++)
		s->cpu[i].info.u.gpa = (INFO_PAGE + i) * XVM_PAGE;
}

FIXTURE_SETUP(migrate)
{
	struct saved first;
	int i;

	memset(self->tally, 0, sizeof(self->tally));
	for (i = 0; i < 2; i++)
		xvm_mem_create(&self->lives[i].mem, NPAGES);
	life_begin(self, &self->lives[0]);
	vm_known(self->now, &first);
	vm_restore(self->now, &first);
}

FIXTURE_TEARDOWN(migrate)
{
	life_end(self->now);
}

/* The page is there, and KVM has to look it up again. */
static void replace_page(struct life *l, int page)
{
	xvm_map(&l->mem, page, l->mem.map + page * XVM_PAGE);
}

static void send_one(FIXTURE_DATA(migrate) *self, int cpu, unsigned int port)
{
	self->tally[cpu].sent[port]++;
	must(xvm_send(&self->now->vm, port, cpu));
}

/* The vCPUs run for a moment, and look. */
static unsigned int look(FIXTURE_DATA(migrate) *self)
{
	unsigned int missing = 0;
	int i;

	for (i = 0; i < CPUS; i++) {
		caller_call(&self->now->cpu[i], HYPERVISOR_SCHED_OP,
			    SCHEDOP_YIELD, 0, 0);
		tally_look(&self->tally[i]);
		missing += tally_missing(&self->tally[i]);
	}
	return missing;
}

static unsigned int missing_at_last(FIXTURE_DATA(migrate) *self)
{
	uint64_t end = xvm_now_ns() + SOON_MS * MS;
	unsigned int missing;

	while ((missing = look(self)) && xvm_now_ns() < end)
		xvm_sleep_ms(1);
	return missing;
}

/* It was sent while vcpu_info was not to be reached; the vCPU has not run since. */
TEST_F(migrate, event_without_vcpu_info_is_seen_after)
{
	replace_page(self->now, INFO_PAGE);
	send_one(self, 0, FIRST_SENT);
	migrate(self);
	EXPECT_EQ(0, missing_at_last(self));
}

/* The same for shared_info, and a sender that is not told. */
TEST_F(migrate, event_without_shared_info_is_seen_after)
{
	replace_page(self->now, SHINFO_PAGE);
	replace_page(self->now, INFO_PAGE);
	self->tally[0].sent[FIRST_LINE]++;
	xvm_signal(self->now->fd[0]);
	migrate(self);
	EXPECT_EQ(0, missing_at_last(self));
}

/* A VMM that saves a vCPU which has no timer asks for no attribute of it. */
TEST_F(migrate, event_without_vcpu_info_is_seen_though_nothing_is_read)
{
	struct saved saved;

	replace_page(self->now, INFO_PAGE);
	send_one(self, 0, FIRST_SENT);
	vm_known(self->now, &saved);
	copy_pages(self, 0, NPAGES);
	go_over(self, &saved);
	EXPECT_EQ(0, missing_at_last(self));

	/* The same of a sender that is not told; it is not long in coming. */
	replace_page(self->now, INFO_PAGE);
	self->tally[0].sent[FIRST_LINE]++;
	xvm_signal(self->now->fd[0]);
	xvm_sleep_ms(200);
	vm_known(self->now, &saved);
	copy_pages(self, 0, NPAGES);
	go_over(self, &saved);
	EXPECT_EQ(0, missing_at_last(self));
}

static void apic(struct life *l, unsigned long cmd, struct kvm_lapic_state *state)
{
	if (ioctl(l->vm.cpu[0], cmd, state))
		xvm_die("the APIC");
}

static void set_vector(struct life *l)
{
	struct kvm_xen_vcpu_attr attr = { .u.vector = VECTOR };

	cpu_ioctl(l, 0, KVM_XEN_VCPU_SET_ATTR, &attr,
		  KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR);
}

static bool has_upcall(struct life *l)
{
	struct kvm_lapic_state state;

	apic(l, KVM_GET_LAPIC, &state);
	return state.regs[APIC_IRR + VECTOR / 32 * 16 + VECTOR % 32 / 8] &
	       1 << VECTOR % 8;
}

/*
 * A vCPU with a vector of its own, and a VMM that reads the APIC before it reads
 * anything of Xen, and restores it last.
 */
TEST_F(migrate, upcall_is_not_lost_in_an_apic_read_before)
{
	struct kvm_lapic_state saved;

	set_vector(self->now);
	apic(self->now, KVM_GET_LAPIC, &saved);
	/* It is on; the guest, which has interrupts off, does not take them. */
	*(uint32_t *)&saved.regs[APIC_SPIV] = 0x1ff;
	apic(self->now, KVM_SET_LAPIC, &saved);

	replace_page(self->now, INFO_PAGE);
	send_one(self, 0, FIRST_SENT);
	apic(self->now, KVM_GET_LAPIC, &saved);
	migrate(self);
	set_vector(self->now);
	apic(self->now, KVM_SET_LAPIC, &saved);
	EXPECT_EQ(0, missing_at_last(self));
	EXPECT_TRUE(has_upcall(self->now));
}

/* A vCPU whose APIC the guest has given another id. */
TEST_F(migrate, upcall_goes_to_its_vcpu_whatever_the_apics_id)
{
	struct kvm_lapic_state state;

	set_vector(self->now);
	apic(self->now, KVM_GET_LAPIC, &state);
	*(uint32_t *)&state.regs[APIC_SPIV] = 0x1ff;
	*(uint32_t *)&state.regs[APIC_ID] = OTHER_APIC << 24;
	apic(self->now, KVM_SET_LAPIC, &state);
	send_one(self, 0, FIRST_SENT);
	EXPECT_TRUE(has_upcall(self->now));
}

/* Not before its time, and not because of the move. */
TEST_F(migrate, timer_fires_after)
{
	xvm_timer(&self->now->vm, 1, TIMER, 300 * MS);
	migrate(self);
	xvm_sleep_ms(100);
	look(self);
	EXPECT_EQ(0, self->tally[1].seen[TIMER]);
	self->tally[1].sent[TIMER] = 1;
	EXPECT_EQ(0, missing_at_last(self));
}

/* Memory takes its time, and is copied in an order of its own. */
TEST_F(migrate, timer_does_not_fire_into_memory_that_is_being_copied)
{
	struct saved saved;

	xvm_timer(&self->now->vm, 1, TIMER, 100 * MS);
	vm_save(self->now, &saved);
	copy_pages(self, INFO_PAGE, NPAGES);
	xvm_sleep_ms(200);
	copy_pages(self, 0, INFO_PAGE);
	go_over(self, &saved);
	self->tally[1].sent[TIMER] = 1;
	EXPECT_EQ(0, missing_at_last(self));
}

/* ------------------------------------------------------------------------ */

static void *lines_thread(void *arg)
{
	FIXTURE_DATA(migrate) *self = arg;
	int i;

	for (i = 0; i < LINES; i++)
		xvm_signal(self->now->fd[i]);
	return NULL;
}

static void send_ipi(FIXTURE_DATA(migrate) *self, unsigned int port)
{
	struct life *l = self->now;

	self->tally[1].sent[port]++;
	*(uint32_t *)(l->mem.map + ARG_PAGE * XVM_PAGE) = port;
	if (caller_call(&l->cpu[0], HYPERVISOR_EVTCHN_OP, EVTCHNOP_SEND,
			ARG_PAGE * XVM_PAGE, 0))
		xvm_die("EVTCHNOP_send");
}

static void storm(FIXTURE_DATA(migrate) *self, int cycle)
{
	struct life *l = self->now;
	pthread_t lines;
	int i;

	/* Due before the VM is saved, or after. */
	self->tally[1].sent[TIMER]++;
	xvm_timer(&l->vm, 1, TIMER, cycle % 4 * 200000);

	for (i = 0; i < LINES; i++)
		self->tally[0].sent[FIRST_LINE + i]++;
	if (pthread_create(&lines, NULL, lines_thread, self))
		xvm_die("pthread_create");
	for (i = 0; i < NR_SENT; i++) {
		if (i == NR_SENT / 4 || i == NR_SENT - cycle % 8)
			replace_page(l, INFO_PAGE + i % CPUS);
		if (i == NR_SENT / 2)
			replace_page(l, SHINFO_PAGE);
		send_one(self, i % CPUS, FIRST_SENT + i + i % CPUS * 256);
	}
	for (i = 0; i < NR_IPIS; i++) {
		if (i == cycle % 8)
			replace_page(l, INFO_PAGE + 1);
		send_ipi(self, FIRST_IPI + i);
	}
	if (pthread_join(lines, NULL))
		xvm_die("pthread_join");
}

TEST_F_TIMEOUT(migrate, nothing_is_lost_in_a_thousand_moves, 300)
{
	unsigned int missing, lost = 0;
	int cycle;

	for (cycle = 0; cycle < CYCLES && lost < LOST_ENOUGH; cycle++) {
		storm(self, cycle);
		migrate(self);
		missing = missing_at_last(self);
		if (missing)
			TH_LOG("move %d: %u ports lost their event", cycle,
			       missing);
		lost += missing;
		/* One that is lost is not asked for again. */
		memset(self->tally[0].sent, 0, sizeof(self->tally[0].sent));
		memset(self->tally[1].sent, 0, sizeof(self->tally[1].sent));
		memset(self->tally[0].seen, 0, sizeof(self->tally[0].seen));
		memset(self->tally[1].seen, 0, sizeof(self->tally[1].seen));
	}
	EXPECT_EQ(0, lost);
}

TEST_HARNESS_MAIN
