// SPDX-License-Identifier: GPL-2.0
/*
 * Run state: how long a vCPU ran, waited for a CPU, was blocked or offline, and the
 * copy of that in guest memory.
 *
 * All of it belongs to the vCPU's task (or to who holds the vCPU's mutex), so it
 * needs no lock. But the scheduler changes it too, in that very task: preemption is
 * off where something is read and written that belongs together. The copy is written
 * through kvm_gpc_live(), in the scheduler too: there is nothing to contend for, and an
 * area whose page was taken away is written when the vCPU is back on a CPU.
 */
#include <linux/kvm_host.h>
#include <linux/sched/stat.h>

#include <pfncache/gpc_live.h>

#include "../x86.h"
#include "../xen.h"
#include "runstate.h"
#include "time.h"
#include "timer.h"
#include "vm.h"

#define XEN_NR_RUNSTATES	4
#define XEN_AREA_LEN		sizeof(struct vcpu_runstate_info)

/* Length of the area in the guest's layout. */
static unsigned int xen_area_len(bool wide)
{
	return wide ? sizeof(struct vcpu_runstate_info) :
		      sizeof(struct compat_vcpu_runstate_info);
}

/* The area as the guest is to find it. Return: offset of state_entry_time. */
static unsigned int xen_area_image(struct xen_vcpu *x, bool wide, void *image)
{
	struct compat_vcpu_runstate_info *c = image;
	struct vcpu_runstate_info *w = image;

	memset(image, 0, XEN_AREA_LEN);
	if (wide) {
		w->state = x->runstate;
		w->state_entry_time = x->runstate_entry;
		memcpy(w->time, x->runstate_times, sizeof(w->time));
		return offsetof(struct vcpu_runstate_info, state_entry_time);
	}

	c->state = x->runstate;
	c->state_entry_time = x->runstate_entry;
	memcpy(c->time, x->runstate_times, sizeof(c->time));

	return offsetof(struct compat_vcpu_runstate_info, state_entry_time);
}

/**
 * struct xen_area - the guest's area, mapped in one piece or in two
 * @first: first part
 * @rest: second part, or NULL
 * @split: length of @first
 */
struct xen_area {
	u8 *first;
	u8 *rest;
	unsigned int split;
};

static u8 *xen_area_byte(struct xen_area *a, unsigned int offset)
{
	return offset < a->split ? a->first + offset :
				   a->rest + offset - a->split;
}

static void xen_area_copy(struct xen_area *a, const void *image,
			  unsigned int len)
{
	memcpy(a->first, image, min(len, a->split));
	if (len > a->split)
		memcpy(a->rest, image + a->split, len - a->split);
}

/* Within kvm_gpc_read_begin(). Return: false if not all of it is there. */
static bool xen_area_map(struct kvm_vcpu *vcpu, struct xen_area *a,
			 unsigned int len)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	a->first = kvm_gpc_live(&x->runstate_area);
	if (!a->first)
		return false;

	a->split = min_t(unsigned int, XEN_AREA_LEN,
			 PAGE_SIZE - offset_in_page(a->first));
	a->rest = a->split < len ? kvm_gpc_live(&x->runstate_rest) : NULL;

	return a->rest || a->split >= len;
}

/*
 * Write the area. With the update flag the guest can tell a copy it has read while
 * it was being written: the flag is there first and goes last.
 */
static bool xen_area_write(struct kvm_vcpu *vcpu)
{
	u8 image[XEN_AREA_LEN];
	struct xen_area area;
	unsigned int entry, len;
	struct gpc_read read;
	u8 *mark = NULL;
	bool done, wide;

	read = kvm_gpc_read_begin(vcpu->kvm);
	/* Here, so that who changes it can wait for us: kvm_gpc_quiesce(). */
	wide = READ_ONCE(xen_vm(vcpu->kvm)->long_mode);
	len = xen_area_len(wide);
	/* From here on nobody writes a later one. */
	entry = xen_area_image(xen_vcpu(vcpu), wide, image);
	done = xen_area_map(vcpu, &area, len);
	if (done) {
		if (READ_ONCE(xen_vm(vcpu->kvm)->runstate_update_flag)) {
			mark = xen_area_byte(&area, entry + 7);
			image[entry + 7] |= XEN_RUNSTATE_UPDATE >> 56;
			WRITE_ONCE(*mark, image[entry + 7]);
			/* The guest reads the flag, the rest, the flag. */
			smp_wmb();
		}
		xen_area_copy(&area, image, len);
		if (mark) {
			/* As above. */
			smp_wmb();
			WRITE_ONCE(*mark, image[entry + 7] &
					  ~(XEN_RUNSTATE_UPDATE >> 56));
		}
	}
	kvm_gpc_read_end(read);

	if (done) {
		xen_mark_dirty(&xen_vcpu(vcpu)->runstate_area);
		if (area.rest)
			xen_mark_dirty(&xen_vcpu(vcpu)->runstate_rest);
	}

	return done;
}

