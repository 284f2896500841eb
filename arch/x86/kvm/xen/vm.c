// SPDX-License-Identifier: GPL-2.0
/*
 * A Xen VM: turning Xen on, the VM's attributes, shared_info, the hypercall page.
 */
#include <linux/kvm_host.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <pfncache/gpc_live.h>

#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "fifo.h"
#include "kept.h"
#include "poll.h"
#include "ports.h"
#include "time.h"
#include "uapi.h"
#include "upcall.h"
#include "version.h"
#include "vm.h"

/* MSRs that a hypervisor may define for its guests. */
#define XEN_MSR_FIRST		0x40000000
#define XEN_MSR_LAST		0x4fffffff

/* A stub of the hypercall page, and how many there are. */
#define XEN_STUB_SIZE		32
#define XEN_STUBS		(PAGE_SIZE / XEN_STUB_SIZE)

DEFINE_STATIC_KEY_DEFERRED_FALSE(kvm_xen_enabled, HZ);

/**
 * xen_mark_dirty - log a write made through a cache
 * @gpc: the cache, one of those that only its vCPU's task changes
 *
 * Context: that task; kvm->srcu held, any context.
 */
void xen_mark_dirty(struct gfn_to_pfn_cache *gpc)
{
	if (!kvm_is_error_gpa(gpc->gpa))
		mark_page_dirty(gpc->kvm, gpa_to_gfn(gpc->gpa));
}

/**
 * xen_gpc_where - where a cache points
 * @gpc: the cache, which a refresh may be writing
 * @gpa: guest address, or INVALID_GPA
 * @hva: user address
 *
 * Context: interrupts on.
 * Return: whether it is active.
 */
bool xen_gpc_where(struct gfn_to_pfn_cache *gpc, gpa_t *gpa,
		   unsigned long *hva)
{
	bool active;

	read_lock_irq(&gpc->lock);
	active = gpc->active;
	*gpa = gpc->gpa;
	*hva = gpc->uhva;
	read_unlock_irq(&gpc->lock);

	return active;
}

/**
 * xen_gpc_set - point a cache at what an attribute says, or nowhere
 * @gpc: the cache
 * @gpa: guest address, or INVALID_GPA
 * @hva: user address if @gpa is INVALID_GPA, or 0 for nowhere
 * @len: bytes
 *
 * If it cannot be done the cache stays where it was.
 *
 * Context: may sleep; kvm->srcu held, and what the attribute is protected by:
 *	xen_vm.lock for the VM's, the vCPU's mutex for a vCPU's.
 * Return: 0 or what kvm_gpc_activate() says.
 */
int xen_gpc_set(struct gfn_to_pfn_cache *gpc, gpa_t gpa, unsigned long hva,
		unsigned long len)
{
	unsigned long old_hva;
	bool was_active;
	gpa_t old_gpa;
	int r;

	was_active = xen_gpc_where(gpc, &old_gpa, &old_hva);
	if (gpa != INVALID_GPA) {
		r = kvm_gpc_activate(gpc, gpa, len);
	} else if (hva) {
		r = kvm_gpc_activate_hva(gpc, hva, len);
	} else {
		kvm_gpc_deactivate(gpc);
		return 0;
	}
	if (!r)
		return 0;

	/* Even an old place that is gone comes to life again where it was. */
	if (!was_active)
		kvm_gpc_deactivate(gpc);
	else if (old_gpa != INVALID_GPA)
		kvm_gpc_activate(gpc, old_gpa, len);
	else
		kvm_gpc_activate_hva(gpc, old_hva, len);

	return r;
}

static int xen_set_shared_info(struct kvm *kvm, gpa_t gpa, unsigned long hva)
{
	int r, idx;

	idx = srcu_read_lock(&kvm->srcu);
	r = xen_gpc_set(&xen_vm(kvm)->shinfo, gpa, hva, PAGE_SIZE);
	if (!r && READ_ONCE(xen_vm(kvm)->shinfo.active))
		xen_wall_clock_set(kvm);
	srcu_read_unlock(&kvm->srcu, idx);

	/* What is latched is for this page now; pollers look again in it. */
	if (READ_ONCE(xen_vm(kvm)->shinfo.active))
		xen_events_retry(kvm);
	xen_poll_wake_all(kvm);

	return r;
}

/*
 * Layouts change. Whoever is at a word of the old one has left it when this returns;
 * what is latched or parked is kept by port, and says the same in either.
 */
