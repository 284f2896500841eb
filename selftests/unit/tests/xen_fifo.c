// SPDX-License-Identifier: GPL-2.0
/* FIFO queues, one event at a time: where it goes, where it waits, who is told. */
#include <string.h>
#include "xen_fifo_world.h"
#include "together.h"

#define PRIORITIES	(EVTCHN_FIFO_PRIORITY_MIN + 1)

static struct fifo_guest guests[2];

static void begin(int vcpus)
{
	memset(guests, 0, sizeof(guests));
	fifo_begin(vcpus);
}

static int send(int vcpu, u32 port, u32 priority)
{
	return xen_event_send(w.kvm, kvm_get_vcpu(w.kvm, vcpu), vcpu, port,
			      priority);
}

static u32 next(int vcpu)
{
	return fifo_next(&guests[vcpu], vcpu);
}

static int unmask(int bound, u32 port)
{
	return xen_event_unmask(w.kvm, bound < 0 ? NULL :
				kvm_get_vcpu(w.kvm, bound), port);
}

static void mask(u32 port)
{
	*guest_word(port) |= BIT(EVTCHN_FIFO_MASKED);
}

/* A page that is not to be had while an event is sent, with what is in it. */
static void send_without(unsigned long offset, u32 port)
{
	unsigned long hva = SLOT_HVA + offset;
	long latched = atomic_long_read(&xen_events(w.kvm)->stats.latched);

	unit_mn_start(w.mm, hva, hva + PAGE_SIZE, true);
	EXPECT_EQ(send(0, port, 1), 1);
	unit_mn_end(w.mm, hva, hva + PAGE_SIZE, true);
	EXPECT_EQ(atomic_long_read(&xen_events(w.kvm)->stats.latched),
		  latched + 1);
}

/* The worker has brought back what was away, and the guest finds the event. */
static bool comes(void *port)
{
	return next(0) == (unsigned long)port;
}

static bool comes_to(void *vcpu)
{
	return next((unsigned long)vcpu);
}

static void expect_comes(unsigned long port)
{
	EXPECT(unit_wait_until(comes, (void *)port, 5000));
}

TEST(fifo_order, "xen: fifo: by priority, then in the order sent")
{
	begin(1);
	for (u32 i = 0; i < 3; i++)
		for (u32 p = 0; p < PRIORITIES; p++)
			EXPECT_EQ(send(0, 100 + 3 * p + i, p), 1);
	for (u32 port = 100; port < 100 + 3 * PRIORITIES; port++)
		EXPECT_EQ(next(0), port);
	EXPECT_EQ(next(0), 0);
	/* No priority is the default one, between its neighbours. */
	EXPECT_EQ(send(0, 103, EVTCHN_FIFO_PRIORITY_DEFAULT + 1), 1);
	EXPECT_EQ(send(0, 102, XEN_PRIORITY_NONE), 1);
	EXPECT_EQ(send(0, 101, EVTCHN_FIFO_PRIORITY_DEFAULT - 1), 1);
	EXPECT_EQ(next(0), 101);
	EXPECT_EQ(next(0), 102);
	EXPECT_EQ(next(0), 103);
	xen_end();
}

TEST(fifo_ports, "xen: fifo: every port there is, and no other")
{
	u32 nr = 0;

	begin(1);
	for (u32 port = 1; port < FIFO_PORTS; port++) {
		if (port % XEN_FIFO_WORDS < FIRST_WORD)
			continue;
		EXPECT_EQ(send(0, port, port % PRIORITIES), 1);
		nr++;
	}
	while (nr--)
		EXPECT(next(0));
	EXPECT_EQ(next(0), 0);
	EXPECT_EQ(send(0, 0, 0), -EINVAL);
	EXPECT_EQ(send(0, FIFO_PORTS, 0), -EINVAL);
	EXPECT_EQ(send(0, ~0u, 0), -EINVAL);
	EXPECT_EQ(xen_event_send(w.kvm, NULL, 0, FIFO_PORTS, 0), -EINVAL);
	EXPECT_EQ(xen_event_send(w.kvm, NULL, 0, 0, 0), -EINVAL);
	EXPECT_EQ(xen_event_send(w.kvm, NULL, KVM_MAX_VCPU_IDS, 1, 0), -EINVAL);
	xen_end();
}

