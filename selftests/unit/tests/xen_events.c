// SPDX-License-Identifier: GPL-2.0
/* One event at a time: where it goes, and where it waits. */
#include <string.h>
#include "xen_world.h"
#include "rig/cpu.h"
#include "together.h"

static int send(int vcpu_id, u32 port)
{
	return xen_event_send(w.kvm, kvm_get_vcpu_by_id(w.kvm, vcpu_id), vcpu_id,
			      port, XEN_PRIORITY_NONE);
}

/* As before an entry. */
static void run_vcpu(int i)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(w.kvm, i);
	int idx = srcu_read_lock(&w.kvm->srcu);

	kvm_xen_inject_pending_events(vcpu);
	srcu_read_unlock(&w.kvm->srcu, idx);
}

static bool delivered(void *port)
{
	bool there;

	/* It may be gone again, but not while nobody but us takes it away. */
	there = unit_mm_page(w.mm, SHINFO_HVA) &&
		guest_bit(guest_pending((unsigned long)port),
			  (unsigned long)port);

	return there;
}

/* And whoever has delivered it has told the vCPU. */
static void expect_delivered(unsigned long port)
{
	EXPECT(unit_wait_until(delivered, (void *)port, 5000));
	expect_worker_idle();
}

static void basics(bool wide)
{
	u32 max = wide ? 4096 : 1024;

	xen_begin(2, wide);
	for (u32 port = 1; port < max; port += port < 70 ? 1 : 97) {
		int i = port % 2;
		unsigned long kicks = unit_vcpu_kicks(kvm_get_vcpu(w.kvm, i));
		bool told = guest_told(i, port);

		EXPECT_EQ(send(i, port), 1);
		EXPECT(delivered((void *)(unsigned long)port));
		EXPECT(guest_told(i, port));
		EXPECT_EQ(*(u8 *)guest_vi(i), 1);
		/* A vCPU that knows of the word is not woken again. */
		EXPECT_EQ(unit_vcpu_kicks(kvm_get_vcpu(w.kvm, i)),
			  kicks + !told);
		EXPECT_EQ(send(i, port), 0);
		EXPECT_EQ(unit_vcpu_kicks(kvm_get_vcpu(w.kvm, i)),
			  kicks + !told);
	}
	EXPECT_EQ(send(0, max), -EINVAL);
	EXPECT_EQ(send(0, 4096), -EINVAL);
	EXPECT_EQ(xen_event_send(w.kvm, NULL, KVM_MAX_VCPU_IDS, 1, 0), -EINVAL);
	xen_end();
}

TEST(xen_send, "xen: events: pending, selector, flag and one kick; then coalesced")
{
	basics(true);
	basics(false);
}

TEST(xen_send_masked, "xen: events: a masked port is pending and tells nobody; unmasking does")
{
	struct kvm_vcpu *vcpu;

	xen_begin(1, true);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	*guest_mask(5) = 1 << 5;
	EXPECT_EQ(send(0, 5), -ENOTCONN);
	EXPECT(delivered((void *)5ul) && !guest_told(0, 5));
	/* Without the vCPU nothing is done. */
	EXPECT_EQ(xen_event_unmask(w.kvm, NULL, 5), -EWOULDBLOCK);
	EXPECT_EQ(*guest_mask(5), 1 << 5);
	EXPECT_EQ(xen_event_unmask(w.kvm, vcpu, 5), 0);
	EXPECT_EQ(*guest_mask(5), 0);
	EXPECT(guest_told(0, 5));
	/* A port that is not pending, and one that is not masked. */
	*guest_mask(6) = 1 << 6;
	EXPECT_EQ(xen_event_unmask(w.kvm, NULL, 6), 0);
	EXPECT_EQ(xen_event_unmask(w.kvm, vcpu, 6), 0);
	EXPECT_EQ(*guest_mask(6), 0);
	xen_end();
}

TEST(xen_send_cost, "xen: events: a delivery takes no lock and looks up nothing")
{
	unsigned long rmw;

	xen_begin(1, true);
	EXPECT_EQ(send(0, 1), 1);
	rmw = unit_ops[UNIT_RMW];
	for (u32 port = 2; port < 60; port++)
		EXPECT_EQ(send(0, port), 1);
	EXPECT_EQ(unit_ops[UNIT_RMW], rmw);
	for (int op = UNIT_LOCK_RAW; op <= UNIT_LOCK_MUTEX; op++) {
		unsigned long before = unit_ops[op];

		EXPECT_EQ(send(0, 60 + op), 1);
		EXPECT_EQ(unit_ops[op], before);
	}
	xen_end();
}

