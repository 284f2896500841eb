/* SPDX-License-Identifier: GPL-2.0 */
/*
 * custom: KVM's structures for x86, with room for Xen's state where the kernel has
 * it and the members that base code uses at the places that state.h asserts.
 */
#ifndef _UNIT_SHIM_ASM_KVM_HOST_H
#define _UNIT_SHIM_ASM_KVM_HOST_H

#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <asm/kvm_mmu.h>
#include <asm/pvclock-abi.h>

#define KVM_MAX_VCPUS		4096
#define KVM_MAX_VCPU_IDS	(4 * KVM_MAX_VCPUS)

struct kvm_xen {
	struct mutex lock;
	u32 version;
	bool flag[2];
	u8 upcall_vector;
	struct gfn_to_pfn_cache shinfo;
	unsigned long rest[KVM_MAX_VCPUS / 64 + 8];
};

struct kvm_vcpu_xen {
	u64 head[2];
	struct gfn_to_pfn_cache vcpu_info_cache, vcpu_time_info_cache, areas[2];
	unsigned long rest[64];
	int cpuid;
};

struct kvm_arch {
	struct kvm_xen xen;
	struct kvm_xen_hvm_config xen_hvm_config;
	seqcount_raw_spinlock_t pvclock_sc;
	bool use_master_clock;
	u64 master_kernel_ns, master_cycle_now;
	s64 kvmclock_offset;

	/* The TDP MMU's, and what it asks */
	spinlock_t tdp_mmu_pages_lock;
	struct list_head tdp_mmu_roots;
	atomic64_t tdp_mmu_pages;
	struct list_head possible_nx_huge_pages;
	u64 nx_huge_page_last;
	u64 shadow_mmio_value;
	bool disable_nx_huge_pages;
	bool shadow_root_allocated;
	u64 disabled_quirks;
	u8 vm_type;
	bool has_private_mem;
};

struct kvm_vcpu_arch {
	struct kvm_vcpu_xen xen;
	struct pvclock_vcpu_time_info hv_clock;
	u64 l1_tsc_offset, l1_tsc_scaling_ratio;
	u32 mp_state;
	struct kvm_mmu *mmu;
	struct kvm_mmu root_mmu;
	struct kvm_mmu_memory_cache mmu_shadow_page_cache, mmu_page_header_cache;
};

#endif
