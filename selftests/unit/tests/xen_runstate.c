// SPDX-License-Identifier: GPL-2.0
/* Run state: where the time goes, and what the guest sees of it. */
#include <string.h>
#include "xen_world.h"
#include "arch/x86/kvm/xen/runstate.h"

#define AREA_PAGE	64UL		/* the area's, of the memslot */

static struct kvm_vcpu *vcpu;

static void runstate_begin(bool wide)
{
	xen_begin(1, wide);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	xen_vcpu(vcpu)->runstate = RUNSTATE_offline;
	unit_clock_ns = 1000;
}

static void enter(int state)
{
	int idx = srcu_read_lock(&w.kvm->srcu);
	unsigned long flags;

	/* The scheduler. */
	if (state == RUNSTATE_runnable) {
		vcpu->preempted = true;
		local_irq_save(flags);
		kvm_xen_runstate_set_preempted(vcpu);
		local_irq_restore(flags);
		vcpu->preempted = false;
	} else {
		kvm_xen_update_runstate(vcpu, state);
	}
	srcu_read_unlock(&w.kvm->srcu, idx);
}

static void expect_times(u64 running, u64 runnable, u64 blocked, u64 offline)
{
	u64 state, entry, t[4];

	xen_runstate_get(vcpu, &state, &entry, t);
	EXPECT_EQ(t[RUNSTATE_running], running);
	EXPECT_EQ(t[RUNSTATE_runnable], runnable);
	EXPECT_EQ(t[RUNSTATE_blocked], blocked);
	EXPECT_EQ(t[RUNSTATE_offline], offline);
	EXPECT_EQ(entry, running + runnable + blocked + offline);
}

TEST(xen_rs_account, "xen: runstate: delay is stolen, halts are blocked, the rest is running")
{
	runstate_begin(true);
	enter(RUNSTATE_running);
	expect_times(0, 0, 0, 1000);
	unit_clock_ns += 500;
	enter(RUNSTATE_blocked);
	expect_times(500, 0, 0, 1000);
	unit_clock_ns += 50;
	enter(RUNSTATE_running);
	expect_times(500, 0, 50, 1000);
	unit_clock_ns += 100;
	current->sched_info.run_delay += 30;
	vcpu->stat.generic.halt_wait_ns += 20;
	enter(RUNSTATE_running);
	expect_times(550, 30, 70, 1000);
	/* More delay than time: it is all delay, and none of it comes later. */
	unit_clock_ns += 100;
	current->sched_info.run_delay += 300;
	vcpu->stat.generic.halt_wait_ns += 50;
	enter(RUNSTATE_running);
	expect_times(550, 130, 70, 1000);
	unit_clock_ns += 10;
	enter(RUNSTATE_running);
	expect_times(560, 130, 70, 1000);
	/* More halt than is left. */
	unit_clock_ns += 100;
	current->sched_info.run_delay += 40;
	vcpu->stat.generic.halt_wait_ns += 100;
	enter(RUNSTATE_runnable);
	expect_times(560, 170, 130, 1000);
	/* Preempted: it waits for a CPU, and then goes on with what it was about. */
	unit_clock_ns += 100;
	current->sched_info.run_delay += 100;
	enter(RUNSTATE_running);
	expect_times(560, 270, 130, 1000);
	/* A clock that steps back, and is back. */
	unit_clock_ns -= 200;
	current->sched_info.run_delay += 50;
	enter(RUNSTATE_running);
	expect_times(560, 270, 130, 1000);
	unit_clock_ns += 150;
	enter(RUNSTATE_running);
	expect_times(560, 270, 130, 1000);
	unit_clock_ns += 60;
	enter(RUNSTATE_running);
	expect_times(570, 270, 130, 1000);
	/* A delay that goes back: another task runs the vCPU. */
	current->sched_info.run_delay = 0;
	vcpu->stat.generic.halt_wait_ns = 0;
	unit_clock_ns += 5;
	enter(RUNSTATE_running);
	expect_times(575, 270, 130, 1000);
	xen_end();
}

