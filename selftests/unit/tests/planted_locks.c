// SPDX-License-Identifier: GPL-2.0
/*
 * Bugs planted to see each check of locks and contexts fail, with the right
 * message. None of this touches the caches.
 */
#include "world.h"
#include <linux/rcupdate.h>

static spinlock_t sa, sb, sc;
static raw_spinlock_t raw;
static rwlock_t rw;
static struct mutex mu;
static wait_queue_head_t wq;

static void locks_begin(void)
{
	spin_lock_init(&sa);
	spin_lock_init(&sb);
	spin_lock_init(&sc);
	raw_spin_lock_init(&raw);
	rwlock_init(&rw);
	mutex_init(&mu);
	init_waitqueue_head(&wq);
}

PLANTED(p_uninit, "a lock that was never initialised", "lock: not initialised")
{
	static spinlock_t none;

	spin_lock(&none);
}

PLANTED(p_again, "a spinlock taken twice by one task", "deadlock: &sa taken again")
{
	locks_begin();
	spin_lock(&sa);
	spin_lock(&sa);
}

PLANTED(p_upgrade, "a read lock upgraded to write", "deadlock: &rw taken again")
{
	locks_begin();
	read_lock(&rw);
	write_lock(&rw);
}

PLANTED(p_read_again, "a read lock taken recursively", "deadlock: &rw taken again")
{
	locks_begin();
	read_lock(&rw);
	read_lock(&rw);
}

PLANTED(p_unlock_free, "a lock released that is not held", "unlock: &sa is not held by this task")
{
	locks_begin();
	spin_unlock(&sa);
}

static void unlock_mu(void *arg)
{
	mutex_unlock(&mu);
}

PLANTED(p_unlock_other, "a mutex released by another task", "unlock: &mu is not held by this task")
{
	locks_begin();
	mutex_lock(&mu);
	unit_thread_join(unit_thread_start("other", NULL, unlock_mu, NULL));
}

PLANTED(p_unlock_mode, "a write lock released as a read lock", "unlock: &rw held for write, released for read")
{
	locks_begin();
	write_lock(&rw);
	read_unlock(&rw);
}

PLANTED(p_destroy, "a mutex destroyed while held", "destroyed while held")
{
	locks_begin();
	mutex_lock(&mu);
	mutex_destroy(&mu);
}

PLANTED(p_cycle, "two locks taken in both orders, by one task, one after the other", "before:\n    &sa (at")
{
	locks_begin();
	spin_lock(&sa);
	spin_lock(&sb);
	spin_unlock(&sb);
	spin_unlock(&sa);
	spin_lock(&sb);
	spin_lock(&sa);
}

static void take_b_c(void *arg)
{
	mutex_lock(&mu);
	spin_lock(&sb);
	spin_lock(&sc);
	spin_unlock(&sc);
	spin_unlock(&sb);
	mutex_unlock(&mu);
}

PLANTED(p_cycle3, "a circle of three locks over two tasks", "by other\n  task main")
{
	locks_begin();
	spin_lock(&sa);
	spin_lock(&sb);
	spin_unlock(&sb);
	spin_unlock(&sa);
	unit_thread_join(unit_thread_start("other", NULL, take_b_c, NULL));
	spin_lock(&sc);
	spin_lock(&sa);
}

PLANTED(p_same_class, "two locks of one class nested", "while another of its class is held")
{
	spinlock_t two[2];

	for (int i = 0; i < 2; i++)
		spin_lock_init(&two[i]);
	spin_lock(&two[0]);
	spin_lock(&two[1]);
}

PLANTED(p_irq_on, "a lock that interrupts read, held for write with interrupts on", "irq: &rw is waited for in hard interrupts, yet held with interrupts on")
{
	unsigned long flags;

	locks_begin();
	unit_hardirq_enter();
	read_lock_irqsave(&rw, flags);
	read_unlock_irqrestore(&rw, flags);
	unit_hardirq_exit();
	write_lock(&rw);
}

