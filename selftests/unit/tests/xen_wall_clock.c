// SPDX-License-Identifier: GPL-2.0
/* The wall clock in shared_info: it is written whenever its page can be reached. */
#include "xen_world.h"
#include "arch/x86/kvm/xen/time.h"

#define SEC	1000000000ull
/* A moment whose nanosecond is its second, as far as it can be. */
#define MOMENT(n)	((n) * SEC + (n) % SEC)

/* Where a guest of the layout finds version, second, nanosecond; and the upper half. */
static u32 *guest_clock(bool wide)
{
	return guest_shinfo() + (wide ? 0xc00 : 0x900);
}

static u32 *guest_sec_hi(bool wide)
{
	return guest_shinfo() + (wide ? 0xc0c : 0x924);
}

static u32 word(u32 *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static bool says(bool wide, u64 sec)
{
	u32 *clock = guest_clock(wide), version = word(clock);

	return version && !(version & 1) && word(&clock[1]) == (u32)sec &&
	       word(&clock[2]) == sec % SEC &&
	       word(guest_sec_hi(wide)) == sec >> 32;
}

static bool wide_says(void *sec)
{
	return says(true, (u64)sec);
}

static bool narrow_says(void *sec)
{
	return says(false, (u64)sec);
}

static void set(void)
{
	int idx = srcu_read_lock(&w.kvm->srcu);

	xen_wall_clock_set(w.kvm);
	srcu_read_unlock(&w.kvm->srcu, idx);
}

static bool is_due(void)
{
	return READ_ONCE(xen_events(w.kvm)->wall_clock.due);
}

TEST(xen_wall_clock_layout, "xen: wall clock: where each layout has it")
{
	for (int wide = 0; wide < 2; wide++) {
		xen_begin(1, wide);
		WRITE_ONCE(unit_epoch_ns, MOMENT(12345));
		/* Here, or by the worker that shared_info's coming has woken. */
		set();
		EXPECT(unit_wait_until(wide ? wide_says : narrow_says, (void *)12345,
				       5000));
		EXPECT(!is_due() && !word(guest_clock(!wide)));
		WRITE_ONCE(unit_epoch_ns, MOMENT(1ull << 32 | 7));
		set();
		EXPECT(unit_wait_until(wide ? wide_says : narrow_says,
				       (void *)(1ul << 32 | 7), 5000));
		EXPECT_EQ(word(guest_clock(wide)), 4);
		xen_end();
	}
}

/* The clock is set, and that is announced, while somebody writes what it was. */
static void epoch_changes(void)
{
	unit_epoch_read = NULL;
	WRITE_ONCE(unit_epoch_ns, MOMENT(8));
	WRITE_ONCE(xen_events(w.kvm)->wall_clock.due, true);
}

TEST(xen_wall_clock_set_again, "xen: wall clock: what it was set to last is written, whoever is at it")
{
	int idx;

	xen_begin(1, true);
	expect_worker_idle();
	unit_work_lose(true);
	WRITE_ONCE(unit_epoch_ns, MOMENT(7));
	unit_epoch_read = epoch_changes;
	set();
	/* Whoever comes next, if it is still due. */
	idx = srcu_read_lock(&w.kvm->srcu);
	xen_events_flush(w.kvm);
	srcu_read_unlock(&w.kvm->srcu, idx);
	EXPECT(wide_says((void *)8));
	unit_work_lose(false);
	xen_end();
}

TEST(xen_wall_clock_unmapped, "xen: wall clock: a page that was unmapped is brought back for it")
{
	xen_begin(1, true);
	WRITE_ONCE(unit_epoch_ns, MOMENT(5));
	unit_mm_zap(w.mm, SHINFO_HVA, SHINFO_HVA + PAGE_SIZE);
	set();
	EXPECT(unit_wait_until(wide_says, (void *)5, 5000));
	xen_end();
}

/* By the worker when the slot is back, by a vCPU that enters, by who saves the VM. */
TEST(xen_wall_clock_later, "xen: wall clock: written when its slot is back, where the layout has it then")
{
	struct kvm_vcpu *vcpu;
	int idx;

	for (int by_vcpu = 0; by_vcpu < 2; by_vcpu++) {
		xen_begin(1, true);
		vcpu = kvm_get_vcpu(w.kvm, 0);
		WRITE_ONCE(unit_epoch_ns, MOMENT(9));
		unit_slot_mark_invalid(w.kvm, 0);
		set();
		EXPECT(is_due());
		EXPECT(READ_ONCE(xen_vcpu(vcpu)->todo) & XEN_TODO_LATCH);
		WRITE_ONCE(xen_vm(w.kvm)->long_mode, false);
		set();
		WRITE_ONCE(unit_epoch_ns, MOMENT(10));
		unit_slots_published = by_vcpu ? NULL : kvm_xen_memslots_updated;
		unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
		if (by_vcpu) {
			idx = srcu_read_lock(&w.kvm->srcu);
			kvm_xen_inject_pending_events(vcpu);
			srcu_read_unlock(&w.kvm->srcu, idx);
		}
		EXPECT(unit_wait_until(narrow_says, (void *)10, 5000));
		unit_slots_published = NULL;
		EXPECT(!is_due() && !word(guest_clock(true)));
		xen_end();
	}
}

TEST(xen_wall_clock_away, "xen: wall clock: without shared_info nobody tries; the next one gets it")
{
	xen_begin(1, true);
	WRITE_ONCE(unit_epoch_ns, MOMENT(3));
	unit_slot_mark_invalid(w.kvm, 0);
	set();
	shinfo_set(false);
	unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
	expect_worker_idle();
	EXPECT(!wide_says((void *)3));
	EXPECT(is_due());
	shinfo_set(true);
	EXPECT(unit_wait_until(wide_says, (void *)3, 5000));
	xen_end();
}

static bool stop;

static void setter(void *arg)
{
	u64 sec = 0;

	while (!READ_ONCE(stop)) {
		sec = (sec + 1) % 1000;
		WRITE_ONCE(unit_epoch_ns, MOMENT(sec));
		set();
	}
}

/* As the guest: version, time, version. */
static bool look(void)
{
	u32 *clock = guest_clock(true), version, sec, nsec;

	version = word(&clock[0]);
	sec = word(&clock[1]);
	nsec = word(&clock[2]);
	if (version & 1 || word(&clock[0]) != version)
		return false;
	EXPECT_EQ(sec, nsec);

	return true;
}

TEST(xen_wall_clock_race, "race: xen: wall clock: two that write it do not mix what they write")
{
	struct unit_thread *t[2];
	unsigned long looks = 0;
	uint64_t end;
	int i;

	xen_begin(1, true);
	for (i = 0; i < 2; i++)
		t[i] = unit_thread_start("setter", w.mm, setter, NULL);
	end = unit_now_ns() + unit_race_ms * 1000000ull;
	while (unit_now_ns() < end || looks < 10)
		looks += look();
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++)
		unit_thread_join(t[i]);
	EXPECT(look());
	xen_end();
}
