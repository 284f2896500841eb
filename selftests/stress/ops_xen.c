// SPDX-License-Identifier: GPL-2.0
/*
 * Operations: Xen's attributes of VMs and vCPUs.  Each says which answers are right
 * for what it asks, from KVM's documentation of the ABI.
 */
#include "stress.h"

#include <sys/ioctl.h>

#include "xenabi.h"

bool any_msr, no_timer;

/* An area that cannot be reached; one that is not in use yet. */
#define AREA	(E(EFAULT) | E(EINVAL))

static int any_vm(struct worker *w, struct rng *rng)
{
	return FD_VM(rng_below(rng, w->round->vms));
}

static int any_cpu(struct worker *w, struct rng *rng)
{
	int v = rng_below(rng, w->round->vms);

	return FD_CPU(v, rng_below(rng, w->round->cpus));
}

static int vm_set(struct worker *w, int fd, struct kvm_xen_hvm_attr *attr,
		  const char *what, uint64_t wanted)
{
	int r = ioctl(fd, KVM_XEN_HVM_SET_ATTR, attr) ? -errno : 0;

	return judge(w->round, "KVM_XEN_HVM_SET_ATTR", what, r, wanted | GONE);
}

static int cpu_set(struct worker *w, int fd, struct kvm_xen_vcpu_attr *attr,
		   const char *what, uint64_t wanted)
{
	int r = ioctl(fd, KVM_XEN_VCPU_SET_ATTR, attr) ? -errno : 0;

	return judge(w->round, "KVM_XEN_VCPU_SET_ATTR", what, r, wanted | GONE);
}

static void op_config(struct worker *w, struct rng *rng)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			 KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = 0x40000200,
	};
	static const uint32_t msrs[] = { 0xda0, 0x277, 0x10, 0xc0000080 };
	uint64_t wanted = OK;
	int fd = any_vm(w, rng);

	switch (rng_below(rng, 8)) {
	case 0:
		config.flags = rng_edge(rng);
		break;
	case 1:		/* pages of the VMM's own, and perhaps not there */
		config.flags = KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE;
		config.blob_addr_32 = any_hva(rng);
		config.blob_addr_64 = any_hva(rng);
		config.blob_size_32 = rng_below(rng, 3);
		config.blob_size_64 = rng_below(rng, 3);
		break;
	case 2:
		config.blob_size_64 = 1;
		break;
	case 3:		/* no longer Xen's */
		config.msr = 0;
		break;
	case 4:
		config.flags |= KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE;
		break;
	/*
	 * Any other MSR is taken by the stock 6.12, even one that KVM writes itself
	 * while it resets a vCPU: its xen.c then writes the hypercall page without
	 * KVM's SRCU held.  So that is only tried on demand; ours refuse it.
	 */
	case 5:
		config.msr = 0x40000000 | rng_below(rng, 0x10000000);
		if (any_msr)
			config.msr = pick(rng, msrs);
		break;
	}
	if (config.flags & ~(KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			     KVM_XEN_HVM_CONFIG_EVTCHN_SEND |
			     KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE) ||
	    (config.flags & KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL &&
	     (config.blob_addr_32 || config.blob_addr_64 ||
	      config.blob_size_32 || config.blob_size_64)))
		wanted = E(EINVAL);
	if (any_msr && config.msr &&
	    (config.msr < 0x40000000 || config.msr > 0x4fffffff))
		wanted = E(EINVAL);
	judge(w->round, "KVM_XEN_HVM_CONFIG", "",
	      ioctl(fd, KVM_XEN_HVM_CONFIG, &config) ? -errno : 0,
	      wanted | GONE);
}

static void op_long_mode(struct worker *w, struct rng *rng)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_LONG_MODE,
		.u.long_mode = rng_next(rng),
	};

	if (rng_next(rng) & 1)
		attr.u.long_mode = 1;
	vm_set(w, any_vm(w, rng), &attr, "long mode", OK | AREA);
}

static void op_shinfo(struct worker *w, struct rng *rng)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
	};
	int fd = any_vm(w, rng);

	switch (rng_below(rng, 8)) {
	case 0:
		attr.u.shared_info.gfn = KVM_XEN_INVALID_GFN;
		vm_set(w, fd, &attr, "shared_info away", OK);
		return;
	case 1:
		attr.u.shared_info.gfn = rng_edge(rng);
		break;
	default:
		attr.u.shared_info.gfn = any_gpa(rng) / PAGE;
	}
	vm_set(w, fd, &attr, "shared_info", OK | AREA);
}

static void op_shinfo_hva(struct worker *w, struct rng *rng)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA,
	};
	uint64_t hva = any_hva(rng);
	int fd = any_vm(w, rng);

	switch (rng_below(rng, 8)) {
	case 0:
		vm_set(w, fd, &attr, "shared_info at no address", OK);
		return;
	case 1:
		attr.u.shared_info.hva = hva | 1;
		vm_set(w, fd, &attr, "shared_info at an odd address", E(EINVAL));
		return;
	}
	attr.u.shared_info.hva = hva & -PAGE;
	vm_set(w, fd, &attr, "shared_info at an address", OK | AREA);
}

