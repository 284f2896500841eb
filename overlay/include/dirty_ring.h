/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stands before dirty_ring.c: what "kvm_mm.h" says of mmu_lock there. The base holds it
 * for write while it has pages watched again that a ring was reset of. Ours takes it
 * where that needs it (arch/x86/kvm/mmu/dirty.c).
 */
#ifndef __KVM_XEN_DIRTY_RING_H__
#define __KVM_XEN_DIRTY_RING_H__

#include <linux/kvm_host.h>

#include <kvm_mm.h>

#undef KVM_MMU_LOCK
#undef KVM_MMU_UNLOCK
#define KVM_MMU_LOCK(kvm)	lockdep_assert_held(&(kvm)->slots_lock)
#define KVM_MMU_UNLOCK(kvm)	lockdep_assert_held(&(kvm)->slots_lock)

#endif