PLANTED(p_irq_under, "a lock taken with interrupts on, and also under one that interrupts wait for", "irq: &sa, taken with interrupts on, is also taken under &rw")
{
	unsigned long flags;

	locks_begin();
	spin_lock(&sa);
	spin_unlock(&sa);
	write_lock_irq(&rw);
	spin_lock(&sa);
	spin_unlock(&sa);
	write_unlock_irq(&rw);
	unit_hardirq_enter();
	read_lock_irqsave(&rw, flags);
	read_unlock_irqrestore(&rw, flags);
}

static void irq_reads(void)
{
	unsigned long flags;

	read_lock_irqsave(&rw, flags);
	read_unlock_irqrestore(&rw, flags);
}

PLANTED(p_irq_comes, "an interrupt that finds its own CPU writing", "deadlock: &rw taken again|irq: &rw is waited for")
{
	locks_begin();
	unit_irq_handler = irq_reads;
	write_lock(&rw);
}

PLANTED(p_irq_twice, "an _irq lock taken with interrupts off", "irq: &sa_irq with interrupts off already")
{
	locks_begin();
	local_irq_disable();
	spin_lock_irq(&sa);
}

PLANTED(p_hardirq_plain, "a plain read lock in a hard interrupt", "with neither trylock nor irqsave")
{
	locks_begin();
	unit_hardirq_enter();
	read_lock(&rw);
}

PLANTED(p_hardirq_write, "a write lock in a hard interrupt", "context: &rw for write in a hard interrupt")
{
	unsigned long flags;

	locks_begin();
	unit_hardirq_enter();
	write_lock_irqsave(&rw, flags);
	write_unlock_irqrestore(&rw, flags);
}

PLANTED(p_hardirq_irq, "an _irq lock in a hard interrupt", "would turn interrupts on in a hard interrupt")
{
	locks_begin();
	unit_hardirq_enter();
	read_lock_irq(&rw);
}

PLANTED(p_hardirq_mutex, "a mutex in a hard interrupt", "context: mutex &mu in a hard interrupt")
{
	locks_begin();
	unit_hardirq_enter();
	(void)mutex_trylock(&mu);
}

PLANTED(p_sleep_spin, "a mutex under a spinlock", "sleep: while holding &sa")
{
	locks_begin();
	spin_lock(&sa);
	mutex_lock(&mu);
}

PLANTED(p_sleep_rw, "an allocation that may sleep under a read lock", "sleep: while holding &rw")
{
	locks_begin();
	read_lock(&rw);
	kfree(kmalloc(8, GFP_KERNEL));
}

PLANTED(p_sleep_irq, "a sleep with interrupts off", "sleep: with interrupts off")
{
	local_irq_disable();
	might_sleep();
}

PLANTED(p_sleep_preempt, "a sleep with preemption off", "sleep: with preemption off")
{
	preempt_disable();
	cond_resched();
}

PLANTED(p_sleep_rcu, "a sleep in an RCU read-side section", "sleep: in an RCU read-side section")
{
	locks_begin();
	rcu_read_lock();
	mutex_lock(&mu);
}

PLANTED(p_sleep_hardirq, "a sleep in a hard interrupt", "sleep: in a hard interrupt")
{
	unit_hardirq_enter();
	might_sleep();
}

PLANTED(p_sleep_notifier, "a sleep in the MMU notifier", "sleep: in the MMU notifier")
{
	locks_begin();
	current->notifier++;
	mutex_lock(&mu);
}

PLANTED(p_alloc_notifier, "an allocation in the MMU notifier, even one that cannot sleep", "alloc: in the MMU notifier")
{
	current->notifier++;
	kfree(kmalloc(8, GFP_ATOMIC));
}

PLANTED(p_alloc_hardirq, "an allocation in a hard interrupt", "alloc: in a hard interrupt")
{
	unit_hardirq_enter();
	kfree(kmalloc(8, GFP_ATOMIC));
}

static bool locks_a_mutex(void)
{
	mutex_lock(&mu);
	mutex_unlock(&mu);
	return false;
}