static void op_vm_vector(struct worker *w, struct rng *rng)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR,
		.u.vector = rng_next(rng),
	};

	vm_set(w, any_vm(w, rng), &attr, "upcall vector",
	       attr.u.vector && attr.u.vector < 16 ? E(EINVAL) : OK);
}

static void op_xen_version(struct worker *w, struct rng *rng)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_XEN_VERSION,
		.u.xen_version = rng_edge(rng),
	};

	vm_set(w, any_vm(w, rng), &attr, "Xen version", OK);
}

static void op_update_flag(struct worker *w, struct rng *rng)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG,
		.u.runstate_update_flag = rng_next(rng),
	};

	vm_set(w, any_vm(w, rng), &attr, "runstate update flag",
	       OK | E(EOPNOTSUPP));
}

static void op_get_vm(struct worker *w, struct rng *rng)
{
	struct kvm_xen_hvm_attr attr = { .type = rng_below(rng, 9) };
	uint64_t wanted = OK;
	int fd = any_vm(w, rng);

	if (rng_once_in(rng, 8))
		attr.type = rng_edge(rng);
	if (attr.type == KVM_XEN_ATTR_TYPE_EVTCHN ||
	    attr.type > KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA)
		wanted = E(ENOENT);
	if (attr.type == KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG)
		wanted |= E(EOPNOTSUPP);
	judge(w->round, "KVM_XEN_HVM_GET_ATTR", "",
	      ioctl(fd, KVM_XEN_HVM_GET_ATTR, &attr) ? -errno : 0,
	      wanted | GONE);
}

static void op_unknown(struct worker *w, struct rng *rng)
{
	struct kvm_xen_hvm_attr vm = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA + 1 +
			rng_below(rng, 1000) };
	struct kvm_xen_vcpu_attr cpu = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA + 1 +
			rng_below(rng, 1000) };

	vm_set(w, any_vm(w, rng), &vm, "no attribute", E(ENOENT));
	cpu_set(w, any_cpu(w, rng), &cpu, "no attribute", E(ENOENT));
}

static void op_vcpu_info(struct worker *w, struct rng *rng)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
		.u.gpa = any_gpa(rng),
	};
	int v = rng_below(rng, w->round->vms), c = rng_below(rng, w->round->cpus);
	uint64_t wanted = OK | AREA;

	switch (rng_below(rng, 8)) {
	case 0:
		attr.u.gpa = KVM_XEN_INVALID_GPA;
		break;
	case 1:
		attr.u.gpa = spot_gpa(v, c, 1);
		break;
	case 2:
		attr.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA;
		attr.u.hva = any_hva(rng);
		break;
	case 3:
		attr.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA;
		attr.u.hva = 0;
		break;
	case 4:
		break;
	default:
		attr.u.gpa = spot_gpa(v, c, 0);
	}
	if (attr.type == KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA ?
	    !attr.u.hva : attr.u.gpa == KVM_XEN_INVALID_GPA)
		wanted = OK;
	else if (attr.u.gpa % 4)
		wanted = E(ENXIO);
	else if (attr.u.gpa % PAGE > PAGE - 64)
		wanted = E(EINVAL);
	cpu_set(w, FD_CPU(v, c), &attr, "vcpu_info", wanted);
}

static void op_time_info(struct worker *w, struct rng *rng)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
		.u.gpa = rng_once_in(rng, 8) ? KVM_XEN_INVALID_GPA : any_gpa(rng),
	};
	uint64_t wanted = OK | AREA;

	if (attr.u.gpa == KVM_XEN_INVALID_GPA)
		wanted = OK;
	else if (attr.u.gpa % PAGE > PAGE - 32)
		wanted = E(EINVAL);
	cpu_set(w, any_cpu(w, rng), &attr, "time info", wanted);
}

static void op_runstate_addr(struct worker *w, struct rng *rng)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
		.u.gpa = rng_once_in(rng, 8) ? KVM_XEN_INVALID_GPA : any_gpa(rng),
	};

	/* Across two pages, where most of its code is. */
	if (rng_once_in(rng, 4))
		attr.u.gpa = (attr.u.gpa | (PAGE - 1)) - rng_below(rng, 0x30);
	cpu_set(w, any_cpu(w, rng), &attr, "runstate area",
		attr.u.gpa == KVM_XEN_INVALID_GPA ? OK | E(EOPNOTSUPP) :
		OK | AREA | E(EOPNOTSUPP));
}