static void xen_set_long_mode(struct kvm *kvm, bool wide)
{
	struct xen_vm *xv = xen_vm(kvm);

	if (xv->long_mode != wide) {
		WRITE_ONCE(xv->long_mode, wide);
		kvm_gpc_quiesce(kvm);
	}
}

/* And where the wall clock is. Without xen_vm.lock: it may take as long as the page does. */
static void xen_long_mode_was_set(struct kvm *kvm)
{
	int idx;

	if (READ_ONCE(xen_vm(kvm)->shinfo.active)) {
		idx = srcu_read_lock(&kvm->srcu);
		xen_wall_clock_set(kvm);
		srcu_read_unlock(&kvm->srcu, idx);
	}
}

/**
 * kvm_xen_init_vm - prepare a VM for Xen
 * @kvm: the VM, known to nobody else
 */
void kvm_xen_init_vm(struct kvm *kvm)
{
	struct xen_vm *xv = xen_vm(kvm);

	mutex_init(&xv->lock);
	kvm_gpc_init_live(&xv->shinfo, kvm);
}

/**
 * kvm_xen_destroy_vm - a VM goes
 * @kvm: the VM, used by nobody any more
 *
 * Context: may sleep.
 */
void kvm_xen_destroy_vm(struct kvm *kvm)
{
	struct xen_vm *xv = xen_vm(kvm);

	kvm_gpc_deactivate(&xv->shinfo);
	xen_ports_destroy(kvm);
	xen_version_destroy(kvm);
	xen_events_free(kvm);

	if (kvm->arch.xen_hvm_config.msr)
		static_branch_slow_dec_deferred(&kvm_xen_enabled);
}

/**
 * kvm_xen_hvm_config - KVM_XEN_HVM_CONFIG
 * @kvm: the VM
 * @xhc: the configuration
 *
 * Context: may sleep; VM ioctl.
 * Return: 0; -EINVAL unknown flags, an MSR outside 0x40000000..0x4fffffff, or
 *	pages given although KVM is to make them; -ENOMEM.
 */
int kvm_xen_hvm_config(struct kvm *kvm, struct kvm_xen_hvm_config *xhc)
{
	struct kvm_xen_hvm_config *config = &kvm->arch.xen_hvm_config;
	struct xen_vm *xv = xen_vm(kvm);
	u32 old_flags, old_msr;
	int r;

	if (xhc->flags & ~(KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			   KVM_XEN_HVM_CONFIG_EVTCHN_SEND |
			   KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE))
		return -EINVAL;

	if (xhc->msr && (xhc->msr < XEN_MSR_FIRST || xhc->msr > XEN_MSR_LAST))
		return -EINVAL;

	if (xhc->flags & KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL &&
	    (xhc->blob_addr_32 || xhc->blob_addr_64 ||
	     xhc->blob_size_32 || xhc->blob_size_64))
		return -EINVAL;

	r = xen_events_make(kvm);
	if (r)
		return r;

	mutex_lock(&xv->lock);
	old_flags = config->flags;
	old_msr = config->msr;

	if (xhc->msr && !old_msr)
		static_branch_inc(&kvm_xen_enabled.key);
	/* Each by itself: msr and flags are read without the lock. */
	config->blob_addr_32 = xhc->blob_addr_32;
	config->blob_addr_64 = xhc->blob_addr_64;
	config->blob_size_32 = xhc->blob_size_32;
	config->blob_size_64 = xhc->blob_size_64;
	WRITE_ONCE(config->flags, xhc->flags);
	WRITE_ONCE(config->msr, xhc->msr);
	if (!xhc->msr && old_msr)
		static_branch_slow_dec_deferred(&kvm_xen_enabled);
	mutex_unlock(&xv->lock);

	if ((old_flags ^ xhc->flags) & KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE)
		kvm_make_all_cpus_request(kvm, KVM_REQ_CLOCK_UPDATE);

	return 0;
}

static int xen_set_accel(struct kvm *kvm, u64 accel)
{
	if (accel & ~(u64)KVM_XEN_ACCEL_ALL)
		return -EINVAL;

	WRITE_ONCE(xen_vm(kvm)->accel, accel);

	return 0;
}

/**
 * kvm_xen_hvm_set_attr - KVM_XEN_HVM_SET_ATTR
 * @kvm: the VM
 * @data: the attribute
 *
 * Context: may sleep; VM ioctl.
 * Return: 0; -ENOENT an unknown attribute; else docs/xen-abi.rst.
 */
