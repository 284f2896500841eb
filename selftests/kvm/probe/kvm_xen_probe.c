// SPDX-License-Identifier: GPL-2.0
/*
 * Test probe for the host virtual machine: counts calls of KVM functions and
 * holds a task at the return of one, see kvm_xen_probe.h.
 *
 * It knows functions by name only and touches no structure of KVM, so one build
 * serves the stock modules and ours.  Probe handlers run with preemption off:
 * a hold is a bounded busy wait, nothing here sleeps in a handler.
 *
 * Sessions are on a list that handlers walk under RCU and that open and close
 * change under probe_mutex.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/hw_breakpoint.h>
#include <linux/kprobes.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/perf_event.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kvm_xen_probe.h"

struct probe_session {
	struct list_head list;		/* RCU; changed under probe_mutex */
	struct mm_struct *mm;		/* immutable after open */
	u32 tid;			/* marked access; task to count, 0: all */
	atomic64_t calls[PROBE_NR];	/* atomic */
	u64 missed_base;		/* probe_mutex */
	bool rwlocks;			/* probe_mutex */
	bool wants[PROBE_NR_HELD];	/* probe_mutex; functions probed for it */
	struct kvm_xen_probe_hold hold;	/* written only while state is idle */
	atomic_t state;			/* enum kvm_xen_probe_state */
	struct perf_event * __percpu *watch;	/* probe_mutex; NULL: none */
	struct page *watched;		/* probe_mutex; pinned while there is @watch */
	atomic_t writes;		/* atomic */
};

static LIST_HEAD(probe_sessions);	/* RCU; changed under probe_mutex */
static DEFINE_MUTEX(probe_mutex);	/* sessions, rwlock_users */
static int rwlock_users;		/* protected by probe_mutex */

static void probe_count(enum kvm_xen_probe_fn fn)
{
	struct probe_session *s;
	u32 tid;

	if (!in_task() || !current->mm)
		return;

	rcu_read_lock();
	list_for_each_entry_rcu(s, &probe_sessions, list) {
		if (s->mm != current->mm)
			continue;
		/* A test sets tid before it starts what it counts. */
		tid = READ_ONCE(s->tid);
		if (!tid || tid == task_pid_nr(current))
			atomic64_inc(&s->calls[fn]);
	}
	rcu_read_unlock();
}

static bool probe_holds(struct probe_session *s, enum kvm_xen_probe_fn fn)
{
	/* Pairs with atomic_set_release() in probe_hold(): state before hold. */
	if (atomic_read_acquire(&s->state) != PROBE_ARMED)
		return false;
	return s->mm == current->mm && s->hold.fn == fn &&
	       (!s->hold.tid || s->hold.tid == task_pid_nr(current));
}

static void probe_wait(struct probe_session *s)
{
	u64 end = ktime_get_mono_fast_ns() + (u64)s->hold.max_us * NSEC_PER_USEC;

	if (atomic_cmpxchg(&s->state, PROBE_ARMED, PROBE_HELD) != PROBE_ARMED)
		return;

	while (atomic_read(&s->state) == PROBE_HELD) {
		if (ktime_get_mono_fast_ns() > end) {
			atomic_cmpxchg(&s->state, PROBE_HELD, PROBE_EXPIRED);
			return;
		}
		cpu_relax();
	}
}

static enum kvm_xen_probe_fn probe_fn(struct kretprobe_instance *ri);

/* Returns 0 to have probe_return() called too. */
static int probe_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	enum kvm_xen_probe_fn fn = probe_fn(ri);
	struct probe_session *s;
	int ret = 1;

	probe_count(fn);

	rcu_read_lock();
	list_for_each_entry_rcu(s, &probe_sessions, list)
		if (probe_holds(s, fn))
			ret = 0;
	rcu_read_unlock();
	return ret;
}

