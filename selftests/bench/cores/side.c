// SPDX-License-Identifier: GPL-2.0
/*
 * The VM of one side: what is measured, in terms of the caches' own interface. The
 * file is compiled for each of the two.
 *
 * An event does to the guest's memory what the ABI of 2-level event channels asks
 * for: its bit in the pending words, the word's bit in the vCPU's selector, the
 * vCPU's flag; and looks at the mask. What differs is how the memory is reached: by
 * the locks of the two caches and a check, under SRCU, or with interrupts off and
 * no lock. All else of a delivery (ports, vCPUs, kicks) is left out.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>

#include <linux/kvm_host.h>
#ifndef UNIT_STOCK
#include <pfncache/gpc_live.h>
#endif
#include "rig/cpu.h"
#include "rig/kvm.h"
#include "rig/lock.h"
#include "side.h"
#include "tdp_side.h"

#define SLOT_PAGES	6144UL		/* of guest memory; the rest is the VMM's */
#define INFO_PAGE	1UL		/* a page for each vCPU from there on */
#define MORE_PAGE	(INFO_PAGE + CORES_VCPUS)
#define FREE_PAGE	(SLOT_PAGES + 8)
#define PENDING		2048		/* in shared_info, Xen's ABI for 64 bits */
#define MASK		2560
#define SELECTOR	8		/* in vcpu_info, which is as long: */
#define INFO_SIZE	64

static struct kvm *kvm;
static struct gfn_to_pfn_cache shinfo, info[CORES_VCPUS], *more;
static unsigned int nr_info, nr_more;

static char *taken, copy[PAGE_SIZE];
static unsigned long lost;

static void use(struct gfn_to_pfn_cache *gpc, unsigned long page,
		unsigned long len)
{
	int idx = srcu_read_lock(&kvm->srcu);

#ifdef UNIT_STOCK
	kvm_gpc_init(gpc, kvm);
#else
	kvm_gpc_init_live(gpc, kvm);
#endif
	if (kvm_gpc_activate(gpc, page * PAGE_SIZE, len))
		unit_fail("side", "a cache could not be activated");
	srcu_read_unlock(&kvm->srcu, idx);
}

static void side_enter(int cpu)
{
	unit_current = &unit_tasks[cpu];
	*unit_current = (struct task_struct){
		.slot = cpu,
		.pid = syscall(SYS_gettid),
		.mm = cores_mm,
	};
}

static void side_begin(unsigned int caches)
{
	unsigned int i;

	if (caches < 1 || caches > 4 * 1024)
		unit_fail("side", "%u caches", caches);
	side_enter(0);
	current->mm = cores_mm_create();
	kvm = unit_vm_create(cores_mm);
	unit_slot_set(kvm, 0, 0, SLOT_PAGES, UNIT_UADDR, 0);
	memset(&shinfo, 0, sizeof(shinfo));
	memset(info, 0, sizeof(info));
	use(&shinfo, 0, PAGE_SIZE);
	nr_info = min(caches - 1, (unsigned int)CORES_VCPUS);
	nr_more = caches - 1 - nr_info;
	for (i = 0; i < nr_info; i++)
		use(&info[i], INFO_PAGE + i, INFO_SIZE);
	more = unit_alloc((nr_more + 1) * sizeof(*more), __GFP_ZERO, "");
	for (i = 0; i < nr_more; i++)
		use(&more[i], MORE_PAGE + i, INFO_SIZE);
	taken = NULL;
	lost = 0;
}

static void side_end(void)
{
	unsigned int i;

	kvm_gpc_deactivate(&shinfo);
	for (i = 0; i < nr_info; i++)
		kvm_gpc_deactivate(&info[i]);
	for (i = 0; i < nr_more; i++)
		kvm_gpc_deactivate(&more[i]);
	unit_free(more, "");
	unit_vm_destroy(kvm, NULL);
	cores_mm_destroy(cores_mm);
}

/* The guest has seen what was there before, so this one is news. */
static void raise(char *page, char *vcpu_info, unsigned int port)
{
	unsigned long *pending = (void *)(page + PENDING);
	unsigned long *selector = (void *)(vcpu_info + SELECTOR);

	WRITE_ONCE(pending[port / 64], 0);
	WRITE_ONCE(*selector, 0);
	if (test_and_set_bit(port, pending) ||
	    test_bit(port, (void *)(page + MASK)))
		return;
	if (!test_and_set_bit(port / 64, selector))
		WRITE_ONCE(*vcpu_info, 1);
}

