/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM with Xen's pages: shared_info in the first page of memslot 0, each vcpu_info
 * in one of those that follow. The guest's own accesses go by user address, as its
 * page tables would lead it, and never through a cache.
 */
#ifndef _UNIT_XEN_WORLD_H
#define _UNIT_XEN_WORLD_H

#include <pfncache/gpc_live.h>
#include "world.h"
#include "arch/x86/kvm/xen.h"
#include "arch/x86/kvm/xen/events.h"
#include "arch/x86/kvm/xen/upcall.h"
#include "rig/vcpu.h"
#include "rig/work.h"

#define SHINFO_GPA	SLOT_GPA
#define SHINFO_HVA	SLOT_HVA
#define VI_OFFSET	0x104		/* a selector that straddles 8 bytes */
#define VI_PAGE(i)	((1 + (i)) * PAGE_SIZE)
#define VI_GPA(i)	(SLOT_GPA + VI_PAGE(i) + VI_OFFSET)

static struct world w;

static inline void shinfo_set(bool there)
{
	struct gfn_to_pfn_cache *gpc = &xen_vm(w.kvm)->shinfo;

	if (!there) {
		kvm_gpc_deactivate(gpc);
		return;
	}
	EXPECT_EQ(activate(gpc, SHINFO_GPA, PAGE_SIZE), 0);
	xen_events_retry(w.kvm);
}

static inline void vcpu_info_set(struct kvm_vcpu *vcpu, bool there)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	if (!there) {
		kvm_gpc_deactivate(&x->vcpu_info);
		return;
	}
	EXPECT_EQ(activate(&x->vcpu_info, VI_GPA(vcpu->vcpu_idx), 64), 0);
	WRITE_ONCE(x->unreachable, false);
	if (xen_has_parked(x))
		xen_vcpu_wake(vcpu, XEN_TODO_SEL);
}

static inline void xen_begin(int vcpus, bool wide)
{
	struct xen_vm *xv;

	world_begin(&w);
	w.mm->zeroed = true;
	unit_worker_start();
	xv = xen_vm(w.kvm);
	mutex_init(&xv->lock);
	kvm_gpc_init_live(&xv->shinfo, w.kvm);
	xv->long_mode = wide;
	EXPECT_EQ(xen_events_make(w.kvm), 0);
	while (vcpus--)
		vcpu_info_set(unit_vcpu_create(w.kvm, w.kvm->nr_vcpus), true);
	shinfo_set(true);
}

static inline void xen_gone(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	xen_events_stop(kvm);
	kvm_for_each_vcpu(i, vcpu, kvm)
		unit_vcpu_destroy(vcpu);
	kvm_gpc_deactivate(&xen_vm(kvm)->shinfo);
	xen_events_free(kvm);
}

static inline void xen_end(void)
{
	unit_vm_destroy(w.kvm, xen_gone);
	unit_worker_stop();
	unit_mm_destroy(w.mm);
	current->mm = NULL;
}

static inline bool worker_idle(void *unused)
{
	return unit_work_idle();
}

/* All that was to be done later is done, in all its steps, and nobody tries again. */
static inline void expect_worker_idle(void)
{
	EXPECT(unit_wait_until(worker_idle, NULL, 5000));
}

/* What the guest sees. */
static inline void *guest_ptr(unsigned long hva)
{
	return unit_mm_page(w.mm, hva)->mem + (hva & ~PAGE_MASK);
}

static inline void *guest_shinfo(void)
{
	return guest_ptr(SHINFO_HVA);
}

static inline void *guest_vi(int i)
{
	return guest_ptr(SLOT_HVA + VI_PAGE(i) + VI_OFFSET);
}

static inline u32 *guest_pending(u32 port)
{
	return guest_shinfo() + 0x800 + port / 32 * 4;
}

static inline u32 *guest_mask(u32 port)
{
	return guest_shinfo() + (xen_vm(w.kvm)->long_mode ? 0xa00 : 0x880) +
	       port / 32 * 4;
}

static inline bool guest_bit(u32 *word, u32 nr)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST) >> nr % 32 & 1;
}

/* The selector of a port, in its vCPU's vcpu_info. */
static inline bool guest_told(int i, u32 port)
{
	bool wide = xen_vm(w.kvm)->long_mode;
	u32 sel = port / (wide ? 64 : 32);

	return guest_bit(guest_vi(i) + (wide ? 8 : 4) + sel / 32 * 4, sel);
}

#endif
