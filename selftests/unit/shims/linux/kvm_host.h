/* SPDX-License-Identifier: GPL-2.0 */
/* custom: as much of struct kvm as the caches and Xen use; memslots and notifier are in rig/kvm.c, vCPUs in rig/vcpu.c */
#ifndef _UNIT_SHIM_LINUX_KVM_HOST_H
#define _UNIT_SHIM_LINUX_KVM_HOST_H

#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/srcu.h>
#include <linux/sched.h>
#include <linux/err.h>
#include <linux/interval_tree.h>
#include <linux/kvm_dirty_ring.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/refcount.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <asm/kvm_host.h>

#define KVM_MEMSLOT_INVALID	(1UL << 16)
#define KVM_MEMSLOT_GEN_UPDATE_IN_PROGRESS BIT_ULL(63)
#define KVM_PFN_ERR_MASK	(0x7ffULL << 52)
#define KVM_PFN_ERR_NOSLOT_MASK	(0xfffULL << 52)
#define KVM_PFN_NOSLOT		BIT_ULL(63)
#define KVM_PFN_ERR_FAULT	(KVM_PFN_ERR_MASK)
#define KVM_PFN_ERR_HWPOISON	(KVM_PFN_ERR_MASK + 1)
#define KVM_PFN_ERR_RO_FAULT	(KVM_PFN_ERR_MASK + 2)
#define KVM_PFN_ERR_SIGPENDING	(KVM_PFN_ERR_MASK + 3)
#define KVM_HVA_ERR_BAD		(PAGE_OFFSET)
#define KVM_HVA_ERR_RO_BAD	(PAGE_OFFSET + PAGE_SIZE)
#define KVM_ADDRESS_SPACE_NUM	2
#define KVM_REQ_UNBLOCK		2
#define UNIT_SLOTS		8
#define KVM_USER_MEM_SLOTS	UNIT_SLOTS
#define UNIT_VCPUS		8

struct file {
	void *private_data;
};

struct kvm_memory_slot {
	gfn_t base_gfn;
	unsigned long npages;
	unsigned long userspace_addr;
	u32 flags;
	short id;
	u16 as_id;
	unsigned long *dirty_bitmap;
	struct interval_tree_node hva_node[2];
};

struct kvm_memslots {
	u64 generation;
	int used;
	int node_idx;
	struct rb_root_cached hva_tree;
	struct kvm_memory_slot slots[UNIT_SLOTS + 1];
};

struct kvm {
	rwlock_t mmu_lock;
	struct mutex slots_lock;
	struct mm_struct *mm;
	struct kvm_memslots __rcu *memslots;
	struct kvm_memslots *smm_memslots;	/* of a VM that has SMM; they stay */
	spinlock_t mn_invalidate_lock;
	unsigned long mn_active_invalidate_count;
	spinlock_t gpc_lock;
	struct list_head gpc_list;
	struct mmu_notifier mmu_notifier;
	unsigned long mmu_invalidate_seq;
	long mmu_invalidate_in_progress;
	gfn_t mmu_invalidate_range_start, mmu_invalidate_range_end;
	struct rcuwait {
		int unused;
	} mn_memslots_update_rcuwait;
	struct {
		atomic64_t pages[KVM_NR_PAGE_SIZES];
		u64 nx_lpage_splits;
	} stat;
	struct srcu_struct srcu;
	refcount_t users_count;
	struct dentry *debugfs_dentry;
	bool vm_bugged;
	u64 manual_dirty_log_protect;
	atomic_t nr_memslots_dirty_logging;
	u32 dirty_ring_size;
	bool dirty_ring_with_bitmap;
	int nr_vcpus;			/* read with acquire */
	struct kvm_vcpu *vcpus[UNIT_VCPUS];
	struct kvm_arch arch;
};

/* Values of kvm_vcpu.mode. */
enum {
	OUTSIDE_GUEST_MODE,
	IN_GUEST_MODE,
};

struct kvm_vcpu {
	struct kvm *kvm;
	int cpu;
	int vcpu_id;
	int vcpu_idx;
	struct mutex mutex;
	unsigned long requests;
	int mode;
	bool asleep;
	unsigned long kicks;
	u32 irr;
	bool preempted;
	bool wants_to_run;
	struct {
		struct {
			u64 halt_wait_ns;
		} generic;
		u64 exits;
		u64 pf_mmio_spte_created;
	} stat;
	struct {
		u32 queued;
	} async_pf;
	struct kvm_dirty_ring dirty_ring;
	struct {
		u32 exit_reason;
	} *run;
	struct kvm_vcpu_arch arch;
};

struct kvm_gfn_range {
	struct kvm_memory_slot *slot;
	gfn_t start, end;
	bool may_block;
	int attr_filter;
	union {
		unsigned long attributes;
	} arg;
};

struct kvm_xen_evtchn {
	u32 port, vcpu_id, priority;
	int vcpu_idx;
};

struct kvm_kernel_irq_routing_entry {
	int (*set)(struct kvm_kernel_irq_routing_entry *e, struct kvm *kvm,
		   int irq_source_id, int level, bool line_status);
	struct kvm_xen_evtchn xen_evtchn;
};

