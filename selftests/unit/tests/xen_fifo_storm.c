// SPDX-License-Identifier: GPL-2.0
/*
 * FIFO queues under all of it at once. The storm: senders that give each event
 * another vCPU and priority, guests that consume as Linux does, pages that go and
 * come; each event sent is seen once. The riot: a guest that scribbles over its own
 * words and control blocks while it is sent to.
 */
#include <pthread.h>
#include <stdlib.h>
#include "together.h"
#include "xen_fifo_world.h"

#define VCPUS		2
#define SENDERS		3
#define FIRST_PORT	900	/* on both pages of the event array */
#define LAST_PORT	1140
#define PORTS		(LAST_PORT - FIRST_PORT - FIRST_WORD)
#define LOST_MS		5000

static bool stop, stop_guests;
static unsigned long quota, nr_sent, nr_seen, nr_moves;
static u32 sent[FIFO_PORTS], seen[FIFO_PORTS];
static uint64_t sent_at[FIFO_PORTS];	/* the sender's own */
static uint64_t patience;
static bool pages_stay;

/* The guest's accesses against a page that moves, as in xen_storm.c. */
static pthread_rwlock_t guest_lock = PTHREAD_RWLOCK_INITIALIZER;

/* The nth of them. */
static u32 port_of(u32 n)
{
	u32 port = FIRST_PORT + n % PORTS;

	return port < XEN_FIFO_WORDS ? port : port + FIRST_WORD;
}

static bool flag(bool *f)
{
	return __atomic_load_n(f, __ATOMIC_RELAXED);
}

static bool outstanding(u32 port)
{
	return __atomic_load_n(&seen[port], __ATOMIC_SEQ_CST) !=
	       __atomic_load_n(&sent[port], __ATOMIC_SEQ_CST);
}

/* Only for ports of the caller's own, or when nobody sends any more. */
static void check_lost(u32 port)
{
	if (!outstanding(port) ||
	    unit_now_ns() - sent_at[port] < LOST_MS * 1000000ull ||
	    !outstanding(port))
		return;

	pthread_rwlock_rdlock(&guest_lock);
	unit_fail("storm", "event lost on port %u: word %#x, ready %#x %#x, flags %d %d",
		  port, guest_word_bits(port), guest_control(0)->ready,
		  guest_control(1)->ready, *(u8 *)guest_vi(0),
		  *(u8 *)guest_vi(1));
}

static int send_from(u32 port, uint64_t *rnd)
{
	int id = unit_rand(rnd) % VCPUS, r;
	bool irq = unit_rand(rnd) % 2;

	if (irq)
		unit_hardirq_enter();
	r = xen_event_send(w.kvm, kvm_get_vcpu(w.kvm, id), id, port,
			   unit_rand(rnd) % 17);
	if (irq)
		unit_hardirq_exit();

	return r;
}

/* As in xen_storm.c. */
static bool sent_all(void)
{
	return __atomic_load_n(&nr_sent, __ATOMIC_RELAXED) >= quota &&
	       (pages_stay ||
		atomic_long_read(&xen_events(w.kvm)->stats.latched) > 10 ||
		unit_now_ns() > patience);
}

static void sender(void *arg)
{
	uint64_t rnd = unit_seed ^ (uint64_t)current->slot << 32;
	u32 n = (long)arg;

	while (!sent_all()) {
		u32 port = port_of(n);

		/* Those of the others are the numbers in between. */
		n += SENDERS;
		if (n >= PORTS)
			n = (long)arg;
		check_lost(port);
		if (outstanding(port)) {
			unit_relax();
			continue;
		}
		sent_at[port] = unit_now_ns();
		__atomic_fetch_add(&sent[port], 1, __ATOMIC_SEQ_CST);
		if (send_from(port, &rnd) == -EINVAL)
			unit_fail("storm", "port %u refused", port);
		__atomic_fetch_add(&nr_sent, 1, __ATOMIC_RELAXED);
	}
}

static void handle(u32 port)
{
	u32 n = __atomic_load_n(&sent[port], __ATOMIC_SEQ_CST);

	if (__atomic_exchange_n(&seen[port], n, __ATOMIC_SEQ_CST) != n - 1)
		unit_fail("storm", "port %u: seen, and not sent", port);
	__atomic_fetch_add(&nr_seen, 1, __ATOMIC_RELAXED);
}