TEST(fifo_kick, "xen: fifo: one kick for as many events as a queue holds, until the guest looks")
{
	struct kvm_vcpu *vcpu;
	unsigned long kicks;

	begin(1);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	kicks = unit_vcpu_kicks(vcpu);
	for (u32 port = 101; port < 1000; port++)
		EXPECT_EQ(send(0, port, 3), 1);
	EXPECT_EQ(unit_vcpu_kicks(vcpu), kicks + 1);
	EXPECT_EQ(*(u8 *)guest_vi(0), 1);
	/* Coalesced: pending already, in its queue already. */
	EXPECT_EQ(send(0, 101, 3), 0);
	EXPECT_EQ(send(0, 2000, 4), 1);
	EXPECT_EQ(unit_vcpu_kicks(vcpu), kicks + 2);
	EXPECT_EQ(next(0), 101);
	/* Nobody is told of an event behind others that the guest is busy with. */
	EXPECT_EQ(send(0, 1001, 3), 1);
	EXPECT_EQ(unit_vcpu_kicks(vcpu), kicks + 2);
	while (next(0))
		;
	EXPECT_EQ(send(0, 101, 3), 1);
	EXPECT_EQ(unit_vcpu_kicks(vcpu), kicks + 3);
	xen_end();
}

TEST(fifo_masked, "xen: fifo: a masked port is pending and in no queue; unmasking puts it there")
{
	begin(2);
	mask(105);
	EXPECT_EQ(send(1, 105, 2), -ENOTCONN);
	EXPECT_EQ(send(1, 105, 2), 0);
	EXPECT_EQ(next(1), 0);
	EXPECT(guest_word_bits(105) & BIT(EVTCHN_FIFO_PENDING));
	EXPECT(!(guest_word_bits(105) & BIT(EVTCHN_FIFO_LINKED)));
	/* For whom it is has been said by who sent it. */
	EXPECT_EQ(send(1, 106, 3), 1);
	EXPECT_EQ(unmask(-1, 105), 0);
	EXPECT_EQ(next(1), 105);
	EXPECT_EQ(next(1), 106);
	EXPECT_EQ(next(0), 0);

	/* Nobody has sent it: whose it is the caller knows, or the VMM does. */
	*guest_word(107) = BIT(EVTCHN_FIFO_MASKED) | BIT(EVTCHN_FIFO_PENDING);
	EXPECT_EQ(unmask(-1, 107), -EWOULDBLOCK);
	EXPECT_EQ(guest_word_bits(107), BIT(EVTCHN_FIFO_MASKED) |
		  BIT(EVTCHN_FIFO_PENDING));
	EXPECT_EQ(unmask(0, 107), 0);
	EXPECT_EQ(next(0), 107);
	/* What is not pending is unmasked, and that is all. */
	mask(108);
	EXPECT_EQ(unmask(-1, 108), 0);
	EXPECT_EQ(guest_word_bits(108), 0);
	EXPECT_EQ(unmask(0, FIFO_PORTS), -EWOULDBLOCK);
	EXPECT_EQ(unmask(0, 0), -EWOULDBLOCK);
	xen_end();
}

