/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stands before kvm_main.c: what "kvm_mm.h" says of mmu_lock there, but for three
 * functions. The base holds it for write while GET and CLEAR_DIRTY_LOG go through a
 * memslot's log. The log itself needs no lock, and what follows from it for the page
 * tables takes mmu_lock where it needs it (arch/x86/kvm/mmu/dirty.c). The third,
 * kvm_handle_gfn_range(), is called when memory attributes change, and zaps what they
 * concern; here that begins where it drops mmu_lock (arch/x86/kvm/mmu/attributes.c).
 */
#ifndef __KVM_XEN_KVM_MAIN_H__
#define __KVM_XEN_KVM_MAIN_H__

#include <linux/kvm_host.h>
#include <linux/string.h>

#include <kvm_mm.h>

void kvm_tdp_mmu_log_end(struct kvm *kvm);
void kvm_tdp_mmu_attributes_unlock(struct kvm *kvm);
int kvm_tdp_mmu_ring_reset(struct kvm *kvm, struct kvm_dirty_ring *ring);
void kvm_tdp_mmu_ring_push(struct kvm_vcpu *vcpu, u32 slot, u64 offset);

void kvm_xen_vcpu_blocking(struct kvm_vcpu *vcpu);
void kvm_xen_vcpu_unblocking(struct kvm_vcpu *vcpu);

/* How long a vCPU that was woken waited for a CPU is for its run state. */
static __always_inline void kvm_main_vcpu_blocking(struct kvm_vcpu *vcpu)
{
	kvm_arch_vcpu_blocking(vcpu);
	kvm_xen_vcpu_blocking(vcpu);
}

static __always_inline void kvm_main_vcpu_unblocking(struct kvm_vcpu *vcpu)
{
	kvm_xen_vcpu_unblocking(vcpu);
	kvm_arch_vcpu_unblocking(vcpu);
}

#define kvm_arch_vcpu_blocking(vcpu)	kvm_main_vcpu_blocking(vcpu)
#define kvm_arch_vcpu_unblocking(vcpu)	kvm_main_vcpu_unblocking(vcpu)

/* @func: __func__ of the caller, so that the compiler knows. */
static __always_inline bool kvm_main_reads_log(const char *func)
{
	return !strcmp(func, "kvm_get_dirty_log_protect") ||
	       !strcmp(func, "kvm_clear_dirty_log_protect");
}

static __always_inline void kvm_main_mmu_lock(struct kvm *kvm, const char *func)
{
	if (!kvm_main_reads_log(func))
		write_lock(&kvm->mmu_lock);
}

static __always_inline void kvm_main_mmu_unlock(struct kvm *kvm, const char *func)
{
	if (kvm_main_reads_log(func))
		kvm_tdp_mmu_log_end(kvm);
	else if (!strcmp(func, "kvm_handle_gfn_range"))
		kvm_tdp_mmu_attributes_unlock(kvm);
	else
		write_unlock(&kvm->mmu_lock);
}

#undef KVM_MMU_LOCK
#undef KVM_MMU_UNLOCK
#define KVM_MMU_LOCK(kvm)	kvm_main_mmu_lock(kvm, __func__)
#define KVM_MMU_UNLOCK(kvm)	kvm_main_mmu_unlock(kvm, __func__)

/* With arguments, since tracepoints have the names too. */
#define kvm_dirty_ring_reset(kvm, ring)	kvm_tdp_mmu_ring_reset(kvm, ring)
#define kvm_dirty_ring_push(vcpu, slot, offset) \
	kvm_tdp_mmu_ring_push(vcpu, slot, offset)

#endif