/* As Linux: the guest itself if nothing is pending, else by hypercall. */
static void unmask(struct kvm_vcpu *vcpu, u32 port)
{
	u32 word;
	bool done = true;

	pthread_rwlock_rdlock(&guest_lock);
	word = guest_word_bits(port);
	do {
		if (word & BIT(EVTCHN_FIFO_PENDING)) {
			done = false;
			break;
		}
		word &= ~BIT(EVTCHN_FIFO_BUSY);
	} while (!__atomic_compare_exchange_n(guest_word(port), &word,
					      word & ~BIT(EVTCHN_FIFO_MASKED),
					      false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	pthread_rwlock_unlock(&guest_lock);

	while (!done && xen_event_unmask(w.kvm, vcpu, port)) {
		/* A trap to the VMM would be next; ours waits for the page. */
		int idx = srcu_read_lock(&w.kvm->srcu);

		xen_event_reach(w.kvm, port);
		srcu_read_unlock(&w.kvm->srcu, idx);
	}
}

static bool consume(struct fifo_guest *g, struct kvm_vcpu *vcpu, uint64_t *rnd)
{
	bool do_mask = unit_rand(rnd) % 8 == 0;
	u32 port;

	pthread_rwlock_rdlock(&guest_lock);
	port = fifo_next(g, vcpu->vcpu_idx);
	if (port && do_mask)
		__atomic_fetch_or(guest_word(port), BIT(EVTCHN_FIFO_MASKED),
				  __ATOMIC_SEQ_CST);
	pthread_rwlock_unlock(&guest_lock);
	if (!port)
		return false;

	handle(port);
	if (do_mask)
		unmask(vcpu, port);

	return true;
}

static void guest(void *arg)
{
	uint64_t rnd = unit_seed ^ (uint64_t)current->slot << 32;
	struct kvm_vcpu *vcpu = arg;
	struct fifo_guest g = { 0 };

	/* It looks for events itself, and is to be woken when it sleeps only. */
	WRITE_ONCE(vcpu->mode, OUTSIDE_GUEST_MODE);
	while (!flag(&stop_guests)) {
		unsigned long kicks = unit_vcpu_kicks(vcpu);
		int idx = srcu_read_lock(&w.kvm->srcu);
		bool irq;

		if (kvm_xen_has_pending_events(vcpu))
			kvm_xen_inject_pending_events(vcpu);
		irq = kvm_xen_has_interrupt(vcpu);
		srcu_read_unlock(&w.kvm->srcu, idx);
		if (irq) {
			pthread_rwlock_rdlock(&guest_lock);
			__atomic_store_n((u8 *)guest_vi(vcpu->vcpu_idx), 0,
					 __ATOMIC_SEQ_CST);
			pthread_rwlock_unlock(&guest_lock);
			while (consume(&g, vcpu, &rnd))
				;
			continue;
		}
		/* Asleep until somebody wakes us, who is told of what we missed. */
		unit_vcpu_sleeps(vcpu, true);
		current->asleep = true;
		irq = kvm_xen_has_pending_events(vcpu) ||
		      kvm_xen_has_interrupt(vcpu);
		current->asleep = false;
		while (!irq && unit_vcpu_kicks(vcpu) == kicks &&
		       !flag(&stop_guests))
			unit_relax();
		unit_vcpu_sleeps(vcpu, false);
	}
}

static void migrate(unsigned long offset)
{
	pthread_rwlock_wrlock(&guest_lock);
	unit_mm_migrate(w.mm, SLOT_HVA + offset);
	pthread_rwlock_unlock(&guest_lock);
}

static void mover(void *arg)
{
	uint64_t rnd = unit_seed ^ (uint64_t)current->slot << 32;

	while (!flag(&stop)) {
		int i = unit_rand(&rnd) % 2;

		switch (unit_rand(&rnd) % 8) {
		case 0:
			EXPECT_EQ(fifo_page(i, false), 0);
			unit_relax();
			EXPECT_EQ(fifo_page(i, true), 0);
			break;
		case 1:
			unit_slot_mark_invalid(w.kvm, 0);
			unit_relax();
			unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA,
				      0);
			break;
		case 2:
		case 3:
			migrate(CONTROL_PAGE(i));
			break;
		case 4:
			migrate(VI_PAGE(i));
			break;
		default:
			migrate(ARRAY_PAGE(i));
		}
		nr_moves++;
		unit_relax();
	}
}

/* @events: 0: what the run says. */
static void storm(bool still, unsigned long events)
{
	struct unit_thread *guests[VCPUS], *senders[SENDERS], *m = NULL;
	const char *env = getenv("XEN_EVENTS");
	long i;

	quota = events ?: env && *env ? strtoul(env, NULL, 0) : 50000;
	pages_stay = still;
	patience = unit_now_ns() + PATIENCE_NS;
	unit_slots_published = kvm_xen_memslots_updated;
	fifo_begin(VCPUS);
	EXPECT_EQ(xen_upcall_set_vector(w.kvm, 0x31), 0);
	for (i = 0; i < VCPUS; i++)
		guests[i] = unit_thread_start("guest", w.mm, guest,
					      kvm_get_vcpu(w.kvm, i));
	if (!still)
		m = unit_thread_start("mover", w.mm, mover, NULL);
	for (i = 0; i < SENDERS; i++)
		senders[i] = unit_thread_start("sender", NULL, sender, (void *)i);

	for (i = 0; i < SENDERS; i++)
		unit_thread_join(senders[i]);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	if (m)
		unit_thread_join(m);
	for (u32 n = 0; n < PORTS; n++)
		while (outstanding(port_of(n))) {
			unit_relax();
			check_lost(port_of(n));
		}
	__atomic_store_n(&stop_guests, true, __ATOMIC_RELAXED);
	for (i = 0; i < VCPUS; i++)
		unit_thread_join(guests[i]);

	EXPECT_EQ(nr_sent, nr_seen);
	unit_log("sent %lu, seen %lu, moves %lu, latched %ld, flushed %ld, parked %ld\n",
		 nr_sent, nr_seen, nr_moves,
		 atomic_long_read(&xen_events(w.kvm)->stats.latched),
		 atomic_long_read(&xen_events(w.kvm)->stats.flushed),
		 atomic_long_read(&xen_events(w.kvm)->stats.parked));
	if (!still)
		EXPECT(atomic_long_read(&xen_events(w.kvm)->stats.latched) > 10);
	unit_slots_published = NULL;
	xen_end();
}

__UNIT_TEST(fifo_storm, "xen: storm: fifo: pages that go and come", 0, NULL, 300)
{
	storm(false, 0);
}

__UNIT_TEST(fifo_storm_still, "xen: storm: fifo: pages that stay", 0, NULL, 300)
{
	storm(true, 0);
}

__UNIT_TEST(b_fifo_kick, "planted: xen: fifo: vCPUs that are not woken; the storm sees it", 0, "storm: event lost on port", 60)
{
	unit_mutants.kick_lost = true;
	storm(true, 2000000);
}

/* ------------------------------------------------------------------------ */

static u32 scribble(uint64_t *rnd)
{
	u32 word = unit_rand(rnd);

	/* Most of all what a sender depends on: LINKED, BUSY, and links. */
	switch (unit_rand(rnd) % 4) {
	case 0:
		return BIT(EVTCHN_FIFO_LINKED) | BIT(EVTCHN_FIFO_BUSY) |
		       EVTCHN_FIFO_LINK_MASK;
	case 1:
		return word & ~BIT(EVTCHN_FIFO_MASKED);
	case 2:
		return 0;
	default:
		return word;
	}
}

static void rioter(void *arg)
{
	uint64_t rnd = unit_seed ^ (uint64_t)current->slot << 32;

	while (!flag(&stop)) {
		u32 port = port_of(unit_rand(&rnd));
		u32 *control = (u32 *)guest_control(unit_rand(&rnd) % VCPUS);

		__atomic_store_n(guest_word(port), scribble(&rnd),
				 __ATOMIC_RELAXED);
		__atomic_store_n(&control[unit_rand(&rnd) % 18],
				 (u32)unit_rand(&rnd), __ATOMIC_RELAXED);
	}
}

static void riot_sender(void *arg)
{
	uint64_t rnd = unit_seed ^ (uint64_t)current->slot << 32;
	unsigned long n;

	for (n = 0; n < quota; n++) {
		u32 port = port_of(unit_rand(&rnd));
		int r = send_from(port, &rnd);

		if (r != 0 && r != 1 && r != -ENOTCONN)
			unit_fail("riot", "port %u: %d", port, r);
		if (unit_rand(&rnd) % 4 == 0)
			xen_event_unmask(w.kvm, NULL, port);
	}
}

__UNIT_TEST(fifo_riot, "xen: fifo: a guest that scribbles over words and control blocks is served and no more", 0, NULL, 300)
{
	struct unit_thread *senders[SENDERS], *rioters[2];
	struct fifo_guest g = { 0 };
	int idx;
	u32 n;
	long i;

	quota = 20000;
	fifo_begin(VCPUS);
	for (i = 0; i < 2; i++)
		rioters[i] = unit_thread_start("rioter", NULL, rioter, NULL);
	for (i = 0; i < SENDERS; i++)
		senders[i] = unit_thread_start("sender", NULL, riot_sender, NULL);
	for (i = 0; i < SENDERS; i++)
		unit_thread_join(senders[i]);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		unit_thread_join(rioters[i]);

	/* And when it comes to its senses it starts afresh. */
	for (n = 0; n < PORTS; n++)
		*guest_word(port_of(n)) = BIT(EVTCHN_FIFO_MASKED);
	for (i = 0; i < VCPUS; i++) {
		memset(guest_control(i), 0, sizeof(*guest_control(i)));
		EXPECT_EQ(fifo_control(i, CONTROL_GPA(i)), 0);
	}
	cancel_delayed_work_sync(&xen_events(w.kvm)->retry);
	idx = srcu_read_lock(&w.kvm->srcu);
	xen_events_flush(w.kvm);
	srcu_read_unlock(&w.kvm->srcu, idx);
	for (n = 0; n < PORTS; n++) {
		*guest_word(port_of(n)) = 0;
		xen_event_send(w.kvm, kvm_get_vcpu(w.kvm, 0), 0, port_of(n), 3);
		EXPECT_EQ(fifo_next(&g, 0), port_of(n));
	}
	xen_end();
}