/* A port that is the tail of one queue comes to another. */
TEST(fifo_moves, "xen: fifo: a port goes from queue to queue and leaves none broken")
{
	begin(2);
	EXPECT_EQ(send(0, 110, 1), 1);
	EXPECT_EQ(next(0), 110);
	EXPECT_EQ(send(1, 110, 2), 1);
	/* Not behind port 110, which its old queue ended with. */
	EXPECT_EQ(send(0, 111, 1), 1);
	EXPECT_EQ(next(0), 111);
	EXPECT_EQ(send(1, 112, 2), 1);
	EXPECT_EQ(next(1), 110);
	EXPECT_EQ(next(1), 112);
	/* What is in a queue stays there until it is taken. */
	EXPECT_EQ(send(0, 113, 5), 1);
	EXPECT_EQ(send(1, 113, 5), 0);
	EXPECT_EQ(next(1), 0);
	EXPECT_EQ(next(0), 113);
	/* The tail itself again. */
	EXPECT_EQ(send(0, 113, 5), 1);
	EXPECT_EQ(next(0), 113);
	EXPECT_EQ(send(0, 113, 5), 1);
	EXPECT_EQ(send(0, 114, 5), 1);
	EXPECT_EQ(next(0), 113);
	EXPECT_EQ(next(0), 114);
	EXPECT_EQ(next(0), 0);
	xen_end();
}

TEST(fifo_latch, "xen: fifo: latched while a page is away: the word's, the tail's, the control block's")
{
	begin(1);
	send_without(ARRAY_PAGE(1), 1500);
	expect_comes(1500);

	EXPECT_EQ(send(0, 1501, 1), 1);
	send_without(ARRAY_PAGE(1), 500);
	expect_comes(1501);
	expect_comes(500);

	send_without(CONTROL_PAGE(0), 501);
	expect_comes(501);
	EXPECT_EQ(next(0), 0);
	xen_end();
}

TEST(fifo_not_yet, "xen: fifo: kept for a page, a control block or a vCPU that comes later")
{
	struct kvm_xen_hvm_attr kept = { .type = KVM_XEN_ATTR_TYPE_X_FIFO_LATCHED };

	begin(1);
	EXPECT_EQ(fifo_page(1, false), 0);
	EXPECT_EQ(send(0, 1100, 4), 1);
	EXPECT_EQ(send(0, 1100, 4), 1);
	EXPECT_EQ(fifo_control(0, INVALID_GPA), 0);
	EXPECT_EQ(send(0, 59, 2), 1);
	/* PENDING it is at once. */
	EXPECT(guest_word_bits(59) & BIT(EVTCHN_FIFO_PENDING));
	EXPECT_EQ(xen_event_send(w.kvm, NULL, 1, 77, 0), 1);
	expect_worker_idle();
	EXPECT_EQ(next(0), 0);

	/* They can be read, to be carried elsewhere. */
	EXPECT_EQ(xen_fifo_get_attr(w.kvm, &kept), 0);
	EXPECT_EQ(kept.u.pad[0], 59);
	EXPECT_EQ(kept.u.pad[1], 0);
	EXPECT_EQ(kept.u.pad[2], 2);
	kept.u.pad[0] = 78;
	EXPECT_EQ(xen_fifo_get_attr(w.kvm, &kept), 0);
	EXPECT_EQ(kept.u.pad[0], 1100);
	EXPECT_EQ(kept.u.pad[2], 4);
	kept.u.pad[0] = 1101;
	EXPECT_EQ(xen_fifo_get_attr(w.kvm, &kept), -ENOENT);
	kept.u.pad[0] = ~0ull;
	EXPECT_EQ(xen_fifo_get_attr(w.kvm, &kept), -ENOENT);

	EXPECT_EQ(fifo_control(0, CONTROL_GPA(0)), 0);
	expect_comes(59);
	EXPECT_EQ(fifo_page(1, true), 0);
	expect_comes(1100);

	vcpu_info_set(unit_vcpu_create(w.kvm, 1), true);
	EXPECT_EQ(fifo_control(1, CONTROL_GPA(1)), 0);
	xen_events_retry(w.kvm);
	expect_worker_idle();
	EXPECT_EQ(next(1), 77);
	EXPECT(!(guest_word_bits(77) & BIT(EVTCHN_FIFO_PENDING)));
	EXPECT_EQ(next(0), 0);
	xen_end();
}

