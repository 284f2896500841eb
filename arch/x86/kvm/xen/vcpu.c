// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU of a Xen VM: its life and its attributes.
 */
#include <linux/kvm_host.h>

#include <asm/xen/cpuid.h>

#include <pfncache/gpc_live.h>

#include "../cpuid.h"
#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "fifo.h"
#include "runstate.h"
#include "timer.h"
#include "uapi.h"
#include "upcall.h"
#include "vm.h"

/**
 * kvm_xen_init_vcpu - prepare a vCPU for Xen
 * @vcpu: the vCPU, known to nobody else
 */
void kvm_xen_init_vcpu(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	x->vcpu_id = vcpu->vcpu_idx;
	x->timer_priority = XEN_PRIORITY_NONE;
	x->poll_port = XEN_POLL_NONE;
	kvm_gpc_init_live(&x->vcpu_info, vcpu->kvm);
	kvm_gpc_init(&x->time_info, vcpu->kvm);
	kvm_gpc_init_live(&x->runstate_area, vcpu->kvm);
	kvm_gpc_init_live(&x->runstate_rest, vcpu->kvm);

	/* Events may be waiting for it. It is to look before it enters the guest. */
	if (xen_events(vcpu->kvm)) {
		x->todo = XEN_TODO_LATCH;
		kvm_make_request(KVM_REQ_UNBLOCK, vcpu);
	}
}

/**
 * kvm_xen_destroy_vcpu - a vCPU goes
 * @vcpu: the vCPU, which nobody can find any more, or the VM with it
 *
 * Context: may sleep.
 */
void kvm_xen_destroy_vcpu(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	xen_events_stop(vcpu->kvm);
	xen_events_forget(vcpu);
	xen_timers_destroy(vcpu);

	kvm_gpc_deactivate(&x->vcpu_info);
	kvm_gpc_deactivate(&x->time_info);
	kvm_gpc_deactivate(&x->runstate_area);
	kvm_gpc_deactivate(&x->runstate_rest);
}

/**
 * kvm_xen_update_tsc_info - the vCPU's TSC frequency has changed
 * @vcpu: the vCPU
 *
 * Xen's CPUID leaf 3 tells it to the guest. Source: Xen's public
 * arch-x86/cpuid.h.
 *
 * Context: vCPU task.
 */
void kvm_xen_update_tsc_info(struct kvm_vcpu *vcpu)
{
	struct kvm_hypervisor_cpuid *xen = &vcpu->arch.xen.cpuid;
	u32 leaf = xen->base | XEN_CPUID_LEAF(3);
	struct kvm_cpuid_entry2 *entry;

	if (!xen->base || leaf > xen->limit)
		return;

	entry = kvm_find_cpuid_entry_index(vcpu, leaf, 1);
	if (entry) {
		entry->ecx = vcpu->arch.hv_clock.tsc_to_system_mul;
		entry->edx = vcpu->arch.hv_clock.tsc_shift;
	}

	entry = kvm_find_cpuid_entry_index(vcpu, leaf, 2);
	if (entry)
		entry->eax = vcpu->arch.hw_tsc_khz;
}

/* vcpu_info: its selector words must not straddle anything, see two_level.h. */
static int xen_set_vcpu_info(struct kvm_vcpu *vcpu, gpa_t gpa,
			     unsigned long hva)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	int r;

	if (!IS_ALIGNED(gpa == INVALID_GPA ? hva : gpa, sizeof(u32)))
		return -ENXIO;

	r = xen_gpc_set(&x->vcpu_info, gpa, hva, sizeof(struct vcpu_info));
	WRITE_ONCE(x->unreachable, false);
	if (!r && x->vcpu_info.active) {
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
		xen_vcpu_wake(vcpu, XEN_TODO_UPCALL |
			      (xen_has_parked(x) ? XEN_TODO_SEL : 0));
		/* Events may have been sent before there was this vCPU. */
		if (READ_ONCE(xen_events(vcpu->kvm)->words))
			xen_events_retry(vcpu->kvm);
	}

	return r;
}

static int xen_set_time_info(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	int r;

	r = xen_gpc_set(&xen_vcpu(vcpu)->time_info, gpa, 0,
			sizeof(struct pvclock_vcpu_time_info));
	if (!r && gpa != INVALID_GPA)
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);

	return r;
}