int kvm_xen_hvm_set_attr(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	struct xen_vm *xv = xen_vm(kvm);
	u64 hva;
	int r;

	r = xen_events_make(kvm);
	if (r)
		return r;

	mutex_lock(&xv->lock);
	switch (data->type) {
	case KVM_XEN_ATTR_TYPE_LONG_MODE:
		xen_set_long_mode(kvm, !!data->u.long_mode);
		break;
	case KVM_XEN_ATTR_TYPE_SHARED_INFO:
		if (data->u.shared_info.gfn == KVM_XEN_INVALID_GFN)
			r = xen_set_shared_info(kvm, INVALID_GPA, 0);
		else if (data->u.shared_info.gfn > INVALID_GPA >> PAGE_SHIFT)
			r = -EFAULT;
		else
			r = xen_set_shared_info(kvm,
					gfn_to_gpa(data->u.shared_info.gfn), 0);
		break;
	case KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA:
		hva = data->u.shared_info.hva;
		r = PAGE_ALIGNED(hva) ?
			xen_set_shared_info(kvm, INVALID_GPA, hva) : -EINVAL;
		break;
	case KVM_XEN_ATTR_TYPE_UPCALL_VECTOR:
		r = xen_upcall_set_vector(kvm, data->u.vector);
		break;
	case KVM_XEN_ATTR_TYPE_EVTCHN:
		r = xen_ports_set(kvm, data);
		break;
	case KVM_XEN_ATTR_TYPE_XEN_VERSION:
		WRITE_ONCE(xv->version, data->u.xen_version);
		break;
	case KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG:
		r = sched_info_on() ? 0 : -EOPNOTSUPP;
		if (!r)
			WRITE_ONCE(xv->runstate_update_flag,
				   !!data->u.runstate_update_flag);
		break;
	case KVM_XEN_ATTR_TYPE_X_ACCEL:
		r = xen_set_accel(kvm, data->u.pad[0]);
		break;
	case KVM_XEN_ATTR_TYPE_X_VERSION:
		r = xen_version_set(kvm, data);
		break;
	case KVM_XEN_ATTR_TYPE_X_PORT:
		r = xen_kept_set(kvm, data);
		break;
	default:
		r = xen_fifo_set_attr(kvm, data);
		break;
	}
	mutex_unlock(&xv->lock);

	if (data->type == KVM_XEN_ATTR_TYPE_LONG_MODE)
		xen_long_mode_was_set(kvm);

	return r;
}

/**
 * kvm_xen_hvm_get_attr - KVM_XEN_HVM_GET_ATTR
 * @kvm: the VM
 * @data: type is set, the rest is filled in
 *
 * What is latched for the guest is delivered first, as far as it can be, so that
 * who saves the guest's memory after this saves it too.
 *
 * Context: may sleep; VM ioctl.
 * Return: 0; -ENOENT an unknown attribute; -EOPNOTSUPP; -EINTR for a fatal signal.
 */
int kvm_xen_hvm_get_attr(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	struct xen_events *ev = xen_events(kvm);
	struct xen_vm *xv = xen_vm(kvm);
	int r = 0, idx;
	unsigned long hva;
	gpa_t gpa;

	idx = srcu_read_lock(&kvm->srcu);
	xen_events_finish(kvm);
	srcu_read_unlock(&kvm->srcu, idx);
	/*
	 * And what others have taken and not yet delivered. They may have to wait for
	 * user space, and nobody can kill the worker: but us.
	 */
	if (ev && wait_event_killable(ev->idle, !atomic_read(&ev->flushing)))
		return -EINTR;

	mutex_lock(&xv->lock);
	switch (data->type) {
	case KVM_XEN_ATTR_TYPE_LONG_MODE:
		data->u.long_mode = xv->long_mode;
		break;
	case KVM_XEN_ATTR_TYPE_SHARED_INFO:
		data->u.shared_info.gfn = KVM_XEN_INVALID_GFN;
		if (xen_gpc_where(&xv->shinfo, &gpa, &hva) &&
		    !kvm_is_error_gpa(gpa))
			data->u.shared_info.gfn = gpa_to_gfn(gpa);
		break;
	case KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA:
		data->u.shared_info.hva = 0;
		if (xen_gpc_where(&xv->shinfo, &gpa, &hva) &&
		    kvm_is_error_gpa(gpa))
			data->u.shared_info.hva = hva;
		break;
	case KVM_XEN_ATTR_TYPE_UPCALL_VECTOR:
		data->u.vector = xen_upcall_vector(kvm);
		break;
	case KVM_XEN_ATTR_TYPE_XEN_VERSION:
		data->u.xen_version = xv->version;
		break;
	case KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG:
		r = sched_info_on() ? 0 : -EOPNOTSUPP;
		if (!r)
			data->u.runstate_update_flag = xv->runstate_update_flag;
		break;
	case KVM_XEN_ATTR_TYPE_X_ACCEL:
		data->u.pad[0] = xv->accel;
		break;
	case KVM_XEN_ATTR_TYPE_X_EVTCHN:
		r = xen_ports_get(kvm, data);
		break;
	case KVM_XEN_ATTR_TYPE_X_CONFIG:
		data->u.pad[0] = kvm->arch.xen_hvm_config.msr;
		data->u.pad[1] = kvm->arch.xen_hvm_config.flags;
		break;
	case KVM_XEN_ATTR_TYPE_X_VERSION:
		r = xen_version_get(kvm, data);
		break;
	case KVM_XEN_ATTR_TYPE_X_PORT:
		r = xen_kept_get(kvm, data);
		break;
	default:
		r = xen_fifo_get_attr(kvm, data);
		break;
	}
	mutex_unlock(&xv->lock);

	return r;
}