static int probe_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	enum kvm_xen_probe_fn fn = probe_fn(ri);
	struct probe_session *s;

	rcu_read_lock();
	list_for_each_entry_rcu(s, &probe_sessions, list)
		if (probe_holds(s, fn))
			probe_wait(s);
	rcu_read_unlock();
	return 0;
}

#define PROBE_RETURN_OF(name)			\
	{					\
		.kp.symbol_name = "kvm:" name,	\
		.entry_handler = probe_entry,	\
		.handler = probe_return,	\
		.maxactive = 512,		\
	}

static struct kretprobe probe_functions[PROBE_NR_HELD] = {
	[PROBE_HVA_TO_PFN] = PROBE_RETURN_OF("hva_to_pfn"),
	[PROBE_GPC_REFRESH] = PROBE_RETURN_OF("kvm_gpc_refresh"),
	[PROBE_GPC_ACTIVATE] = PROBE_RETURN_OF("kvm_gpc_activate"),
	[PROBE_GPC_INVALIDATE] =
		PROBE_RETURN_OF("gfn_to_pfn_cache_invalidate_start"),
	[PROBE_RECLAIMED] = PROBE_RETURN_OF("kvm_arch_guest_memory_reclaimed"),
	[PROBE_ALL_CPUS] = PROBE_RETURN_OF("kvm_make_all_cpus_request"),
	[PROBE_TDP_LOG] = PROBE_RETURN_OF("tdp_leafs_clear"),
	[PROBE_TDP_ZAP] = PROBE_RETURN_OF("tdp_pass_open"),
	[PROBE_TDP_NX] = PROBE_RETURN_OF("tdp_spte_try_set"),
};

/*
 * What a function is called in the stock modules, where it is not the same. These are
 * probed on demand.
 */
static const char *const probe_stock_names[PROBE_NR_HELD] = {
	[PROBE_TDP_LOG] = "kvm:kvm_tdp_mmu_clear_dirty_pt_masked",
	[PROBE_TDP_ZAP] = "kvm:kvm_tdp_mmu_unmap_gfn_range",
	[PROBE_TDP_NX] = "kvm:kvm_tdp_mmu_zap_sp",
};

static enum kvm_xen_probe_fn probe_fn(struct kretprobe_instance *ri)
{
	return get_kretprobe(ri) - probe_functions;
}

static int probe_wanted[PROBE_NR_HELD];	/* sessions; protected by probe_mutex */

static int probe_want(struct probe_session *s, enum kvm_xen_probe_fn fn, bool want)
{
	int r = 0;

	lockdep_assert_held(&probe_mutex);

	if (!probe_stock_names[fn] || s->wants[fn] == want)
		return 0;
	if (want && !probe_wanted[fn])
		r = enable_kretprobe(&probe_functions[fn]);
	if (!want && probe_wanted[fn] == 1)
		r = disable_kretprobe(&probe_functions[fn]);
	if (!r) {
		probe_wanted[fn] += want ? 1 : -1;
		s->wants[fn] = want;
	}
	return r;
}

static int probe_rwlock(struct kprobe *kp, struct pt_regs *regs)
{
	probe_count(PROBE_RWLOCK);
	return 0;
}

#define PROBE_LOCK(name) { .symbol_name = name, .pre_handler = probe_rwlock }

static struct kprobe probe_rwlocks[] = {
#ifdef CONFIG_PREEMPT_RT
	PROBE_LOCK("rt_read_lock"),
	PROBE_LOCK("rt_read_trylock"),
	PROBE_LOCK("rt_write_lock"),
	PROBE_LOCK("rt_write_trylock"),
#else
	PROBE_LOCK("_raw_read_lock"),
	PROBE_LOCK("_raw_read_lock_irq"),
	PROBE_LOCK("_raw_read_lock_irqsave"),
	PROBE_LOCK("_raw_read_trylock"),
	PROBE_LOCK("_raw_write_lock"),
	PROBE_LOCK("_raw_write_lock_irq"),
	PROBE_LOCK("_raw_write_lock_irqsave"),
	PROBE_LOCK("_raw_write_trylock"),
#endif
};

