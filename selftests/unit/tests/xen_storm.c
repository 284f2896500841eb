// SPDX-License-Identifier: GPL-2.0
/* The storm: no event is lost, none is seen twice, whatever moves meanwhile. */
#include <pthread.h>
#include <stdlib.h>
#include "together.h"
#include "xen_storm.h"

#define VCPUS		2
#define SENDERS		4
#define FIRST_PORT	1
#define PORTS		240	/* of each sender */

static struct storm setup;
static unsigned long quota, nr_sent, nr_seen, nr_moves;
static bool stop_moving, stop_guests;
static u32 sent[4096], seen[4096];
static uint64_t sent_at[4096];		/* the sender's own */
static uint64_t patience;

/*
 * The guest's own accesses against a page that moves: KVM's part of an invalidation
 * throws its CPUs out. Between senders and whoever moves, this orders nothing.
 */
static pthread_rwlock_t guest_lock = PTHREAD_RWLOCK_INITIALIZER;

static int vcpu_of(u32 port)
{
	return port / 16 % VCPUS;
}

static u32 port_of(int sender, u32 nr)
{
	return FIRST_PORT + sender + nr * SENDERS;
}

static bool outstanding(u32 port)
{
	return __atomic_load_n(&seen[port], __ATOMIC_SEQ_CST) !=
	       __atomic_load_n(&sent[port], __ATOMIC_SEQ_CST);
}

/* Only for ports of the caller's own, or when nobody sends any more. */
static bool stuck(u32 port)
{
	uint64_t ms = setup.stuck_ms ? setup.stuck_ms : 5000;

	return outstanding(port) &&
	       unit_now_ns() - sent_at[port] > ms * 1000000 && outstanding(port);
}

static bool flag(bool *f)
{
	return __atomic_load_n(f, __ATOMIC_RELAXED);
}

static void fail_lost(u32 port)
{
	struct xen_events *ev = xen_events(w.kvm);
	struct xen_vcpu *x = xen_vcpu(kvm_get_vcpu(w.kvm, vcpu_of(port)));

	/* For ever: the test ends here. */
	pthread_rwlock_rdlock(&guest_lock);
	unit_fail("storm", "event lost on port %u for vCPU %d: pending %d masked %d told %d flag %d; latched %d word %d parked %d todo %#lx unreachable %d live %d %d",
		  port, vcpu_of(port), guest_bit(guest_pending(port), port),
		  guest_bit(guest_mask(port), port),
		  guest_told(vcpu_of(port), port),
		  __atomic_load_n((u8 *)guest_vi(vcpu_of(port)),
				  __ATOMIC_SEQ_CST),
		  test_bit(port, ev->latched),
		  test_bit(port / 64, &ev->words), xen_has_parked(x),
		  READ_ONCE(x->todo), READ_ONCE(x->unreachable),
		  !!READ_ONCE(xen_vm(w.kvm)->shinfo.live),
		  !!READ_ONCE(x->vcpu_info.live));
}

static void send_one(u32 port, bool irq)
{
	int id = vcpu_of(port), r;

	sent_at[port] = unit_now_ns();
	__atomic_fetch_add(&sent[port], 1, __ATOMIC_SEQ_CST);
	if (irq)
		unit_hardirq_enter();
	r = xen_event_send(w.kvm, kvm_get_vcpu(w.kvm, id), id, port,
			   XEN_PRIORITY_NONE);
	if (irq)
		unit_hardirq_exit();
	/* Not coalesced: the guest has cleared the bit, or never saw it set. */
	if (r != 1 && r != -ENOTCONN)
		unit_fail("storm", "port %u: %d for an event that is the only one",
			  port, r);
}

/* Some of them while the page was away: the mover has the machine's time, too. */
static bool sent_all(void)
{
	return __atomic_load_n(&nr_sent, __ATOMIC_RELAXED) >= quota &&
	       (setup.still ||
		atomic_long_read(&xen_events(w.kvm)->stats.latched) > 10 ||
		unit_now_ns() > patience);
}

