// SPDX-License-Identifier: GPL-2.0
/*
 * Hypercalls: which ones KVM answers, and the way to the VMM for all others.
 *
 * Only the guest's kernel is answered here. A call is either answered whole or
 * handed over untouched: a handler that finds that it does not know enough has
 * changed nothing. Numbers and structures: Xen's public headers.
 */
#include <linux/kvm_host.h>

#include <xen/interface/xen.h>
#include <xen/interface/sched.h>
#include <xen/interface/vcpu.h>

#include "../hyperv.h"
#include "../kvm_cache_regs.h"
#include "../lapic.h"
#include "../trace.h"
#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "hypercall.h"
#include "runstate.h"
#include "time.h"
#include "timer.h"
#include "uapi.h"

/* Timeouts that Linux once got wrong, see xen_set_timer_op(). */
#define XEN_TIMEOUT_SANE_BITS	50
#define XEN_TIMEOUT_INSTEAD_NS	(100 * NSEC_PER_MSEC)

/* Calls of one multicall that are answered here. */
#define XEN_MULTICALL_MAX	32

/**
 * xen_read_arg - read what a hypercall points at
 * @vcpu: the calling vCPU
 * @gva: where
 * @data: where to
 * @len: bytes
 *
 * Context: vCPU task; kvm->srcu held; may sleep.
 * Return: 0 or -EFAULT.
 */
int xen_read_arg(struct kvm_vcpu *vcpu, u64 gva, void *data, u32 len)
{
	struct x86_exception e;

	return kvm_read_guest_virt(vcpu, gva, data, len, &e) ? -EFAULT : 0;
}

/**
 * xen_write_arg - write where a hypercall points
 * @vcpu: the calling vCPU
 * @gva: where
 * @data: what
 * @len: bytes
 *
 * Context: vCPU task; kvm->srcu held; may sleep.
 * Return: 0 or -EFAULT, with some of it written perhaps.
 */
int xen_write_arg(struct kvm_vcpu *vcpu, u64 gva, void *data, u32 len)
{
	struct x86_exception e;

	return kvm_write_guest_virt_system(vcpu, gva, data, len, &e) ?
		-EFAULT : 0;
}

static bool xen_sched_op(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	h->result = 0;

	/* An int, as in Xen: what the guest left in the upper half is nothing. */
	switch ((u32)h->arg[0]) {
	case SCHEDOP_poll:
		/* One may sleep only where an event can wake. */
		if (lapic_in_kernel(vcpu) &&
		    vcpu->kvm->arch.xen_hvm_config.flags &
		    KVM_XEN_HVM_CONFIG_EVTCHN_SEND) {
			if (h->probe)
				return false;
			h->result = xen_sched_poll(vcpu, h->wide, h->arg[1]);
			return true;
		}
		fallthrough;
	case SCHEDOP_yield:
		if (!h->probe)
			kvm_vcpu_on_spin(vcpu, true);
		return true;
	case SCHEDOP_block:
		if (!xen_accel(vcpu, KVM_XEN_ACCEL_BLOCK) || h->probe ||
		    !lapic_in_kernel(vcpu))
			return false;
		h->result = xen_sched_block(vcpu);
		return true;
	default:
		return false;
	}
}

static long xen_set_singleshot(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct vcpu_set_singleshot_timer t;
	/* A 32-bit guest's has no padding at the end. */
	u32 len = h->wide ? sizeof(t) : offsetofend(typeof(t), flags);

	if (xen_read_arg(vcpu, h->arg[2], &t, len))
		return -EFAULT;

	if (t.flags & VCPU_SSHOTTMR_future &&
	    t.timeout_abs_ns < xen_guest_time(vcpu))
		return -ETIME;

	/* Zero is a time that is past, not a wish to stop. */
	xen_timer_start(vcpu, t.timeout_abs_ns);

	return 0;
}

static long xen_set_periodic(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct vcpu_set_periodic_timer t;

	if (xen_read_arg(vcpu, h->arg[2], &t, sizeof(t)))
		return -EFAULT;

	return xen_periodic_start(vcpu, t.period_ns);
}

