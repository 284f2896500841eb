// SPDX-License-Identifier: GPL-2.0
/*
 * XENVER_*: what Xen says of itself. For one guest that never changes, and it is the
 * VMM's to say; what it has left here the guest's calls need not ask it for.
 *
 * An answer is a record that never changes, and is counted: by its place, and by each
 * call that reads it, which may sleep over it. A new answer takes the place of the old
 * one, which is freed with its last reader. So there are no more of them than places
 * and vCPUs, however often a VMM sets one.
 *
 * Lengths and results: Xen's public version.h, and what Xen returns.
 */
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <xen/interface/xen.h>
#include <xen/interface/version.h>

#include "../x86.h"
#include "../xen.h"
#include "events.h"
#include "hypercall.h"
#include "uapi.h"
#include "version.h"

/* Words of features; Xen has two so far. */
#define XEN_SUBMAPS_MAX		16
/* Of the hashes in use the longest has 64 bytes. */
#define XEN_BUILD_ID_MAX	64

/**
 * struct xen_answer - what one XENVER_* call returns
 * @refs: its place, and who reads it
 * @len: length of @data
 * @data: as the VMM has given it
 */
struct xen_answer {
	refcount_t refs;
	u32 len;
	u8 data[] __counted_by(len);
};

static_assert(XENVER_build_id == XEN_ANSWERS - 1);
static_assert(sizeof(struct kvm_xen_x_version) <=
	      sizeof(((struct kvm_xen_hvm_attr *)NULL)->u));

static bool xen_answer_valid(u32 cmd, u32 len)
{
	switch (cmd) {
	case XENVER_extraversion:
		return len == sizeof(struct xen_extraversion);
	case XENVER_compile_info:
		return len == sizeof(struct xen_compile_info);
	case XENVER_capabilities:
		return len == sizeof(struct xen_capabilities_info);
	case XENVER_changeset:
		return len == sizeof(struct xen_changeset_info);
	case XENVER_platform_parameters:
		/* That of a 64-bit guest; one with 32 bits gets the lower half. */
		return len == sizeof(u64);
	case XENVER_get_features:
		return len && len <= XEN_SUBMAPS_MAX * sizeof(u32) &&
		       IS_ALIGNED(len, sizeof(u32));
	case XENVER_pagesize:
		return len == sizeof(u32);
	case XENVER_guest_handle:
		return len == sizeof(xen_domain_handle_t);
	case XENVER_commandline:
		return len == sizeof(struct xen_commandline);
	case XENVER_build_id:
		return len && len <= XEN_BUILD_ID_MAX;
	default:
		return false;
	}
}

static void xen_answer_put(struct xen_answer *a)
{
	if (a && refcount_dec_and_test(&a->refs))
		kfree(a);
}

/* Return: the answer there is, to be put, or NULL. */
static struct xen_answer *xen_answer_take(struct xen_answers *answers, u32 cmd)
{
	struct xen_answer *a;

	spin_lock(&answers->lock);
	a = answers->place[array_index_nospec(cmd, XEN_ANSWERS)];
	if (a)
		refcount_inc(&a->refs);
	spin_unlock(&answers->lock);

	return a;
}

/**
 * xen_version_init - there are no answers yet
 * @answers: a VM's, known to nobody else
 */
void xen_version_init(struct xen_answers *answers)
{
	spin_lock_init(&answers->lock);
}

/**
 * xen_version_set - KVM_XEN_ATTR_TYPE_X_VERSION: an answer, or none any more
 * @kvm: the VM
 * @data: the attribute
 *
 * Context: may sleep; xen_vm.lock held, xen_events_make() done.
 * Return: 0; -EINVAL a command that has no constant answer, or one of another
 *	length; -EFAULT; -ENOMEM.
 */
int xen_version_set(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	struct xen_answers *answers = &xen_events(kvm)->answers;
	struct kvm_xen_x_version v;
	struct xen_answer *a = NULL;

	memcpy(&v, &data->u, sizeof(v));
	if (!v.cmd || v.cmd >= XEN_ANSWERS)
		return -EINVAL;

	if (v.len) {
		if (!xen_answer_valid(v.cmd, v.len))
			return -EINVAL;
		a = kmalloc(struct_size(a, data, v.len), GFP_KERNEL_ACCOUNT);
		if (!a)
			return -ENOMEM;
		refcount_set(&a->refs, 1);
		a->len = v.len;
		if (copy_from_user(a->data, u64_to_user_ptr(v.addr), v.len)) {
			kfree(a);
			return -EFAULT;
		}
	}

	spin_lock(&answers->lock);
	swap(answers->place[v.cmd], a);
	spin_unlock(&answers->lock);
	xen_answer_put(a);

	return 0;
}

