/* SPDX-License-Identifier: GPL-2.0 */
/* stub: a processor that spte.c asks about itself */
#ifndef _UNIT_SHIM_ASM_MEMTYPE_H
#define _UNIT_SHIM_ASM_MEMTYPE_H

#define pat_enabled()			true
#define pat_pfn_immune_to_uc_mtrr(pfn)	false
#define X86_BUG_L1TF			0
#define boot_cpu_has_bug(bug)		false
#define cpuid_eax(leaf)			51
static const struct {
	int extended_cpuid_level, x86_phys_bits, x86_cache_bits;
} boot_cpu_data = { 0x80000008u & 0x7fffffff, 51, 51 };

#endif
