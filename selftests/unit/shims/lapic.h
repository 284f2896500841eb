/* SPDX-License-Identifier: GPL-2.0 */
/* custom: an APIC that remembers one interrupt; see rig/vcpu.c */
#ifndef _UNIT_SHIM_LAPIC_H
#define _UNIT_SHIM_LAPIC_H

#include <linux/kvm_host.h>

#define APIC_DM_FIXED	0
struct kvm_lapic_irq {
	u32 vector;
	u16 delivery_mode;
	bool level;
};

static inline bool lapic_in_kernel(struct kvm_vcpu *vcpu) { return true; }
int kvm_apic_set_irq(struct kvm_vcpu *vcpu, struct kvm_lapic_irq *irq,
		     void *dest_map);

#endif