static void sender(void *arg)
{
	uint64_t rnd = unit_seed ^ (uint64_t)current->slot << 32;
	int me = (long)arg;

	while (!sent_all()) {
		u32 port = 0;
		int tries;

		for (tries = 0; tries < 8 && !port; tries++) {
			port = port_of(me, unit_rand(&rnd) % PORTS);
			if (stuck(port))
				fail_lost(port);
			if (outstanding(port))
				port = 0;
		}
		if (port) {
			send_one(port, unit_rand(&rnd) % 2);
			__atomic_fetch_add(&nr_sent, 1, __ATOMIC_RELAXED);
		} else {
			unit_relax();
		}
	}
}

/* What the guest's handler finds must be what was sent, once. */
static void consume(struct kvm_vcpu *vcpu, u32 port)
{
	u32 n;

	if (vcpu_of(port) != vcpu->vcpu_idx)
		unit_fail("storm", "port %u came to vCPU %d", port,
			  vcpu->vcpu_idx);
	n = __atomic_load_n(&sent[port], __ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&seen[port], n, __ATOMIC_SEQ_CST) != n - 1)
		unit_fail("storm", "port %u: seen, and not sent", port);
	__atomic_fetch_add(&nr_seen, 1, __ATOMIC_RELAXED);
}

/* Unmask as the guest: by hypercall, or by hand if that is left to us. */
static void unmask(struct kvm_vcpu *vcpu, u32 port)
{
	bool again;

	if (!xen_event_unmask(w.kvm, vcpu, port))
		return;
	pthread_rwlock_rdlock(&guest_lock);
	__atomic_fetch_and(guest_mask(port), ~(1u << port % 32),
			   __ATOMIC_SEQ_CST);
	again = guest_bit(guest_pending(port), port);
	pthread_rwlock_unlock(&guest_lock);
	/* The VMM sends it again for us, and finds it pending. */
	if (again) {
		set_bit(port / XEN_PARKED_PORTS, xen_vcpu(vcpu)->parked);
		xen_vcpu_wake(vcpu, XEN_TODO_SEL);
	}
}

/* The handlers of a dword of ports, as Linux has it: mask, clear, handle, unmask. */
static void scan_word(struct kvm_vcpu *vcpu, u32 first, u32 ports, uint64_t *rnd)
{
	u32 *pending, *mask, port, masked;

	while (ports) {
		bool do_mask = unit_rand(rnd) % 8 == 0;

		port = first + __builtin_ctz(ports);
		ports &= ports - 1;
		pthread_rwlock_rdlock(&guest_lock);
		pending = guest_pending(port);
		mask = guest_mask(port);
		masked = do_mask ? 1u << port % 32 : 0;
		__atomic_fetch_or(mask, masked, __ATOMIC_SEQ_CST);
		__atomic_fetch_and(pending, ~(1u << port % 32), __ATOMIC_SEQ_CST);
		pthread_rwlock_unlock(&guest_lock);
		consume(vcpu, port);
		if (do_mask)
			unmask(vcpu, port);
	}
}

static void upcall(struct kvm_vcpu *vcpu, uint64_t *rnd)
{
	u32 sels[2] = { 0 }, *word, dwords = setup.narrow ? 1 : 2;

	pthread_rwlock_rdlock(&guest_lock);
	word = guest_vi(vcpu->vcpu_idx) + 4 * dwords;
	__atomic_store_n((u8 *)guest_vi(vcpu->vcpu_idx), 0, __ATOMIC_SEQ_CST);
	for (u32 i = 0; i < dwords; i++)
		sels[i] = __atomic_exchange_n(&word[i], 0, __ATOMIC_SEQ_CST);
	pthread_rwlock_unlock(&guest_lock);

	/* A dword of pending bits at a time, of one selector one or two. */
	for (u32 d = 0; d < 32 * dwords * dwords; d++) {
		u32 sel = d / dwords, ports;

		if (!(sels[sel / 32] >> sel % 32 & 1))
			continue;
		pthread_rwlock_rdlock(&guest_lock);
		ports = __atomic_load_n(guest_pending(d * 32), __ATOMIC_SEQ_CST) &
			~__atomic_load_n(guest_mask(d * 32), __ATOMIC_SEQ_CST);
		/* Of a word both vCPUs have ports; each takes its own. */
		for (u32 b = 0; b < 32; b++)
			if (vcpu_of(d * 32 + b) != vcpu->vcpu_idx)
				ports &= ~(1u << b);
		pthread_rwlock_unlock(&guest_lock);
		scan_word(vcpu, d * 32, ports, rnd);
	}
}

