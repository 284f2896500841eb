// SPDX-License-Identifier: GPL-2.0
/*
 * Mutants of the design. The caches' own files are compiled as they are; the
 * linker leads their calls of each other through here (--wrap), and a planted test
 * has one of them go wrong. Each must be found by a test that was written for the
 * promise, not for the mutant.
 */
#include "pfncache/pfncache.h"
#include "rig/rig.h"

bool __real_gpc_must_wait(struct gpc_manager *m, unsigned long uhva,
			  bool sleeps, bool *dead);
bool __real_gpc_index_any(struct gpc_manager *m, unsigned long start,
			  unsigned long end);
void __real_gpc_index_invalidate(struct gpc_manager *m, unsigned long start,
				 unsigned long end);
void __real_gpc_unmap(kvm_pfn_t pfn, void *khva);
int __real_gpc_index_insert(struct gpc_manager *m,
			    struct gfn_to_pfn_cache *gpc);
int __real_gpc_map(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc,
		   kvm_pfn_t old_pfn, void *old_khva);

void __real_gpc_take_end(struct gpc_manager *m, bool was_live);
bool __real___kvm_gpc_read_begin(struct kvm *kvm);

bool __wrap_gpc_must_wait(struct gpc_manager *m, unsigned long uhva,
			  bool sleeps, bool *dead);
bool __wrap_gpc_index_any(struct gpc_manager *m, unsigned long start,
			  unsigned long end);
void __wrap_gpc_index_invalidate(struct gpc_manager *m, unsigned long start,
				 unsigned long end);
void __wrap_gpc_unmap(kvm_pfn_t pfn, void *khva);
int __wrap_gpc_index_insert(struct gpc_manager *m,
			    struct gfn_to_pfn_cache *gpc);
int __wrap_gpc_map(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc,
		   kvm_pfn_t old_pfn, void *old_khva);
void __wrap_gpc_take_end(struct gpc_manager *m, bool was_live);
bool __wrap___kvm_gpc_read_begin(struct kvm *kvm);

bool __wrap_gpc_must_wait(struct gpc_manager *m, unsigned long uhva,
			  bool sleeps, bool *dead)
{
	bool wait = __real_gpc_must_wait(m, uhva, sleeps, dead);

	return wait && !unit_mutants.wait_never;
}

bool __wrap_gpc_index_any(struct gpc_manager *m, unsigned long start,
			  unsigned long end)
{
	if (unit_mutants.any_never)
		return false;
	if (unit_mutants.any_one_page)
		end = start + 1;
	return __real_gpc_index_any(m, start, end);
}

void __wrap_gpc_index_invalidate(struct gpc_manager *m, unsigned long start,
				 unsigned long end)
{
	XA_STATE(xas, &m->index, start >> PAGE_SHIFT);
	struct gfn_to_pfn_cache *gpc;

	if (!unit_mutants.invalidate_nothing)
		__real_gpc_index_invalidate(m, start, end);
	if (!unit_mutants.live_kept)
		return;

	/* As if live had been forgotten: the first cache of each page will do. */
	xas_lock(&xas);
	xas_for_each_marked(&xas, gpc, (end - 1) >> PAGE_SHIFT, GPC_INDEXED)
		WRITE_ONCE(gpc->live, gpc->khva);
	xas_unlock(&xas);
}

void __wrap_gpc_unmap(kvm_pfn_t pfn, void *khva)
{
	if (!unit_mutants.unmap_nothing)
		__real_gpc_unmap(pfn, khva);
}

int __wrap_gpc_index_insert(struct gpc_manager *m,
			    struct gfn_to_pfn_cache *gpc)
{
	int r = __real_gpc_index_insert(m, gpc);

	return unit_mutants.insert_unheard ? 0 : r;
}

int __wrap_gpc_map(struct gpc_manager *m, struct gfn_to_pfn_cache *gpc,
		   kvm_pfn_t old_pfn, void *old_khva)
{
	int r = __real_gpc_map(m, gpc, old_pfn, old_khva);

	return unit_mutants.map_unheard ? 0 : r;
}

void __wrap_gpc_take_end(struct gpc_manager *m, bool was_live)
{
	if (m && (unit_mutants.quiesce_nothing ||
		  (unit_mutants.taken_unheard && !was_live)))
		atomic_dec_return_release(&m->quiescing);
	else
		__real_gpc_take_end(m, was_live);
}

bool __wrap___kvm_gpc_read_begin(struct kvm *kvm)
{
	return !unit_mutants.reader_unknown && __real___kvm_gpc_read_begin(kvm);
}