/* Timers are a vCPU's own. Return: whether KVM has them. */
static bool xen_timer_op(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	if (!x->timer_port)
		return false;
	if (h->probe)
		return true;

	if ((u32)h->arg[1] != x->vcpu_id) {
		h->result = -EINVAL;
		return true;
	}

	h->result = 0;
	switch ((u32)h->arg[0]) {
	case VCPUOP_set_singleshot_timer:
		h->result = xen_set_singleshot(vcpu, h);
		break;
	case VCPUOP_stop_singleshot_timer:
		xen_timer_stop(vcpu);
		break;
	case VCPUOP_set_periodic_timer:
		h->result = xen_set_periodic(vcpu, h);
		break;
	case VCPUOP_stop_periodic_timer:
		xen_periodic_stop(vcpu);
		break;
	}

	return true;
}

/**
 * xen_vcpu_by_xen_id - find a vCPU by the guest's number
 * @kvm: the VM
 * @id: any number
 *
 * Context: any.
 * Return: NULL if there is none.
 */
struct kvm_vcpu *xen_vcpu_by_xen_id(struct kvm *kvm, u32 id)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (READ_ONCE(xen_vcpu(vcpu)->vcpu_id) == id)
			return vcpu;

	return NULL;
}

/* Of the calling vCPU only: another's changes while it is looked at. */
static bool xen_get_runstate(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct compat_vcpu_runstate_info c;
	struct vcpu_runstate_info w = { };
	u64 state;

	if (!xen_accel(vcpu, KVM_XEN_ACCEL_RUNSTATE) || !sched_info_on() ||
	    (u32)h->arg[1] != xen_vcpu(vcpu)->vcpu_id)
		return false;
	if (h->probe)
		return true;

	kvm_xen_update_runstate(vcpu, RUNSTATE_running);
	xen_runstate_get(vcpu, &state, &w.state_entry_time, w.time);
	/* Whatever the scheduler has done since: it is the caller. */
	w.state = RUNSTATE_running;
	if (h->wide) {
		h->result = xen_write_arg(vcpu, h->arg[2], &w, sizeof(w));
	} else {
		c.state = w.state;
		c.state_entry_time = w.state_entry_time;
		memcpy(c.time, w.time, sizeof(c.time));
		h->result = xen_write_arg(vcpu, h->arg[2], &c, sizeof(c));
	}

	return true;
}

/* As in Xen a vCPU that was reset is down until it is started. */
static bool xen_is_up(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	struct kvm_vcpu *other;
	int state;

	if (!xen_accel(vcpu, KVM_XEN_ACCEL_IS_UP) || !lapic_in_kernel(vcpu))
		return false;
	other = xen_vcpu_by_xen_id(vcpu->kvm, h->arg[1]);
	if (!other)
		return false;

	state = READ_ONCE(other->arch.mp_state);
	h->result = state != KVM_MP_STATE_UNINITIALIZED &&
		    state != KVM_MP_STATE_INIT_RECEIVED;

	return true;
}

static bool xen_vcpu_op(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	/* As in xen_sched_op(); the vCPU's number too. */
	switch ((u32)h->arg[0]) {
	case VCPUOP_set_singleshot_timer:
	case VCPUOP_stop_singleshot_timer:
		return xen_timer_op(vcpu, h);
	case VCPUOP_set_periodic_timer:
	case VCPUOP_stop_periodic_timer:
		/* That of another vCPU may be set too, but not from here. */
		return xen_accel(vcpu, KVM_XEN_ACCEL_PERIODIC) &&
		       (u32)h->arg[1] == xen_vcpu(vcpu)->vcpu_id &&
		       xen_timer_op(vcpu, h);
	case VCPUOP_get_runstate_info:
		return xen_get_runstate(vcpu, h);
	case VCPUOP_is_up:
		return xen_is_up(vcpu, h);
	default:
		return false;
	}
}