static void forget(u32 port)
{
	mutex_lock(&xen_vm(w.kvm)->lock);
	xen_event_forget(w.kvm, port);
	mutex_unlock(&xen_vm(w.kvm)->lock);
}

TEST(fifo_closed, "xen: fifo: what is kept of a port that is closed is forgotten, and nothing else")
{
	struct kvm_xen_hvm_attr kept = { .type = KVM_XEN_ATTR_TYPE_X_FIFO_LATCHED };

	begin(2);
	EXPECT_EQ(fifo_page(1, false), 0);
	EXPECT_EQ(send(0, 1100, 4), 1);
	EXPECT_EQ(send(0, 1101, 4), 1);
	EXPECT_EQ(send(0, 1102, 4), 1);
	forget(1100);
	expect_worker_idle();
	EXPECT_EQ(xen_fifo_get_attr(w.kvm, &kept), 0);
	EXPECT_EQ(kept.u.pad[0], 1101);
	/* Bound anew, and sent by its new owner. */
	forget(1102);
	EXPECT_EQ(send(1, 1102, 2), 1);
	/* What was pending and masked is not known to be anybody's any more. */
	mask(105);
	EXPECT_EQ(send(1, 105, 2), -ENOTCONN);
	EXPECT(xen_fifo_knows(w.kvm, 105));
	forget(105);
	EXPECT(!xen_fifo_knows(w.kvm, 105));
	forget(FIFO_PORTS - 1);
	EXPECT_EQ(fifo_page(1, true), 0);
	expect_comes(1101);
	EXPECT(unit_wait_until(comes_to, (void *)1ul, 5000));
	expect_worker_idle();
	EXPECT(!(guest_word_bits(1100) & BIT(EVTCHN_FIFO_PENDING)));
	EXPECT_EQ(next(0), 0);
	EXPECT_EQ(next(1), 0);
	kept.u.pad[0] = 0;
	EXPECT_EQ(xen_fifo_get_attr(w.kvm, &kept), -ENOENT);
	EXPECT_EQ(send(0, 1100, 4), 1);
	EXPECT_EQ(next(0), 1100);
	xen_end();
}

static void close_meanwhile(struct mm_struct *mm, unsigned long uhva)
{
	w.mm->after_gup = NULL;
	/* As by another task, which has the lock. */
	xen_event_forget(w.kvm, 1100);
}

TEST(fifo_flush_closed, "xen: fifo: so is what is being delivered of it")
{
	unsigned long hva = SLOT_HVA + ARRAY_PAGE(1);
	struct kvm_vcpu *vcpu;
	int idx;

	unit_work_lose(true);
	begin(1);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	unit_mn_start(w.mm, hva, hva + PAGE_SIZE, true);
	unit_mn_end(w.mm, hva, hva + PAGE_SIZE, true);
	EXPECT_EQ(send(0, 1100, 1), 1);
	EXPECT_EQ(send(0, 1101, 1), 1);
	w.mm->after_gup = close_meanwhile;
	idx = srcu_read_lock(&w.kvm->srcu);
	kvm_xen_inject_pending_events(vcpu);
	srcu_read_unlock(&w.kvm->srcu, idx);
	EXPECT(!w.mm->after_gup);
	EXPECT_EQ(next(0), 1101);
	EXPECT_EQ(next(0), 0);
	EXPECT_EQ(guest_word_bits(1100), 0);
	unit_work_lose(false);
	xen_end();
}

TEST(fifo_no_control, "xen: fifo: nobody polls for a control block that may never come")
{
	xen_begin(2, true);
	/* Kept by the other ABI, the lower port for a vCPU that is not ready. */
	shinfo_set(false);
	EXPECT_EQ(send(1, 33, XEN_PRIORITY_NONE), 1);
	EXPECT_EQ(send(0, 34, XEN_PRIORITY_NONE), 1);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, FIFO_PORTS, 0), 0);
	EXPECT_EQ(fifo_page(0, true), 0);
	EXPECT_EQ(fifo_control(0, CONTROL_GPA(0)), 0);
	expect_comes(34);
	EXPECT_EQ(send(1, 35, 0), 1);

	expect_worker_idle();
	EXPECT(!xen_fifo_waiting(w.kvm));

	EXPECT_EQ(fifo_control(1, CONTROL_GPA(1)), 0);
	EXPECT(unit_wait_until(comes_to, (void *)1ul, 5000));
	EXPECT(unit_wait_until(comes_to, (void *)1ul, 5000));
	xen_end();
}