TEST(xen_rs_preempted_asleep, "xen: runstate: preempted on its way to sleep it is blocked while it sleeps")
{
	u64 state, entry, t[4];

	runstate_begin(true);
	enter(RUNSTATE_running);
	enter(RUNSTATE_runnable);
	xen_runstate_get(vcpu, &state, &entry, t);
	EXPECT_EQ(state, RUNSTATE_runnable);
	unit_clock_ns += 10000;
	current->sched_info.run_delay += 50;
	vcpu->stat.generic.halt_wait_ns += 9000;
	enter(RUNSTATE_running);
	expect_times(950, 50, 9000, 1000);
	/* What the VMM says is so, it is whatever the thread does. */
	kvm_xen_update_runstate(vcpu, RUNSTATE_runnable);
	unit_clock_ns += 100;
	current->sched_info.run_delay += 40;
	vcpu->stat.generic.halt_wait_ns += 30;
	enter(RUNSTATE_running);
	expect_times(950, 150, 9000, 1000);
	/* Also what it says of one that was preempted. */
	enter(RUNSTATE_runnable);
	xen_runstate_get(vcpu, &state, &entry, t);
	EXPECT_EQ(xen_runstate_set(vcpu, RUNSTATE_blocked, entry, t), 0);
	unit_clock_ns += 100;
	current->sched_info.run_delay += 40;
	enter(RUNSTATE_running);
	expect_times(950, 150, 9100, 1000);
	xen_end();
}

TEST(xen_rs_woken, "xen: runstate: from when it is woken it waits for a CPU, and is not blocked any more")
{
	runstate_begin(true);
	enter(RUNSTATE_running);
	expect_times(0, 0, 0, 1000);
	/* It ran 1000, waited 7 for something else, was blocked 300, then waited 40. */
	unit_clock_ns += 1347;
	current->sched_info.run_delay += 7;
	kvm_xen_vcpu_blocking(vcpu);
	current->sched_info.run_delay += 40;
	vcpu->stat.generic.halt_wait_ns += 340;
	kvm_xen_vcpu_unblocking(vcpu);
	enter(RUNSTATE_running);
	expect_times(1000, 47, 300, 1000);
	/* Twice: more of what was waited for belongs to halts than there was halted. */
	unit_clock_ns += 1000;
	for (int i = 0; i < 2; i++) {
		kvm_xen_vcpu_blocking(vcpu);
		current->sched_info.run_delay += 60;
		vcpu->stat.generic.halt_wait_ns += 50 + 20 * i;
		kvm_xen_vcpu_unblocking(vcpu);
	}
	enter(RUNSTATE_running);
	expect_times(1880, 167, 300, 1000);
	/* And none of it is left for a halt that came later. */
	unit_clock_ns += 100;
	vcpu->stat.generic.halt_wait_ns += 50;
	enter(RUNSTATE_running);
	expect_times(1930, 167, 350, 1000);
	/* A VM that had no run state when it blocked. */
	xen_vcpu(vcpu)->runstate_entry = 0;
	kvm_xen_vcpu_blocking(vcpu);
	current->sched_info.run_delay += 60;
	kvm_xen_vcpu_unblocking(vcpu);
	enter(RUNSTATE_running);
	EXPECT_EQ(xen_vcpu(vcpu)->block_delay, 0);
	xen_end();
}

