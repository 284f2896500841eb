/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What these modules offer a VMM beyond <asm/kvm.h>. Attribute types that other
 * kernels answer with ENOENT; so a VMM can ask. Documented in docs/xen-abi.rst.
 */
#ifndef __KVM_XEN_UAPI_H__
#define __KVM_XEN_UAPI_H__

#include <linux/types.h>

/* VM attributes, KVM_XEN_HVM_GET_ATTR and _SET_ATTR. */
#define KVM_XEN_ATTR_TYPE_X_ACCEL	0x4b00	/* get, set: u.pad[0] */
#define KVM_XEN_ATTR_TYPE_X_EVTCHN	0x4b01	/* get: u.evtchn */
#define KVM_XEN_ATTR_TYPE_X_CONFIG	0x4b02	/* get: u.pad[0] msr, [1] flags */
#define KVM_XEN_ATTR_TYPE_X_FIFO	0x4b03	/* get, set: u.pad[0] ports or 0 */
#define KVM_XEN_ATTR_TYPE_X_FIFO_PAGE	0x4b04	/* get, set: u.pad[0] nr, [1] gfn */
#define KVM_XEN_ATTR_TYPE_X_FIFO_LATCHED 0x4b05	/* get: u.pad[0] port, [1] vcpu, [2] prio */
#define KVM_XEN_ATTR_TYPE_X_FIFO_AIM	0x4b06	/* get, set: as _X_FIFO_LATCHED */
#define KVM_XEN_ATTR_TYPE_X_VERSION	0x4b08	/* get, set: kvm_xen_x_version */
#define KVM_XEN_ATTR_TYPE_X_PORT	0x4b09	/* get, set: kvm_xen_x_port */

/* vCPU attributes, KVM_XEN_VCPU_GET_ATTR and _SET_ATTR. */
#define KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC 0x4b00 /* get, set: u.pad[0], ns */
#define KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_CONTROL 0x4b01 /* get, set: u.gpa */
#define KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_TAILS 0x4b02 /* get, set: u.pad, as __u32[16] */
#define KVM_XEN_VCPU_ATTR_TYPE_X_PERIODIC_TICK 0x4b03 /* get, set: u.pad[0], ns */

/* KVM_XEN_ATTR_TYPE_X_ACCEL: hypercalls the VMM does not want to see. */
#define KVM_XEN_ACCEL_BLOCK		(1 << 0)  /* SCHEDOP_block */
#define KVM_XEN_ACCEL_RUNSTATE		(1 << 1)  /* VCPUOP_get_runstate_info */
#define KVM_XEN_ACCEL_IS_UP		(1 << 2)  /* VCPUOP_is_up */
#define KVM_XEN_ACCEL_STATUS		(1 << 3)  /* EVTCHNOP_status of IPIs */
#define KVM_XEN_ACCEL_PERIODIC		(1 << 4)  /* VCPUOP_*_periodic_timer */
#define KVM_XEN_ACCEL_MULTICALL		(1 << 5)  /* of accelerated calls */
#define KVM_XEN_ACCEL_UNMASK		(1 << 6)  /* EVTCHNOP_unmask, not pending */
#define KVM_XEN_ACCEL_BIND		(1 << 7)  /* EVTCHNOP_bind_vcpu */
#define KVM_XEN_ACCEL_ALL		0xff

/* KVM_XEN_ATTR_TYPE_X_VERSION, in the place of u. */
struct kvm_xen_x_version {
	__u32 cmd;	/* XENVER_* but XENVER_version */
	__u32 len;	/* set: of the answer, 0: none; get: room, then its length */
	__u64 addr;	/* where it is, or goes to, in user space */
};

/* KVM_XEN_ATTR_TYPE_X_PORT, in the place of u: a port of the guest the VMM keeps. */
struct kvm_xen_x_port {
	__u32 port;
	__u32 type;	/* EVTCHNSTAT_*, but for _ipi; _closed: forget it */
	__u32 vcpu;	/* whose it is, KVM's id */
	__u32 dom;	/* of unbound and interdomain: the remote domain, 16 bits */
	__u32 detail;	/* remote port, PIRQ or VIRQ, 28 bits */
	__u32 pad;
};

#endif
