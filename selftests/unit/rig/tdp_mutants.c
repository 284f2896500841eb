// SPDX-License-Identifier: GPL-2.0
/*
 * Mutants of the TDP MMU: the linker leads some of its files' calls of each other
 * through here (--wrap), as in rig/mutants.c. What is under them (exchanges, flushes,
 * counts) goes wrong in rig/tdp.c.
 */
#include "mmu.h"
#include "mmu_internal.h"
#include "dirty.h"
#include "invalidate.h"
#include "nx.h"
#include "pass.h"
#include "roots.h"
#include "tables.h"
#include "walk.h"
#include "zap.h"
#include "tdp_mmu.h"

void __real_tdp_pass_open(struct tdp_pass *p);
bool __real_tdp_pass_wanted(struct tdp_pass *p);
void __real_tdp_walk_next(struct tdp_walk *w);
void __real_tdp_table_linked(struct kvm *kvm, struct kvm_mmu_page *sp);
void __real_tdp_zap_gfns(struct kvm *kvm, bool only_valid, gfn_t start, gfn_t end);
void __real_tdp_nx_unlinked(struct kvm *kvm, struct kvm_mmu_page *sp);
void __real_tdp_log_installed(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot,
			      gfn_t gfn, u64 spte, u32 position);
void __real_tdp_zap_begin(struct tdp_pass *p, struct kvm *kvm, bool may_block);
bool __real_kvm_tdp_mmu_retry_gfn(struct kvm *kvm, unsigned long seq, gfn_t gfn);
bool __real_tdp_inflight_overlaps(struct kvm *kvm, gfn_t start, gfn_t end);
struct kvm_mmu_page *__real_tdp_root_next(struct kvm *kvm, struct kvm_mmu_page *prev,
					  int as_id, bool only_valid);

void __wrap_tdp_pass_open(struct tdp_pass *p);
bool __wrap_tdp_pass_wanted(struct tdp_pass *p);
void __wrap_tdp_walk_next(struct tdp_walk *w);
void __wrap_tdp_table_linked(struct kvm *kvm, struct kvm_mmu_page *sp);
void __wrap_tdp_zap_gfns(struct kvm *kvm, bool only_valid, gfn_t start, gfn_t end);
void __wrap_tdp_nx_unlinked(struct kvm *kvm, struct kvm_mmu_page *sp);
void __wrap_tdp_log_installed(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot,
			      gfn_t gfn, u64 spte, u32 position);
void __wrap_tdp_zap_begin(struct tdp_pass *p, struct kvm *kvm, bool may_block);
bool __wrap_kvm_tdp_mmu_retry_gfn(struct kvm *kvm, unsigned long seq, gfn_t gfn);
bool __wrap_tdp_inflight_overlaps(struct kvm *kvm, gfn_t start, gfn_t end);
struct kvm_mmu_page *__wrap_tdp_root_next(struct kvm *kvm, struct kvm_mmu_page *prev,
					  int as_id, bool only_valid);

void __wrap_tdp_pass_open(struct tdp_pass *p)
{
	if (!unit_mutants.unsettled_unseen)
		__real_tdp_pass_open(p);
}

unsigned long unit_mmu_wanted_asked;

bool __wrap_tdp_pass_wanted(struct tdp_pass *p)
{
	__atomic_fetch_add(&unit_mmu_wanted_asked, 1, __ATOMIC_RELAXED);
	return __real_tdp_pass_wanted(p);
}

void __wrap_tdp_walk_next(struct tdp_walk *w)
{
	__real_tdp_walk_next(w);
	if (unit_mutants.walk_skips && w->sptep && unit_now_and_then(64))
		__real_tdp_walk_next(w);
}

void __wrap_tdp_table_linked(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	if (!unit_mutants.table_uncounted || !unit_now_and_then(4))
		__real_tdp_table_linked(kvm, sp);
}

void __wrap_tdp_zap_gfns(struct kvm *kvm, bool only_valid, gfn_t start, gfn_t end)
{
	if (!unit_mutants.zap_nothing || !unit_now_and_then(4))
		__real_tdp_zap_gfns(kvm, only_valid, start, end);
}

void __wrap_tdp_nx_unlinked(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	if (!unit_mutants.nx_untracked)
		__real_tdp_nx_unlinked(kvm, sp);
}

void (*unit_mmu_unmaps)(void);

/* Of an unmap: other zaps begin where they are. */
void __wrap_tdp_zap_begin(struct tdp_pass *p, struct kvm *kvm, bool may_block)
{
	if (unit_mmu_unmaps)
		unit_mmu_unmaps();
	__real_tdp_zap_begin(p, kvm, may_block);
}

bool __wrap_kvm_tdp_mmu_retry_gfn(struct kvm *kvm, unsigned long seq, gfn_t gfn)
{
	return !unit_mutants.retry_never &&
	       __real_kvm_tdp_mmu_retry_gfn(kvm, seq, gfn);
}

bool __wrap_tdp_inflight_overlaps(struct kvm *kvm, gfn_t start, gfn_t end)
{
	return !unit_mutants.overlaps_never &&
	       __real_tdp_inflight_overlaps(kvm, start, end);
}

struct kvm_mmu_page *__wrap_tdp_root_next(struct kvm *kvm, struct kvm_mmu_page *prev,
					  int as_id, bool only_valid)
{
	return __real_tdp_root_next(kvm, prev, unit_mutants.smm_passed_over &&
				    as_id == 1 ? 0 : as_id, only_valid);
}

void __wrap_tdp_log_installed(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot,
			      gfn_t gfn, u64 spte, u32 position)
{
	if (!unit_mutants.log_unlooked)
		__real_tdp_log_installed(vcpu, slot, gfn, spte, position);
}
