/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading a cache without its lock, for those who cannot afford one. How it works
 * is told in live.c.
 */
#ifndef __KVM_GPC_LIVE_H__
#define __KVM_GPC_LIVE_H__

#include <linux/kvm_host.h>
#include <linux/percpu.h>
#include <linux/smp.h>

/* The VM whose caches this CPU reads without saying so, if any. */
DECLARE_PER_CPU(struct kvm *, gpc_quiet);

/**
 * struct gpc_read - a section in which caches are read without their locks
 * @flags: as of local_irq_save()
 * @said: the CPU has announced it, and says when it ends
 */
struct gpc_read {
	unsigned long flags;
	bool said;
};

void kvm_gpc_init_live(struct gfn_to_pfn_cache *gpc, struct kvm *kvm);
bool __kvm_gpc_read_begin(struct kvm *kvm);
void __kvm_gpc_read_end(void);
void kvm_gpc_quiesce(struct kvm *kvm);
void kvm_gpc_hold(struct kvm *kvm);
void kvm_gpc_drop(struct kvm *kvm);

/**
 * kvm_gpc_reads_quietly - may this CPU read a VM's caches without saying so?
 * @kvm: the VM
 *
 * For who has no time to say so: a section may do without kvm_gpc_read_begin() then.
 *
 * Context: interrupts off.
 * Return: true until interrupts come on again; false if kvm_gpc_read_begin() is needed.
 */
static __always_inline bool kvm_gpc_reads_quietly(struct kvm *kvm)
{
	return this_cpu_read(gpc_quiet) == kvm;
}

/**
 * kvm_gpc_read_begin - from here on kvm_gpc_live() of a VM's caches can be followed
 * @kvm: the VM
 *
 * Turns interrupts off. Sections of one VM nest, those of two do not.
 *
 * Context: any, hard interrupts included.
 * Return: what kvm_gpc_read_end() wants.
 */
static __always_inline struct gpc_read kvm_gpc_read_begin(struct kvm *kvm)
{
	struct gpc_read read = { .said = false };

	local_irq_save(read.flags);
	if (unlikely(!kvm_gpc_reads_quietly(kvm)))
		read.said = __kvm_gpc_read_begin(kvm);

	return read;
}

/**
 * kvm_gpc_read_end - what was read is not used any more
 * @read: what kvm_gpc_read_begin() returned
 *
 * Context: as kvm_gpc_read_begin() left it.
 */
static __always_inline void kvm_gpc_read_end(struct gpc_read read)
{
	if (unlikely(read.said))
		__kvm_gpc_read_end();
	local_irq_restore(read.flags);
}

/**
 * kvm_gpc_live - where the memory of a cache is mapped, now
 * @gpc: the cache, made by kvm_gpc_init_live()
 *
 * What is returned can be read and written, for the length the cache was
 * activated with, until kvm_gpc_read_end().
 *
 * Context: between kvm_gpc_read_begin() and kvm_gpc_read_end().
 * Return: NULL if the cache is not usable now; kvm_gpc_refresh() may help.
 */
static inline void *kvm_gpc_live(const struct gfn_to_pfn_cache *gpc)
{
	lockdep_assert_irqs_disabled();

	/* Pairs with smp_store_release() in gpc_commit(). */
	return READ_ONCE(gpc->live);
}

#endif
