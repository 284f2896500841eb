/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Interface of the test probe: counts calls of named KVM functions, holds one task
 * for a bounded time at the moment such a function returns, so that a race window
 * stays open for as long as a test needs it, and counts the kernel's writes to four
 * bytes of memory.
 *
 * One open file is one session.  A session sees only tasks that run on the
 * address space of the task that opened it (kernel threads that borrow it
 * included), so tests do not see each other.
 */
#ifndef KVM_XEN_PROBE_H
#define KVM_XEN_PROBE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KVM_XEN_PROBE_PATH	"/dev/kvm_xen_probe"

enum kvm_xen_probe_fn {
	PROBE_HVA_TO_PFN,	/* hva_to_pfn() */
	PROBE_GPC_REFRESH,	/* kvm_gpc_refresh() */
	PROBE_GPC_ACTIVATE,	/* kvm_gpc_activate() */
	PROBE_GPC_INVALIDATE,	/* gfn_to_pfn_cache_invalidate_start() */
	PROBE_RECLAIMED,	/* kvm_arch_guest_memory_reclaimed() */
	PROBE_ALL_CPUS,		/* kvm_make_all_cpus_request() */
	/*
	 * tdp_leafs_clear(), tdp_pass_open() and tdp_spte_try_set(), or what the stock
	 * modules have in their place; probed from PROBE_IOC_HOLD on until the session
	 * ends, for they are called often.
	 */
	PROBE_TDP_LOG,		/* kvm_tdp_mmu_clear_dirty_pt_masked() */
	PROBE_TDP_ZAP,		/* kvm_tdp_mmu_unmap_gfn_range() */
	PROBE_TDP_NX,		/* kvm_tdp_mmu_zap_sp() */
	PROBE_NR_HELD,		/* the functions above can be held */
	PROBE_RWLOCK = PROBE_NR_HELD, /* any rwlock taken, in any way */
	PROBE_NR
};

/**
 * struct kvm_xen_probe_counts - what a session counted
 * @calls: calls since PROBE_IOC_COUNT, indexed by enum kvm_xen_probe_fn
 * @missed: calls the kernel's probes could not follow; any makes @calls wrong
 */
struct kvm_xen_probe_counts {
	__u64 calls[PROBE_NR];
	__u64 missed;
};

/**
 * struct kvm_xen_probe_hold - hold a task at the return of a function
 * @fn: enum kvm_xen_probe_fn, below PROBE_NR_HELD
 * @tid: the one task to hold, or 0 for the first that comes
 * @max_us: longest hold; it ends by itself after that (at most PROBE_MAX_US)
 */
struct kvm_xen_probe_hold {
	__u32 fn;
	__u32 tid;
	__u32 max_us;
};

#define PROBE_MAX_US	2000000

enum kvm_xen_probe_state {
	PROBE_IDLE,		/* nothing asked for */
	PROBE_ARMED,		/* nobody came yet */
	PROBE_HELD,		/* a task waits inside the window now */
	PROBE_RELEASED,		/* let go by PROBE_IOC_RELEASE */
	PROBE_EXPIRED,		/* let go because max_us passed */
};

/* Zero the counters and count one task (argument: its tid; 0: all of the mm). */
#define PROBE_IOC_COUNT		_IO('x', 0x01)
#define PROBE_IOC_READ		_IOR('x', 0x02, struct kvm_xen_probe_counts)
#define PROBE_IOC_HOLD		_IOW('x', 0x03, struct kvm_xen_probe_hold)
/* Returns an enum kvm_xen_probe_state. */
#define PROBE_IOC_STATE		_IO('x', 0x04)
#define PROBE_IOC_RELEASE	_IO('x', 0x05)
/* Count rwlocks too (argument: 1 on, 0 off); it slows the whole host down. */
#define PROBE_IOC_RWLOCKS	_IO('x', 0x06)
/*
 * Count from zero what writes to the four bytes at a user address, a multiple of four,
 * through the kernel's own mapping of the page (argument: the address; 0: no more).
 */
#define PROBE_IOC_WATCH		_IO('x', 0x07)
/* Returns the count. */
#define PROBE_IOC_WATCHED	_IO('x', 0x08)

#endif
