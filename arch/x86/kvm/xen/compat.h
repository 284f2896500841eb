/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Structures of Xen's public interface as a 32-bit guest lays them out. Where a
 * 64-bit guest's differ they are the ones of <xen/interface/>.
 *
 * Source: Xen's public headers, xen.h, arch-x86/xen-x86_32.h, vcpu.h, sched.h,
 * event_channel.h.
 */
#ifndef __KVM_XEN_COMPAT_H__
#define __KVM_XEN_COMPAT_H__

#include <linux/types.h>

#include <asm/pvclock-abi.h>
#include <asm/xen/interface.h>
#include <xen/interface/xen.h>
#include <xen/interface/vcpu.h>

struct compat_vcpu_info {
	u8 evtchn_upcall_pending;
	u8 evtchn_upcall_mask;
	u16 pad0;
	u32 evtchn_pending_sel;
	u32 cr2;
	u32 pad1[5];
	struct pvclock_vcpu_time_info time;
};

struct compat_shared_info {
	struct compat_vcpu_info vcpu_info[MAX_VIRT_CPUS];
	u32 evtchn_pending[32];
	u32 evtchn_mask[32];
	struct pvclock_wall_clock wc;
	u32 arch[6];
	u32 wc_sec_hi;
};

struct compat_vcpu_runstate_info {
	u32 state;
	u64 state_entry_time;
	u64 time[4];
} __packed;

struct compat_sched_poll {
	u32 ports;
	u32 nr_ports;
	u64 timeout;
} __packed __aligned(4);

struct compat_multicall_entry {
	u32 op;
	u32 result;
	u32 args[6];
};

/* Both kinds of vcpu_info end in the clock, at the same place. */
static_assert(sizeof(struct compat_vcpu_info) == 64);
static_assert(sizeof(struct vcpu_info) == 64);
static_assert(offsetof(struct compat_vcpu_info, time) ==
	      offsetof(struct vcpu_info, time));
/* And begin with the same flags. */
static_assert(offsetof(struct compat_vcpu_info, evtchn_upcall_pending) == 0);
static_assert(offsetof(struct vcpu_info, evtchn_upcall_pending) == 0);

static_assert(offsetof(struct compat_shared_info, evtchn_pending) == 0x800);
static_assert(offsetof(struct compat_shared_info, evtchn_mask) == 0x880);
static_assert(offsetof(struct compat_shared_info, wc) == 0x900);
static_assert(offsetof(struct compat_shared_info, wc_sec_hi) == 0x924);
static_assert(offsetof(struct shared_info, evtchn_pending) == 0x800);
static_assert(offsetof(struct shared_info, evtchn_mask) == 0xa00);
static_assert(offsetof(struct shared_info, wc) == 0xc00);
static_assert(offsetof(struct shared_info, wc_sec_hi) == 0xc0c);

static_assert(sizeof(struct compat_vcpu_runstate_info) == 0x2c);
static_assert(sizeof(struct vcpu_runstate_info) == 0x30);

#endif