/*
 * __HYPERVISOR_set_timer_op. Old Linux kernels compute timeouts that are negative
 * or centuries away when they mean "soon"; like Xen we give them a tenth of a
 * second.
 */
static bool xen_set_timer_op(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	u64 timeout = h->arg[0], now;

	if (!xen_vcpu(vcpu)->timer_port)
		return false;
	h->result = 0;
	if (h->probe)
		return true;

	if (!h->wide)
		timeout = (u32)timeout | h->arg[1] << 32;

	if (!timeout) {
		xen_timer_stop(vcpu);
		return true;
	}

	now = xen_guest_time(vcpu);
	if ((s64)timeout < 0 ||
	    (timeout > now && (timeout - now) >> XEN_TIMEOUT_SANE_BITS))
		timeout = now + XEN_TIMEOUT_INSTEAD_NS;
	xen_timer_start(vcpu, timeout);

	return true;
}

static bool xen_hcall_one(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	switch (h->nr) {
	case __HYPERVISOR_xen_version:
		return xen_version_op(vcpu, h);
	case __HYPERVISOR_event_channel_op:
		return xen_evtchn_op(vcpu, h);
	case __HYPERVISOR_sched_op:
		return xen_sched_op(vcpu, h);
	case __HYPERVISOR_vcpu_op:
		return xen_vcpu_op(vcpu, h);
	case __HYPERVISOR_set_timer_op:
		return xen_set_timer_op(vcpu, h);
	default:
		return false;
	}
}

static int xen_multicall_read(struct kvm_vcpu *vcpu, u64 gva,
			      struct xen_hcall *h)
{
	struct compat_multicall_entry c;
	struct multicall_entry w;
	int i;

	if (h->wide) {
		if (xen_read_arg(vcpu, gva, &w, sizeof(w)))
			return -EFAULT;
		h->nr = w.op;
		for (i = 0; i < XEN_HCALL_ARGS; i++)
			h->arg[i] = w.args[i];
	} else {
		if (xen_read_arg(vcpu, gva, &c, sizeof(c)))
			return -EFAULT;
		h->nr = c.op;
		for (i = 0; i < XEN_HCALL_ARGS; i++)
			h->arg[i] = c.args[i];
	}

	return 0;
}

static int xen_multicall_write(struct kvm_vcpu *vcpu, u64 gva,
			       struct xen_hcall *h)
{
	u32 narrow = h->result;
	u64 wide = h->result;

	if (h->wide)
		return xen_write_arg(vcpu, gva +
				     offsetof(struct multicall_entry, result),
				     &wide, sizeof(wide));

	return xen_write_arg(vcpu, gva +
			     offsetof(struct compat_multicall_entry, result),
			     &narrow, sizeof(narrow));
}

/*
 * All calls or none: the VMM could not tell which ones are done. So they are looked
 * at before the first of them is made. What the guest changes in between is its own
 * affair; a call that is unknown then fails as it would in Xen.
 */
static bool xen_multicall(struct kvm_vcpu *vcpu, struct xen_hcall *m)
{
	u32 size = m->wide ? sizeof(struct multicall_entry) :
			     sizeof(struct compat_multicall_entry);
	struct xen_hcall h = { .wide = m->wide };
	u64 nr = m->arg[1], i;

	if (!xen_accel(vcpu, KVM_XEN_ACCEL_MULTICALL) || nr > XEN_MULTICALL_MAX)
		return false;

	h.probe = true;
	for (i = 0; i < nr; i++)
		if (xen_multicall_read(vcpu, m->arg[0] + i * size, &h) ||
		    !xen_hcall_one(vcpu, &h))
			return false;

	h.probe = false;
	m->result = 0;
	for (i = 0; i < nr && !m->result; i++) {
		m->result = xen_multicall_read(vcpu, m->arg[0] + i * size, &h);
		if (m->result)
			break;
		if (!xen_hcall_one(vcpu, &h))
			h.result = -ENOSYS;
		m->result = xen_multicall_write(vcpu, m->arg[0] + i * size, &h);
	}

	return true;
}

