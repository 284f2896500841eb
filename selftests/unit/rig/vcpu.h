/* SPDX-License-Identifier: GPL-2.0 */
/* vCPUs, as far as those who send them something meet them. */
#ifndef _UNIT_VCPU_H
#define _UNIT_VCPU_H

#include <linux/kvm_host.h>

/* Made, with what Xen keeps of it, and then found by everybody. */
struct kvm_vcpu *unit_vcpu_create(struct kvm *kvm, int id);
void unit_vcpu_destroy(struct kvm_vcpu *vcpu);
unsigned long unit_vcpu_kicks(struct kvm_vcpu *vcpu);
/* As kvm_vcpu_block(): said, and then it looks whether there is something to do. */
void unit_vcpu_sleeps(struct kvm_vcpu *vcpu, bool asleep);
/* Take the interrupt that waits in the APIC. */
bool unit_vcpu_take_irq(struct kvm_vcpu *vcpu);

/* The one that this task runs, if it does. */
extern _Thread_local struct kvm_vcpu *unit_running_vcpu;

/* The VM whose bits rig/xen_mutants.c may meddle with. */
extern struct kvm *unit_xen_kvm;

/* What the guest's clock says. */
extern u64 unit_clock_ns;
/* What time it was when that was zero. Atomic. */
extern u64 unit_epoch_ns;
/* Called between the look at that and its use. */
extern void (*unit_epoch_read)(void);
/* The CPUs' counter, and the guest's. */
extern u64 unit_tsc;

#endif