TEST(xen_rs_random, "xen: runstate: times add up to the last change, and never go back")
{
	uint64_t rnd = unit_seed;
	u64 state, entry, t[4], last = 0, was[4] = { 0 };

	runstate_begin(false);
	for (int i = 0; i < 100000; i++) {
		unit_clock_ns += unit_rand(&rnd) % 1000;
		if (unit_rand(&rnd) % 8 == 0)
			unit_clock_ns -= unit_rand(&rnd) % 800;
		if (unit_rand(&rnd) % 2)
			current->sched_info.run_delay += unit_rand(&rnd) % 1500;
		if (unit_rand(&rnd) % 2)
			vcpu->stat.generic.halt_wait_ns += unit_rand(&rnd) % 1500;
		if (unit_rand(&rnd) % 2) {
			kvm_xen_vcpu_blocking(vcpu);
			current->sched_info.run_delay += unit_rand(&rnd) % 1500;
			kvm_xen_vcpu_unblocking(vcpu);
		}
		if (unit_rand(&rnd) % 100 == 0)
			current->sched_info.run_delay = unit_rand(&rnd);
		enter(unit_rand(&rnd) % 4);
		xen_runstate_get(vcpu, &state, &entry, t);
		EXPECT_EQ(t[0] + t[1] + t[2] + t[3], entry);
		EXPECT(entry >= last);
		for (int s = 0; s < 4; s++)
			EXPECT(t[s] >= was[s]);
		memcpy(was, t, sizeof(was));
		last = entry;
	}
	xen_end();
}

static u8 *area_byte(unsigned long at)
{
	return guest_ptr(SLOT_HVA + AREA_PAGE * PAGE_SIZE + at);
}

static u64 area_read(unsigned long at, unsigned int len)
{
	u64 v = 0;

	while (len--)
		v = v << 8 | *area_byte(at + len);

	return v;
}

static int set_area(unsigned long at)
{
	int idx = srcu_read_lock(&w.kvm->srcu), r;

	r = xen_runstate_set_area(vcpu, SLOT_GPA + AREA_PAGE * PAGE_SIZE + at);
	srcu_read_unlock(&w.kvm->srcu, idx);

	return r;
}

/* The area as Xen's headers have it, and one byte more. */
static void expect_area(unsigned long at, bool wide, u32 state, u64 offline)
{
	unsigned int entry = wide ? 8 : 4;

	EXPECT_EQ(area_read(at, 4), state);
	EXPECT_EQ(area_read(at + entry, 8), unit_clock_ns);
	EXPECT_EQ(area_read(at + entry + 8 + 8 * RUNSTATE_offline, 8), offline);
	EXPECT_EQ(*area_byte(at + (wide ? 0x30 : 0x2c)), 0xa5);
}

static void area_at(unsigned long at, bool wide, bool mark)
{
	runstate_begin(wide);
	xen_vm(w.kvm)->runstate_update_flag = mark;
	/* Both pages are there, so that what is beyond can be seen. */
	EXPECT_EQ(set_area(PAGE_SIZE - 8), 0);
	*area_byte(at + (wide ? 0x30 : 0x2c)) = 0xa5;
	EXPECT_EQ(set_area(at), 0);
	expect_area(at, wide, RUNSTATE_offline, 1000);
	for (int state = 0; state < 4; state++) {
		unit_clock_ns += 10;
		enter(state);
		expect_area(at, wide, state, 1010);
	}
	/* Taken away: not written in the scheduler, written when it is back. */
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + SLOT_PAGES * PAGE_SIZE, true);
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + SLOT_PAGES * PAGE_SIZE, true);
	unit_clock_ns += 10;
	enter(RUNSTATE_runnable);
	EXPECT_EQ(area_read(at, 4), RUNSTATE_offline);
	enter(RUNSTATE_running);
	expect_area(at, wide, RUNSTATE_running, 1020);
	xen_end();
	unit_wait_end();
}

TEST(xen_rs_area, "xen: runstate: both layouts, in one page and across two at every offset")
{
	for (int wide = 0; wide < 2; wide++) {
		area_at(0x100, wide, false);
		area_at(0x104, wide, true);
		for (unsigned long split = 0; split <= 0x30; split += 4)
			area_at(PAGE_SIZE - split, wide, split & 8);
	}
}

static uint64_t sched_rnd;

/* The CPU is taken away for a while; the vCPU has got it back. */
static void taken_away(void)
{
	void (*handler)(void) = unit_sched_handler;

	if (unit_rand(&sched_rnd) % 3)
		return;
	unit_sched_handler = NULL;
	unit_clock_ns += unit_rand(&sched_rnd) % 100;
	enter(RUNSTATE_runnable);
	unit_clock_ns += unit_rand(&sched_rnd) % 1000;
	current->sched_info.run_delay += unit_rand(&sched_rnd) % 1000;
	unit_sched_handler = handler;
}

