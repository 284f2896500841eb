// SPDX-License-Identifier: GPL-2.0
/*
 * A million events, while the pages they go through come and go.
 *
 * Affected: every busy guest on a host that moves its memory. Tried: two vCPUs get
 * events from irqfds, ioctls, timers and each other; meanwhile shared_info is moved,
 * disabled and set again, memory slots are deleted and made, dirty logging is switched
 * on and off, and pages are mapped anew. No port is sent on before the last event on it
 * has been seen, so a right system shows as many events as were sent.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "caller.h"
#include "tally.h"
#include "xvm.h"

#define CPUS		2
#define EVENTS		510000u		/* of each vCPU */
#define STUCK_MS	1500

/* Memory: the guest's code and arguments; vcpu_info of both; shared_info, twice. */
#define CODE_SLOT	0
#define ARG_PAGE	1
#define CODE_PAGE	(ARG_PAGE + CPUS)
#define CODE_PAGES	(CODE_PAGE + CALLER_PAGES)
#define INFO_SLOT	1
#define INFO_GPA	0x100000
#define SHINFO_SLOT	2
#define SHINFO_GPA	0x200000
#define OTHER_SLOT	3
#define OTHER_GPA	0x300000

/* A vCPU's ports: lines, its timer, from the other vCPU, by ioctl. */
#define PORTS		1024
#define FIRST(cpu)	(64 + (cpu) * PORTS)
#define LINES		64
#define TIMER		LINES
#define IPIS		(TIMER + 1)
#define NR_IPIS		8
#define SENT		(IPIS + NR_IPIS)

struct storm;

struct side {
	struct storm *storm;
	pthread_t thread;
	struct caller caller;
	struct tally tally;
	unsigned int id;
	uint32_t *arg;
	int fd[LINES];
	unsigned int refused;
};

struct storm {
	struct xvm vm;
	struct xvm_mem code, info, shared;
	struct side side[CPUS];
	unsigned int flips;
	int stop;		/* atomic */
};

static void sent(struct tally *t, unsigned int port)
{
	t->sent[port]++;
}

/* What cannot be delivered now is no error of the sender's; it is counted as sent. */
static void send_by_ioctl(struct side *s, unsigned int port)
{
	int r;

	sent(&s->tally, port);
	r = xvm_send(&s->storm->vm, port, s->id);
	if (r && r != -EFAULT && r != -EINVAL)
		xvm_die("KVM_XEN_HVM_EVTCHN_SEND: %d", r);
	s->refused += r != 0;
}

static void send_ipi(struct side *s, unsigned int port)
{
	struct side *to = &s->storm->side[!s->id];

	if (!tally_has(&to->tally, port))
		return;
	sent(&to->tally, port);
	*s->arg = port;
	caller_set(&s->caller, HYPERVISOR_EVTCHN_OP, EVTCHNOP_SEND,
		   (ARG_PAGE + s->id) * XVM_PAGE, 0);
	while (caller_go(&s->caller) < 0)
		;
}

/* The vCPU enters the guest, and does before that what senders left to it. */
static void run(struct side *s)
{
	caller_call(&s->caller, HYPERVISOR_SCHED_OP, SCHEDOP_YIELD, 0, 0);
}

/* Returns how many events were sent to this side. */
static unsigned int sweep(struct side *s)
{
	unsigned int i, nr = 0, first = FIRST(s->id);
	struct tally *t = &s->tally;

	for (i = 0; i < PORTS; i++) {
		if (i >= IPIS && i < SENT)
			continue;
		if (!tally_has(t, first + i))
			continue;
		if (i < LINES) {
			sent(t, first + i);
			xvm_signal(s->fd[i]);
		} else if (i == TIMER) {
			sent(t, first + i);
			xvm_timer(&s->storm->vm, s->id, first + i, 20000);
		} else {
			send_by_ioctl(s, first + i);
		}
		nr++;
	}
	for (i = IPIS; i < SENT; i++)
		send_ipi(s, FIRST(!s->id) + i);
	tally_look(t);
	return nr;
}

