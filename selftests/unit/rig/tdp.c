// SPDX-License-Identifier: GPL-2.0
/*
 * custom: what stands around the TDP MMU in mmu.c and kvm_main.c, by the rules that it
 * depends on: when a fault is stale, who holds what at which call, who flushes; how
 * large a page may be, which pages writes are logged of and which are tracked.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <linux/atomic.h>
#include "mmu.h"
#include "x86.h"
#include "mmu_internal.h"
#include "spte.h"
#include "attributes.h"
#include "tdp_mmu.h"
#include "rig/guest.h"
#include "rig/kvm.h"
#include "rig/tap.h"

int kvm_gpc_mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);
void kvm_mmu_spte_module_init(void);

/* As many as a memslot with a page of 1G has. */
#define LOG_WORDS_MAX	(4096 + 1)
#define LOG_WORDS	((host_layout.pages + 63) / 64)

struct unit_host kvm_host;
struct unit_x86_ops kvm_x86_ops;
bool tdp_enabled = true, tdp_mmu_enabled, eager_page_split = true;
int nx_huge_pages;
enum unit_format unit_format;

static struct kmem_cache header_cache = { .size = sizeof(struct kvm_mmu_page) };
struct kmem_cache *mmu_page_header_cache = &header_cache;

/* By page of the memslot, atomic; and by page of the guests'. */
static unsigned long bitmap[LOG_WORDS_MAX], report[LOG_WORDS_MAX];
static unsigned long writes[HOST_PAGES], writes_checked[HOST_PAGES];
static bool track_wanted[HOST_PAGES], track_done[HOST_PAGES];
static long table_pages;

/* Pages are tracked in the first address space, as in the base in each for itself. */
static bool is_tracked(const struct kvm_memory_slot *slot, unsigned long i)
{
	return !slot->as_id && __atomic_load_n(&track_wanted[i], __ATOMIC_RELAXED);
}

static bool logged(const unsigned long *words, unsigned long i)
{
	return __atomic_load_n(&words[i / 64], __ATOMIC_ACQUIRE) >> i % 64 & 1;
}

/* Entries of page tables. */

