/* SPDX-License-Identifier: GPL-2.0 */
/* dup: what asm/kvm_host.h says of the MMU, as far as the TDP MMU and spte.c ask */
#ifndef _UNIT_SHIM_ASM_KVM_MMU_H
#define _UNIT_SHIM_ASM_KVM_MMU_H

#include <linux/atomic.h>
#include <linux/kvm_types.h>
#include <asm/page.h>

enum pg_level {
	PG_LEVEL_NONE, PG_LEVEL_4K, PG_LEVEL_2M, PG_LEVEL_1G, PG_LEVEL_512G,
	PG_LEVEL_256T, PG_LEVEL_NUM
};
#define KVM_MAX_HUGEPAGE_LEVEL	PG_LEVEL_1G
#define KVM_NR_PAGE_SIZES	(KVM_MAX_HUGEPAGE_LEVEL - PG_LEVEL_4K + 1)
#define KVM_HPAGE_GFN_SHIFT(l)	(((l) - 1) * 9)
#define KVM_HPAGE_SHIFT(l)	(PAGE_SHIFT + KVM_HPAGE_GFN_SHIFT(l))
#define KVM_PAGES_PER_HPAGE(l)	(1UL << KVM_HPAGE_GFN_SHIFT(l))
#define PT64_ROOT_MAX_LEVEL	5

#define PFERR_PRESENT_MASK	BIT(0)
#define PFERR_WRITE_MASK	BIT(1)
#define PFERR_USER_MASK		BIT(2)
#define PFERR_RSVD_MASK		BIT(3)
#define PFERR_FETCH_MASK	BIT(4)
#define PFERR_PRIVATE_ACCESS	BIT_ULL(49)
#define EMULTYPE_WRITE_PF_TO_SP	BIT(8)
#define KVM_REQUEST_MASK	0xff
#define KVM_REQ_TLB_FLUSH	0
#define KVM_REQ_MMU_FREE_OBSOLETE_ROOTS 3
#define KVM_REQ_APIC_PAGE_RELOAD 4
#define KVM_REQ_EXIT		5	/* nothing but to leave the guest */
#define KVM_REQ_CLOCK_UPDATE	6
#define KVM_REQ_GLOBAL_CLOCK_UPDATE 7
#define KVM_REQ_MIGRATE_TIMER	8
#define KVM_REQ_STEAL_UPDATE	9
#define KVM_REQ_DIRTY_RING_SOFT_FULL 10
#define KVM_FILTER_SHARED	BIT(0)
#define APIC_ACCESS_PAGE_PRIVATE_MEMSLOT 0x7fff

union kvm_mmu_page_role {
	u32 word;
	struct {
		unsigned int level : 4;
		unsigned int direct : 1;
		unsigned int access : 3;
		unsigned int invalid : 1;
		unsigned int ad_disabled : 1;
		unsigned int guest_mode : 1;
		unsigned int smm : 8;
	};
};

struct kvm_rmap_head {
	unsigned long val;
};

struct rsvd_bits_validate {
	u64 rsvd_bits_mask[2][PT64_ROOT_MAX_LEVEL];
	u64 bad_mt_xwr;
};

struct kvm_page_fault;
struct kvm_vcpu;

struct kvm_mmu {
	int (*page_fault)(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault);
	struct {
		hpa_t hpa, pgd;
	} root;
	union kvm_mmu_page_role root_role;
	struct rsvd_bits_validate shadow_zero_check;
};

struct kvm_mmu_memory_cache {
	int nobjs;
	void *objects[8];
};

struct unit_x86_ops {
	int cpu_dirty_log_size;
	void *set_apic_access_page_addr;
	u8 (*get_mt_mask)(struct kvm_vcpu *vcpu, gfn_t gfn, bool is_mmio);
};
extern struct unit_x86_ops kvm_x86_ops;
#define kvm_x86_call(op)	(kvm_x86_ops.op)

#endif