/* Bring back what was taken away, and write it. May sleep. */
static void xen_area_refresh(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	gpa_t gpa = x->runstate_area.gpa;
	unsigned int first;

	first = min_t(unsigned int, XEN_AREA_LEN,
		      PAGE_SIZE - offset_in_page(gpa));
	if (kvm_gpc_refresh(&x->runstate_area, first))
		return;
	/* What could not be had when it was not needed is asked for again. */
	if (first < XEN_AREA_LEN && x->runstate_rest.active)
		kvm_gpc_refresh(&x->runstate_rest, XEN_AREA_LEN - first);
	else if (first < XEN_AREA_LEN)
		kvm_gpc_activate(&x->runstate_rest, gpa + first,
				 XEN_AREA_LEN - first);

	/* If it fails now, the next time comes soon. */
	xen_area_write(vcpu);
}

/* Show the guest what it is to see, from where one may sleep. */
static void xen_area_publish(struct kvm_vcpu *vcpu)
{
	if (xen_vcpu(vcpu)->runstate_area.active && !xen_area_write(vcpu))
		xen_area_refresh(vcpu);
}

/* How much a counter has grown, of what the present interval can hold. */
static u64 xen_grown(u64 *seen, u64 now, u64 limit)
{
	s64 grown = now - *seen;

	*seen = now;

	return clamp_t(s64, grown, 0, limit);
}

/*
 * The time since the last change goes to the states it was spent in: what the
 * scheduler calls delay the vCPU waited for a CPU, what KVM calls halted, and the
 * scheduler does not, it was blocked, also after it was preempted on its way to sleep; the
 * rest it ran. A state that the VMM has said has all of it. A clock that stepped back gives
 * no time to anybody.
 */
static void xen_account(struct kvm_vcpu *vcpu, u64 now)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	u64 delta = 0, steal, halted;

	if (now > x->runstate_entry) {
		delta = now - x->runstate_entry;
		x->runstate_entry = now;
	}

	steal = xen_grown(&x->run_delay, current->sched_info.run_delay, delta);
	halted = xen_grown(&x->halt_ns, vcpu->stat.generic.halt_wait_ns, delta);
	/* A halt lasts until the vCPU has a CPU again; blocked it is until it is woken. */
	halted -= min(halted, x->block_delay);
	halted = min(halted, delta - steal);
	x->block_delay = 0;
	/* What it has waited for a CPU till now, blocking or not, is told. */
	x->block_from = current->sched_info.run_delay;

	if (x->runstate != RUNSTATE_running && !x->preempted) {
		x->runstate_times[x->runstate] += delta;
		return;
	}
	x->runstate_times[RUNSTATE_runnable] += steal;
	x->runstate_times[RUNSTATE_blocked] += halted;
	x->runstate_times[RUNSTATE_running] += delta - steal - halted;
}

static void xen_runstate_enter(struct kvm_vcpu *vcpu, u32 state, u64 now)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	if (x->runstate_entry) {
		xen_account(vcpu, now);
	} else {
		/* Before the first change the vCPU was offline. */
		x->runstate_times[RUNSTATE_offline] = now;
		x->runstate_entry = now;
		x->run_delay = current->sched_info.run_delay;
		x->halt_ns = vcpu->stat.generic.halt_wait_ns;
		x->block_delay = 0;
	}
	x->runstate = state;
	x->preempted = false;
}