bool unit_spte_cmpxchg(u64 *p, u64 *old, u64 new)
{
	if (unit_mutants.spte_stored) {
		u64 now = __atomic_load_n(p, __ATOMIC_SEQ_CST);

		if (now != *old) {
			*old = now;
			return false;
		}
		if (unit_now_and_then(2))
			sched_yield();
		__atomic_store_n(p, new, __ATOMIC_SEQ_CST);
		return true;
	}
	return __atomic_compare_exchange_n(p, old, new, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

void kvm_update_page_stats(struct kvm *kvm, int level, int count)
{
	if (unit_mutants.stats_dropped && count < 0 && unit_now_and_then(4))
		return;
	atomic64_add(count, &kvm->stat.pages[level - 1]);
}

void kvm_account_pgtable_pages(void *virt, int nr)
{
	__atomic_fetch_add(&table_pages, nr, __ATOMIC_RELAXED);
}

/* Requests to processors. */

static void wait_out(struct guest *g)
{
	u64 seen = __atomic_load_n(&g->mode, __ATOMIC_SEQ_CST);

	if (!(seen % 2))
		return;
	while (__atomic_load_n(&g->mode, __ATOMIC_ACQUIRE) == seen)
		sched_yield();
}

bool kvm_make_all_cpus_request(struct kvm *kvm, unsigned int req)
{
	int n = __atomic_load_n(&kvm->nr_vcpus, __ATOMIC_ACQUIRE);

	for (int i = 0; i < n; i++)
		__atomic_fetch_or(&kvm->vcpus[i]->requests, BIT(req),
				  __ATOMIC_SEQ_CST);
	for (int i = 0; i < n; i++)
		wait_out((struct guest *)kvm->vcpus[i]);
	return true;
}

unsigned long unit_mmu_flushes;
void (*unit_mmu_flush_due)(void);

void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	if (unit_mmu_flush_due)
		unit_mmu_flush_due();
	__atomic_fetch_add(&unit_mmu_flushes, 1, __ATOMIC_RELAXED);
	if (unit_mutants.flush_lost && unit_now_and_then(4))
		return;
	kvm_make_all_cpus_request(kvm, KVM_REQ_TLB_FLUSH);
}

void kvm_flush_remote_tlbs_range(struct kvm *kvm, gfn_t gfn, u64 nr_pages)
{
	kvm_flush_remote_tlbs(kvm);
}

/* How large a page may be. */

static bool attr[HOST_PAGES], attr_open[HOST_PAGES];	/* atomic */
/* mmu_lock: huge pages that must not be, and those of both kinds. */
static int lpage_disallowed[HOST_REGIONS + 1];
static bool lpage_mixed[HOST_REGIONS + 1];

/* With pages of 1G nothing is private. */
static bool attr_of(gfn_t gfn)
{
	return !host_layout.giga &&
	       __atomic_load_n(&attr[host_index(gfn)], __ATOMIC_ACQUIRE);
}

bool unit_mmu_attr_open(gfn_t gfn)
{
	return __atomic_load_n(&attr_open[host_index(gfn)], __ATOMIC_ACQUIRE);
}

static int max_level(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	int level = host_level(gfn);

	if (gfn_round_for_level(gfn, level) + KVM_PAGES_PER_HPAGE(level) >
	    slot->base_gfn + slot->npages)
		return PG_LEVEL_4K;
	/* Attributes are of a region, and of all that lies in one page with it. */
	for (unsigned long r = 0; r < HOST_REGIONS; r++)
		while ((lpage_disallowed[r] || lpage_mixed[r]) && level > PG_LEVEL_4K &&
		       gfn_round_for_level(host_gfn(r * HOST_REGION), level) ==
		       gfn_round_for_level(gfn, level))
			level--;
	for (unsigned long i = 0; i < HOST_PAGES && level > PG_LEVEL_4K; i++)
		while (is_tracked(slot, i) &&
		       gfn_round_for_level(host_gfn(i), level) ==
		       gfn_round_for_level(gfn, level))
			if (--level == PG_LEVEL_4K)
				break;
	return level;
}

void (*unit_mmu_level_asked)(void);

int kvm_mmu_max_mapping_level(struct kvm *kvm, const struct kvm_memory_slot *slot,
			      gfn_t gfn, int limit)
{
	int level = min(limit, max_level(slot, gfn));

	if (unit_mmu_level_asked)
		unit_mmu_level_asked();
	return level;
}

void kvm_mmu_hugepage_adjust(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	gfn_t below;

	fault->huge_page_disallowed = fault->exec &&
				      fault->nx_huge_page_workaround_enabled;
	if (!fault->slot || is_error_noslot_pfn(fault->pfn) ||
	    kvm_slot_dirty_track_enabled(fault->slot))
		return;
	fault->req_level = kvm_mmu_max_mapping_level(vcpu->kvm, fault->slot,
						     fault->gfn, fault->max_level);
	if (fault->req_level == PG_LEVEL_4K || fault->huge_page_disallowed)
		return;
	fault->goal_level = fault->req_level;
	below = KVM_PAGES_PER_HPAGE(fault->goal_level) - 1;
	for (gfn_t gfn = fault->gfn & ~below;
	     !host_layout.giga && gfn <= (fault->gfn | below); gfn++)
		if (attr_of(gfn) != fault->is_private)
			unit_fail("attr", "gfn %#llx is in a huge page of mixed attributes",
				  (unsigned long long)gfn);
	if ((fault->gfn & below) != (fault->pfn & below))
		unit_fail("use", "gfn %#llx: pfn %#llx is not in a huge page any more",
			  (unsigned long long)fault->gfn,
			  (unsigned long long)fault->pfn);
	fault->pfn &= ~below;
}

void disallowed_hugepage_adjust(struct kvm_page_fault *fault, u64 spte, int level)
{
	if (level == PG_LEVEL_4K || level != fault->goal_level ||
	    !is_shadow_present_pte(spte) || is_large_pte(spte) ||
	    !data_race(spte_to_child_sp(spte)->nx_huge_page_disallowed))
		return;
	fault->pfn |= fault->gfn & (KVM_PAGES_PER_HPAGE(level) -
				    KVM_PAGES_PER_HPAGE(level - 1));
	fault->goal_level--;
}

int mmu_try_to_unsync_pages(struct kvm *kvm, const struct kvm_memory_slot *slot,
			    gfn_t gfn, bool can_unsync, bool prefetch)
{
	return is_tracked(slot, host_index(gfn));
}

static u8 memory_type(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio)
{
	return 6 << VMX_EPT_MT_EPTE_SHIFT;	/* write-back */
}

/* Writes: the log, and those that must not happen. */

void (*unit_mmu_logged)(void);

/* The vCPU is loaded where its thread is. */
static void push(struct kvm_vcpu *vcpu, u32 slot, u64 offset)
{
	__atomic_store_n(&vcpu->cpu, current->slot, __ATOMIC_RELEASE);
	kvm_tdp_mmu_ring_push(vcpu, slot, offset);
}

void mark_page_dirty_in_slot(struct kvm *kvm, const struct kvm_memory_slot *slot,
			     gfn_t gfn)
{
	unsigned long i = gfn - HOST_GFN;

	if (unit_mutants.log_untold && unit_now_and_then(4))
		return;
	if (slot && kvm_slot_dirty_track_enabled(slot)) {
		if (kvm->dirty_ring_size)
			push(kvm_get_running_vcpu(), slot->id, i);
		else
			__atomic_fetch_or(&bitmap[i / 64], 1ull << i % 64,
					  __ATOMIC_SEQ_CST);
	}
	/* The log may be read before the page can be written to. */
	if (unit_mmu_logged)
		unit_mmu_logged();
	else if (unit_now_and_then(16))
		sched_yield();
}

void unit_mmu_written(gfn_t gfn)
{
	__atomic_fetch_add(&writes[host_index(gfn)], 1, __ATOMIC_RELEASE);
}

bool unit_mmu_tracked(gfn_t gfn)
{
	return __atomic_load_n(&track_done[host_index(gfn)], __ATOMIC_ACQUIRE);
}

static struct kvm_memory_slot *the_slot(struct kvm *kvm)
{
	return __gfn_to_memslot(kvm_memslots(kvm), HOST_GFN);
}

void unit_mmu_track(struct kvm *kvm, gfn_t gfn)
{
	int idx = srcu_read_lock(&kvm->srcu);

	write_lock(&kvm->mmu_lock);
	__atomic_store_n(&track_wanted[host_index(gfn)], true, __ATOMIC_RELAXED);
	if (kvm_tdp_mmu_write_protect_gfn(kvm, the_slot(kvm), gfn, PG_LEVEL_4K))
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
	__atomic_store_n(&track_done[host_index(gfn)], true, __ATOMIC_RELEASE);
}

void unit_mmu_untrack(struct kvm *kvm, gfn_t gfn)
{
	__atomic_store_n(&track_done[host_index(gfn)], false, __ATOMIC_RELEASE);
	write_lock(&kvm->mmu_lock);
	__atomic_store_n(&track_wanted[host_index(gfn)], false, __ATOMIC_RELAXED);
	write_unlock(&kvm->mmu_lock);
}

static bool logging;	/* slots_lock */

/* The processors' own logs are with us, up to now. */
static void collect(struct kvm *kvm)
{
	kvm_make_all_cpus_request(kvm, KVM_REQ_EXIT);
}

void unit_mmu_recover_huge(struct kvm *kvm)
{
	mutex_lock(&kvm->slots_lock);
	read_lock(&kvm->mmu_lock);
	kvm_tdp_mmu_zap_collapsible_sptes(kvm, the_slot(kvm));
	read_unlock(&kvm->mmu_lock);
	mutex_unlock(&kvm->slots_lock);
}

void unit_mmu_log_writes(struct kvm *kvm, bool on, bool all)
{
	struct kvm_memory_slot *slot;

	for (unsigned long i = 0; on && i < LOG_WORDS * 64; i++)
		if (all && i < host_layout.pages)
			set_bit(i, bitmap);
		else
			clear_bit(i, bitmap);
	/* What is dirty at first need not be watched yet. */
	if (on)
		kvm->manual_dirty_log_protect = all ? KVM_DIRTY_LOG_INITIALLY_SET : 0;
	unit_slot_set(kvm, 0, HOST_GFN, host_layout.pages, HOST_HVA,
		      on ? KVM_MEM_LOG_DIRTY_PAGES : 0);
	atomic_set(&kvm->nr_memslots_dirty_logging, on);
	mutex_lock(&kvm->slots_lock);
	slot = the_slot(kvm);
	read_lock(&kvm->mmu_lock);
	if (!on) {
		kvm_tdp_mmu_zap_collapsible_sptes(kvm, slot);
	} else if (all) {
		;
	} else if (kvm_x86_ops.cpu_dirty_log_size) {
		kvm_tdp_mmu_clear_dirty_slot(kvm, slot);
		kvm_tdp_mmu_wrprot_slot(kvm, slot, PG_LEVEL_2M);
	} else {
		kvm_tdp_mmu_wrprot_slot(kvm, slot, PG_LEVEL_4K);
	}
	read_unlock(&kvm->mmu_lock);
	if (on) {
		kvm_flush_remote_tlbs(kvm);
		for (unsigned long i = 0; i < HOST_PAGES; i++)
			writes_checked[i] = __atomic_load_n(&writes[i],
							    __ATOMIC_ACQUIRE);
	}
	logging = on;
	mutex_unlock(&kvm->slots_lock);
}

/*
 * Faults without mmu_lock. As in the base, one makes the entry writable first and logs
 * the page then, before its vCPU goes on; another vCPU may write in between.
 */
static int fast_faults;

void kvm_arch_mmu_enable_log_dirty_pt_masked(struct kvm *kvm,
					     struct kvm_memory_slot *slot,
					     gfn_t offset, unsigned long mask)
{
	gfn_t gfn = slot->base_gfn + offset;
	gfn_t start = gfn + __ffs(mask), last = gfn + __fls(mask);

	if (kvm_dirty_log_manual_protect_and_init_set(kvm)) {
		if (eager_page_split)
			kvm_tdp_mmu_try_split_huge_pages(kvm, slot, start, last + 1,
							 PG_LEVEL_4K, false);
		kvm_tdp_mmu_write_protect_gfn(kvm, slot, start, PG_LEVEL_2M);
		kvm_tdp_mmu_write_protect_gfn(kvm, slot, last, PG_LEVEL_2M);
	}
	kvm_tdp_mmu_clear_dirty_pt_masked(kvm, slot, gfn, mask,
					  !kvm_x86_ops.cpu_dirty_log_size);
}

/* Take pages out of the log and watch them, mmu_lock held for write or not at all. */
static bool take_log(struct kvm *kvm, bool locked)
{
	bool any = false;

	for (unsigned long n = 0; n < LOG_WORDS; n++) {
		report[n] = __atomic_exchange_n(&bitmap[n], 0, __ATOMIC_SEQ_CST);
		if (!report[n])
			continue;
		any = true;
		if (locked)
			kvm_arch_mmu_enable_log_dirty_pt_masked(kvm, the_slot(kvm),
								n * 64, report[n]);
		else
			kvm_tdp_mmu_log_pages(kvm, the_slot(kvm), n * 64,
					      report[n]);
	}
	return any;
}

/* Dirty rings: what the VMM does with them, in its own time. */

void unit_mmu_use_rings(struct kvm *kvm)
{
	kvm->dirty_ring_size = 32768 * sizeof(struct kvm_dirty_gfn);
}

static struct kvm_dirty_gfn *ring_entry(struct kvm_vcpu *vcpu, u32 n)
{
	return &vcpu->dirty_ring.dirty_gfns[n & (vcpu->dirty_ring.size - 1)];
}

/* Pages in rings, from the first that was not harvested yet; @harvest them. */
static bool read_rings(struct kvm *kvm, unsigned long *words, bool harvest)
{
	static u32 harvested[UNIT_VCPUS];
	struct kvm_dirty_gfn *e;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	bool any = false;

	memset(words, 0, LOG_WORDS * sizeof(*words));
	kvm_for_each_vcpu(i, vcpu, kvm) {
		u32 n = harvested[i];

		while (e = ring_entry(vcpu, n),
		       __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) ==
		       KVM_DIRTY_GFN_F_DIRTY) {
			words[e->offset / 64] |= 1ull << e->offset % 64;
			any = true;
			n++;
			if (harvest)
				__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET,
						 __ATOMIC_RELEASE);
		}
		if (harvest)
			harvested[i] = n;
	}
	return any;
}