/* Is there an event that was on its way when @then was taken, and still is? */
static bool is_stuck(struct tally *t, uint32_t *then)
{
	unsigned int port, stuck = 0;

	for (port = 0; port < TALLY_PORTS; port++) {
		stuck += then[port] == t->sent[port] && !tally_has(t, port);
		then[port] = t->sent[port];
	}
	return stuck;
}

static void *side_thread(void *arg)
{
	uint32_t then[TALLY_PORTS] = {};
	uint64_t looked = xvm_now_ns();
	unsigned int nr, total = 0;
	struct side *s = arg;

	while (total < EVENTS) {
		if (xvm_now_ns() - looked > STUCK_MS * 1000000ULL) {
			if (is_stuck(&s->tally, then))
				break;
			looked = xvm_now_ns();
		}
		nr = sweep(s);
		total += nr;
		/* Many wait for the vCPU, or for a page. */
		if (nr < PORTS / 2) {
			run(s);
			sched_yield();
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------------ */

static void must(int r)
{
	if (r)
		xvm_die("a page cannot be set: %d", r);
}

static void slot_again(struct storm *s, unsigned int slot, uint64_t gpa,
		       struct xvm_mem *mem)
{
	xvm_slot(&s->vm, slot, 0, 0, 0, NULL);
	xvm_slot(&s->vm, slot, 0, gpa, mem->size, mem->map);
}

static void slot_logged(struct storm *s, unsigned int slot, uint64_t gpa,
			struct xvm_mem *mem)
{
	uint64_t bitmap[8];

	xvm_slot(&s->vm, slot, KVM_MEM_LOG_DIRTY_PAGES, gpa, mem->size,
		 mem->map);
	xvm_dirty_log(&s->vm, slot, bitmap);
	xvm_slot(&s->vm, slot, 0, gpa, mem->size, mem->map);
}

static void flip(struct storm *s, unsigned int what)
{
	switch (what) {
	case 0:
		must(xvm_shinfo_gfn(&s->vm, KVM_XEN_INVALID_GFN));
		must(xvm_shinfo_gfn(&s->vm, SHINFO_GPA / XVM_PAGE));
		break;
	case 1:
		must(xvm_shinfo_gfn(&s->vm, OTHER_GPA / XVM_PAGE));
		break;
	case 2:
		must(xvm_shinfo_hva(&s->vm, s->shared.map));
		break;
	case 3:
		must(xvm_shinfo_hva(&s->vm, NULL));
		must(xvm_shinfo_gfn(&s->vm, SHINFO_GPA / XVM_PAGE));
		break;
	case 4:
		slot_again(s, SHINFO_SLOT, SHINFO_GPA, &s->shared);
		break;
	case 5:
		slot_again(s, INFO_SLOT, INFO_GPA, &s->info);
		break;
	case 6:
		slot_logged(s, SHINFO_SLOT, SHINFO_GPA, &s->shared);
		break;
	case 7:
		slot_logged(s, INFO_SLOT, INFO_GPA, &s->info);
		break;
	case 8:
		xvm_map(&s->shared, 0, s->shared.map);
		break;
	default:
		xvm_map(&s->info, 0, s->info.map);
		break;
	}
}

static void *flip_thread(void *arg)
{
	struct storm *s = arg;
	struct timespec pause = { .tv_nsec = 2000000 };

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		flip(s, s->flips++ % 10);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

FIXTURE(storm) {
	struct storm s;
};

static void side_create(struct storm *s, unsigned int id)
{
	struct side *side = &s->side[id];
	unsigned int i;

	side->storm = s;
	side->id = id;
	side->arg = (void *)(s->code.map + (ARG_PAGE + id) * XVM_PAGE);
	side->tally.shinfo = s->shared.witness;
	side->tally.vcpu_info = s->info.witness + id * XEN_VCPU_INFO_SIZE;
	caller_create(&side->caller, &s->vm, id, CODE_PAGE * XVM_PAGE,
		      s->code.map + CODE_PAGE * XVM_PAGE);
	must(xvm_cpu_attr(&s->vm, id, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
			  INFO_GPA + id * XEN_VCPU_INFO_SIZE));
	for (i = IPIS; i < SENT; i++)
		must(xvm_ipi_port(&s->vm, 0, FIRST(id) + i, id));
}

/* Lines of both vCPUs: xvm_route() knows one. */
static void route_lines(struct storm *s)
{
	struct {
		struct kvm_irq_routing table;
		struct kvm_irq_routing_entry entry[CPUS * LINES];
	} r = { .table.nr = CPUS * LINES };
	unsigned int i;

	for (i = 0; i < CPUS * LINES; i++) {
		r.entry[i].gsi = i;
		r.entry[i].type = KVM_IRQ_ROUTING_XEN_EVTCHN;
		r.entry[i].u.xen_evtchn.port = FIRST(i / LINES) + i % LINES;
		r.entry[i].u.xen_evtchn.vcpu = i / LINES;
		r.entry[i].u.xen_evtchn.priority = XVM_PRIO;
	}
	if (ioctl(s->vm.fd, KVM_SET_GSI_ROUTING, &r))
		xvm_die("KVM_SET_GSI_ROUTING");
}

/* @others: vCPUs that do nothing. They come first, so no index is its vCPU's ID. */
static void storm_create(struct storm *s, unsigned int others)
{
	unsigned int id, i;

	memset(s, 0, sizeof(*s));
	xvm_mem_create(&s->code, CODE_PAGES);
	xvm_mem_create(&s->info, 1);
	xvm_mem_create(&s->shared, 1);
	xvm_create(&s->vm, true);
	xvm_slot(&s->vm, CODE_SLOT, 0, 0, s->code.size, s->code.map);
	xvm_slot(&s->vm, INFO_SLOT, 0, INFO_GPA, XVM_PAGE, s->info.map);
	xvm_slot(&s->vm, SHINFO_SLOT, 0, SHINFO_GPA, XVM_PAGE, s->shared.map);
	xvm_slot(&s->vm, OTHER_SLOT, 0, OTHER_GPA, XVM_PAGE, s->shared.map);
	must(xvm_shinfo_gfn(&s->vm, SHINFO_GPA / XVM_PAGE));
	for (id = 0; id < others; id++)
		xvm_add_cpu(&s->vm, CPUS + id);
	for (id = 0; id < CPUS; id++)
		side_create(s, id);
	route_lines(s);
	for (id = 0; id < CPUS; id++)
		for (i = 0; i < LINES; i++)
			s->side[id].fd[i] = xvm_irqfd(&s->vm, id * LINES + i);
}

FIXTURE_SETUP(storm)
{
	storm_create(&self->s, 0);
}

FIXTURE_TEARDOWN(storm)
{
	xvm_destroy(&self->s.vm);
}

/* Everybody has stopped; what was kept arrives now. */
static unsigned int missing_at_last(struct storm *s)
{
	uint64_t end = xvm_now_ns() + STUCK_MS * 1000000ULL;
	unsigned int id, missing;

	do {
		for (id = 0, missing = 0; id < CPUS; id++) {
			run(&s->side[id]);
			tally_look(&s->side[id].tally);
			missing += tally_missing(&s->side[id].tally);
		}
		if (missing)
			xvm_sleep_ms(1);
	} while (missing && xvm_now_ns() < end);
	return missing;
}

static uint64_t total(const uint32_t *counts)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < TALLY_PORTS; i++)
		sum += counts[i];
	return sum;
}

TEST_F_TIMEOUT(storm, a_million_events_sent_are_a_million_seen, 300)
{
	uint64_t sent_all = 0, seen_all = 0;
	struct storm *s = &self->s;
	unsigned int id, missing;
	pthread_t flipper;

	ASSERT_EQ(0, pthread_create(&flipper, NULL, flip_thread, s));
	for (id = 0; id < CPUS; id++)
		ASSERT_EQ(0, pthread_create(&s->side[id].thread, NULL,
					    side_thread, &s->side[id]));
	for (id = 0; id < CPUS; id++)
		ASSERT_EQ(0, pthread_join(s->side[id].thread, NULL));
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(flipper, NULL));
	must(xvm_shinfo_gfn(&s->vm, SHINFO_GPA / XVM_PAGE));

	missing = missing_at_last(s);
	for (id = 0; id < CPUS; id++) {
		sent_all += total(s->side[id].tally.sent);
		seen_all += total(s->side[id].tally.seen);
	}
	TH_LOG("%lu sent, %lu seen, %u flips, %u and %u refused at first",
	       sent_all, seen_all, s->flips, s->side[0].refused,
	       s->side[1].refused);
	EXPECT_EQ(0, missing);
	EXPECT_EQ(sent_all, seen_all);
	EXPECT_LE(1000000, sent_all);
	/* There was a storm. */
	EXPECT_LE(100, s->flips);
	EXPECT_LE(1, s->side[0].refused + s->side[1].refused);
}

/* ------------------------------------------------------------------------ */

#define MOVES		200
#define OTHERS		128
#define CALL_NS		16000	/* what a call takes, about */
#define PAUSES_NS	(4 * CALL_NS)
#define PAUSE_STEP_NS	1009

struct sender {
	struct side *from;
	unsigned int port;
	unsigned int calls;	/* atomic; completed */
	int stop;		/* atomic */
};

static void *sender_thread(void *arg)
{
	struct sender *s = arg;

	*s->from->arg = s->port;
	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		caller_call(&s->from->caller, HYPERVISOR_EVTCHN_OP,
			    EVTCHNOP_SEND, (ARG_PAGE + s->from->id) * XVM_PAGE,
			    0);
		__atomic_fetch_add(&s->calls, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* So many calls have begun and ended since. */
static void wait_calls(struct sender *s, unsigned int nr)
{
	unsigned int first = __atomic_load_n(&s->calls, __ATOMIC_SEQ_CST);

	while (__atomic_load_n(&s->calls, __ATOMIC_SEQ_CST) - first < nr)
		xvm_sleep_ns(CALL_NS);
}

static uint64_t take_selector(struct side *s)
{
	return __atomic_exchange_n((uint64_t *)(s->tally.vcpu_info +
						XEN_VCPU_INFO_SEL), 0,
				   __ATOMIC_SEQ_CST);
}

static void move(struct sender *s, unsigned int to)
{
	must(xvm_ipi_port(s->from->caller.vm, KVM_XEN_EVTCHN_UPDATE, s->port,
			  to));
}

FIXTURE(moved) {
	struct storm s;
};

FIXTURE_SETUP(moved)
{
	storm_create(&self->s, OTHERS);
}

FIXTURE_TEARDOWN(moved)
{
	xvm_destroy(&self->s.vm);
}

/*
 * A port is moved from vCPU to vCPU while the guest sends on it all the time. KVM looks
 * for a vCPU that it was told of by its ID, among many, and is told of another meanwhile.
 */
TEST_F_TIMEOUT(moved, port_leads_where_it_was_last_said_to, 120)
{
	struct sender sender = { &self->s.side[0], FIRST(0) + IPIS };
	uint64_t *word = (void *)(self->s.shared.witness + XEN_SHINFO_PENDING +
				  sender.port / 64 * 8);
	unsigned int i, to, wrong = 0;
	struct storm *s = &self->s;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, sender_thread, &sender));
	for (i = 0; i < MOVES && !wrong; i++) {
		to = i < MOVES / 2;
		move(&sender, !to);
		xvm_sleep_ns(i * PAUSE_STEP_NS % PAUSES_NS);
		move(&sender, to);
		/* One that was under way may be the old vCPU's. */
		wait_calls(&sender, 2);
		take_selector(&s->side[0]);
		take_selector(&s->side[1]);
		__atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
		wait_calls(&sender, 2);
		wrong += !take_selector(&s->side[to]);
		wrong += !!take_selector(&s->side[!to]);
	}
	__atomic_store_n(&sender.stop, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	TH_LOG("%u moves", i);
	EXPECT_EQ(0, wrong);
}

TEST_HARNESS_MAIN