/**
 * kvm_xen_vcpu_blocking - a vCPU is about to sleep until something comes for it
 * @vcpu: the vCPU, of the current task
 *
 * Context: preemption off.
 */
void kvm_xen_vcpu_blocking(struct kvm_vcpu *vcpu)
{
	xen_vcpu(vcpu)->block_from = current->sched_info.run_delay;
}

/**
 * kvm_xen_vcpu_unblocking - a vCPU was woken, and has a CPU
 * @vcpu: the vCPU, of the current task
 *
 * From when it was woken it waited for that.
 *
 * Context: preemption off.
 */
void kvm_xen_vcpu_unblocking(struct kvm_vcpu *vcpu)
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	x->block_delay += current->sched_info.run_delay - x->block_from;
}

/**
 * kvm_xen_runstate_set_preempted - a vCPU was taken off its CPU though it could run
 * @vcpu: the vCPU, of the current task
 *
 * Exits to the VMM are not that: the VMM works on the vCPU's behalf, and says so itself
 * if it blocks.
 *
 * Context: the scheduler, interrupts off; kvm->srcu held.
 */
void kvm_xen_runstate_set_preempted(struct kvm_vcpu *vcpu)
{
	if (WARN_ON_ONCE(!vcpu->preempted) || !sched_info_on())
		return;

	xen_runstate_enter(vcpu, RUNSTATE_runnable,
			   xen_clock_read(vcpu->kvm, &xen_vcpu(vcpu)->clock));
	xen_vcpu(vcpu)->preempted = true;
	if (xen_vcpu(vcpu)->runstate_area.active)
		xen_area_write(vcpu);
}

/**
 * kvm_xen_runstate_set_running - a vCPU is back on a CPU
 * @vcpu: the vCPU, of the current task
 *
 * Context: KVM_RUN, before the next entry; kvm->srcu held; may sleep.
 */
void kvm_xen_runstate_set_running(struct kvm_vcpu *vcpu)
{
	xen_timers_move(vcpu);
	kvm_xen_update_runstate(vcpu, RUNSTATE_running);
}

/**
 * kvm_xen_update_runstate - a vCPU changes its state, or has its times brought up to date
 * @vcpu: the vCPU, of the current task
 * @state: RUNSTATE_*
 *
 * Context: process context; kvm->srcu held; may sleep.
 */
void kvm_xen_update_runstate(struct kvm_vcpu *vcpu, int state)
{
	if (!sched_info_on())
		return;

	preempt_disable();
	xen_runstate_enter(vcpu, state,
			   xen_clock_note(vcpu, &xen_vcpu(vcpu)->clock, NULL));
	preempt_enable();

	xen_area_publish(vcpu);
}

/**
 * xen_runstate_set_area - where the guest wants to see its run state
 * @vcpu: the vCPU
 * @gpa: any address, KVM_XEN_INVALID_GPA for nowhere
 *
 * Context: vCPU mutex and kvm->srcu held; may sleep.
 * Return: 0, -EOPNOTSUPP if the host does not account run delays, or what the
 *	cache says, in which case there is no area.
 */
int xen_runstate_set_area(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	bool wide = READ_ONCE(xen_vm(vcpu->kvm)->long_mode);
	struct xen_vcpu *x = xen_vcpu(vcpu);
	unsigned int first;
	int r = 0;

	if (!sched_info_on())
		return -EOPNOTSUPP;

	if (gpa == KVM_XEN_INVALID_GPA)
		goto none;

	/* For either layout, so that a change of mode needs nothing new. */
	first = min_t(unsigned int, XEN_AREA_LEN,
		      PAGE_SIZE - offset_in_page(gpa));
	r = kvm_gpc_activate(&x->runstate_area, gpa, first);
	if (r)
		goto none;

	kvm_gpc_deactivate(&x->runstate_rest);
	if (first < XEN_AREA_LEN) {
		r = kvm_gpc_activate(&x->runstate_rest, gpa + first,
				     XEN_AREA_LEN - first);
		if (r && first < xen_area_len(wide))
			goto none;
		if (r)
			kvm_gpc_deactivate(&x->runstate_rest);
		r = 0;
	}

	preempt_disable();
	if (!x->runstate_entry)
		xen_runstate_enter(vcpu, x->runstate,
				   get_kvmclock_ns(vcpu->kvm));
	preempt_enable();
	xen_area_publish(vcpu);

	return 0;
none:
	kvm_gpc_deactivate(&x->runstate_area);
	kvm_gpc_deactivate(&x->runstate_rest);

	return r;
}