static bool take_rings(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int nr = 0;

	read_rings(kvm, report, true);
	kvm_for_each_vcpu(i, vcpu, kvm)
		nr += kvm_tdp_mmu_ring_reset(kvm, &vcpu->dirty_ring);
	return nr;
}

unsigned long unit_mmu_nr_logged(struct kvm *kvm)
{
	unsigned long nr = 0;

	collect(kvm);
	if (kvm->dirty_ring_size)
		read_rings(kvm, bitmap, false);
	for (unsigned long i = 0; i < LOG_WORDS; i++)
		nr += __builtin_popcountl(bitmap[i]);
	return nr;
}

void unit_mmu_read_log(struct kvm *kvm, bool locked)
{
	static unsigned long now[HOST_PAGES];
	bool any;

	mutex_lock(&kvm->slots_lock);
	if (!logging)
		goto out;
	collect(kvm);
	if (kvm->dirty_ring_size) {
		any = take_rings(kvm);
	} else if (locked) {
		write_lock(&kvm->mmu_lock);
		any = take_log(kvm, true);
		write_unlock(&kvm->mmu_lock);
	} else {
		any = take_log(kvm, false);
		kvm_tdp_mmu_log_end(kvm);
	}
	if (any)
		kvm_flush_remote_tlbs(kvm);

	/* What was written up to now is in this report or will be in the next. */
	for (unsigned long i = 0; i < HOST_PAGES; i++)
		now[i] = __atomic_load_n(&writes[i], __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&fast_faults, __ATOMIC_SEQ_CST))
		unit_relax();
	collect(kvm);
	if (kvm->dirty_ring_size)
		read_rings(kvm, bitmap, false);
	for (unsigned long i = 0; i < HOST_PAGES; i++) {
		unsigned long bit = host_gfn(i) - HOST_GFN;

		if (now[i] != writes_checked[i] && !logged(report, bit) &&
		    !logged(bitmap, bit))
			unit_fail("log", "gfn %#lx was written to, and is in no log",
				  (unsigned long)host_gfn(i));
		writes_checked[i] = now[i];
	}