TEST(xen_latch, "xen: events: latched without shared_info, delivered by whoever comes first")
{
	/* By the vCPU, once it can be; by the worker, when the page comes. */
	for (int by_vcpu = 0; by_vcpu < 2; by_vcpu++) {
		xen_begin(1, true);
		shinfo_set(false);
		EXPECT_EQ(send(0, 77), 1);
		EXPECT_EQ(send(0, 78), 1);
		EXPECT(READ_ONCE(xen_vcpu(kvm_get_vcpu(w.kvm, 0))->todo) &
		       XEN_TODO_LATCH);
		run_vcpu(0);
		EXPECT(!guest_told(0, 77));
		if (by_vcpu) {
			EXPECT_EQ(activate(&xen_vm(w.kvm)->shinfo, SHINFO_GPA,
					   PAGE_SIZE), 0);
			xen_vcpu_wake(kvm_get_vcpu(w.kvm, 0), XEN_TODO_LATCH);
			run_vcpu(0);
		} else {
			shinfo_set(true);
		}
		expect_delivered(77);
		expect_delivered(78);
		EXPECT(guest_told(0, 77));
		EXPECT_EQ(atomic_long_read(&xen_events(w.kvm)->stats.flushed),
			  2);
		xen_end();
	}
}

TEST(xen_latch_unmapped, "xen: events: a page that was unmapped is brought back for what is latched")
{
	xen_begin(1, true);
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	EXPECT_EQ(send(0, 9), 1);
	expect_delivered(9);
	xen_end();
}

TEST(xen_latch_self, "xen: events: what a vCPU sends has arrived when it goes on")
{
	/* Nobody else does anything. */
	unit_work_lose(true);
	xen_begin(2, true);
	unit_running_vcpu = kvm_get_vcpu(w.kvm, 0);
	run_vcpu(0);
	EXPECT(!kvm_xen_has_pending_events(unit_running_vcpu));
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	EXPECT_EQ(send(1, 9), 1);
	EXPECT(kvm_xen_has_pending_events(unit_running_vcpu));
	run_vcpu(0);
	EXPECT(delivered((void *)9ul));
	EXPECT(guest_told(1, 9));
	unit_running_vcpu = NULL;
	unit_work_lose(false);
	xen_end();
}

TEST(xen_latch_self_again, "xen: events: what a vCPU sends has arrived, though it was sent before and is kept")
{
	unit_work_lose(true);
	xen_begin(2, true);
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	EXPECT_EQ(send(1, 9), 1);
	unit_running_vcpu = kvm_get_vcpu(w.kvm, 0);
	/* As a vCPU that went to look before it was there. */
	WRITE_ONCE(xen_vcpu(unit_running_vcpu)->todo, 0);
	EXPECT_EQ(send(1, 9), 1);
	EXPECT(kvm_xen_has_pending_events(unit_running_vcpu));
	run_vcpu(0);
	EXPECT(delivered((void *)9ul));
	unit_running_vcpu = NULL;
	unit_work_lose(false);
	xen_end();
}

TEST(xen_latch_vcpu, "xen: events: for a vCPU that comes later")
{
	xen_begin(1, true);
	EXPECT_EQ(send(1, 9), 1);
	run_vcpu(0);
	EXPECT(!delivered((void *)9ul));
	vcpu_info_set(unit_vcpu_create(w.kvm, 1), true);
	run_vcpu(1);
	expect_delivered(9);
	EXPECT(guest_told(1, 9) && !guest_told(0, 9));
	xen_end();
}

TEST(xen_latch_no_vcpu, "xen: events: nobody polls for a vCPU that may never come")
{
	xen_begin(1, true);
	EXPECT_EQ(send(1, 9), 1);
	expect_worker_idle();
	EXPECT(atomic_long_read(&xen_events(w.kvm)->stats.retries));
	EXPECT(READ_ONCE(xen_events(w.kvm)->words));
	/* What is there does not wait with it. */
	EXPECT_EQ(send(0, 10), 1);
	EXPECT(delivered((void *)10ul));
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	EXPECT_EQ(send(0, 11), 1);
	expect_delivered(11);
	xen_end();
}