/*
 * A time can be of either of the guest's clock and KVM's, which drift. What is
 * later than both is in the future.
 */
static bool xen_in_future(struct kvm_vcpu *vcpu, u64 time)
{
	return time > get_kvmclock_ns(vcpu->kvm) &&
	       time > xen_guest_time(vcpu);
}

/* Times must add up to where they end, and not end in the future. */
static bool xen_times_add_up(struct kvm_vcpu *vcpu, u64 entry,
			     const u64 times[XEN_NR_RUNSTATES])
{
	u64 sum = 0;
	int i;

	for (i = 0; i < XEN_NR_RUNSTATES; i++)
		sum += times[i];

	return sum == entry && !xen_in_future(vcpu, entry);
}

/**
 * xen_runstate_set - set run state, as migration does
 * @vcpu: the vCPU
 * @state: RUNSTATE_*
 * @entry: when it was entered, guest ns
 * @times: ns in each state
 *
 * Context: vCPU mutex and kvm->srcu held; may sleep.
 * Return: 0 or -EINVAL.
 */
int xen_runstate_set(struct kvm_vcpu *vcpu, u64 state, u64 entry,
		     const u64 times[XEN_NR_RUNSTATES])
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	if (state > RUNSTATE_offline || !xen_times_add_up(vcpu, entry, times))
		return -EINVAL;

	preempt_disable();
	x->runstate = state;
	x->preempted = false;
	x->runstate_entry = entry;
	memcpy(x->runstate_times, times, sizeof(x->runstate_times));
	x->run_delay = current->sched_info.run_delay;
	x->halt_ns = vcpu->stat.generic.halt_wait_ns;
	x->block_delay = 0;
	preempt_enable();

	xen_area_publish(vcpu);

	return 0;
}

/**
 * xen_runstate_adjust - add to run state, as a VMM that has kept it so far does
 * @vcpu: the vCPU
 * @state: the new state, or -1 to leave it
 * @entry: added to when the present one was entered
 * @times: added to the time in each state
 *
 * Context: vCPU mutex and kvm->srcu held; may sleep.
 * Return: 0 or -EINVAL.
 */
int xen_runstate_adjust(struct kvm_vcpu *vcpu, u64 state, u64 entry,
			const u64 times[XEN_NR_RUNSTATES])
{
	struct xen_vcpu *x = xen_vcpu(vcpu);
	bool future;
	u64 sum = 0;
	int i;

	if (state != (u64)-1 && state > RUNSTATE_offline)
		return -EINVAL;

	for (i = 0; i < XEN_NR_RUNSTATES; i++)
		sum += times[i];

	preempt_disable();
	/* Neither the entry nor the clock goes on before it is added to. */
	future = xen_in_future(vcpu, x->runstate_entry + entry);
	if (sum == entry && !future) {
		x->runstate_entry += entry;
		for (i = 0; i < XEN_NR_RUNSTATES; i++)
			x->runstate_times[i] += times[i];
	}
	preempt_enable();
	if (sum != entry || future)
		return -EINVAL;

	if (state <= RUNSTATE_offline)
		kvm_xen_update_runstate(vcpu, state);
	else
		xen_area_publish(vcpu);

	return 0;
}

/**
 * xen_runstate_get - read run state
 * @vcpu: the vCPU
 * @state: set to RUNSTATE_*
 * @entry: set to when it was entered
 * @times: set to ns in each state
 *
 * Context: vCPU mutex.
 */
void xen_runstate_get(struct kvm_vcpu *vcpu, u64 *state, u64 *entry,
		      u64 times[XEN_NR_RUNSTATES])
{
	struct xen_vcpu *x = xen_vcpu(vcpu);

	preempt_disable();
	*state = x->runstate;
	*entry = x->runstate_entry;
	memcpy(times, x->runstate_times, sizeof(x->runstate_times));
	preempt_enable();
}