out:
	mutex_unlock(&kvm->slots_lock);
}

void unit_mmu_split(struct kvm *kvm, gfn_t start, gfn_t end)
{
	bool shared = unit_now_and_then(2);

	mutex_lock(&kvm->slots_lock);
	if (shared)
		read_lock(&kvm->mmu_lock);
	else
		write_lock(&kvm->mmu_lock);
	kvm_tdp_mmu_try_split_huge_pages(kvm, the_slot(kvm), start, end,
					 PG_LEVEL_4K, shared);
	if (shared)
		read_unlock(&kvm->mmu_lock);
	else
		write_unlock(&kvm->mmu_lock);
	mutex_unlock(&kvm->slots_lock);
}

/* Faults. */

void unit_mmu_put_root(struct kvm_vcpu *vcpu, hpa_t *root)
{
	struct kvm *kvm = vcpu->kvm;

	read_lock(&kvm->mmu_lock);
	kvm_tdp_mmu_put_root(kvm, root_to_sp(*root));
	read_unlock(&kvm->mmu_lock);
	*root = INVALID_PAGE;
}

/* Without mmu_lock: give back what was taken to notice an access or a write. */
static bool __fast_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	u64 *sptep, old, new;
	bool fixed = false;
	int level;

	if (!fault->slot)
		return false;
	kvm_tdp_mmu_walk_lockless_begin();
	sptep = kvm_tdp_mmu_fast_pf_get_last_sptep(vcpu, fault->gfn, &old);
	unit_stall();
	/* Of a root the role changes, but for its level. */
	level = data_race((int)sptep_to_sp(sptep)->role.level);
	if (!is_shadow_present_pte(old) || !is_last_spte(old, level))
		goto out;
	new = old;
	if (!kvm_ad_enabled() && is_access_track_spte(old))
		new = restore_acc_track_spte(new);
	if (fault->write && is_mmu_writable_spte(old)) {
		/* A huge page that is logged is split first. */
		if (level > PG_LEVEL_4K &&
		    kvm_slot_dirty_track_enabled(fault->slot))
			goto out;
		new |= PT_WRITABLE_MASK;
	}
	if (fault->write ? !is_writable_pte(new) : new == old)
		goto out;
	if (fault->exec && !is_executable_pte(new))
		goto out;
	fixed = new == old ||
		__atomic_compare_exchange_n(sptep, &old, new, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	if (fixed && is_writable_pte(new) && !is_writable_pte(old))
		mark_page_dirty_in_slot(vcpu->kvm, fault->slot, fault->gfn);
out:
	kvm_tdp_mmu_walk_lockless_end();
	return fixed;
}

