/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is kept of a Xen guest, per VM and per vCPU.
 *
 * Both structures lie where the shipped header has struct kvm_xen and struct
 * kvm_vcpu_xen, no larger than these, with the members that base code uses at
 * their places. What does not fit is allocated when Xen is first used.
 */
#ifndef __KVM_XEN_STATE_H__
#define __KVM_XEN_STATE_H__

#include <linux/kvm_host.h>

struct xen_events;
struct xen_timers;

/* Ports there are with 64-bit structures and with 32-bit ones. */
#define XEN_PORTS		4096
#define XEN_PORTS_COMPAT	1024

/* Ports that a bit of xen_vcpu.parked stands for. */
#define XEN_PARKED_PORTS	32

/**
 * struct xen_vm - Xen state of a VM
 * @lock: serialises the writers of everything here; taken inside vcpu->mutex,
 *	on either side of kvm->srcu: nobody waits for its grace period under this
 * @version: what XENVER_version answers, 0 to let the VMM answer; read without a
 *	lock
 * @long_mode: the guest's structures are the 64-bit ones. Read without a lock, and
 *	once, by whoever uses it
 * @runstate_update_flag: run state is marked while it is being changed
 * @upcall_vector: VM-wide upcall vector, which the base injects; 0 until one is set.
 *	Stays when it is taken away: a vCPU may have been told of an upcall by then.
 *	Read without a lock
 * @upcall_on: @upcall_vector is in use. Read without a lock, and before it
 * @shinfo: the shared_info page; its place is protected by @lock, its page read
 *	without any
 * @events: latch and outbound ports. Written once, with release semantics, before
 *	anything can send an event; gone with the VM
 * @accel: hypercalls the VMM has left to us, KVM_XEN_ACCEL_*; read without a lock
 * @fifo_ports: ports of the FIFO ABI, or 0 for the 2-level one; read without a lock
 * @pollers: number of bits in @poll_mask, so that it need not be searched. Atomic
 * @poll_mask: vCPUs, by index, that sleep in SCHEDOP_poll. Atomic
 */
struct xen_vm {
	struct mutex lock;
	u32 version;
	bool long_mode;
	bool runstate_update_flag;
	u8 upcall_vector;
	bool upcall_on;
	struct gfn_to_pfn_cache shinfo;
	struct xen_events *events;
	u32 accel;
	u32 fifo_ports;
	atomic_t pollers;
	unsigned long poll_mask[BITS_TO_LONGS(KVM_MAX_VCPUS)];
};

/* Bits of xen_vcpu.todo: what is to be done before the next entry. */
#define XEN_TODO_LATCH		BIT(0)	/* latched events may be for this vCPU */
#define XEN_TODO_SEL		BIT(1)	/* parked is not empty */
#define XEN_TODO_UPCALL		BIT(2)	/* the flag may be set, and no vector be on its way */

/* Values of xen_vcpu.poll_port that are no ports. */
#define XEN_POLL_NONE		-1
#define XEN_POLL_ANY		-2
#define XEN_POLL_UPCALL		-3	/* not in poll_mask: in SCHEDOP_block */

/**
 * struct xen_clock - a vCPU's guest clock as it was noted, for who cannot ask for it
 * @tsc: the host's TSC
 * @ns: guest time at @tsc
 * @sequence: of KVM's clock by then, which changes with it
 * @scaling: the guest's TSC ticks to one of the host's, as KVM scales them
 * @mul: guest time of a guest's TSC tick, with @shift; 0: it cannot be computed so
 * @shift: see @mul
 */
struct xen_clock {
	u64 tsc;
	u64 ns;
	u64 scaling;
	u32 mul;
	u32 sequence;
	s8 shift;
};