static u64 probe_missed(void)
{
	u64 missed = 0;
	int i;

	for (i = 0; i < PROBE_NR_HELD; i++)
		missed += probe_functions[i].nmissed +
			  probe_functions[i].kp.nmissed;
	for (i = 0; i < ARRAY_SIZE(probe_rwlocks); i++)
		missed += probe_rwlocks[i].nmissed;
	return missed;
}

static int probe_set_rwlocks(struct probe_session *s, bool on)
{
	int i, r = 0;

	lockdep_assert_held(&probe_mutex);

	if (s->rwlocks == on)
		return 0;

	if (on && !rwlock_users) {
		for (i = 0; i < ARRAY_SIZE(probe_rwlocks); i++) {
			/* A kprobe keeps what registering it found out. */
			probe_rwlocks[i].addr = NULL;
			probe_rwlocks[i].flags = 0;
			r = register_kprobe(&probe_rwlocks[i]);
			if (r) {
				pr_err("no probe at %s: %d\n",
				       probe_rwlocks[i].symbol_name, r);
				while (i--)
					unregister_kprobe(&probe_rwlocks[i]);
				return r;
			}
		}
	}
	rwlock_users += on ? 1 : -1;
	s->rwlocks = on;
	if (!on && !rwlock_users)
		for (i = 0; i < ARRAY_SIZE(probe_rwlocks); i++)
			unregister_kprobe(&probe_rwlocks[i]);
	return 0;
}

static void probe_written(struct perf_event *event,
			  struct perf_sample_data *data, struct pt_regs *regs)
{
	struct probe_session *s = event->overflow_handler_context;

	atomic_inc(&s->writes);
}

static void probe_unwatch(struct probe_session *s)
{
	lockdep_assert_held(&probe_mutex);

	if (!s->watch)
		return;
	unregister_wide_hw_breakpoint(s->watch);
	unpin_user_page(s->watched);
	s->watch = NULL;
}

static int probe_watch(struct probe_session *s, unsigned long addr)
{
	struct perf_event * __percpu *watch;
	struct perf_event_attr attr;
	int r;

	lockdep_assert_held(&probe_mutex);

	probe_unwatch(s);
	atomic_set(&s->writes, 0);
	if (!addr)
		return 0;
	if (!IS_ALIGNED(addr, sizeof(u32)))
		return -EINVAL;

	r = pin_user_pages_fast(addr & PAGE_MASK, 1, FOLL_WRITE, &s->watched);
	if (r != 1)
		return r < 0 ? r : -EFAULT;

	hw_breakpoint_init(&attr);
	attr.bp_addr = (unsigned long)page_address(s->watched) +
		       offset_in_page(addr);
	attr.bp_len = HW_BREAKPOINT_LEN_4;
	attr.bp_type = HW_BREAKPOINT_W;
	watch = register_wide_hw_breakpoint(&attr, probe_written, s);
	if (IS_ERR_PCPU(watch)) {
		unpin_user_page(s->watched);
		return PTR_ERR_PCPU(watch);
	}
	s->watch = watch;
	return 0;
}

static int probe_hold(struct probe_session *s, void __user *arg)
{
	struct kvm_xen_probe_hold hold;
	int state = atomic_read(&s->state);
	int r;

	lockdep_assert_held(&probe_mutex);

	if (copy_from_user(&hold, arg, sizeof(hold)))
		return -EFAULT;
	if (hold.fn >= PROBE_NR_HELD || hold.max_us > PROBE_MAX_US)
		return -EINVAL;
	if (state == PROBE_ARMED || state == PROBE_HELD)
		return -EBUSY;
	r = probe_want(s, hold.fn, true);
	if (r)
		return r;

	s->hold = hold;
	/* Pairs with atomic_read_acquire() in probe_holds(): hold before state. */
	atomic_set_release(&s->state, PROBE_ARMED);
	return 0;
}