static bool fast_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	bool fixed;

	__atomic_fetch_add(&fast_faults, 1, __ATOMIC_SEQ_CST);
	fixed = __fast_fault(vcpu, fault);
	__atomic_fetch_sub(&fast_faults, 1, __ATOMIC_SEQ_CST);
	return fixed;
}

int kvm_tdp_page_fault(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_mmu_page *root;
	int r = RET_PF_RETRY;

	if (fault->slot && fault->present && fault->write &&
	    is_tracked(fault->slot, host_index(fault->gfn)))
		return RET_PF_WRITE_PROTECTED;
	if (fast_fault(vcpu, fault))
		return RET_PF_SPURIOUS;
	if (fault->slot && fault->slot->flags & KVM_MEMSLOT_INVALID)
		return RET_PF_RETRY;
	unit_mmu_topup(vcpu);

	fault->mmu_seq = READ_ONCE(kvm->mmu_invalidate_seq);
	smp_rmb();
	if (!fault->slot) {
		fault->pfn = KVM_PFN_NOSLOT;
		fault->map_writable = false;
	} else {
		if (mmu_invalidate_retry_gfn_unsafe(kvm, fault->mmu_seq, fault->gfn))
			return RET_PF_RETRY;
		/* Resolved by an attribute that it has now, or not at all. */
		if (attr_of(fault->gfn) != fault->is_private)
			return RET_PF_RETRY;
		fault->pfn = host_gup(fault->gfn, fault->write,
				      &fault->map_writable);
		if (unit_now_and_then(8))
			sched_yield();
		if (mmu_invalidate_retry_gfn_unsafe(kvm, fault->mmu_seq, fault->gfn))
			return RET_PF_RETRY;
	}

	read_lock(&kvm->mmu_lock);
	root = root_to_sp(vcpu->arch.mmu->root.hpa);
	if (!root->role.invalid &&
	    !(fault->slot &&
	      mmu_invalidate_retry_gfn(kvm, fault->mmu_seq, fault->gfn))) {
		if (fault->slot && attr_of(fault->gfn) != fault->is_private)
			unit_fail("attr", "gfn %#llx is mapped by an attribute that it has not",
				  (unsigned long long)fault->gfn);
		r = kvm_tdp_mmu_map(vcpu, fault);
	}
	read_unlock(&kvm->mmu_lock);
	return r;
}