PLANTED(p_sleep_cond, "a sleep in the condition of a wait", "sleep: in the condition of a wait")
{
	static int calls;

	locks_begin();
	wait_event(wq, calls++ && locks_a_mutex());
}

PLANTED(p_wait_spin, "a wait under a spinlock", "sleep: while holding &sa")
{
	locks_begin();
	spin_lock(&sa);
	wait_event(wq, false);
}

PLANTED_HANG(p_wait_hang, "a wait that nobody ends")
{
	locks_begin();
	wait_event(wq, false);
}

PLANTED(p_wait_uninit, "a wait queue that was never initialised", "wait: wait queue not initialised")
{
	static wait_queue_head_t none;

	wake_up_all(&none);
}

static void exit_with_lock(void *arg)
{
	spin_lock(&sa);
}

PLANTED(p_exit_lock, "a task that ends holding a lock", "exit: task leaver ends holding &sa")
{
	locks_begin();
	unit_thread_join(unit_thread_start("leaver", NULL, exit_with_lock, NULL));
}

static void exit_in_rcu(void *arg)
{
	rcu_read_lock();
}

PLANTED(p_exit_rcu, "a task that ends in an RCU section", "ends inside an RCU or SRCU section")
{
	unit_thread_join(unit_thread_start("leaver", NULL, exit_in_rcu, NULL));
}

PLANTED(p_exit_irq, "a test that ends with interrupts off", "ends with interrupts or preemption off")
{
	local_irq_disable();
}

PLANTED(p_rt_raw, "PREEMPT_RT: a spinlock under a raw spinlock", "rt: &sa is a sleeping lock, taken under raw &raw")
{
	unit_rt = true;
	locks_begin();
	raw_spin_lock(&raw);
	spin_lock(&sa);
}

PLANTED(p_rt_irq, "PREEMPT_RT: an rwlock with interrupts off", "rt: &rw is a sleeping lock, taken with interrupts off")
{
	unit_rt = true;
	locks_begin();
	local_irq_disable();
	read_lock(&rw);
}

PLANTED(p_rt_preempt, "PREEMPT_RT: a spinlock with preemption off", "rt: &sa is a sleeping lock, taken with preemption off")
{
	unit_rt = true;
	locks_begin();
	preempt_disable();
	spin_lock(&sa);
}

PLANTED(p_rt_hardirq, "PREEMPT_RT: an rwlock in a hard interrupt", "rt: &rw is a sleeping lock, taken in a hard interrupt")
{
	unit_rt = true;
	locks_begin();
	unit_hardirq_enter();
	(void)read_trylock(&rw);
}

PLANTED(p_rt_wake, "PREEMPT_RT: a wake-up under a raw spinlock", "rt: wake-up with interrupts or preemption off")
{
	unit_rt = true;
	locks_begin();
	raw_spin_lock(&raw);
	wake_up_all(&wq);
}

PLANTED(p_rt_alloc, "PREEMPT_RT: an allocation under a raw spinlock", "rt: allocation with interrupts or preemption off")
{
	unit_rt = true;
	locks_begin();
	raw_spin_lock(&raw);
	kfree(kmalloc(8, GFP_ATOMIC));
}

PLANTED(p_rt_sleep, "PREEMPT_RT: a mutex under a spinlock", "sleep: while holding &sa")
{
	unit_rt = true;
	locks_begin();
	spin_lock(&sa);
	mutex_lock(&mu);
}

PLANTED(p_assert, "lockdep_assert_held() without the lock", "lockdep_assert: &mu must be held at")
{
	locks_begin();
	lockdep_assert_held(&mu);
}

PLANTED(p_assert_write, "lockdep_assert_held_write() with the lock held for read", "lockdep_assert: &rw must be held for write")
{
	locks_begin();
	read_lock(&rw);
	lockdep_assert_held_write(&rw);
}

PLANTED(p_assert_not, "lockdep_assert_not_held() with the lock held", "lockdep_assert: &sa must be free of us")
{
	locks_begin();
	spin_lock(&sa);
	lockdep_assert_not_held(&sa);
}