/**
 * xen_version_get - KVM_XEN_ATTR_TYPE_X_VERSION: the answer there is
 * @kvm: the VM
 * @data: says which, where to and how much there is room for; the answer's length is
 *	filled in, 0 for none
 *
 * Context: may sleep; xen_vm.lock held.
 * Return: 0; -EINVAL no such command; -E2BIG too little room, if there is any;
 *	-EFAULT.
 */
int xen_version_get(struct kvm *kvm, struct kvm_xen_hvm_attr *data)
{
	struct kvm_xen_x_version v;
	struct xen_answer *a = NULL;

	memcpy(&v, &data->u, sizeof(v));
	if (!v.cmd || v.cmd >= XEN_ANSWERS)
		return -EINVAL;

	/* Nobody replaces it while we hold xen_vm.lock. */
	if (xen_events(kvm))
		a = xen_events(kvm)->answers.place[v.cmd];
	if (a && v.len && v.len < a->len)
		return -E2BIG;
	if (a && v.len && copy_to_user(u64_to_user_ptr(v.addr), a->data, a->len))
		return -EFAULT;

	v.len = a ? a->len : 0;
	memcpy(&data->u, &v, sizeof(v));

	return 0;
}

/**
 * xen_version_destroy - forget all answers
 * @kvm: the VM, unused
 *
 * Context: may sleep.
 */
void xen_version_destroy(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);
	u32 cmd;

	if (!ev)
		return;

	for (cmd = 0; cmd < XEN_ANSWERS; cmd++)
		xen_answer_put(ev->answers.place[cmd]);
}

static long xen_get_features(struct kvm_vcpu *vcpu, struct xen_hcall *h,
			     struct xen_answer *a)
{
	u32 nr = a->len / sizeof(u32);
	struct xen_feature_info fi;

	if (xen_read_arg(vcpu, h->arg[1], &fi, sizeof(fi)))
		return -EFAULT;
	if (fi.submap_idx >= nr)
		return -EINVAL;

	memcpy(&fi.submap,
	       &a->data[array_index_nospec(fi.submap_idx, nr) * sizeof(u32)],
	       sizeof(fi.submap));

	return xen_write_arg(vcpu, h->arg[1], &fi, sizeof(fi));
}

/* Without a place to write it to only its length is told. */
static long xen_build_id(struct kvm_vcpu *vcpu, struct xen_hcall *h,
			 struct xen_answer *a)
{
	u32 room;

	if (!h->arg[1])
		return a->len;
	if (xen_read_arg(vcpu, h->arg[1], &room, sizeof(room)))
		return -EFAULT;
	if (!room)
		return -EINVAL;
	if (room < a->len)
		return -ENOBUFS;
	if (xen_write_arg(vcpu, h->arg[1] + offsetof(struct xen_build_id, buf),
			  a->data, a->len))
		return -EFAULT;

	return a->len;
}

static long xen_page_size(struct xen_hcall *h, struct xen_answer *a)
{
	u32 size;

	if (h->arg[1])
		return -EINVAL;
	memcpy(&size, a->data, sizeof(size));

	return size;
}

static long xen_answer_give(struct kvm_vcpu *vcpu, struct xen_hcall *h,
			    struct xen_answer *a)
{
	switch ((u32)h->arg[0]) {
	case XENVER_platform_parameters:
		return xen_write_arg(vcpu, h->arg[1], a->data,
				     h->wide ? sizeof(u64) : sizeof(u32));
	case XENVER_get_features:
		return xen_get_features(vcpu, h, a);
	case XENVER_pagesize:
		return xen_page_size(h, a);
	case XENVER_build_id:
		return xen_build_id(vcpu, h, a);
	default:
		return xen_write_arg(vcpu, h->arg[1], a->data, a->len);
	}
}

/* Apart from the version, which is asked for most and needs least. */
static noinline bool xen_version_constant(struct kvm_vcpu *vcpu,
					  struct xen_hcall *h, u32 cmd)
{
	struct xen_events *ev = xen_events(vcpu->kvm);
	struct xen_answer *a;

	if (!ev || cmd >= XEN_ANSWERS)
		return false;

	a = xen_answer_take(&ev->answers, cmd);
	if (!a)
		return false;

	if (!h->probe)
		h->result = xen_answer_give(vcpu, h, a);
	xen_answer_put(a);

	return true;
}

/**
 * xen_version_op - __HYPERVISOR_xen_version
 * @vcpu: the calling vCPU
 * @h: the call
 *
 * Context: vCPU task; kvm->srcu held; may sleep.
 * Return: whether it is answered.
 */
bool xen_version_op(struct kvm_vcpu *vcpu, struct xen_hcall *h)
{
	/* An int, as in Xen: what the guest left in the upper half is nothing. */
	u32 cmd = h->arg[0];

	if (cmd != XENVER_version)
		return xen_version_constant(vcpu, h, cmd);

	h->result = READ_ONCE(xen_vm(vcpu->kvm)->version);

	return h->result;
}