int unit_mmu_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 err)
{
	gfn_t gfn = gpa >> PAGE_SHIFT;
	int emulation = 0;
	u8 level;

	if (gfn >= HOST_GFN && gfn < HOST_END && attr_of(gfn))
		err |= PFERR_PRIVATE_ACCESS;
	return kvm_mmu_do_page_fault(vcpu, gpa, err, false, &emulation, &level);
}

/* What KVM does of itself. */

void unit_mmu_zap_all_fast(struct kvm *kvm)
{
	mutex_lock(&kvm->slots_lock);
	write_lock(&kvm->mmu_lock);
	kvm_tdp_mmu_invalidate_all_roots(kvm);
	kvm_make_all_cpus_request(kvm, KVM_REQ_MMU_FREE_OBSOLETE_ROOTS);
	write_unlock(&kvm->mmu_lock);
	kvm_tdp_mmu_zap_invalidated_roots(kvm);
	mutex_unlock(&kvm->slots_lock);
}

/* Recovery of NX huge pages: the base's part of a turn, and the task that has it. */

#define nx_huge_pages_recovery_ratio	unit_nx_ratio
unsigned int unit_nx_ratio = 1;
unsigned long unit_nx_of_base;
static bool (*nx_work)(void *data);

static bool nx_turn(void *data)
{
	struct kvm *kvm = data;
	unsigned long nr = data_race(kvm->stat.nx_lpage_splits);

	write_lock(&kvm->mmu_lock);
	EXPECT(list_empty(&kvm->arch.possible_nx_huge_pages));
	/* What mmu.c has there is ours by tdp_mmu.h. */
	unit_nx_of_base = unit_nx_ratio ? DIV_ROUND_UP(nr, unit_nx_ratio) : 0;
	write_unlock(&kvm->mmu_lock);
	kvm->arch.nx_huge_page_last++;
	return true;
}

static void nx_kill(void *data)
{
}

struct vhost_task *(vhost_task_create)(bool (*fn)(void *), void (*kill)(void *),
				       void *arg, const char *name)
{
	nx_work = fn;
	return (struct vhost_task *)&nx_work;
}

