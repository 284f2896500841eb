/* SPDX-License-Identifier: GPL-2.0 */
/* A VM whose guests' memory the TDP MMU maps, as mmu.c and kvm_main.c have it. */
#ifndef _UNIT_TDP_H
#define _UNIT_TDP_H

#include <linux/kvm_host.h>
#include "rig/host.h"

enum unit_format {
	UNIT_NPT,
	UNIT_EPT,		/* with A/D bits, writes logged by permission */
	UNIT_EPT_PML,		/* with A/D bits, and a log that processors keep */
	UNIT_EPT_NO_AD,
	UNIT_FORMATS,
};
extern enum unit_format unit_format;

struct kvm *unit_mmu_vm_create(struct mm_struct *mm, enum unit_format format);
/* Fails if anything is still counted, or was counted wrong. */
void unit_mmu_vm_destroy(struct kvm *kvm);
/* Nobody is at work: is everything counted that is there? */
void unit_mmu_count(struct kvm *kvm);

/* As unit_notifier_register, for a VM with a TDP MMU. */
int unit_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);
/* A vCPU without a root, whose tables have four levels and Accessed and Dirty bits. */
void unit_mmu_vcpu_init(struct kvm_vcpu *vcpu, struct kvm *kvm, int id);
/* TLB flushes of all processors so far; atomic. */
extern unsigned long unit_mmu_flushes;
/* How often somebody at work on the tables has asked who waits; atomic. */
extern unsigned long unit_mmu_wanted_asked;
/* A guest's memory caches, and its roots. */
void unit_mmu_topup(struct kvm_vcpu *vcpu);
void unit_mmu_drop_caches(struct kvm_vcpu *vcpu);
void unit_mmu_put_root(struct kvm_vcpu *vcpu, hpa_t *root);
int unit_mmu_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 err);

/* What KVM's ioctls and its own threads do, with the locks that they hold. */
void unit_mmu_zap_all_fast(struct kvm *kvm);
/* A turn; true if there was anything to recover. One table in unit_nx_ratio goes. */
bool unit_mmu_recover_nx(struct kvm *kvm);
extern unsigned int unit_nx_ratio;
/* How many tables of shadow pages the base would have dropped at its last turn. */
extern unsigned long unit_nx_of_base;
void unit_mmu_age(struct kvm *kvm, gfn_t start, gfn_t end, bool clear);
/* @all: every page counts as written to at first, and none is watched yet. */
void unit_mmu_log_writes(struct kvm *kvm, bool on, bool all);
/*
 * Read the log and begin another; checks that no write is missing. As the ioctls do it,
 * or @locked, with mmu_lock held for write, as shadow pages have it.
 */
void unit_mmu_read_log(struct kvm *kvm, bool locked);
/* Pages that are logged and not read yet; no guest runs. */
unsigned long unit_mmu_nr_logged(struct kvm *kvm);
/* Writes are logged in a ring of each vCPU; before there are any. */
void unit_mmu_use_rings(struct kvm *kvm);
/* Called when a page has been logged; whoever logs it may hold anything. */
extern void (*unit_mmu_logged)(void);
/* Called when an unmap is listed, and has dropped nothing yet. */
extern void (*unit_mmu_unmaps)(void);
/* Called before TLBs are flushed; whoever has them flushed may hold anything. */
extern void (*unit_mmu_flush_due)(void);
/* As when writes are not logged any more. */
void unit_mmu_recover_huge(struct kvm *kvm);
/* Called when KVM has asked how large the host's page is. */
extern void (*unit_mmu_level_asked)(void);
void unit_mmu_split(struct kvm *kvm, gfn_t start, gfn_t end);
/* No write to a page gets through between these two. */
void unit_mmu_track(struct kvm *kvm, gfn_t gfn);
void unit_mmu_untrack(struct kvm *kvm, gfn_t gfn);
bool unit_mmu_tracked(gfn_t gfn);
/* All of a range becomes private, or shared; @between is called while nobody is there. */
void unit_mmu_set_attrs(struct kvm *kvm, gfn_t start, gfn_t end, bool private,
			void (*between)(void));
bool unit_mmu_attr_open(gfn_t gfn);
/* A guest has written. */
void unit_mmu_written(gfn_t gfn);

extern int nx_huge_pages;

#endif
