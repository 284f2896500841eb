/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading a cache without its lock, for those who cannot afford one. How it works
 * is told in live.c.
 */
#ifndef __KVM_GPC_LIVE_H__
#define __KVM_GPC_LIVE_H__

#include <linux/kvm_host.h>
#include <linux/smp.h>

void kvm_gpc_init_live(struct gfn_to_pfn_cache *gpc, struct kvm *kvm);
bool __kvm_gpc_reader(struct kvm *kvm);
void kvm_gpc_quiesce(struct kvm *kvm);
void kvm_gpc_hold(struct kvm *kvm);
void kvm_gpc_drop(struct kvm *kvm);

/**
 * kvm_gpc_was_reader - has this CPU been let to follow kvm_gpc_live(), as far as is known?
 * @cpu: as for kvm_gpc_reader()
 *
 * Context: interrupts off.
 * Return: false if kvm_gpc_reader() is to be asked.
 */
static inline bool kvm_gpc_was_reader(const int *cpu)
{
	return READ_ONCE(*cpu) == smp_processor_id();
}

/**
 * kvm_gpc_reader - let this CPU follow kvm_gpc_live() of a VM's caches
 * @kvm: the VM
 * @cpu: where the caller remembers the CPU for which it asked last, -1 at first.
 *	One word per VM, vCPU or whatever the caller likes; races are harmless
 *
 * Context: interrupts off, and to stay so until the last access.
 * Return: false if nothing can be read.
 */
static inline bool kvm_gpc_reader(struct kvm *kvm, int *cpu)
{
	if (likely(kvm_gpc_was_reader(cpu)))
		return true;
	if (!__kvm_gpc_reader(kvm))
		return false;
	WRITE_ONCE(*cpu, smp_processor_id());

	return true;
}

/**
 * kvm_gpc_live - where the memory of a cache is mapped, now
 * @gpc: the cache, made by kvm_gpc_init_live()
 *
 * What is returned can be read and written, for the length the cache was
 * activated with, until interrupts come on again.
 *
 * Context: interrupts off, kvm_gpc_reader() asked since they are.
 * Return: NULL if the cache is not usable now; kvm_gpc_refresh() may help.
 */
static inline void *kvm_gpc_live(const struct gfn_to_pfn_cache *gpc)
{
	lockdep_assert_irqs_disabled();

	/* Pairs with smp_store_release() in gpc_commit(). */
	return READ_ONCE(gpc->live);
}

#endif