/* A broken KVM is a failed test, like any other warning. */
#define KVM_BUG_ON(cond, kvm) \
	({ bool __bug = !!(cond); \
	   if (unlikely(__bug)) { \
		(kvm)->vm_bugged = true; \
		unit_warn(UNIT_HERE, "KVM_BUG_ON %s", #cond); \
	   } \
	   unlikely(__bug); })
#define KVM_BUG(cond, kvm, fmt, ...) KVM_BUG_ON(cond, kvm)

static inline gpa_t gfn_to_gpa(gfn_t gfn) { return (gpa_t)gfn << PAGE_SHIFT; }
static inline gfn_t gpa_to_gfn(gpa_t gpa) { return (gfn_t)(gpa >> PAGE_SHIFT); }
static inline hpa_t pfn_to_hpa(kvm_pfn_t pfn) { return (hpa_t)pfn << PAGE_SHIFT; }
static inline bool kvm_is_error_gpa(gpa_t gpa) { return gpa == INVALID_GPA; }
static inline bool kvm_is_error_hva(unsigned long a) { return a >= PAGE_OFFSET; }
static inline bool is_error_pfn(kvm_pfn_t p) { return !!(p & KVM_PFN_ERR_MASK); }
static inline bool is_noslot_pfn(kvm_pfn_t p) { return p == KVM_PFN_NOSLOT; }
static inline bool is_sigpending_pfn(kvm_pfn_t p)
{
	return p == KVM_PFN_ERR_SIGPENDING;
}
static inline bool is_error_noslot_pfn(kvm_pfn_t p)
{
	return !!(p & KVM_PFN_ERR_NOSLOT_MASK);
}

/* custom: the caller must hold kvm->srcu or kvm->slots_lock, and it is checked. */
#define kvm_memslots(kvm) \
	srcu_dereference_check((kvm)->memslots, &(kvm)->srcu, \
			       lockdep_is_held(&(kvm)->slots_lock) || \
			       !refcount_read(&(kvm)->users_count))

struct kvm_memory_slot *id_to_memslot(struct kvm_memslots *slots, int id);
struct kvm_memory_slot *__gfn_to_memslot(struct kvm_memslots *slots, gfn_t gfn);
unsigned long gfn_to_hva_memslot(struct kvm_memory_slot *slot, gfn_t gfn);
unsigned long gfn_to_hva_memslot_prot(struct kvm_memory_slot *slot, gfn_t gfn,
				      bool *writable);
static inline gfn_t hva_to_gfn_memslot(unsigned long hva,
				       struct kvm_memory_slot *slot)
{
	return slot->base_gfn + ((hva - slot->userspace_addr) >> PAGE_SHIFT);
}
static inline bool kvm_slot_dirty_track_enabled(const struct kvm_memory_slot *s)
{
	return s->flags & KVM_MEM_LOG_DIRTY_PAGES;
}
static inline bool kvm_dirty_log_manual_protect_and_init_set(struct kvm *kvm)
{
	return kvm->manual_dirty_log_protect & KVM_DIRTY_LOG_INITIALLY_SET;
}
#define __kvm_memslots(kvm, as_id) \
	((as_id) ? (kvm)->smm_memslots : kvm_memslots(kvm))

struct kvm_memslot_iter {
	struct kvm_memory_slot *slot;
};

/* Any order will do; one that is not in use has no pages, and ends it. */
#define kvm_for_each_memslot_in_gfn_range(iter, set, start, end)		\
	for ((iter)->slot = (set)->slots; (iter)->slot->npages; (iter)->slot++)	\
		if ((iter)->slot->base_gfn < (end) &&				\
		    (start) < (iter)->slot->base_gfn + (iter)->slot->npages)
#define kvm_arch_nr_memslot_as_ids(kvm)	\
	((kvm)->smm_memslots && !(kvm)->arch.has_private_mem ? 2 : 1)
#define kvm_vcpu_memslots(vcpu) \
	__kvm_memslots((vcpu)->kvm, (vcpu)->arch.mmu->root_role.smm)
#define kvm_vcpu_gfn_to_memslot(vcpu, gfn) \
	__gfn_to_memslot(kvm_vcpu_memslots(vcpu), gfn)
#define kvm_arch_has_private_mem(kvm)	((kvm)->arch.has_private_mem)
#define kvm_memslots_for_spte_role(kvm, role)	__kvm_memslots(kvm, (role).smm)
#define kvm_arch_guest_memory_reclaimed(kvm)	((void)0)
#define kvm_prepare_memory_fault_exit(...)	((void)0)
#define rcuwait_active(w)			((void)(w), true)
#define rcuwait_wake_up(w)			((void)0)

/* rig/tdp.c */
bool kvm_make_all_cpus_request(struct kvm *kvm, unsigned int req);
void kvm_flush_remote_tlbs(struct kvm *kvm);
void kvm_flush_remote_tlbs_range(struct kvm *kvm, gfn_t gfn, u64 nr_pages);
void *kvm_mmu_memory_cache_alloc(struct kvm_mmu_memory_cache *mc);
void kvm_set_pfn_dirty(kvm_pfn_t pfn);
void kvm_set_pfn_accessed(kvm_pfn_t pfn);
int gfn_to_page_many_atomic(struct kvm_memory_slot *slot, gfn_t gfn,
			    struct page **pages, int nr);
void put_page(struct page *page);
void mark_page_dirty_in_slot(struct kvm *kvm, const struct kvm_memory_slot *slot,
			     gfn_t gfn);
void kvm_arch_mmu_enable_log_dirty_pt_masked(struct kvm *kvm,
					     struct kvm_memory_slot *slot,
					     gfn_t offset, unsigned long mask);
void kvm_account_pgtable_pages(void *virt, int nr);
void kvm_mmu_invalidate_begin(struct kvm *kvm);
void kvm_mmu_invalidate_range_add(struct kvm *kvm, gfn_t start, gfn_t end);
void kvm_mmu_invalidate_end(struct kvm *kvm);
bool kvm_unmap_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range);
bool kvm_arch_pre_set_memory_attributes(struct kvm *kvm, struct kvm_gfn_range *range);
bool kvm_arch_post_set_memory_attributes(struct kvm *kvm, struct kvm_gfn_range *range);
#define kvm_request_pending(vcpu)	READ_ONCE((vcpu)->requests)
#define kvm_check_request(req, vcpu) \
	(__atomic_fetch_and(&(vcpu)->requests, ~BIT(req), __ATOMIC_ACQUIRE) & BIT(req))