static void op_runstate(struct worker *w, struct rng *rng)
{
	static const uint16_t types[] = {
		KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT,
		KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
		KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST,
	};
	struct kvm_xen_vcpu_attr attr = { .type = pick(rng, types) };
	__u64 *time = &attr.u.runstate.time_running;
	uint64_t wanted = OK | E(EINVAL) | E(EOPNOTSUPP);
	int i, fd = any_cpu(w, rng);

	attr.u.runstate.state = rng_below(rng, 5);
	if (rng_once_in(rng, 8))
		attr.u.runstate.state = rng_edge(rng);
	for (i = 0; i < 4; i++)
		time[i] = rng_once_in(rng, 4) ? rng_edge(rng) :
			  rng_below(rng, 1000);
	for (i = 0; i < 4; i++)
		attr.u.runstate.state_entry_time += time[i];
	if (rng_once_in(rng, 8)) {
		attr.u.runstate.state_entry_time++;
		if (attr.type != KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT)
			wanted &= ~OK;
	}
	if (attr.u.runstate.state > RUNSTATE_offline &&
	    (attr.type != KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST ||
	     attr.u.runstate.state != (uint64_t)-1))
		wanted &= ~OK;
	else if (attr.type == KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT)
		wanted &= ~E(EINVAL);
	cpu_set(w, fd, &attr, "runstate", wanted);
}

static void op_vcpu_id(struct worker *w, struct rng *rng)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID,
		.u.vcpu_id = rng_next(rng) & 1 ? rng_below(rng, NCPU) :
						 rng_edge(rng),
	};

	/* KVM_MAX_VCPUS is the kernel's; nobody has as many as that. */
	cpu_set(w, any_cpu(w, rng), &attr, "Xen vCPU number",
		attr.u.vcpu_id < 1024 ? OK :
		attr.u.vcpu_id >= 65536 ? E(EINVAL) : OK | E(EINVAL));
}

static void op_timer(struct worker *w, struct rng *rng)
{
	struct kvm_clock_data clock = {};
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer.port = rng_once_in(rng, 4) ? rng_edge(rng) :
				rng_below(rng, 64),
		.u.timer.priority = PRIO_2LEVEL,
	};
	int v = rng_below(rng, w->round->vms), c = rng_below(rng, w->round->cpus);
	uint64_t ns = rng_below(rng, 3000000);
	uint64_t wanted = OK;

	if (no_timer)
		attr.u.timer.port = 0;
	if (rng_once_in(rng, 16)) {
		attr.u.timer.priority = rng_edge(rng);
		if (attr.u.timer.port &&
		    attr.u.timer.priority != PRIO_2LEVEL)
			wanted = E(EINVAL);
	}
	if (rng_once_in(rng, 4)) {
		attr.u.timer.expires_ns = rng_edge(rng);
	} else {
		ioctl(FD_VM(v), KVM_GET_CLOCK, &clock);
		attr.u.timer.expires_ns = clock.clock + ns;
	}
	cpu_set(w, FD_CPU(v, c), &attr, "timer", wanted);
}

static void op_cpu_vector(struct worker *w, struct rng *rng)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR,
		.u.vector = rng_next(rng),
	};

	cpu_set(w, any_cpu(w, rng), &attr, "upcall vector of a vCPU",
		attr.u.vector && attr.u.vector < 16 ? E(EINVAL) : OK);
}

static void op_get_cpu(struct worker *w, struct rng *rng)
{
	struct kvm_xen_vcpu_attr attr = { .type = rng_below(rng, 11) };
	uint64_t wanted = OK;
	int fd = any_cpu(w, rng);

	if (rng_once_in(rng, 8))
		attr.type = rng_edge(rng);
	switch (attr.type) {
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR:
		wanted |= E(ENOENT) | E(EOPNOTSUPP);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT:
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA:
		wanted |= E(EOPNOTSUPP);
		break;
	case KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST:
		wanted = E(EINVAL) | E(EOPNOTSUPP);
		break;
	default:
		if (attr.type > KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA)
			wanted = E(ENOENT);
	}
	judge(w->round, "KVM_XEN_VCPU_GET_ATTR", "",
	      ioctl(fd, KVM_XEN_VCPU_GET_ATTR, &attr) ? -errno : 0,
	      wanted | GONE);
}

const struct op xen_ops[] = {
	{ "config", 4, op_config },
	{ "long-mode", 6, op_long_mode },
	{ "shinfo", 10, op_shinfo },
	{ "shinfo-hva", 10, op_shinfo_hva },
	{ "vm-vector", 3, op_vm_vector },
	{ "xen-version", 1, op_xen_version },
	{ "update-flag", 2, op_update_flag },
	{ "get-vm", 2, op_get_vm },
	{ "unknown", 1, op_unknown },
	{ "vcpu-info", 12, op_vcpu_info },
	{ "time-info", 6, op_time_info },
	{ "runstate-addr", 10, op_runstate_addr },
	{ "runstate", 8, op_runstate },
	{ "vcpu-id", 2, op_vcpu_id },
	{ "timer", 10, op_timer },
	{ "cpu-vector", 4, op_cpu_vector },
	{ "get-cpu", 4, op_get_cpu },
	{}
};