TEST(xen_latch_reset, "xen: events: a reset forgets what is latched")
{
	xen_begin(1, true);
	shinfo_set(false);
	EXPECT_EQ(send(0, 9), 1);
	xen_events_reset(w.kvm);
	shinfo_set(true);
	run_vcpu(0);
	EXPECT_EQ(send(0, 10), 1);
	EXPECT(!delivered((void *)9ul));
	xen_end();
}

static void reset_meanwhile(struct mm_struct *mm, unsigned long uhva)
{
	w.mm->after_gup = NULL;
	xen_events_reset(w.kvm);
}

TEST(xen_flush_reset, "xen: events: a reset forgets what is being delivered, too")
{
	struct xen_events *ev;

	/* Nobody delivers but we. */
	unit_work_lose(true);
	xen_begin(1, true);
	ev = xen_events(w.kvm);
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	EXPECT_EQ(send(0, 9), 1);
	EXPECT_EQ(send(0, 10), 1);
	w.mm->after_gup = reset_meanwhile;
	run_vcpu(0);
	EXPECT(!w.mm->after_gup);
	run_vcpu(0);
	EXPECT(!delivered((void *)9ul) && !delivered((void *)10ul));
	EXPECT(!guest_told(0, 9));
	EXPECT(!READ_ONCE(ev->latched[0]));
	/* What is sent afterwards is not. */
	EXPECT_EQ(send(0, 11), 1);
	EXPECT(delivered((void *)11ul));

	/* Nor is a selector left behind. */
	vcpu_info_set(kvm_get_vcpu(w.kvm, 0), false);
	EXPECT_EQ(send(0, 100), 1);
	xen_events_reset(w.kvm);
	vcpu_info_set(kvm_get_vcpu(w.kvm, 0), true);
	run_vcpu(0);
	EXPECT(!guest_told(0, 100));
	unit_work_lose(false);
	xen_end();
}

/*
 * A reader with interrupts off keeps a reset waiting, in which another task takes what is
 * latched; and does not get round to it until the reset is over.
 */
static struct {
	bool reading, read, taken, over;
} during;

static bool is_set(void *flag)
{
	return __atomic_load_n((bool *)flag, __ATOMIC_ACQUIRE);
}