static bool interrupted(struct kvm_vcpu *vcpu)
{
	return setup.vectors ? __atomic_load_n(&vcpu->irr, __ATOMIC_SEQ_CST) :
			       kvm_xen_has_interrupt(vcpu);
}

/* In the run loop, and out of it for whoever else wants the vCPU. */
static int guest_enter(struct kvm_vcpu *vcpu)
{
	mutex_lock(&vcpu->mutex);

	return srcu_read_lock(&w.kvm->srcu);
}

static void guest_leave(struct kvm_vcpu *vcpu, int idx)
{
	srcu_read_unlock(&w.kvm->srcu, idx);
	mutex_unlock(&vcpu->mutex);
}

/* As kvm_vcpu_block(): look once more after saying that we sleep. */
static void halt(struct kvm_vcpu *vcpu, int *idx)
{
	unsigned long kicks = unit_vcpu_kicks(vcpu);
	bool busy;

	unit_vcpu_sleeps(vcpu, true);
	current->asleep = true;
	busy = kvm_xen_has_pending_events(vcpu) || interrupted(vcpu);
	current->asleep = false;
	if (!busy) {
		guest_leave(vcpu, *idx);
		while (unit_vcpu_kicks(vcpu) == kicks && !flag(&stop_guests))
			unit_relax();
		*idx = guest_enter(vcpu);
	}
	unit_vcpu_sleeps(vcpu, false);
}

static void guest(void *arg)
{
	uint64_t rnd = unit_seed ^ (uint64_t)current->slot << 32;
	struct kvm_vcpu *vcpu = arg;
	int idx = guest_enter(vcpu);

	/* It looks for events itself, and is to be woken when it sleeps only. */
	WRITE_ONCE(vcpu->mode, OUTSIDE_GUEST_MODE);
	while (!flag(&stop_guests)) {
		bool irq;

		if (kvm_xen_has_pending_events(vcpu))
			kvm_xen_inject_pending_events(vcpu);
		irq = setup.vectors ? unit_vcpu_take_irq(vcpu) :
				      kvm_xen_has_interrupt(vcpu);
		if (irq)
			upcall(vcpu, &rnd);
		else
			halt(vcpu, &idx);
		guest_leave(vcpu, idx);
		idx = guest_enter(vcpu);
	}
	guest_leave(vcpu, idx);
}

static void flusher(void *arg)
{
	while (!flag(&stop_guests)) {
		int idx = srcu_read_lock(&w.kvm->srcu);

		xen_events_flush(w.kvm);
		srcu_read_unlock(&w.kvm->srcu, idx);
		unit_relax();
	}
}

static void migrate(unsigned long hva)
{
	pthread_rwlock_wrlock(&guest_lock);
	unit_mm_migrate(w.mm, hva);
	pthread_rwlock_unlock(&guest_lock);
}