/* mov $nr, %eax; the processor's hypercall; ret; and traps up to the next. */
static int xen_write_stubs(struct kvm_vcpu *vcpu, gpa_t page)
{
	u8 stub[XEN_STUB_SIZE];
	u32 nr;

	memset(stub, 0xcc, sizeof(stub));
	stub[0] = 0xb8;
	kvm_x86_call(patch_hypercall)(vcpu, &stub[5]);
	stub[8] = 0xc3;

	for (nr = 0; nr < XEN_STUBS; nr++) {
		memcpy(&stub[1], &nr, sizeof(nr));
		if (kvm_vcpu_write_guest(vcpu, page + nr * XEN_STUB_SIZE, stub,
					 sizeof(stub)))
			return 1;
	}

	return 0;
}

static int xen_copy_page(struct kvm_vcpu *vcpu, gpa_t page, u32 nr)
{
	struct kvm_xen_hvm_config *config = &vcpu->kvm->arch.xen_hvm_config;
	bool wide = is_long_mode(vcpu);
	u8 pages = wide ? config->blob_size_64 : config->blob_size_32;
	u64 blob = wide ? config->blob_addr_64 : config->blob_addr_32;
	void *copy;
	int r;

	if (nr >= pages)
		return 1;

	copy = memdup_user(u64_to_user_ptr(blob + nr * PAGE_SIZE), PAGE_SIZE);
	if (IS_ERR(copy))
		return PTR_ERR(copy);

	r = kvm_vcpu_write_guest(vcpu, page, copy, PAGE_SIZE);
	kfree(copy);

	return r ? 1 : 0;
}

/**
 * kvm_xen_write_hypercall_page - the guest asks for its hypercall page
 * @vcpu: the vCPU
 * @data: guest address of the page, and in its low bits which page
 *
 * Also the moment at which the guest's layout is decided: it is that of the mode
 * the vCPU is in. A write by the VMM does neither; it restores an MSR that has no
 * state.
 *
 * Context: may sleep; kvm->srcu held.
 * Return: 0; 1 for #GP; a negative errno.
 */
int kvm_xen_write_hypercall_page(struct kvm_vcpu *vcpu, u64 data)
{
	struct xen_vm *xv = xen_vm(vcpu->kvm);
	bool wide = is_long_mode(vcpu);
	u32 nr = data & ~PAGE_MASK;
	gpa_t page = data & PAGE_MASK;
	bool flip;

	if (!vcpu->wants_to_run)
		return 0;

	mutex_lock(&xv->lock);
	flip = xv->long_mode != wide;
	if (flip)
		xen_set_long_mode(vcpu->kvm, wide);
	mutex_unlock(&xv->lock);
	if (flip) {
		xen_long_mode_was_set(vcpu->kvm);
		/* Others wait for it: a guest that changes its mind again waits, too. */
		schedule_timeout_killable(1);
	}

	if (!kvm_xen_hypercall_enabled(vcpu->kvm))
		return xen_copy_page(vcpu, page, nr);

	return nr ? 1 : xen_write_stubs(vcpu, page);
}