static void set(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

static void reader_main(void *arg)
{
	struct gpc_read read = kvm_gpc_read_begin(w.kvm);

	set(&during.reading);
	while (!is_set(&during.read))
		unit_relax();
	kvm_gpc_read_end(read);
}

static void reset_main(void *arg)
{
	xen_events_reset(w.kvm);
}

static void wait_for_reset(struct mm_struct *mm, unsigned long uhva)
{
	set(&during.taken);
	EXPECT(unit_wait_until(is_set, &during.over, 5000));
}

static void flush_main(void *arg)
{
	run_vcpu(0);
	set(&during.taken);
}

static bool reset_waits(void *unused)
{
	return unit_cpu_waiting();
}

TEST(xen_flush_during_reset, "xen: events: a reset forgets what is taken from the latch while it runs")
{
	struct unit_thread *reader, *reset, *flush;

	unit_work_lose(true);
	memset(&during, 0, sizeof(during));
	xen_begin(1, true);
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	EXPECT_EQ(send(0, 9), 1);
	w.mm->before_gup = wait_for_reset;
	reader = unit_thread_start("reader", w.mm, reader_main, NULL);
	EXPECT(unit_wait_until(is_set, &during.reading, 5000));
	reset = unit_thread_start("reset", w.mm, reset_main, NULL);
	EXPECT(unit_wait_until(reset_waits, NULL, 5000));
	flush = unit_thread_start("flush", w.mm, flush_main, NULL);
	EXPECT(unit_wait_until(is_set, &during.taken, 5000));
	set(&during.read);
	unit_thread_join(reader);
	unit_thread_join(reset);
	set(&during.over);
	unit_thread_join(flush);
	w.mm->before_gup = NULL;
	run_vcpu(0);
	EXPECT(!xen_events(w.kvm)->latched[0]);
	EXPECT(!guest_told(0, 9));
	/* What is sent afterwards is not. */
	shinfo_set(true);
	EXPECT(!delivered((void *)9ul));
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	EXPECT_EQ(send(0, 10), 1);
	run_vcpu(0);
	EXPECT(delivered((void *)10ul));
	unit_work_lose(false);
	xen_end();
}

static void forget(u32 port)
{
	mutex_lock(&xen_vm(w.kvm)->lock);
	xen_event_forget(w.kvm, port);
	mutex_unlock(&xen_vm(w.kvm)->lock);
}

TEST(xen_latch_closed, "xen: events: what is kept of a port that is closed is forgotten, and nothing else")
{
	xen_begin(2, true);
	shinfo_set(false);
	EXPECT_EQ(send(0, 9), 1);
	EXPECT_EQ(send(0, 10), 1);
	EXPECT_EQ(send(0, 4095), 1);
	/* One that waits for a vCPU that there is not. */
	EXPECT_EQ(send(7, 11), 1);
	forget(9);
	forget(4095);
	forget(11);
	/* Of which nothing is kept. */
	forget(12);
	/* Bound anew, and sent by its new owner. */
	forget(13);
	EXPECT_EQ(send(1, 13), 1);
	shinfo_set(true);
	run_vcpu(0);
	expect_delivered(10);
	expect_delivered(13);
	EXPECT(guest_told(1, 13));
	EXPECT(!delivered((void *)9ul) && !delivered((void *)4095ul));
	EXPECT(!delivered((void *)11ul) && !delivered((void *)12ul));
	for (unsigned int i = 0; i < BITS_TO_LONGS(XEN_PORTS); i++)
		EXPECT(!READ_ONCE(xen_events(w.kvm)->latched[i]));
	/* It is a port like any other. */
	EXPECT_EQ(send(0, 9), 1);
	EXPECT(delivered((void *)9ul));
	xen_end();
}

static bool close_sends;

static void close_meanwhile(struct mm_struct *mm, unsigned long uhva)
{
	w.mm->after_gup = NULL;
	/* As by another task, which has the lock. */
	xen_event_forget(w.kvm, 9);
	/* Bound anew, to another vCPU. */
	if (close_sends)
		EXPECT_EQ(send(1, 9), 1);
}

static void close_what_is_delivered(bool and_sends)
{
	struct xen_events *ev;

	close_sends = and_sends;
	unit_work_lose(true);
	xen_begin(2, true);
	ev = xen_events(w.kvm);
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	EXPECT_EQ(send(0, 9), 1);
	EXPECT_EQ(send(0, 100), 1);
	w.mm->after_gup = close_meanwhile;
	run_vcpu(0);
	EXPECT(!w.mm->after_gup);
	EXPECT(delivered((void *)100ul) && guest_told(0, 100));
	EXPECT(!guest_told(0, 9));
	run_vcpu(1);
	EXPECT_EQ(delivered((void *)9ul), and_sends);
	EXPECT_EQ(guest_told(1, 9), and_sends);
	EXPECT(!READ_ONCE(ev->latched[0]) && !READ_ONCE(ev->latched[1]));
	unit_work_lose(false);
	xen_end();
}

TEST(xen_flush_closed, "xen: events: so is what is being delivered of it; what its next owner sends is his")
{
	close_what_is_delivered(false);
	close_what_is_delivered(true);
}

TEST(xen_latch_rerouted, "xen: events: a port that waited for a vCPU nobody made, sent to one there is")
{
	xen_begin(1, true);
	EXPECT_EQ(send(7, 9), 1);
	expect_worker_idle();
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	EXPECT_EQ(send(0, 9), 1);
	expect_delivered(9);
	EXPECT(guest_told(0, 9));
	xen_end();
}

TEST(xen_restored_upcall, "xen: upcall: of a flag that was restored without its interrupt")
{
	struct kvm_vcpu *vcpu;

	xen_begin(1, true);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	xen_vcpu(vcpu)->upcall_vector = 0x31;
	*(u8 *)guest_vi(0) = 1;
	/* As KVM_XEN_VCPU_SET_ATTR leaves it. */
	xen_vcpu_wake(vcpu, XEN_TODO_UPCALL);
	EXPECT(kvm_xen_has_pending_events(vcpu));
	run_vcpu(0);
	EXPECT(unit_vcpu_take_irq(vcpu));
	run_vcpu(0);
	EXPECT(!unit_vcpu_take_irq(vcpu));
	*(u8 *)guest_vi(0) = 0;
	xen_vcpu_wake(vcpu, XEN_TODO_UPCALL);
	run_vcpu(0);
	EXPECT(!unit_vcpu_take_irq(vcpu));
	xen_end();
}

TEST(xen_parked, "xen: events: parked without vcpu_info, injected by the vCPU")
{
	struct kvm_vcpu *vcpu;

	xen_begin(2, true);
	vcpu = kvm_get_vcpu(w.kvm, 1);
	vcpu_info_set(vcpu, false);
	EXPECT_EQ(send(1, 64), 1);
	EXPECT_EQ(send(1, 4095), 1);
	EXPECT(delivered((void *)64ul));
	EXPECT_EQ(xen_vcpu(vcpu)->parked[0], 4);
	EXPECT_EQ(xen_vcpu(vcpu)->parked[1], 1ul << 63);
	run_vcpu(1);
	EXPECT_EQ(xen_vcpu(vcpu)->parked[0], 4);
	EXPECT_EQ(xen_vcpu(vcpu)->parked[1], 1ul << 63);
	vcpu_info_set(vcpu, true);
	EXPECT(kvm_xen_has_pending_events(vcpu));
	run_vcpu(1);
	EXPECT(!xen_has_parked(xen_vcpu(vcpu)));
	EXPECT(guest_told(1, 64) && guest_told(1, 4095));
	EXPECT_EQ(*(u8 *)guest_vi(1), 1);
	xen_end();
}

static bool told_40(void *unused)
{
	return unit_mm_page(w.mm, SLOT_HVA + VI_PAGE(0)) && guest_told(0, 40);
}

static int send_by_vmm(u32 port)
{
	struct kvm_irq_routing_xen_evtchn evt = {
		.port = port,
		.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};

	return kvm_xen_hvm_evtchn_send(w.kvm, &evt);
}

TEST(xen_parked_stopped, "xen: events: parked for a vCPU that is with the VMM, told of by the sender or the worker")
{
	struct kvm_vcpu *vcpu;

	for (int by_worker = 0; by_worker < 2; by_worker++) {
		unit_work_lose(!by_worker);
		xen_begin(1, true);
		vcpu = kvm_get_vcpu(w.kvm, 0);
		xen_vcpu(vcpu)->upcall_vector = 0x31;
		vcpu->wants_to_run = false;
		unit_mm_zap(w.mm, SLOT_HVA + VI_PAGE(0), SLOT_HVA + VI_PAGE(1));
		if (by_worker) {
			EXPECT_EQ(send(0, 40), 1);
			EXPECT(unit_wait_until(told_40, NULL, 5000));
			expect_worker_idle();
		} else {
			EXPECT_EQ(send_by_vmm(40), 0);
			EXPECT(told_40(NULL));
			EXPECT_EQ(*(u8 *)guest_vi(0), 1);
			EXPECT(unit_vcpu_take_irq(vcpu));
		}
		EXPECT(!xen_has_parked(xen_vcpu(vcpu)));
		/* One that runs tells its guest itself; the worker might be at it still. */
		if (!by_worker) {
			vcpu->wants_to_run = true;
			unit_mm_zap(w.mm, SLOT_HVA + VI_PAGE(0),
				    SLOT_HVA + VI_PAGE(1));
			EXPECT_EQ(send_by_vmm(80), 0);
			EXPECT(xen_has_parked(xen_vcpu(vcpu)));
			run_vcpu(0);
			EXPECT(guest_told(0, 80));
		}
		xen_end();
	}
}

static void teller_main(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	uint64_t rnd = my_seed();
	int idx;

	while (!stopped()) {
		idx = srcu_read_lock(&w.kvm->srcu);
		xen_tell_parked(vcpu);
		srcu_read_unlock(&w.kvm->srcu, idx);
		jitter(&rnd);
	}
}

TEST(xen_tellers, "race: xen: events: who finds nothing parked finds the guest told")
{
	unsigned long parked = 0, rounds = 0;
	struct kvm_vcpu *vcpu;
	struct unit_thread *t;
	uint64_t begin;

	unit_work_lose(true);
	xen_begin(1, true);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	vcpu->wants_to_run = false;
	start_over();
	t = unit_thread_start("teller", w.mm, teller_main, vcpu);
	begin = unit_now_ns();
	while (unit_now_ns() < begin + unit_race_ms * 1000000ull ||
	       (parked <= 100 && unit_now_ns() < begin + PATIENCE_NS)) {
		u32 port = 1 + rounds++ % 4095;

		unit_mm_zap(w.mm, SLOT_HVA + VI_PAGE(0), SLOT_HVA + VI_PAGE(1));
		EXPECT_EQ(send(0, port), 1);
		/* As KVM_XEN_VCPU_GET_ATTR, and a send by the VMM. */
		if (xen_has_parked(xen_vcpu(vcpu)))
			parked++;
		while (xen_has_parked(xen_vcpu(vcpu)))
			;
		xen_wait_for_tellers(xen_events(w.kvm));
		EXPECT(guest_told(0, port));
		*guest_pending(port) = 0;
		/* Nobody else is in it. */
		memset(guest_vi(0) + 8, 0, sizeof(u64));
	}
	stop_all();
	unit_thread_join(t);
	EXPECT(parked > 100);
	unit_work_lose(false);
	xen_end();
}

static bool will_look(void *vcpu)
{
	return READ_ONCE(xen_vcpu(vcpu)->todo) & XEN_TODO_UPCALL;
}

TEST(xen_upcall_unreachable, "xen: upcall: looked for in vain while the page is away, looked for again")
{
	struct kvm_vcpu *vcpu;

	xen_begin(1, true);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	xen_vcpu(vcpu)->upcall_vector = 0x31;
	*(u8 *)guest_vi(0) = 1;
	/* A slot is being changed as the restored vCPU enters for the first time. */
	w.mm->gup_failures = 1;
	unit_mn_start(w.mm, SLOT_HVA + VI_PAGE(0), SLOT_HVA + VI_PAGE(1), true);
	unit_mn_end(w.mm, SLOT_HVA + VI_PAGE(0), SLOT_HVA + VI_PAGE(1), true);
	xen_vcpu_wake(vcpu, XEN_TODO_UPCALL);
	run_vcpu(0);
	EXPECT(!unit_vcpu_take_irq(vcpu));
	EXPECT(unit_wait_until(will_look, vcpu, 5000));
	run_vcpu(0);
	EXPECT(unit_vcpu_take_irq(vcpu));
	xen_end();
}

/* The layout changes while a word is parked: the guest is told in the new one. */
static void parked_relaid(u32 port, bool wide)
{
	struct kvm_vcpu *vcpu;
	u32 sel, dword;

	xen_begin(1, !wide);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	vcpu_info_set(vcpu, false);
	EXPECT_EQ(send(0, port), 1);
	EXPECT(xen_has_parked(xen_vcpu(vcpu)));
	WRITE_ONCE(xen_vm(w.kvm)->long_mode, wide);
	vcpu_info_set(vcpu, true);
	run_vcpu(0);
	EXPECT(!xen_has_parked(xen_vcpu(vcpu)));
	for (dword = 0; dword < 4096 / 32; dword++) {
		if (!wide && dword >= 32)
			break;
		sel = wide ? dword / 2 : dword;
		EXPECT_EQ(guest_told(0, dword * 32),
			  sel == port / (wide ? 64 : 32));
	}
	xen_end();
}

TEST(xen_parked_relaid, "xen: events: parked before the layout changes, told in the new one, exactly")
{
	static const u32 port[] = { 1, 31, 32, 63, 64, 500, 1023 };

	for (unsigned int i = 0; i < ARRAY_SIZE(port); i++) {
		parked_relaid(port[i], true);
		parked_relaid(port[i], false);
	}
	/* There is no such port any more. */
	parked_relaid(1024, false);
	parked_relaid(4095, false);
}

TEST(xen_parked_vector, "xen: events: a vCPU with a vector of its own is interrupted, once told")
{
	struct kvm_vcpu *vcpu;

	xen_begin(1, false);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	xen_vcpu(vcpu)->upcall_vector = 0x31;
	EXPECT_EQ(send(0, 3), 1);
	EXPECT(unit_vcpu_take_irq(vcpu));
	EXPECT_EQ(send(0, 4), 1);
	EXPECT(!unit_vcpu_take_irq(vcpu));
	unit_mm_zap(w.mm, SLOT_HVA + VI_PAGE(0), SLOT_HVA + VI_PAGE(1));
	EXPECT_EQ(send(0, 40), 1);
	EXPECT(!unit_vcpu_take_irq(vcpu));
	run_vcpu(0);
	EXPECT(unit_vcpu_take_irq(vcpu));
	EXPECT(guest_told(0, 40));
	xen_end();
}

static long send_ioctl(void *arg)
{
	struct file file = { .private_data = w.kvm };

	return kvm_xen_vm_ioctl(&file, KVM_XEN_HVM_EVTCHN_SEND, (unsigned long)arg);
}

TEST(xen_send_ioctl, "xen: KVM_XEN_HVM_EVTCHN_SEND: read once, sent, or refused")
{
	struct kvm_irq_routing_xen_evtchn evt = {
		.port = 40, .priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};

	xen_begin(1, true);
	EXPECT_EQ(send_ioctl(&evt), 0);
	EXPECT(guest_told(0, 40));
	EXPECT_EQ(send_ioctl((void *)64), -EFAULT);
	EXPECT_EQ(send_ioctl((void *)(UNIT_TASK_SIZE_MAX - 4)), -EFAULT);
	evt.vcpu = 1;
	EXPECT_EQ(send_ioctl(&evt), -EINVAL);
	evt.vcpu = ~0U;
	EXPECT_EQ(send_ioctl(&evt), -EINVAL);
	evt.vcpu = 0;
	evt.port = 0;
	EXPECT_EQ(send_ioctl(&evt), -EINVAL);
	evt.port = XEN_PORTS;
	EXPECT_EQ(send_ioctl(&evt), -EINVAL);
	xen_end();
}

TEST(xen_has_interrupt, "xen: upcall: the flag as a level; without the page, perhaps, then no")
{
	struct kvm_vcpu *vcpu;

	xen_begin(1, true);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	EXPECT_EQ(xen_upcall_set_vector(w.kvm, 0x31), 0);
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 0);
	EXPECT_EQ(send(0, 3), 1);
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 1);
	/* Who was told is not told otherwise before it has been in the guest. */
	*(u8 *)guest_vi(0) = 0;
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 1);
	EXPECT_EQ(xen_upcall_set_vector(w.kvm, 0), 0);
	EXPECT_EQ(xen_upcall_vector(w.kvm), 0);
	/* It is the vector that was, for it, and no other. */
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 1);
	EXPECT_EQ(w.kvm->arch.xen.upcall_vector, 0x31);
	EXPECT_EQ(xen_upcall_set_vector(w.kvm, 0x31), 0);
	vcpu->stat.exits++;
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 0);
	/* A vector of the vCPU's own, sent when its APIC is enabled, is none of that. */
	xen_vcpu(vcpu)->upcall_vector = 0x32;
	EXPECT_EQ(xen_upcall_set_vector(w.kvm, 0), 0);
	*(u8 *)guest_vi(0) = 1;
	kvm_xen_sw_enable_lapic(vcpu);
	EXPECT(unit_vcpu_take_irq(vcpu));
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 0);
	*(u8 *)guest_vi(0) = 0;
	xen_vcpu(vcpu)->upcall_vector = 0;
	EXPECT_EQ(xen_upcall_set_vector(w.kvm, 0x31), 0);
	/* Not to be seen from where nobody may sleep; to be had where one may. */
	unit_mm_zap(w.mm, SLOT_HVA + VI_PAGE(0), SLOT_HVA + VI_PAGE(1));
	preempt_disable();
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 1);
	preempt_enable();
	current->asleep = true;
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 1);
	current->asleep = false;
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 0);
	/* A page that cannot be had must not keep a vCPU awake, until the worker looks. */
	unit_work_lose(true);
	unit_slot_mark_invalid(w.kvm, 0);
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 0);
	current->asleep = true;
	EXPECT_EQ(kvm_xen_has_interrupt(vcpu), 0);
	current->asleep = false;
	unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
	unit_work_lose(false);
	xen_end();
}

TEST(xen_told_run, "xen: upcall: what a vCPU was told ends with KVM_RUN, though it never entered")
{
	struct kvm_vcpu *vcpu;

	xen_begin(1, true);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	EXPECT_EQ(xen_upcall_set_vector(w.kvm, 0x31), 0);
	EXPECT_EQ(send(0, 3), 1);
	EXPECT_EQ(kvm_xen_vcpu_run(vcpu), 1);
	EXPECT_EQ(kvm_xen_vcpu_run(vcpu), 1);
	/* The VMM has another guest in it now, say. */
	*(u8 *)guest_vi(0) = 0;
	EXPECT_EQ(kvm_xen_vcpu_run(vcpu), 0);
	xen_end();
}

PLANTED(m_work, "rig: work that nobody does; what is latched stays", "expected: unit_wait_until(delivered")
{
	unit_work_lose(true);
	xen_begin(1, true);
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	EXPECT_EQ(send(0, 9), 1);
	expect_delivered(9);
}
