// SPDX-License-Identifier: GPL-2.0
/*
 * Mutants of how events are kept. Which bit it is follows from its address: of the
 * latch, of the announcement that there is something latched, of a vCPU.
 */
#include <linux/kvm_host.h>
#include <sched.h>
#include "arch/x86/kvm/xen/events.h"
#include "rig/vcpu.h"

void unit_xen_set_bit(unsigned long nr, unsigned long *p);
bool unit_xen_test_and_set_bit(unsigned long nr, unsigned long *p);

static __thread bool announced;

static struct xen_events *events(void)
{
	/* Pairs with smp_store_release() in storm_run(). */
	struct kvm *kvm = smp_load_acquire(&unit_xen_kvm);

	return kvm ? xen_events(kvm) : NULL;
}

static bool of_latch(struct xen_events *ev, unsigned long *p)
{
	return ev && p >= ev->latched && p < ev->latched + XEN_PORTS / 64;
}

static bool of_parked(struct xen_events *ev, unsigned long *p)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (!ev)
		return false;
	kvm_for_each_vcpu(i, vcpu, ev->kvm)
		if (p >= xen_vcpu(vcpu)->parked && p < xen_vcpu(vcpu)->parked + 2)
			return true;

	return false;
}

void unit_xen_set_bit(unsigned long nr, unsigned long *p)
{
	struct xen_events *ev = events();

	if (unit_mutants.relatch_forgotten && of_latch(ev, p))
		return;
	if (unit_mutants.parked_forgotten && of_parked(ev, p))
		return;
	if (announced && ev && p == &ev->words) {
		announced = false;
		return;
	}
	set_bit(nr, p);
}

bool unit_xen_test_and_set_bit(unsigned long nr, unsigned long *p)
{
	struct xen_events *ev = events();

	if (!of_latch(ev, p))
		return test_and_set_bit(nr, p);
	if (unit_mutants.latch_forgotten)
		return true;
	if (unit_mutants.words_first && !test_bit(nr, p)) {
		set_bit(nr / 64, &ev->words);
		announced = true;
		sched_yield();
	}

	return test_and_set_bit(nr, p);
}