#ifdef UNIT_STOCK
static bool try_deliver(unsigned int vcpu, unsigned int port)
{
	struct gfn_to_pfn_cache *vi = &info[vcpu];
	unsigned long flags;
	bool ok = false;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	read_lock_irqsave(&shinfo.lock, flags);
	if (kvm_gpc_check(&shinfo, PAGE_SIZE)) {
		read_lock(&vi->lock);
		ok = kvm_gpc_check(vi, INFO_SIZE);
		if (ok)
			raise(shinfo.khva, vi->khva, port);
		read_unlock(&vi->lock);
	}
	read_unlock_irqrestore(&shinfo.lock, flags);
	srcu_read_unlock(&kvm->srcu, idx);
	return ok;
}
#else
static bool try_deliver(unsigned int vcpu, unsigned int port)
{
	struct gpc_read read;
	char *page, *vi;

	read = kvm_gpc_read_begin(kvm);
	page = kvm_gpc_live(&shinfo);
	vi = kvm_gpc_live(&info[vcpu]);
	if (page && vi)
		raise(page, vi, port);
	kvm_gpc_read_end(read);
	return page && vi;
}
#endif

static void refresh(struct gfn_to_pfn_cache *gpc, unsigned long len)
{
	int idx = srcu_read_lock(&kvm->srcu);

	if (kvm_gpc_refresh(gpc, len))
		unit_fail("side", "a page that is there was not found");
	srcu_read_unlock(&kvm->srcu, idx);
}

/* In a hard interrupt; what needs to sleep is done after it. */
static void side_deliver(unsigned int vcpu, unsigned int port)
{
	bool ok;

	for (;;) {
		current->hardirq = 1;
		ok = try_deliver(vcpu, port);
		current->hardirq = 0;
		if (ok)
			return;
		refresh(&shinfo, PAGE_SIZE);
	}
}

/* Time that goes by, in ticks. */
static void pass(unsigned int ticks)
{
	unsigned long start = __builtin_ia32_rdtsc();

	while (__builtin_ia32_rdtsc() - start < ticks)
		;
}

static void event(unsigned long page, unsigned int gap, void (*change)(void))
{
	struct mmu_notifier *mn = cores_mm->mn;
	struct mmu_notifier_range range = {
		.mm = cores_mm,
		.start = UNIT_UADDR + page * PAGE_SIZE,
		.end = UNIT_UADDR + (page + 1) * PAGE_SIZE,
		.flags = MMU_NOTIFIER_RANGE_BLOCKABLE,
	};

	/* Time that goes by between events is not theirs. */
	cores_tick();
	mn->ops->invalidate_range_start(mn, &range);
	if (change)
		change();
	pass(gap);
	mn->ops->invalidate_range_end(mn, &range);
}

static void side_unrelated(unsigned int gap)
{
	event(FREE_PAGE, gap, NULL);
}

/* shared_info moves to another page; who still writes to the old one loses it. */
static void move(void)
{
	struct page **at = &cores_mm->page[0], *old = *at, *new;

	new = old->pfn ? &cores_mm->frame[0] : &cores_mm->frame[UNIT_UPAGES];
	if (taken && memcmp(taken, copy, PAGE_SIZE))
		lost++;
	memcpy(new->mem, old->mem, PAGE_SIZE);
	memcpy(copy, old->mem, PAGE_SIZE);
	taken = old->mem;
	__atomic_store_n(at, new, __ATOMIC_RELEASE);
}

static void side_overlap(unsigned int gap)
{
	event(0, gap, move);
}

static void side_refresh(void)
{
	refresh(&shinfo, PAGE_SIZE);
}

static unsigned long side_locks(void)
{
	return cores_locks;
}

static unsigned long side_lost(void)
{
	return lost + (taken && memcmp(taken, copy, PAGE_SIZE));
}

static void side_mmu_begin(unsigned int nr_vcpus)
{
	side_enter(0);
	tdp_side_begin(nr_vcpus);
}

__attribute__((__visibility__("default"))) const struct cores_side cores_side = {
	.begin = side_begin,
	.end = side_end,
	.enter = side_enter,
	.deliver = side_deliver,
	.unrelated = side_unrelated,
	.overlap = side_overlap,
	.refresh = side_refresh,
	.interrupt = cores_interrupt_all,
	.locks = side_locks,
	.lost = side_lost,
	.mmu_begin = side_mmu_begin,
	.mmu_end = tdp_side_end,
	.fault = tdp_side_fault,
	.zap = tdp_side_zap,
	.mapped = tdp_side_mapped,
};
