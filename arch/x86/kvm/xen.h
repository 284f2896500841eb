/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Xen HVM guests: what the rest of KVM sees. The rooms are in xen/.
 */
#ifndef __ARCH_X86_KVM_XEN_H__
#define __ARCH_X86_KVM_XEN_H__

#include <linux/jump_label_ratelimit.h>
#include <linux/kvm_host.h>

#include <asm/xen/hypervisor.h>
#include <asm/xen/interface.h>

#include "xen/compat.h"
#include "xen/state.h"

#ifndef CONFIG_KVM_XEN
#error "kvm-xen is for kernels with CONFIG_KVM_XEN"
#endif

/* Some VM has turned Xen on, see KVM_XEN_HVM_CONFIG. */
extern struct static_key_false_deferred kvm_xen_enabled;

/* vm.c */
void kvm_xen_init_vm(struct kvm *kvm);
void kvm_xen_destroy_vm(struct kvm *kvm);
int kvm_xen_hvm_config(struct kvm *kvm, struct kvm_xen_hvm_config *xhc);
int kvm_xen_hvm_set_attr(struct kvm *kvm, struct kvm_xen_hvm_attr *data);
int kvm_xen_hvm_get_attr(struct kvm *kvm, struct kvm_xen_hvm_attr *data);
int kvm_xen_write_hypercall_page(struct kvm_vcpu *vcpu, u64 data);

/* vcpu.c */
void kvm_xen_init_vcpu(struct kvm_vcpu *vcpu);
void kvm_xen_destroy_vcpu(struct kvm_vcpu *vcpu);
int kvm_xen_vcpu_set_attr(struct kvm_vcpu *vcpu, struct kvm_xen_vcpu_attr *data);
int kvm_xen_vcpu_get_attr(struct kvm_vcpu *vcpu, struct kvm_xen_vcpu_attr *data);
void kvm_xen_update_tsc_info(struct kvm_vcpu *vcpu);

/* events.c */
int kvm_xen_set_evtchn_fast(struct kvm_xen_evtchn *xe, struct kvm *kvm);
int kvm_xen_setup_evtchn(struct kvm *kvm,
			 struct kvm_kernel_irq_routing_entry *e,
			 const struct kvm_irq_routing_entry *asked);
int kvm_xen_hvm_evtchn_send(struct kvm *kvm,
			    struct kvm_irq_routing_xen_evtchn *evt);
int kvm_xen_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* latch.c */
void kvm_xen_memslots_updated(struct kvm *kvm, u64 gen);

/* upcall.c */
int xen_upcall_flag(struct kvm_vcpu *vcpu);
int __kvm_xen_has_interrupt(struct kvm_vcpu *vcpu);
int kvm_xen_vcpu_run(struct kvm_vcpu *vcpu);
void kvm_xen_inject_pending_events(struct kvm_vcpu *vcpu);
void kvm_xen_inject_vcpu_vector(struct kvm_vcpu *vcpu);

/* timer.c */
bool xen_timer_moved(struct kvm_vcpu *vcpu);
void kvm_xen_inject_timer_irqs(struct kvm_vcpu *vcpu);

/* runstate.c */
void kvm_xen_vcpu_blocking(struct kvm_vcpu *vcpu);
void kvm_xen_vcpu_unblocking(struct kvm_vcpu *vcpu);
void kvm_xen_runstate_set_preempted(struct kvm_vcpu *vcpu);
void kvm_xen_runstate_set_running(struct kvm_vcpu *vcpu);
void kvm_xen_update_runstate(struct kvm_vcpu *vcpu, int state);

/* hypercall.c */
int kvm_xen_hypercall(struct kvm_vcpu *vcpu);

/**
 * kvm_xen_msr_enabled - is this a Xen guest?
 * @kvm: the VM
 *
 * Context: any.
 */
static inline bool kvm_xen_msr_enabled(struct kvm *kvm)
{
	return static_branch_unlikely(&kvm_xen_enabled.key) &&
	       READ_ONCE(kvm->arch.xen_hvm_config.msr);
}

/**
 * kvm_xen_hypercall_enabled - does KVM, and not only the VMM, see its hypercalls?
 * @kvm: the VM
 *
 * Context: any.
 */
static inline bool kvm_xen_hypercall_enabled(struct kvm *kvm)
{
	return static_branch_unlikely(&kvm_xen_enabled.key) &&
	       (READ_ONCE(kvm->arch.xen_hvm_config.flags) &
		KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL);
}

/**
 * kvm_xen_has_interrupt - is the VM-wide upcall vector to be injected?
 * @vcpu: the vCPU, loaded by the current task
 *
 * Asked at each VM entry.
 *
 * Context: any in which the vCPU is loaded; may sleep if the task may.
 * Return: 1 if the guest's upcall flag is set, or cannot be seen from here.
 */
static inline int kvm_xen_has_interrupt(struct kvm_vcpu *vcpu)
{
	if (!static_branch_unlikely(&kvm_xen_enabled.key))
		return 0;

	/* Pairs with smp_store_release() in xen_upcall_set_vector(): then the vector. */
	if (smp_load_acquire(&xen_vm(vcpu->kvm)->upcall_on) &&
	    xen_vcpu(vcpu)->vcpu_info.active)
		return __kvm_xen_has_interrupt(vcpu);

	return xen_told(vcpu);
}

/**
 * kvm_xen_has_pending_events - is there something to do before the next entry?
 * @vcpu: the vCPU
 *
 * Not for a vCPU that the guest has yet to start: it does not come to where it
 * would be done, and would not sleep for it either.
 *
 * Context: any.
 */
static inline bool kvm_xen_has_pending_events(struct kvm_vcpu *vcpu)
{
	return static_branch_unlikely(&kvm_xen_enabled.key) &&
	       READ_ONCE(xen_vcpu(vcpu)->todo) &&
	       vcpu->arch.mp_state != KVM_MP_STATE_UNINITIALIZED;
}

/*
 * The timer delivers its event itself, from its interrupt, to the end: what it
 * cannot deliver is latched like any other event. All that is asked of the vCPU is
 * to start it again when the VMM has read it, or the clock that it goes by is another.
 */
static inline bool kvm_xen_timer_enabled(struct kvm_vcpu *vcpu)
{
	return static_branch_unlikely(&kvm_xen_enabled.key) &&
	       READ_ONCE(xen_vcpu(vcpu)->timers);
}

static inline int kvm_xen_has_pending_timer(struct kvm_vcpu *vcpu)
{
	/* See kvm_xen_has_pending_events(). */
	return vcpu->arch.mp_state != KVM_MP_STATE_UNINITIALIZED &&
	       xen_timer_moved(vcpu);
}

/**
 * kvm_xen_sw_enable_lapic - the guest has just enabled its local APIC
 * @vcpu: the vCPU, loaded by the current task
 *
 * A vector that was injected while the APIC was off is gone, the flag is not.
 *
 * Context: may sleep; kvm->srcu held.
 */
static inline void kvm_xen_sw_enable_lapic(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&kvm_xen_enabled.key) &&
	    xen_vcpu(vcpu)->upcall_vector &&
	    xen_vcpu(vcpu)->vcpu_info.active && xen_upcall_flag(vcpu))
		kvm_xen_inject_vcpu_vector(vcpu);
}

#endif
