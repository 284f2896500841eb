// SPDX-License-Identifier: GPL-2.0
/* Whom an event is for: found, whole, in one load; and woken, if it would not look. */
#include "xen_world.h"

#define COMERS	4

static struct kvm_vcpu **near(int idx)
{
	return &xen_events(w.kvm)->vcpus[idx];
}

static int irqfd(struct kvm_xen_evtchn *xe)
{
	return kvm_xen_set_evtchn_fast(xe, w.kvm);
}

TEST(xen_vcpus, "xen: vcpus: found by index, in one load since somebody has asked, until they go")
{
	struct kvm_vcpu other = { .kvm = NULL }, *vcpu;

	xen_begin(2, true);
	vcpu = kvm_get_vcpu(w.kvm, 1);
	EXPECT(!*near(1));
	EXPECT(xen_get_vcpu(w.kvm, 1) == vcpu && *near(1) == vcpu);
	EXPECT(xen_get_vcpu(w.kvm, 1) == vcpu);
	/* Of one that is not there nothing is known; it may come. */
	EXPECT(!xen_get_vcpu(w.kvm, 2) && !*near(2));
	EXPECT(!xen_get_vcpu(w.kvm, XEN_NEAR_VCPUS - 1));
	EXPECT(!xen_get_vcpu(w.kvm, XEN_NEAR_VCPUS));
	EXPECT(!xen_get_vcpu(w.kvm, -1) && !xen_get_vcpu(w.kvm, INT_MIN));
	vcpu = unit_vcpu_create(w.kvm, 2);
	EXPECT(xen_get_vcpu(w.kvm, 2) == vcpu);
	/* One that could not be made goes, and had this one's index. */
	other.kvm = w.kvm;
	other.vcpu_idx = 2;
	xen_events_forget(&other);
	EXPECT(*near(2) == vcpu);
	other.vcpu_idx = XEN_NEAR_VCPUS;
	xen_events_forget(&other);
	xen_events_forget(vcpu);
	EXPECT(!*near(2));
	/* Before there can be events they are found all the same. */
	EXPECT(xen_get_vcpu(w.kvm, 2) == vcpu && *near(2) == vcpu);
	xen_end();
}

TEST(xen_vcpus_ids, "xen: vcpus: a route finds its vCPU by id, whatever index that has")
{
	struct kvm_xen_evtchn xe = { .port = 9, .vcpu_id = 7, .vcpu_idx = -1,
				     .priority = XEN_PRIORITY_NONE };
	struct kvm_vcpu *vcpu;

	xen_begin(1, true);
	/* Nobody has that id yet: kept, and for whom it is. */
	EXPECT_EQ(irqfd(&xe), 1);
	EXPECT_EQ(xe.vcpu_idx, -1);
	EXPECT(!guest_told(0, 9));
	vcpu = unit_vcpu_create(w.kvm, 7);
	vcpu_info_set(vcpu, true);
	xe.port = 10;
	EXPECT_EQ(irqfd(&xe), 1);
	EXPECT_EQ(xe.vcpu_idx, 1);
	EXPECT(guest_told(1, 10) && !guest_told(0, 10));
	/* A hint that leads to another. */
	xe.port = 11;
	xe.vcpu_idx = 0;
	EXPECT_EQ(irqfd(&xe), 1);
	EXPECT_EQ(xe.vcpu_idx, 1);
	EXPECT(!guest_told(0, 11) && guest_bit(guest_pending(11), 11));
	xen_end();
}

TEST(xen_wake, "xen: vcpus: woken if it sleeps or is in the guest; else it looks for itself")
{
	unsigned long kicks;
	struct kvm_vcpu *vcpu;

	xen_begin(1, true);
	vcpu = kvm_get_vcpu(w.kvm, 0);
	kicks = unit_vcpu_kicks(vcpu);
	vcpu->mode = OUTSIDE_GUEST_MODE;
	xen_vcpu_wake(vcpu, XEN_TODO_SEL);
	EXPECT_EQ(unit_vcpu_kicks(vcpu), kicks);
	EXPECT(kvm_test_request(KVM_REQ_UNBLOCK, vcpu));
	EXPECT(xen_vcpu(vcpu)->todo & XEN_TODO_SEL);
	unit_vcpu_sleeps(vcpu, true);
	xen_vcpu_wake(vcpu, 0);
	EXPECT_EQ(unit_vcpu_kicks(vcpu), kicks + 1);
	unit_vcpu_sleeps(vcpu, false);
	vcpu->mode = IN_GUEST_MODE;
	xen_vcpu_wake(vcpu, 0);
	EXPECT_EQ(unit_vcpu_kicks(vcpu), kicks + 2);
	xen_end();
}

static void looker(void *arg)
{
	struct kvm_vcpu *vcpu;
	int i;

	for (i = 0; i < COMERS; i++) {
		while (!(vcpu = xen_get_vcpu(w.kvm, i)))
			unit_relax();
		/* What it is made of, before anything else of it is looked at. */
		EXPECT(vcpu->kvm == w.kvm);
		EXPECT_EQ(vcpu->vcpu_id, 100 + i);
		EXPECT(vcpu->wants_to_run);
	}
}

TEST(xen_vcpus_come, "race: xen: vcpus: one that comes is found by all, and found whole")
{
	struct unit_thread *t[4];
	unsigned int round, i;

	for (round = 0; round < 20; round++) {
		xen_begin(0, true);
		for (i = 0; i < ARRAY_SIZE(t); i++)
			t[i] = unit_thread_start("looker", w.mm, looker, NULL);
		for (i = 0; i < COMERS; i++) {
			unit_relax();
			unit_vcpu_create(w.kvm, 100 + i);
		}
		for (i = 0; i < ARRAY_SIZE(t); i++)
			unit_thread_join(t[i]);
		xen_end();
	}
}