/**
 * struct xen_vcpu - Xen state of a vCPU
 * @hcall_rip: where the hypercall is that the VMM is answering. vCPU only
 * @runstate: RUNSTATE_*. vCPU only, like all of run state
 * @upcall_vector: vector of this vCPU's own, injected as an edge, or 0; read
 *	without a lock
 * @unreachable: vcpu_info was not to be had when last asked for; cleared by
 *	whatever may have changed that. A hint that keeps a vCPU from spinning
 * @preempted: it is RUNSTATE_runnable since the scheduler took it off its CPU
 * @timer_priority: that of @timer_port's events, XEN_PRIORITY_NONE
 * @vcpu_info: the vcpu_info page
 * @time_info: a second copy of its clock
 * @runstate_area: where the guest wants its run state
 * @runstate_rest: and the rest of it if that crosses a page
 * @run_delay: of the thread, from the scheduler, when last looked at
 * @halt_ns: time blocked in the kernel, when last looked at
 * @block_from: @run_delay of the thread when it last began to block
 * @block_delay: how much that has grown while it blocked, since last looked at
 * @runstate_entry: guest time of the last change; 0: not started yet
 * @runstate_times: ns in each state; their sum is @runstate_entry
 * @clock: the guest's clock as last seen in process context, for sched-out, which
 *	cannot ask
 * @parked: dwords of evtchn_pending that a sender could not tell the guest of, since
 *	vcpu_info was not to be reached. Dwords are the same ports in either
 *	layout, which may change before the guest is told. Atomic
 * @todo: XEN_TODO_*, set by senders after what they announce. Atomic
 * @timers: its timers, once it has had any. Read without a lock
 * @told: exits there were, and one, when the vCPU was last told of an upcall; 0 since
 *	it has been with the VMM
 * @vcpu_id: the guest's number of this vCPU
 * @timer_port: VIRQ_TIMER's port or 0
 * @poll_port: the port SCHEDOP_poll waits for, or XEN_POLL_*
 */
struct xen_vcpu {
	u64 hcall_rip;
	u32 runstate;
	u8 upcall_vector;
	bool unreachable;
	bool preempted;
	u8 timer_priority;
	struct gfn_to_pfn_cache vcpu_info;
	struct gfn_to_pfn_cache time_info;
	struct gfn_to_pfn_cache runstate_area;
	struct gfn_to_pfn_cache runstate_rest;
	u64 run_delay;
	u64 halt_ns;
	u64 block_from;
	u64 block_delay;
	u64 runstate_entry;
	u64 runstate_times[4];
	struct xen_clock clock;
	DECLARE_BITMAP(parked, XEN_PORTS / XEN_PARKED_PORTS);
	unsigned long todo;
	struct xen_timers *timers;
	u64 told;
	u32 vcpu_id;
	u32 timer_port;
	int poll_port;
};

static_assert(sizeof(struct xen_vm) <= sizeof(struct kvm_xen));
static_assert(offsetof(struct xen_vm, upcall_vector) ==
	      offsetof(struct kvm_xen, upcall_vector));
static_assert(offsetof(struct xen_vcpu, vcpu_info) ==
	      offsetof(struct kvm_vcpu_xen, vcpu_info_cache));
static_assert(offsetof(struct xen_vcpu, time_info) ==
	      offsetof(struct kvm_vcpu_xen, vcpu_time_info_cache));
/* The last member stays the base's own: KVM_SET_CPUID2 writes it. */
static_assert(sizeof(struct xen_vcpu) <= offsetof(struct kvm_vcpu_xen, cpuid));

static inline struct xen_vm *xen_vm(struct kvm *kvm)
{
	return (struct xen_vm *)&kvm->arch.xen;
}

static inline struct xen_vcpu *xen_vcpu(struct kvm_vcpu *vcpu)
{
	return (struct xen_vcpu *)&vcpu->arch.xen;
}

static inline struct kvm_vcpu *xen_to_vcpu(struct xen_vcpu *x)
{
	return container_of((struct kvm_vcpu_xen *)x, struct kvm_vcpu, arch.xen);
}

/* Is there anything parked? */
static inline bool xen_has_parked(struct xen_vcpu *x)
{
	BUILD_BUG_ON(sizeof(x->parked) != 2 * sizeof(x->parked[0]));

	return READ_ONCE(x->parked[0]) || READ_ONCE(x->parked[1]);
}

/* Has the vCPU been told of an upcall since it was last in the guest or with the VMM? */
static inline bool xen_told(struct kvm_vcpu *vcpu)
{
	return xen_vcpu(vcpu)->told == vcpu->stat.exits + 1;
}

/* No priority was given: the port is of the 2-level ABI, or takes the default. */
#define XEN_PRIORITY_NONE	U8_MAX

/* Priorities of the FIFO ABI. */
#define XEN_PRIORITIES		16

/* Ports there are, in the ABI and the layout in use. */
static inline u32 xen_max_port(struct kvm *kvm)
{
	/* Pairs with smp_store_release() in xen_fifo_begin(): what it counts is there. */
	u32 fifo = smp_load_acquire(&xen_vm(kvm)->fifo_ports);

	if (fifo)
		return fifo;

	return READ_ONCE(xen_vm(kvm)->long_mode) ? XEN_PORTS : XEN_PORTS_COMPAT;
}

#endif