static void move_something(uint64_t *rnd)
{
	unsigned long page = unit_rand(rnd) % (1 + VCPUS) * PAGE_SIZE;
	unsigned long hva = SLOT_HVA + page;
	struct kvm_vcpu *vcpu;

	switch (unit_rand(rnd) % 16) {
	case 0:
		shinfo_set(false);
		unit_relax();
		shinfo_set(true);
		break;
	case 1:
		unit_slot_mark_invalid(w.kvm, 0);
		unit_relax();
		unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
		break;
	case 2:
		unit_slots_touch(w.kvm);
		break;
	case 3:
		vcpu = kvm_get_vcpu(w.kvm, unit_rand(rnd) % VCPUS);
		mutex_lock(&vcpu->mutex);
		vcpu_info_set(vcpu, false);
		unit_relax();
		vcpu_info_set(vcpu, true);
		mutex_unlock(&vcpu->mutex);
		break;
	case 4 ... 7:
		/* Taken from the caches, and nothing comes of it. */
		unit_mn_start(w.mm, hva, hva + PAGE_SIZE, true);
		unit_mn_end(w.mm, hva, hva + PAGE_SIZE, true);
		break;
	default:
		migrate(hva);
	}
}

static void mover(void *arg)
{
	uint64_t rnd = unit_seed ^ (uint64_t)current->slot << 32;
	unsigned long n = 0;

	while (!flag(&stop_moving)) {
		move_something(&rnd);
		n++;
		unit_relax();
	}
	nr_moves = n;
}

static void drain(void)
{
	for (u32 port = FIRST_PORT; port < port_of(0, PORTS); port++)
		while (outstanding(port)) {
			unit_relax();
			if (stuck(port))
				fail_lost(port);
		}
}

static unsigned long events_wanted(void)
{
	const char *env = getenv("XEN_EVENTS");

	if (setup.events)
		return setup.events;

	return env && *env ? strtoul(env, NULL, 0) : 100000;
}

void storm_run(const struct storm *storm)
{
	struct unit_thread *guests[VCPUS], *senders[SENDERS], *m = NULL, *f = NULL;
	long i;

	setup = *storm;
	quota = events_wanted();
	patience = unit_now_ns() + PATIENCE_NS;
	unit_slots_published = kvm_xen_memslots_updated;
	xen_begin(VCPUS, !setup.narrow);
	/* The worker is at work already. */
	smp_store_release(&unit_xen_kvm, w.kvm);
	for (i = 0; i < VCPUS; i++) {
		struct kvm_vcpu *vcpu = kvm_get_vcpu(w.kvm, i);

		if (setup.vectors)
			WRITE_ONCE(xen_vcpu(vcpu)->upcall_vector, 0x31);
		else
			EXPECT_EQ(xen_upcall_set_vector(w.kvm, 0x31), 0);
		guests[i] = unit_thread_start("guest", w.mm, guest, vcpu);
	}
	if (!setup.no_flusher)
		f = unit_thread_start("flusher", w.mm, flusher, NULL);
	if (!setup.still)
		m = unit_thread_start("mover", w.mm, mover, NULL);
	for (i = 0; i < SENDERS; i++)
		senders[i] = unit_thread_start("sender", NULL, sender, (void *)i);

	for (i = 0; i < SENDERS; i++)
		unit_thread_join(senders[i]);
	__atomic_store_n(&stop_moving, true, __ATOMIC_RELAXED);
	if (m)
		unit_thread_join(m);
	drain();
	__atomic_store_n(&stop_guests, true, __ATOMIC_RELAXED);
	for (i = 0; i < VCPUS; i++)
		unit_thread_join(guests[i]);
	if (f)
		unit_thread_join(f);
	EXPECT_EQ(nr_sent, nr_seen);
	unit_log("sent %lu, seen %lu, moves %lu, latched %ld, flushed %ld, parked %ld, injected %ld, retries %ld\n",
		 nr_sent, nr_seen, nr_moves,
		 atomic_long_read(&xen_events(w.kvm)->stats.latched),
		 atomic_long_read(&xen_events(w.kvm)->stats.flushed),
		 atomic_long_read(&xen_events(w.kvm)->stats.parked),
		 atomic_long_read(&xen_events(w.kvm)->stats.injected),
		 atomic_long_read(&xen_events(w.kvm)->stats.retries));
	if (!setup.still)
		EXPECT(atomic_long_read(&xen_events(w.kvm)->stats.latched) > 10);
	unit_slots_published = NULL;
	xen_end();
	/* The worker has ended. */
	unit_xen_kvm = NULL;
}