static void expect_sum(void)
{
	u64 state, entry, t[4], sum = 0;

	xen_runstate_get(vcpu, &state, &entry, t);
	EXPECT_EQ(t[0] + t[1] + t[2] + t[3], entry);
	EXPECT(entry <= unit_clock_ns);
	for (int i = 0; i < 4; i++)
		sum += area_read(0x100 + 16 + 8 * i, 8);
	EXPECT_EQ(sum, area_read(0x100 + 8, 8));
}

TEST(xen_rs_preempted, "xen: runstate: times add up when the CPU is taken away meanwhile")
{
	const u64 more[4] = { 1, 2, 3, 4 };
	int idx, r;

	runstate_begin(true);
	EXPECT_EQ(set_area(0x100), 0);
	sched_rnd = unit_seed;
	unit_sched_handler = taken_away;
	for (int i = 0; i < 20000; i++) {
		unit_clock_ns += unit_rand(&sched_rnd) % 1000;
		idx = srcu_read_lock(&w.kvm->srcu);
		if (unit_rand(&sched_rnd) % 4) {
			kvm_xen_update_runstate(vcpu, RUNSTATE_running);
		} else {
			/* In the future, if the scheduler has just been here. */
			r = xen_runstate_adjust(vcpu, -1, 10, more);
			EXPECT(!r || r == -EINVAL);
		}
		srcu_read_unlock(&w.kvm->srcu, idx);
		expect_sum();
	}
	unit_sched_handler = NULL;
	xen_end();
}

TEST(xen_rs_set, "xen: runstate: times that do not add up, or end in the future, are refused")
{
	const u64 t[4] = { 1, 2, 3, 4 }, none[4] = { 0 };

	runstate_begin(true);
	EXPECT_EQ(xen_runstate_set(vcpu, 0, 11, t), -EINVAL);
	EXPECT_EQ(xen_runstate_set(vcpu, 4, 10, t), -EINVAL);
	unit_clock_ns = 9;
	EXPECT_EQ(xen_runstate_set(vcpu, 0, 10, t), -EINVAL);
	unit_clock_ns = 10;
	EXPECT_EQ(xen_runstate_set(vcpu, RUNSTATE_blocked, 10, t), 0);
	expect_times(1, 2, 3, 4);
	unit_clock_ns = 1000;
	EXPECT_EQ(xen_runstate_adjust(vcpu, -1, 11, t), -EINVAL);
	EXPECT_EQ(xen_runstate_adjust(vcpu, -1, 10, t), 0);
	expect_times(2, 4, 6, 8);
	EXPECT_EQ(xen_runstate_adjust(vcpu, 7, 0, none), -EINVAL);
	xen_end();
}

TEST(xen_rs_preempted_twice, "xen: runstate: preempted twice on its way to sleep")
{
	u64 *t, before[4];

	runstate_begin(true);
	t = xen_vcpu(vcpu)->runstate_times;
	enter(RUNSTATE_running);
	memcpy(before, t, sizeof(before));
	/* It waits 50 for a CPU, runs for 1, and waits 40. */
	kvm_xen_vcpu_blocking(vcpu);
	vcpu->preempted = true;
	kvm_xen_runstate_set_preempted(vcpu);
	unit_clock_ns += 51;
	current->sched_info.run_delay += 50;
	kvm_xen_runstate_set_preempted(vcpu);
	unit_clock_ns += 40;
	current->sched_info.run_delay += 40;
	/* It sleeps for 100, is woken, and runs at once. */
	unit_clock_ns += 100;
	kvm_xen_vcpu_unblocking(vcpu);
	vcpu->stat.generic.halt_wait_ns += 191;
	enter(RUNSTATE_running);
	EXPECT_EQ(t[RUNSTATE_runnable] - before[RUNSTATE_runnable], 90);
	EXPECT_EQ(t[RUNSTATE_blocked] - before[RUNSTATE_blocked], 100);
	xen_end();
}