TEST(fifo_parked, "xen: fifo: the flag waits for vcpu_info; no selector is set")
{
	struct kvm_vcpu *vcpu;
	int idx;

	begin(1);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	vcpu_info_set(vcpu, false);
	EXPECT_EQ(send(0, 700, 0), 1);
	EXPECT(xen_has_parked(xen_vcpu(vcpu)));
	vcpu_info_set(vcpu, true);
	idx = srcu_read_lock(&w.kvm->srcu);
	kvm_xen_inject_pending_events(vcpu);
	srcu_read_unlock(&w.kvm->srcu, idx);
	EXPECT_EQ(*(u8 *)guest_vi(0), 1);
	for (u32 port = 0; port < 4096; port += 64)
		EXPECT(!guest_told(0, port));
	EXPECT_EQ(next(0), 700);
	xen_end();
}

TEST(fifo_modes, "xen: fifo: from the 2-level ABI and back, with what is latched")
{
	struct kvm_xen_vcpu_attr tails = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_TAILS,
	};

	memset(guests, 0, sizeof(guests));
	xen_begin(1, true);
	EXPECT_EQ(fifo_page(0, true), -EINVAL);
	EXPECT_EQ(fifo_control(0, CONTROL_GPA(0)), -EINVAL);
	EXPECT_EQ(fifo_vcpu_attr(0, &tails), -EINVAL);
	EXPECT(!xen_priority_valid(w.kvm, 7));
	shinfo_set(false);
	EXPECT_EQ(send(0, 33, 0), 1);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, 1, 0), -EINVAL);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, (1 << 17) + 1, 0), -EINVAL);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, 1ull << 32 | 5, 0), -EINVAL);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, FIFO_PORTS, 0), 0);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, FIFO_PORTS, 0), 0);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, 4096, 0), -EBUSY);
	EXPECT(xen_priority_valid(w.kvm, 15) && !xen_priority_valid(w.kvm, 16));
	EXPECT_EQ(fifo_page(0, true), 0);
	EXPECT_EQ(fifo_page(1, true), 0);
	EXPECT_EQ(fifo_page(2, true), -EINVAL);
	EXPECT_EQ(fifo_control(0, CONTROL_GPA(0) + 4), -EINVAL);
	EXPECT_EQ(fifo_control(0, CONTROL_GPA(0) + 8), -EINVAL);
	EXPECT_EQ(fifo_control(0, CONTROL_GPA(0)), 0);
	tails.u.pad[0] = FIFO_PORTS;
	EXPECT_EQ(fifo_vcpu_attr(0, &tails), -EINVAL);
	expect_comes(33);

	/* A reset forgets, and leaves the guest's pages alone. */
	EXPECT_EQ(fifo_control(0, INVALID_GPA), 0);
	EXPECT_EQ(send(0, 40, 0), 1);
	xen_events_reset(w.kvm);
	EXPECT(!xen_priority_valid(w.kvm, 7));
	shinfo_set(true);
	EXPECT_EQ(send(0, 41, 0), 1);
	EXPECT(guest_bit(guest_pending(41), 41) && guest_told(0, 41));
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, FIFO_PORTS, 0), 0);
	*guest_word(40) = 0;
	EXPECT_EQ(fifo_page(0, true), 0);
	EXPECT_EQ(fifo_page(1, true), 0);
	EXPECT_EQ(fifo_control(0, CONTROL_GPA(0)), 0);
	memset(guest_control(0), 0, sizeof(*guest_control(0)));
	memset(guests, 0, sizeof(guests));
	EXPECT_EQ(send(0, 42, 0), 1);
	expect_comes(42);
	EXPECT_EQ(next(0), 0);
	xen_end();
}

