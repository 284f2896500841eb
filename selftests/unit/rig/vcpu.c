// SPDX-License-Identifier: GPL-2.0
/* custom: vCPUs that can be kicked and interrupted, and Xen's neighbours. */
#include <stdlib.h>
#include "rig/vcpu.h"
#include "arch/x86/kvm/xen.h"
#include <linux/eventfd.h>
#include "arch/x86/kvm/xen/events.h"
#include "arch/x86/kvm/xen/poll.h"
#include "arch/x86/kvm/xen/timer.h"
#include "arch/x86/kvm/xen/vm.h"
#include <pfncache/gpc_live.h>
#include "lapic.h"
#include "x86.h"

struct static_key_false_deferred kvm_xen_enabled = { .key = { .on = true } };
struct kvm *unit_xen_kvm;
u64 unit_clock_ns;
void (*unit_epoch_read)(void);
u64 unit_epoch_ns;
u64 unit_tsc;
struct eventfd_ctx unit_eventfds[UNIT_EVENTFDS];

struct kvm_vcpu *kvm_get_vcpu(struct kvm *kvm, int i)
{
	if (i < 0 || i >= __atomic_load_n(&kvm->nr_vcpus, __ATOMIC_ACQUIRE))
		return NULL;

	return kvm->vcpus[i];
}

struct kvm_vcpu *kvm_get_vcpu_by_id(struct kvm *kvm, int id)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->vcpu_id == id)
			return vcpu;

	return NULL;
}

struct kvm_vcpu *unit_vcpu_create(struct kvm *kvm, int id)
{
	struct kvm_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	struct xen_vcpu *x = xen_vcpu(vcpu);

	if (kvm->nr_vcpus == UNIT_VCPUS)
		unit_fail("rig", "more than %d vCPUs", UNIT_VCPUS);
	vcpu->kvm = kvm;
	vcpu->vcpu_id = id;
	vcpu->vcpu_idx = kvm->nr_vcpus;
	mutex_init(&vcpu->mutex);
	/* In KVM_RUN, if a test does not say otherwise. */
	vcpu->wants_to_run = true;
	vcpu->mode = IN_GUEST_MODE;
	x->poll_port = XEN_POLL_NONE;
	x->timer_priority = XEN_PRIORITY_NONE;
	if (xen_timers_make(vcpu))
		unit_fail("vcpu", "no memory for its timers");
	kvm_gpc_init_live(&x->vcpu_info, kvm);
	kvm_gpc_init(&x->time_info, kvm);
	kvm_gpc_init_live(&x->runstate_area, kvm);
	kvm_gpc_init_live(&x->runstate_rest, kvm);
	if (kvm->arch.xen.shinfo.kvm)
		x->todo = XEN_TODO_LATCH;
	kvm->vcpus[vcpu->vcpu_idx] = vcpu;
	__atomic_store_n(&kvm->nr_vcpus, vcpu->vcpu_idx + 1, __ATOMIC_RELEASE);

	return vcpu;
}

void unit_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	xen_events_forget(vcpu);
	xen_timers_destroy(vcpu);
	kvm_gpc_deactivate(&x->vcpu_info);
	kvm_gpc_deactivate(&x->time_info);
	kvm_gpc_deactivate(&x->runstate_area);
	kvm_gpc_deactivate(&x->runstate_rest);
	free(vcpu);
}

_Thread_local struct kvm_vcpu *unit_running_vcpu;

struct kvm_vcpu *kvm_get_running_vcpu(void)
{
	return unit_running_vcpu;
}

/* What is asked for is there before the asking is seen. */
void kvm_make_request(int req, struct kvm_vcpu *vcpu)
{
	unit_jitter();
	__atomic_fetch_or(&vcpu->requests, 1ul << req, __ATOMIC_RELEASE);
}

bool kvm_test_request(int req, struct kvm_vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED) >> req & 1;
}

void unit_vcpu_sleeps(struct kvm_vcpu *vcpu, bool asleep)
{
	WRITE_ONCE(vcpu->asleep, asleep);
	smp_mb();
}

bool kvm_vcpu_is_blocking(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->asleep) && !unit_mutants.sleeper_unseen;
}

void kvm_vcpu_kick(struct kvm_vcpu *vcpu)
{
	unit_jitter();
	if (!unit_mutants.kick_lost)
		__atomic_fetch_add(&vcpu->kicks, 1, __ATOMIC_SEQ_CST);
}

unsigned long unit_vcpu_kicks(struct kvm_vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->kicks, __ATOMIC_SEQ_CST);
}

int kvm_apic_set_irq(struct kvm_vcpu *vcpu, struct kvm_lapic_irq *irq,
		     void *dest_map)
{
	__atomic_store_n(&vcpu->irr, irq->vector, __ATOMIC_SEQ_CST);
	kvm_vcpu_kick(vcpu);

	return 1;
}

bool unit_vcpu_take_irq(struct kvm_vcpu *vcpu)
{
	return __atomic_exchange_n(&vcpu->irr, 0, __ATOMIC_SEQ_CST);
}

u64 get_kvmclock_ns(struct kvm *kvm)
{
	unit_sched_point();

	return unit_clock_ns;
}

u64 kvm_get_wall_clock_epoch(struct kvm *kvm)
{
	u64 ns = READ_ONCE(unit_epoch_ns);

	if (unit_epoch_read)
		unit_epoch_read();
	return ns;
}

/* CLOCK_MONOTONIC and the TSC, at one instant as far as a test sees to it. */
bool kvm_get_monotonic_and_clockread(s64 *ns, u64 *tsc)
{
	*ns = ktime_get();
	*tsc = READ_ONCE(unit_tsc);

	return true;
}

void kvm_arch_memslots_updated(struct kvm *kvm, u64 gen)
{
}

/* KVM_RUN of a vCPU that looks for an interrupt, and is called back before it enters. */
int kvm_arch_vcpu_ioctl_run(struct kvm_vcpu *vcpu)
{
	return kvm_xen_has_interrupt(vcpu);
}

/* KVM_SET_CLOCK: by how much. */
int kvm_arch_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct kvm *kvm = file->private_data;

	write_seqcount_begin(&kvm->arch.pvclock_sc);
	kvm->arch.kvmclock_offset += arg;
	write_seqcount_end(&kvm->arch.pvclock_sc);
	unit_clock_ns += arg;

	return 0;
}

/* Nobody polls here; see the tests in a guest. */
void __xen_poll_wake(struct kvm *kvm, u32 port)
{
}

void xen_poll_wake_all(struct kvm *kvm)
{
}

/* vm.c's, without its care for a place that was set before. */
int xen_gpc_set(struct gfn_to_pfn_cache *gpc, gpa_t gpa, unsigned long hva,
		unsigned long len)
{
	if (gpa != INVALID_GPA)
		return kvm_gpc_activate(gpc, gpa, len);
	kvm_gpc_deactivate(gpc);

	return 0;
}

bool xen_gpc_where(struct gfn_to_pfn_cache *gpc, gpa_t *gpa, unsigned long *hva)
{
	*gpa = gpc->gpa;
	*hva = gpc->uhva;

	return gpc->active;
}

/* A write is logged by the cache's own task, which may look at its gpa. */
void xen_mark_dirty(struct gfn_to_pfn_cache *gpc)
{
	if (!srcu_read_lock_held(&gpc->kvm->srcu))
		unit_fail("dirty", "a write logged outside kvm->srcu");
}