static int xen_hcall_done(struct kvm_vcpu *vcpu, u64 result, bool wide)
{
	kvm_rax_write(vcpu, wide ? result : (u32)result);

	return kvm_skip_emulated_instruction(vcpu);
}

/* The VMM has answered, unless it moved the vCPU elsewhere. */
static int xen_complete_hcall(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (!kvm_is_linear_rip(vcpu, xen_vcpu(vcpu)->hcall_rip))
		return 1;

	return xen_hcall_done(vcpu, run->xen.u.hcall.result,
			      run->xen.u.hcall.longmode);
}

static int xen_hcall_to_user(struct kvm_vcpu *vcpu, struct xen_hcall *h, u8 cpl)
{
	struct xen_events *ev = xen_events(vcpu->kvm);
	struct kvm_run *run = vcpu->run;
	int i;

	if (ev)
		atomic_long_inc(&ev->stats.to_user);

	run->exit_reason = KVM_EXIT_XEN;
	run->xen.type = KVM_EXIT_XEN_HCALL;
	run->xen.u.hcall.longmode = h->wide;
	run->xen.u.hcall.cpl = cpl;
	run->xen.u.hcall.input = h->nr;
	for (i = 0; i < XEN_HCALL_ARGS; i++)
		run->xen.u.hcall.params[i] = h->arg[i];
	xen_vcpu(vcpu)->hcall_rip = kvm_get_linear_rip(vcpu);
	vcpu->arch.complete_userspace_io = xen_complete_hcall;

	return 0;
}

static void xen_hcall_read(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	h->wide = is_64_bit_hypercall(vcpu);
	h->probe = false;
	h->result = 0;
	h->nr = kvm_rax_read(vcpu);
	if (h->wide) {
		h->arg[0] = kvm_rdi_read(vcpu);
		h->arg[1] = kvm_rsi_read(vcpu);
		h->arg[2] = kvm_rdx_read(vcpu);
		h->arg[3] = kvm_r10_read(vcpu);
		h->arg[4] = kvm_r8_read(vcpu);
		h->arg[5] = kvm_r9_read(vcpu);
	} else {
		h->nr = (u32)h->nr;
		h->arg[0] = (u32)kvm_rbx_read(vcpu);
		h->arg[1] = (u32)kvm_rcx_read(vcpu);
		h->arg[2] = (u32)kvm_rdx_read(vcpu);
		h->arg[3] = (u32)kvm_rsi_read(vcpu);
		h->arg[4] = (u32)kvm_rdi_read(vcpu);
		h->arg[5] = (u32)kvm_rbp_read(vcpu);
	}
}

/**
 * kvm_xen_hypercall - the guest has made a hypercall
 * @vcpu: the vCPU
 *
 * Context: vCPU task; kvm->srcu held; may sleep.
 * Return: 1 to go on with the guest, 0 to leave for the VMM (%KVM_EXIT_XEN).
 */
int kvm_xen_hypercall(struct kvm_vcpu *vcpu)
{
	bool done = false;
	struct xen_hcall h;
	u8 cpl;

	/* How both kinds of hypercalls are told apart where a guest makes both. */
	if (kvm_rax_read(vcpu) & BIT(31) && kvm_hv_hypercall_enabled(vcpu))
		return kvm_hv_hypercall(vcpu);

	xen_hcall_read(vcpu, &h);
	cpl = kvm_x86_call(get_cpl)(vcpu);
	trace_kvm_xen_hypercall(cpl, h.nr, h.arg[0], h.arg[1], h.arg[2],
				h.arg[3], h.arg[4], h.arg[5]);

	if (!cpl)
		done = h.nr == __HYPERVISOR_multicall ?
			xen_multicall(vcpu, &h) : xen_hcall_one(vcpu, &h);
	if (!done)
		return xen_hcall_to_user(vcpu, &h, cpl);

	++vcpu->stat.hypercalls;

	return xen_hcall_done(vcpu, h.result, h.wide);
}