static int xen_set_timer(struct kvm_vcpu *vcpu, struct kvm_xen_vcpu_attr *data)
{
	u32 port = data->u.timer.port;
	int r;

	if (port && !xen_priority_valid(vcpu->kvm, data->u.timer.priority))
		return -EINVAL;

	if (port) {
		r = xen_timers_make(vcpu);
		if (r)
			return r;
	}

	xen_timer_stop(vcpu);
	WRITE_ONCE(xen_vcpu(vcpu)->timer_priority,
		   port ? (u8)data->u.timer.priority : XEN_PRIORITY_NONE);
	WRITE_ONCE(xen_vcpu(vcpu)->timer_port, port);
	if (port && data->u.timer.expires_ns)
		xen_timer_start(vcpu, data->u.timer.expires_ns);

	return 0;
}

static int xen_set_vcpu_vector(struct kvm_vcpu *vcpu, u8 vector)
{
	if (vector && vector < XEN_FIRST_VECTOR)
		return -EINVAL;

	WRITE_ONCE(xen_vcpu(vcpu)->upcall_vector, vector);
	/*
	 * An upcall that was on its way is in an APIC that the VMM may have saved
	 * before it asked for the rest, or is about to restore. The guest's flag says
	 * whether there was one; that is looked at when the vCPU enters the guest.
	 */
	if (vector)
		xen_vcpu_wake(vcpu, XEN_TODO_UPCALL);

	return 0;
}

static int xen_set_vcpu_id(struct kvm_vcpu *vcpu, u32 id)
{
	if (id >= KVM_MAX_VCPUS)
		return -EINVAL;

	WRITE_ONCE(xen_vcpu(vcpu)->vcpu_id, id);

	return 0;
}

static int xen_set_runstate(struct kvm_vcpu *vcpu,
			    struct kvm_xen_vcpu_attr *data)
{
	const u64 times[4] = {
		data->u.runstate.time_running, data->u.runstate.time_runnable,
		data->u.runstate.time_blocked, data->u.runstate.time_offline,
	};
	u64 entry = data->u.runstate.state_entry_time;
	u64 state = data->u.runstate.state;

	if (!sched_info_on())
		return -EOPNOTSUPP;

	switch (data->type) {
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT:
		if (state > RUNSTATE_offline)
			return -EINVAL;
		kvm_xen_update_runstate(vcpu, state);
		return 0;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA:
		return xen_runstate_set(vcpu, state, entry, times);
	default:
		return xen_runstate_adjust(vcpu, state, entry, times);
	}
}

/**
 * kvm_xen_vcpu_set_attr - KVM_XEN_VCPU_SET_ATTR
 * @vcpu: the vCPU, loaded
 * @data: the attribute
 *
 * Context: may sleep; vCPU ioctl, vCPU mutex held. But for those of FIFO queues it
 *	takes no lock of the VM, so the attributes of many vCPUs are restored side by
 *	side.
 * Return: 0; -ENOENT an unknown attribute; else docs/xen-abi.rst.
 */
int kvm_xen_vcpu_set_attr(struct kvm_vcpu *vcpu, struct kvm_xen_vcpu_attr *data)
{
	int r, idx;

	r = xen_events_make(vcpu->kvm);
	if (r)
		return r;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	switch (data->type) {
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO:
		r = xen_set_vcpu_info(vcpu, data->u.gpa, 0);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA:
		r = xen_set_vcpu_info(vcpu, INVALID_GPA, data->u.hva);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO:
		r = xen_set_time_info(vcpu, data->u.gpa);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR:
		r = xen_runstate_set_area(vcpu, data->u.gpa);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST:
		r = xen_set_runstate(vcpu, data);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID:
		r = xen_set_vcpu_id(vcpu, data->u.vcpu_id);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_TIMER:
		r = xen_set_timer(vcpu, data);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR:
		r = xen_set_vcpu_vector(vcpu, data->u.vector);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC:
		r = 0;
		if (data->u.pad[0])
			r = xen_periodic_start(vcpu, data->u.pad[0]);
		else
			xen_periodic_stop(vcpu);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC_TICK:
		r = xen_periodic_set_tick(vcpu, data->u.pad[0]);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_CONTROL:
	case KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_TAILS:
		r = xen_fifo_set_vcpu_attr(vcpu, data);
		break;
	default:
		r = -ENOENT;
		break;
	}
	srcu_read_unlock(&vcpu->kvm->srcu, idx);

	return r;
}