/* A vCPU that is about to enter the guest, and a memslot that has changed. */
static void flush_main(void *arg)
{
	while (!stopped()) {
		int idx = srcu_read_lock(&w.kvm->srcu);

		xen_events_flush(w.kvm);
		srcu_read_unlock(&w.kvm->srcu, idx);
		xen_fifo_waiting(w.kvm);
	}
}

TEST(fifo_first, "race: xen: fifo: turned on for the first time while somebody looks for what is latched")
{
	struct unit_thread *t;

	/* Between any two steps of who looks. */
	unit_jitter_n = unit_jitter_n ?: 2;
	for (int round = 0; round < 30; round++) {
		xen_begin(1, true);
		start_over();
		t = unit_thread_start("flusher", w.mm, flush_main, NULL);
		for (unsigned int n = round % 8; n--;)
			unit_relax();
		EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, FIFO_PORTS, 0), 0);
		stop_all();
		unit_thread_join(t);
		xen_end();
	}
}

/* Stopped in the middle of full queues, and carried to another host. */
TEST(fifo_tails, "xen: fifo: queues go on where they were when their tails are restored")
{
	struct kvm_xen_vcpu_attr saved[2];

	begin(2);
	for (u32 port = 101; port < 200; port++)
		EXPECT_EQ(send(port % 2, port, port % PRIORITIES), 1);
	for (u32 n = 0; n < 20; n++)
		EXPECT(next(n % 2));
	for (int i = 0; i < 2; i++) {
		saved[i].type = KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_TAILS;
		EXPECT_EQ(xen_fifo_get_vcpu_attr(kvm_get_vcpu(w.kvm, i),
						 &saved[i]), 0);
	}
	/* As a host that has never heard of these queues. */
	xen_events_reset(w.kvm);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, FIFO_PORTS, 0), 0);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(fifo_page(i, true), 0);
		EXPECT_EQ(fifo_control(i, CONTROL_GPA(i)), 0);
		EXPECT_EQ(fifo_vcpu_attr(i, &saved[i]), 0);
	}
	for (u32 port = 200; port < 300; port++)
		EXPECT_EQ(send(port % 2, port, port % PRIORITIES), 1);
	for (u32 n = 20; n < 199; n++) {
		u32 port = next(n % 2);

		EXPECT(port ? port : next(!(n % 2)));
	}
	EXPECT_EQ(next(0), 0);
	EXPECT_EQ(next(1), 0);
	xen_end();
}

static int aim(u64 *pad)
{
	struct kvm_xen_hvm_attr data = { .type = KVM_XEN_ATTR_TYPE_X_FIFO_AIM };
	int r;

	data.u.pad[0] = pad[0];
	mutex_lock(&xen_vm(w.kvm)->lock);
	r = xen_fifo_get_attr(w.kvm, &data);
	mutex_unlock(&xen_vm(w.kvm)->lock);
	memcpy(pad, data.u.pad, 3 * sizeof(*pad));

	return r;
}

static int set_aim(u64 port, u64 vcpu, u64 priority)
{
	struct kvm_xen_hvm_attr data = {
		.type = KVM_XEN_ATTR_TYPE_X_FIFO_AIM,
		.u.pad = { port, vcpu, priority },
	};
	int r;

	mutex_lock(&xen_vm(w.kvm)->lock);
	r = xen_fifo_set_attr(w.kvm, &data);
	mutex_unlock(&xen_vm(w.kvm)->lock);

	return r;
}

