/* SPDX-License-Identifier: GPL-2.0 */
/* stub: nobody listens */
#ifndef _UNIT_SHIM_MMUTRACE_H
#define _UNIT_SHIM_MMUTRACE_H

#define trace_kvm_mmu_get_page(...)		((void)0)
#define trace_kvm_mmu_prepare_zap_page(...)	((void)0)
#define trace_kvm_tdp_mmu_spte_changed(...)	((void)0)
#define trace_kvm_mmu_set_spte(...)		((void)0)
#define trace_mark_mmio_spte(...)		((void)0)
#define trace_kvm_mmu_spte_requested(...)	((void)0)
#define trace_kvm_mmu_split_huge_page(...)	((void)0)

#endif
