/* SPDX-License-Identifier: GPL-2.0 */
/* stub: nobody listens */
#ifndef _UNIT_SHIM_TRACE_EVENTS_KVM_H
#define _UNIT_SHIM_TRACE_EVENTS_KVM_H

#define trace_kvm_unmap_hva_range(...)	((void)0)
#define trace_kvm_age_hva(...)		((void)0)
#define trace_kvm_test_age_hva(...)	((void)0)
#define trace_kvm_dirty_ring_push(...)	((void)0)
#define trace_kvm_dirty_ring_reset(...)	((void)0)
#define trace_kvm_dirty_ring_exit(...)	((void)0)

#endif