/* Is it read by a VMM that goes on to save what timers write to? */
static bool xen_attr_holds_timers(struct kvm *kvm, u16 type)
{
	/* Else nothing arms them again. */
	if (!kvm_xen_msr_enabled(kvm))
		return false;

	return type == KVM_XEN_VCPU_ATTR_TYPE_TIMER ||
	       type == KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC ||
	       type == KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC_TICK ||
	       type == KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_TAILS;
}

static u64 xen_gpc_gpa(struct gfn_to_pfn_cache *gpc)
{
	return gpc->active ? gpc->gpa : KVM_XEN_INVALID_GPA;
}

static int xen_get_runstate(struct kvm_vcpu *vcpu,
			    struct kvm_xen_vcpu_attr *data)
{
	u64 state, entry, times[4];

	if (!sched_info_on())
		return -EOPNOTSUPP;

	xen_runstate_get(vcpu, &state, &entry, times);
	data->u.runstate.state = state;
	if (data->type == KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT)
		return 0;

	data->u.runstate.state_entry_time = entry;
	data->u.runstate.time_running = times[RUNSTATE_running];
	data->u.runstate.time_runnable = times[RUNSTATE_runnable];
	data->u.runstate.time_blocked = times[RUNSTATE_blocked];
	data->u.runstate.time_offline = times[RUNSTATE_offline];

	return 0;
}

/**
 * kvm_xen_vcpu_get_attr - KVM_XEN_VCPU_GET_ATTR
 * @vcpu: the vCPU, loaded
 * @data: type is set, the rest is filled in
 *
 * What senders have left for the vCPU is put where the guest finds it first, so
 * that a VMM which reads any attribute when it saves the vCPU saves that too. Timers
 * that are read, or whose queues are, fire no more until the vCPU runs.
 *
 * Context: may sleep; vCPU ioctl, vCPU mutex held.
 * Return: 0; -ENOENT an unknown attribute or, of run state, no area; -EINVAL.
 */
int kvm_xen_vcpu_get_attr(struct kvm_vcpu *vcpu, struct kvm_xen_vcpu_attr *data)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	unsigned long todo;
	int r = 0, idx;

	/* First: what one of them has left is put into place below. */
	if (xen_attr_holds_timers(vcpu->kvm, data->type))
		xen_timers_hold(vcpu);

	todo = READ_ONCE(x->todo);
	if (todo & ~XEN_TODO_UPCALL || xen_has_parked(x)) {
		idx = srcu_read_lock(&vcpu->kvm->srcu);
		kvm_xen_inject_pending_events(vcpu);
		srcu_read_unlock(&vcpu->kvm->srcu, idx);
		/* Of a VMM that restores, the APIC may be still to come. */
		if (todo & XEN_TODO_UPCALL)
			xen_vcpu_wake(vcpu, XEN_TODO_UPCALL);
	}
	if (xen_events(vcpu->kvm))
		xen_wait_for_tellers(xen_events(vcpu->kvm));

	switch (data->type) {
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO:
		data->u.gpa = xen_gpc_gpa(&x->vcpu_info);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA:
		data->u.hva = 0;
		if (x->vcpu_info.active && kvm_is_error_gpa(x->vcpu_info.gpa))
			data->u.hva = x->vcpu_info.uhva;
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO:
		data->u.gpa = xen_gpc_gpa(&x->time_info);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR:
		if (!sched_info_on())
			r = -EOPNOTSUPP;
		else if (!x->runstate_area.active)
			r = -ENOENT;
		else
			data->u.gpa = x->runstate_area.gpa;
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA:
		r = xen_get_runstate(vcpu, data);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST:
		r = -EINVAL;
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID:
		data->u.vcpu_id = x->vcpu_id;
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_TIMER:
		data->u.timer.port = x->timer_port;
		data->u.timer.priority = x->timer_priority;
		if (x->timer_priority == XEN_PRIORITY_NONE)
			data->u.timer.priority =
				KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL;
		data->u.timer.expires_ns = xen_timer_get(vcpu);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR:
		data->u.vector = x->upcall_vector;
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC:
		data->u.pad[0] = xen_periodic_get(vcpu);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC_TICK:
		data->u.pad[0] = xen_periodic_get_tick(vcpu);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_CONTROL:
	case KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_TAILS:
		r = xen_fifo_get_vcpu_attr(vcpu, data);
		break;
	default:
		r = -ENOENT;
		break;
	}

	return r;
}