static u64 nx_splits(struct kvm *kvm)
{
	u64 nr;

	spin_lock(&kvm->arch.tdp_mmu_pages_lock);
	nr = kvm->stat.nx_lpage_splits;
	spin_unlock(&kvm->arch.tdp_mmu_pages_lock);
	return nr;
}

bool unit_mmu_recover_nx(struct kvm *kvm)
{
	u64 nr = nx_splits(kvm);

	EXPECT(nx_work(kvm));
	return nr;
}

/* Memory attributes, as kvm_main.c and mmu.c have them. */

static int *lpage_count(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	static int other;

	return slot->id ? &other : &lpage_disallowed[(gfn - HOST_GFN) / HOST_REGION];
}

void kvm_mmu_gfn_disallow_lpage(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	if (!unit_mutants.lpage_allowed)
		++*lpage_count(slot, gfn);
}

void kvm_mmu_gfn_allow_lpage(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	if (!unit_mutants.lpage_allowed)
		--*lpage_count(slot, gfn);
}

bool kvm_arch_pre_set_memory_attributes(struct kvm *kvm, struct kvm_gfn_range *range)
{
	lockdep_assert_held_write(&kvm->mmu_lock);
	kvm_mmu_invalidate_range_add(kvm, range->start & -HOST_REGION,
				     (range->end + HOST_REGION - 1) & -HOST_REGION);
	return kvm_unmap_gfn_range(kvm, range);
}

bool kvm_arch_post_set_memory_attributes(struct kvm *kvm, struct kvm_gfn_range *range)
{
	lockdep_assert_held_write(&kvm->mmu_lock);
	for (unsigned long r = 0; !range->slot->id && r < HOST_REGIONS; r++) {
		lpage_mixed[r] = false;
		for (unsigned long i = 1; i < HOST_REGION; i++)
			lpage_mixed[r] |= attr[r * HOST_REGION + i] !=
					  attr[r * HOST_REGION];
	}
	return false;
}

static void attrs_section(struct kvm *kvm, gfn_t start, gfn_t end, bool before)
{
	struct kvm_memslots *slots = kvm_memslots(kvm);
	struct kvm_gfn_range range = { .may_block = true };
	bool ret = false;

	write_lock(&kvm->mmu_lock);
	if (before)
		kvm_mmu_invalidate_begin(kvm);
	else
		kvm_mmu_invalidate_end(kvm);
	for (int i = 0; i < slots->used; i++) {
		range.slot = &slots->slots[i];
		range.start = max(start, range.slot->base_gfn);
		range.end = min(end, range.slot->base_gfn + range.slot->npages);
		if (range.start >= range.end)
			continue;
		if (before) {
			kvm_mmu_invalidate_range_add(kvm, range.start, range.end);
			ret |= kvm_tdp_mmu_pre_set_attributes(kvm, &range);
		} else {
			kvm_tdp_mmu_post_set_attributes(kvm, &range);
		}
	}
	if (ret)
		kvm_flush_remote_tlbs(kvm);
	kvm_tdp_mmu_attributes_unlock(kvm);
}

void unit_mmu_set_attrs(struct kvm *kvm, gfn_t start, gfn_t end, bool private,
			void (*between)(void))
{
	gfn_t last = min(end, HOST_GFN + HOST_PAGES);

	mutex_lock(&kvm->slots_lock);
	attrs_section(kvm, start, end, true);
	/* Nobody is there from here on, until the second section. */
	for (gfn_t gfn = start; gfn < last; gfn++)
		__atomic_store_n(&attr_open[gfn - HOST_GFN], true, __ATOMIC_RELEASE);
	if (between)
		between();
	for (gfn_t gfn = start; gfn < last; gfn++)
		__atomic_store_n(&attr[gfn - HOST_GFN], private, __ATOMIC_RELEASE);
	if (unit_now_and_then(4))
		sched_yield();
	for (gfn_t gfn = start; gfn < last; gfn++)
		__atomic_store_n(&attr_open[gfn - HOST_GFN], false, __ATOMIC_RELEASE);
	attrs_section(kvm, start, end, false);
	mutex_unlock(&kvm->slots_lock);
}

void unit_mmu_age(struct kvm *kvm, gfn_t start, gfn_t end, bool clear)
{
	struct kvm_gfn_range range = { .start = start, .end = end };
	int idx = srcu_read_lock(&kvm->srcu);

	range.slot = the_slot(kvm);
	write_lock(&kvm->mmu_lock);
	if (!clear)
		kvm_tdp_mmu_test_age_gfn(kvm, &range);
	else if (kvm_tdp_mmu_age_gfn_range(kvm, &range) && unit_now_and_then(2))
		kvm_flush_remote_tlbs(kvm);
	write_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
}

