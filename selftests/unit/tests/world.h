/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world most tests begin with: one mm, one VM, memslot 0, and 1024 pages
 * that no memslot covers.
 */
#ifndef _UNIT_WORLD_H
#define _UNIT_WORLD_H

#ifndef UNIT_STOCK
#include <pfncache/gpc_live.h>
#endif
#include <stdlib.h>
#include <linux/kvm_host.h>
#include "rig/kvm.h"
#include "rig/lock.h"
#include "rig/tap.h"
#include "rig/wait.h"

#define SLOT_GFN	0x100UL
#define SLOT_PAGES	6144UL
#define SLOT_HVA	UNIT_UADDR
#define SLOT_GPA	(SLOT_GFN << PAGE_SHIFT)
#define FREE_HVA	(UNIT_UADDR + 8192 * PAGE_SIZE)	/* in no memslot */
#define FREE_PAGES	1024UL
#define IO_HVA		(UNIT_UADDR + 12288 * PAGE_SIZE)
#define IO_GFN		0x10000UL
#define IO_PAGES	8UL
#define NOWHERE_HVA	(UNIT_UADDR + 14000 * PAGE_SIZE) /* not mapped */

struct world {
	struct mm_struct *mm;
	struct kvm *kvm;
};

static inline void world_begin(struct world *w)
{
	w->mm = unit_mm_create();
	current->mm = w->mm;
	unit_mm_map(w->mm, SLOT_HVA, SLOT_PAGES, false);
	unit_mm_map(w->mm, FREE_HVA, FREE_PAGES, false);
	unit_mm_map(w->mm, IO_HVA, IO_PAGES, true);
	w->kvm = unit_vm_create(w->mm);
	EXPECT(w->kvm);
	unit_slot_set(w->kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA, 0);
}

static inline void world_end(struct world *w)
{
	unit_vm_destroy(w->kvm, NULL);
	unit_mm_destroy(w->mm);
	current->mm = NULL;
}

static inline struct gfn_to_pfn_cache *gpc_new(struct world *w)
{
	struct gfn_to_pfn_cache *gpc = calloc(1, sizeof(*gpc));

#ifdef UNIT_STOCK
	kvm_gpc_init(gpc, w->kvm);
#else
	kvm_gpc_init_live(gpc, w->kvm);
#endif
	return gpc;
}

/* As the last user of a cache: it may be freed once deactivate() is back. */
static inline void gpc_gone(struct gfn_to_pfn_cache *gpc)
{
	kvm_gpc_deactivate(gpc);
	unit_lock_destroy(&gpc->lock.id, UNIT_HERE);
	mutex_destroy(&gpc->refresh_lock);
	free(gpc);
}

static inline int activate(struct gfn_to_pfn_cache *gpc, gpa_t gpa,
			   unsigned long len)
{
	int idx = srcu_read_lock(&gpc->kvm->srcu);
	int r = kvm_gpc_activate(gpc, gpa, len);

	srcu_read_unlock(&gpc->kvm->srcu, idx);
	return r;
}

static inline int activate_hva(struct gfn_to_pfn_cache *gpc, unsigned long hva,
			       unsigned long len)
{
	int idx = srcu_read_lock(&gpc->kvm->srcu);
	int r = kvm_gpc_activate_hva(gpc, hva, len);

	srcu_read_unlock(&gpc->kvm->srcu, idx);
	return r;
}

static inline int refresh(struct gfn_to_pfn_cache *gpc, unsigned long len)
{
	int idx = srcu_read_lock(&gpc->kvm->srcu);
	int r = kvm_gpc_refresh(gpc, len);

	srcu_read_unlock(&gpc->kvm->srcu, idx);
	return r;
}

/* Check, and if it says so access, as every reader does. */
static inline bool usable_for(struct gfn_to_pfn_cache *gpc, unsigned long len)
{
	int idx = srcu_read_lock(&gpc->kvm->srcu);
	unsigned long flags;
	bool ok;

	read_lock_irqsave(&gpc->lock, flags);
	ok = kvm_gpc_check(gpc, len);
	if (ok)
		unit_touch(gpc->khva, gpc->uhva, true);
	read_unlock_irqrestore(&gpc->lock, flags);
	srcu_read_unlock(&gpc->kvm->srcu, idx);
	return ok;
}

static inline bool usable(struct gfn_to_pfn_cache *gpc)
{
	return usable_for(gpc, 8);
}

static inline bool somebody_sleeps(void *n)
{
	return unit_sleepers() >= (unsigned long)n;
}

/* Wait until @n tasks are asleep in wait queues. */
static inline void expect_sleepers(unsigned long n)
{
	EXPECT(unit_wait_until(somebody_sleeps, (void *)n,
			       unit_mutants.wait_does_not_wait ? 200 : 5000));
}

/* A refresh or the like in a task of its own. */
struct bg {
	struct gfn_to_pfn_cache *gpc;
	struct unit_thread *thread;
	int ret;
	bool done;
};

static inline void bg_refresh_main(void *arg)
{
	struct bg *b = arg;

	b->ret = refresh(b->gpc, 8);
	__atomic_store_n(&b->done, true, __ATOMIC_RELEASE);
}

static inline void bg_refresh(struct bg *b, struct world *w,
			      struct gfn_to_pfn_cache *gpc)
{
	b->gpc = gpc;
	b->done = false;
	b->thread = unit_thread_start("refresher", w->mm, bg_refresh_main, b);
}

static inline bool bg_done(struct bg *b)
{
	return __atomic_load_n(&b->done, __ATOMIC_ACQUIRE);
}

static inline int bg_wait(struct bg *b)
{
	unit_thread_join(b->thread);
	return b->ret;
}

#endif