TEST(fifo_aims, "xen: fifo: for whom a port's last event was is read, and set again")
{
	u64 pad[3] = {};

	begin(2);
	EXPECT_EQ(aim(pad), -ENOENT);
	mask(105);
	mask(FIFO_PORTS - 1);
	EXPECT_EQ(send(1, 105, 2), -ENOTCONN);
	EXPECT_EQ(send(0, FIFO_PORTS - 1, 15), -ENOTCONN);
	EXPECT_EQ(aim(pad), 0);
	EXPECT(pad[0] == 105 && pad[1] == 1 && pad[2] == 2);
	pad[0]++;
	EXPECT_EQ(aim(pad), 0);
	EXPECT(pad[0] == FIFO_PORTS - 1 && pad[1] == 0 && pad[2] == 15);
	pad[0]++;
	EXPECT_EQ(aim(pad), -ENOENT);
	pad[0] = ~0ULL;
	EXPECT_EQ(aim(pad), -ENOENT);

	/* They go with the ABI, and are refused without it. */
	xen_events_reset(w.kvm);
	pad[0] = 0;
	EXPECT_EQ(aim(pad), -EINVAL);
	EXPECT_EQ(set_aim(105, 1, 2), -EINVAL);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, FIFO_PORTS, 0), 0);
	EXPECT_EQ(aim(pad), -ENOENT);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(fifo_page(i, true), 0);
		EXPECT_EQ(fifo_control(i, CONTROL_GPA(i)), 0);
	}
	EXPECT_EQ(unmask(-1, 105), -EWOULDBLOCK);
	EXPECT_EQ(set_aim(0, 1, 2), -EINVAL);
	EXPECT_EQ(set_aim(FIFO_PORTS, 1, 2), -EINVAL);
	EXPECT_EQ(set_aim(105, KVM_MAX_VCPU_IDS, 2), -EINVAL);
	EXPECT_EQ(set_aim(105, 1, 16), -EINVAL);
	EXPECT_EQ(aim(pad), -ENOENT);
	EXPECT_EQ(set_aim(105, 1, 2), 0);
	EXPECT_EQ(send(1, 106, 3), 1);
	EXPECT_EQ(unmask(-1, 105), 0);
	EXPECT_EQ(next(1), 105);
	EXPECT_EQ(next(1), 106);
	xen_end();
}

/* The port is closed, bound anew to another vCPU, and sent, while the page is away. */
static void close_and_send(struct mm_struct *mm, unsigned long uhva)
{
	w.mm->after_gup = NULL;
	xen_event_forget(w.kvm, 1100);
	EXPECT_EQ(send(1, 1100, 2), 1);
}

static void look(int i)
{
	int idx = srcu_read_lock(&w.kvm->srcu);

	kvm_xen_inject_pending_events(kvm_get_vcpu(w.kvm, i));
	srcu_read_unlock(&w.kvm->srcu, idx);
}

TEST(fifo_flush_rebound, "xen: fifo: what is being delivered of a closed port is not its next owner's")
{
	unsigned long hva = SLOT_HVA + ARRAY_PAGE(1);

	unit_work_lose(true);
	begin(2);
	unit_mn_start(w.mm, hva, hva + PAGE_SIZE, true);
	unit_mn_end(w.mm, hva, hva + PAGE_SIZE, true);
	EXPECT_EQ(send(0, 1100, 1), 1);
	w.mm->after_gup = close_and_send;
	look(0);
	look(1);
	EXPECT(!w.mm->after_gup);
	EXPECT_EQ(next(0), 0);
	EXPECT_EQ(next(1), 1100);
	EXPECT_EQ(next(1), 0);
	unit_work_lose(false);
	xen_end();
}

TEST(fifo_rerouted, "xen: fifo: kept for a vCPU without a control block, sent to one that has one")
{
	begin(2);
	EXPECT_EQ(fifo_control(0, INVALID_GPA), 0);
	EXPECT_EQ(fifo_page(1, false), 0);
	EXPECT_EQ(send(0, 1100, 1), 1);
	expect_worker_idle();
	EXPECT_EQ(send(1, 1100, 1), 1);
	EXPECT_EQ(fifo_page(1, true), 0);
	EXPECT(unit_wait_until(comes_to, (void *)1ul, 5000));
	xen_end();
}