/* The base's rules of when a fault is stale. */
static inline int mmu_invalidate_retry(struct kvm *kvm, unsigned long seq)
{
	if (kvm->mmu_invalidate_in_progress)
		return 1;
	smp_rmb();
	return kvm->mmu_invalidate_seq != seq;
}
static inline int mmu_invalidate_retry_gfn(struct kvm *kvm, unsigned long seq,
					   gfn_t gfn)
{
	if (kvm->mmu_invalidate_in_progress &&
	    gfn >= kvm->mmu_invalidate_range_start &&
	    gfn < kvm->mmu_invalidate_range_end)
		return 1;
	return READ_ONCE(kvm->mmu_invalidate_seq) != seq;
}
static inline bool mmu_invalidate_retry_gfn_unsafe(struct kvm *kvm,
						   unsigned long seq, gfn_t gfn)
{
	return mmu_invalidate_retry_gfn(kvm, seq, gfn);
}

void kvm_arch_flush_shadow_memslot(struct kvm *kvm,
				   struct kvm_memory_slot *slot);
void kvm_release_pfn_clean(kvm_pfn_t pfn);
/* The host of page tables (rig/host.c) is another. */
#ifndef UNIT_MMU
#define kvm_set_pfn_dirty	unit_set_pfn_dirty
#endif
void kvm_set_pfn_dirty(kvm_pfn_t pfn);

struct kvm_vcpu *kvm_get_vcpu(struct kvm *kvm, int i);
struct kvm_vcpu *kvm_get_vcpu_by_id(struct kvm *kvm, int id);
#define kvm_for_each_vcpu(i, vcpu, kvm) \
	for ((i) = 0; ((vcpu) = kvm_get_vcpu(kvm, i)) != NULL; (i)++)
void kvm_make_request(int req, struct kvm_vcpu *vcpu);
bool kvm_test_request(int req, struct kvm_vcpu *vcpu);
bool kvm_vcpu_is_blocking(struct kvm_vcpu *vcpu);
void kvm_vcpu_kick(struct kvm_vcpu *vcpu);
struct kvm_vcpu *kvm_get_running_vcpu(void);
void kvm_arch_memslots_updated(struct kvm *kvm, u64 gen);
int kvm_arch_vcpu_ioctl_run(struct kvm_vcpu *vcpu);
int kvm_arch_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long kvm_arch_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu,
				    struct kvm_pre_fault_memory *range);

void kvm_gpc_init(struct gfn_to_pfn_cache *gpc, struct kvm *kvm);
int kvm_gpc_activate(struct gfn_to_pfn_cache *gpc, gpa_t gpa,
		     unsigned long len);
int kvm_gpc_activate_hva(struct gfn_to_pfn_cache *gpc, unsigned long hva,
			 unsigned long len);
bool kvm_gpc_check(struct gfn_to_pfn_cache *gpc, unsigned long len);
int kvm_gpc_refresh(struct gfn_to_pfn_cache *gpc, unsigned long len);
void kvm_gpc_deactivate(struct gfn_to_pfn_cache *gpc);
static inline bool kvm_gpc_is_gpa_active(struct gfn_to_pfn_cache *gpc)
{
	return gpc->active && !kvm_is_error_gpa(gpc->gpa);
}
static inline bool kvm_gpc_is_hva_active(struct gfn_to_pfn_cache *gpc)
{
	return gpc->active && kvm_is_error_gpa(gpc->gpa);
}

#endif