/* The VM's life. */

struct kvm *unit_mmu_vm_create(struct mm_struct *mm, enum unit_format format)
{
	struct kvm *kvm;

	unit_format = format;
	tdp_mmu_enabled = true;
	kvm_x86_ops.get_mt_mask = memory_type;
	kvm_x86_ops.cpu_dirty_log_size = format == UNIT_EPT_PML ? GUEST_PML : 0;
	kvm_mmu_spte_module_init();
	kvm_mmu_reset_all_pte_masks();
	if (format != UNIT_NPT)
		kvm_mmu_set_ept_masks(format != UNIT_EPT_NO_AD, true);
	unit_notifier_register = unit_mmu_notifier_register;
	unit_dirty_bitmap = bitmap;
	kvm = unit_vm_create(mm);
	EXPECT(vhost_task_create(nx_turn, nx_kill, kvm, "recovery"));
	unit_slot_set(kvm, 0, HOST_GFN, host_layout.pages, HOST_HVA, 0);
	/* The same memory, in the other address space. */
	kvm->smm_memslots = calloc(1, sizeof(*kvm->smm_memslots));
	kvm->smm_memslots->slots[kvm->smm_memslots->used++] =
		(struct kvm_memory_slot) {
			.base_gfn = HOST_GFN, .npages = host_layout.pages,
			.userspace_addr = HOST_HVA, .as_id = 1,
		};
	return kvm;
}

static void count_table(u64 *table, int level, long *leafs, long *tables)
{
	for (int i = 0; i < SPTE_ENT_PER_PAGE; i++) {
		u64 e = READ_ONCE(table[i]);

		if (is_frozen_spte(e))
			unit_fail("count", "a frozen entry in a table that is in use");
		if (!is_shadow_present_pte(e))
			continue;
		if (is_last_spte(e, level)) {
			leafs[level - 1]++;
			continue;
		}
		++*tables;
		count_table(spte_to_child_sp(e)->spt, level - 1, leafs, tables);
	}
}

void unit_mmu_count(struct kvm *kvm)
{
	hpa_t seen[HOST_GUESTS * (GUEST_MODES + 1)], root;
	long leafs[5] = {}, tables = 0;
	int n = 0, i, k;

	for (i = 0; i < kvm->nr_vcpus * (GUEST_MODES + 1); i++) {
		struct guest *g = (struct guest *)kvm->vcpus[i / (GUEST_MODES + 1)];

		k = i % (GUEST_MODES + 1);
		root = k < GUEST_MODES ? g->roots[k] : g->vcpu.arch.mmu->root.hpa;
		for (k = 0; k < n && seen[k] != root; k++)
			;
		if (!VALID_PAGE(root) || k < n)
			continue;
		seen[n++] = root;
		count_table(root_to_sp(root)->spt, root_to_sp(root)->role.level,
			    leafs, &tables);
	}
	for (i = 0; i < KVM_NR_PAGE_SIZES; i++)
		if (atomic64_read(&kvm->stat.pages[i]) != leafs[i])
			unit_fail("count", "%ld mappings of level %d, counted as %ld",
				  leafs[i], i + 1,
				  (long)atomic64_read(&kvm->stat.pages[i]));
	if (atomic64_read(&kvm->arch.tdp_mmu_pages) != tables ||
	    table_pages != tables)
		unit_fail("count", "%ld tables, counted as %ld and as %ld", tables,
			  (long)atomic64_read(&kvm->arch.tdp_mmu_pages),
			  table_pages);
}

static void last(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
	kvm_tdp_mmu_zap_all(kvm);
	write_unlock(&kvm->mmu_lock);
	kvm_mmu_uninit_tdp_mmu(kvm);
	unit_mmu_count(kvm);
	if (kvm->stat.nx_lpage_splits)
		unit_fail("count", "%llu tables are still to be recovered",
			  (unsigned long long)kvm->stat.nx_lpage_splits);
	if (unit_tables_live())
		unit_fail("leak", "%ld page tables were never freed",
			  unit_tables_live());
}

void unit_mmu_vm_destroy(struct kvm *kvm)
{
	unit_vm_destroy(kvm, last);
}