static void probe_release(struct probe_session *s)
{
	if (atomic_cmpxchg(&s->state, PROBE_ARMED, PROBE_IDLE) == PROBE_ARMED)
		return;
	atomic_cmpxchg(&s->state, PROBE_HELD, PROBE_RELEASED);
}

static long probe_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct probe_session *s = file->private_data;
	struct kvm_xen_probe_counts counts = {};
	int i;

	guard(mutex)(&probe_mutex);

	switch (cmd) {
	case PROBE_IOC_COUNT:
		WRITE_ONCE(s->tid, arg);
		for (i = 0; i < PROBE_NR; i++)
			atomic64_set(&s->calls[i], 0);
		s->missed_base = probe_missed();
		return 0;
	case PROBE_IOC_READ:
		for (i = 0; i < PROBE_NR; i++)
			counts.calls[i] = atomic64_read(&s->calls[i]);
		counts.missed = probe_missed() - s->missed_base;
		if (copy_to_user((void __user *)arg, &counts, sizeof(counts)))
			return -EFAULT;
		return 0;
	case PROBE_IOC_HOLD:
		return probe_hold(s, (void __user *)arg);
	case PROBE_IOC_STATE:
		return atomic_read(&s->state);
	case PROBE_IOC_RELEASE:
		probe_release(s);
		return 0;
	case PROBE_IOC_RWLOCKS:
		return probe_set_rwlocks(s, arg);
	case PROBE_IOC_WATCH:
		return probe_watch(s, arg);
	case PROBE_IOC_WATCHED:
		return atomic_read(&s->writes);
	default:
		return -ENOTTY;
	}
}

static int probe_open(struct inode *inode, struct file *file)
{
	struct probe_session *s;

	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	s->mm = current->mm;
	mmgrab(s->mm);
	file->private_data = s;

	guard(mutex)(&probe_mutex);
	list_add_rcu(&s->list, &probe_sessions);
	return 0;
}

static int probe_close(struct inode *inode, struct file *file)
{
	struct probe_session *s = file->private_data;
	int i;

	scoped_guard(mutex, &probe_mutex) {
		probe_release(s);
		for (i = 0; i < PROBE_NR_HELD; i++)
			WARN_ON(probe_want(s, i, false));
		probe_unwatch(s);
		probe_set_rwlocks(s, false);
		list_del_rcu(&s->list);
	}
	synchronize_rcu();
	mmdrop(s->mm);
	kfree(s);
	return 0;
}

static const struct file_operations probe_fops = {
	.owner = THIS_MODULE,
	.open = probe_open,
	.release = probe_close,
	.unlocked_ioctl = probe_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice probe_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kvm_xen_probe",
	.fops = &probe_fops,
};

static int __init probe_init(void)
{
	int i, r;

	for (i = 0; i < PROBE_NR_HELD; i++) {
		if (probe_stock_names[i])
			probe_functions[i].kp.flags = KPROBE_FLAG_DISABLED;
		r = register_kretprobe(&probe_functions[i]);
		if (r == -ENOENT && probe_stock_names[i]) {
			probe_functions[i].kp.symbol_name = probe_stock_names[i];
			probe_functions[i].kp.flags = KPROBE_FLAG_DISABLED;
			r = register_kretprobe(&probe_functions[i]);
		}
		if (r) {
			pr_err("no probe at %s: %d\n",
			       probe_functions[i].kp.symbol_name, r);
			goto err;
		}
	}
	r = misc_register(&probe_device);
	if (!r)
		return 0;
err:
	while (i--)
		unregister_kretprobe(&probe_functions[i]);
	return r;
}

static void __exit probe_exit(void)
{
	int i;

	misc_deregister(&probe_device);
	for (i = 0; i < PROBE_NR_HELD; i++)
		unregister_kretprobe(&probe_functions[i]);
}

module_init(probe_init);
module_exit(probe_exit);

MODULE_DESCRIPTION("Call counts and race windows for the kvm-xen tests");
MODULE_LICENSE("GPL");