PLANTED(p_assert_irqs, "lockdep_assert_irqs_disabled() with interrupts on", "lockdep_assert: interrupts must be off")
{
	lockdep_assert_irqs_disabled();
}

PLANTED(p_preempt, "preemption enabled once too often", "preempt: enabled once too often")
{
	preempt_enable();
}

PLANTED(p_rcu_deref, "an RCU pointer read without protection", "rcu: p read without protection")
{
	static int *p;

	(void)rcu_dereference(p);
}

PLANTED(p_rcu_unlock, "an RCU section left twice", "rcu: left a read-side section it was not in")
{
	rcu_read_unlock();
}

PLANTED(p_srcu_self, "a grace period waited for inside its own SRCU section", "srcu: waits for its own read-side section")
{
	struct srcu_struct s;

	init_srcu_struct(&s);
	srcu_read_lock(&s);
	synchronize_srcu(&s);
}

PLANTED(p_refcount_zero, "a reference count raised from zero", "refcount: raised from zero")
{
	refcount_t r = REFCOUNT_INIT(0);

	refcount_inc(&r);
}

PLANTED(p_refcount_below, "a reference count dropped below zero", "refcount: dropped below zero")
{
	refcount_t r = REFCOUNT_INIT(0);

	(void)refcount_dec_and_test(&r);
}

PLANTED(p_warn, "a WARN_ON_ONCE() that is true", "WARN: 1 + 1 == 2")
{
	WARN_ON_ONCE(1 + 1 == 2);
}

PLANTED(p_no_warn, "a warning that is expected and does not come", "WARN: 1 warnings expected, 0 came")
{
	unit_expect_warnings(1);
}

PLANTED(p_bug, "a BUG_ON() that is true", "BUG: 1 + 1 == 2")
{
	BUG_ON(1 + 1 == 2);
}

PLANTED(p_expect, "an EXPECT_EQ() that does not hold", "expected: 1 + 1 == 3, got 2 and 3")
{
	EXPECT_EQ(1 + 1, 3);
}

PLANTED(p_type, "a raw spinlock used as a spinlock", "lock: &raw is a raw_spinlock_t, used as a spinlock_t")
{
	locks_begin();
	spin_lock((spinlock_t *)&raw);
}

PLANTED(p_irq_on_again, "an _irq unlock with interrupts on already", "released with interrupts on already")
{
	locks_begin();
	spin_lock(&sa);
	spin_unlock_irq(&sa);
}

PLANTED(p_irq_enable, "interrupts turned on in a hard interrupt", "irq: interrupts turned on in a hard interrupt")
{
	unit_hardirq_enter();
	local_irq_enable();
}

PLANTED(p_free_hardirq, "memory freed in a hard interrupt", "alloc: free in atomic context")
{
	void *p = kmalloc(8, GFP_KERNEL);

	unit_hardirq_enter();
	kfree(p);
}

PLANTED(p_rcu_protected, "an RCU pointer changed without its lock", "rcu: p used without its lock")
{
	static int *p;

	locks_begin();
	(void)rcu_dereference_protected(p, lockdep_is_held(&mu));
}

PLANTED(p_srcu_index, "an SRCU section left with another's index", "srcu: unlock with an index of nobody's")
{
	struct srcu_struct s;
	int idx;

	init_srcu_struct(&s);
	idx = srcu_read_lock(&s);
	srcu_read_unlock(&s, idx + 1);
}

PLANTED(p_srcu_busy, "an SRCU domain destroyed with a reader in it", "srcu: destroyed with a reader in it")
{
	struct srcu_struct s;

	init_srcu_struct(&s);
	srcu_read_lock(&s);
	cleanup_srcu_struct(&s);
}

PLANTED(p_wait_left, "a test that ends with a task in a wait queue", "wait: a task is still in a wait queue")
{
	struct unit_waiter wait;

	locks_begin();
	unit_wait_begin(&wq, &wait);
}

PLANTED(p_lockdep_assert, "a lockdep_assert() that is false", "lockdep_assert: lockdep_is_held(&mu)")
{
	locks_begin();
	lockdep_assert(lockdep_is_held(&mu));
}
