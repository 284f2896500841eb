// SPDX-License-Identifier: GPL-2.0
/*
 * Planted bugs, one for each checker of the debug hosts: does its report reach
 * the judge?  The parameter says which.  Loading the module commits the bug and
 * succeeds; selftests/planted looks for the report.
 *
 * Only for hosts that are thrown away: some of these leave memory in disorder.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kfence.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>

static char *what = "";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "the bug to commit");

/* Where results go, so that nothing is optimised away. */
static unsigned long sink;

static int planted_kasan(void)
{
	char *p = kmalloc(32, GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(p);
	kfree(p);
	WRITE_ONCE(sink, p[8]);
	return 0;
}

/* One allocation in many is KFENCE's; it takes turns by the clock. */
static int planted_kfence(void)
{
	unsigned long end = jiffies + 60 * HZ;
	char *p;

	do {
		p = kmalloc(32, GFP_KERNEL);
		if (!p)
			return -ENOMEM;
		if (is_kfence_address(p)) {
			OPTIMIZER_HIDE_VAR(p);
			kfree(p);
			WRITE_ONCE(sink, p[8]);
			return 0;
		}
		kfree(p);
		usleep_range(100, 200);
	} while (time_before(jiffies, end));

	pr_err("no allocation was KFENCE's\n");
	return -EAGAIN;
}

static int planted_ubsan(void)
{
	int bits = 99;

	OPTIMIZER_HIDE_VAR(bits);
	WRITE_ONCE(sink, 1 << bits);
	return 0;
}

static int planted_order(void)
{
	static DEFINE_MUTEX(a);	/* protects nothing; taken before b, and after */
	static DEFINE_MUTEX(b);	/* protects nothing */

	mutex_lock(&a);
	mutex_lock(&b);
	mutex_unlock(&b);
	mutex_unlock(&a);

	mutex_lock(&b);
	mutex_lock(&a);
	mutex_unlock(&a);
	mutex_unlock(&b);
	return 0;
}

/* What is wrong on PREEMPT_RT only, found without it. */
static int planted_nesting(void)
{
	static DEFINE_RAW_SPINLOCK(raw);	/* protects nothing */
	static DEFINE_SPINLOCK(lock);		/* protects nothing */

	raw_spin_lock(&raw);
	spin_lock(&lock);
	spin_unlock(&lock);
	raw_spin_unlock(&raw);
	return 0;
}

static int planted_rcu(void)
{
	static int __rcu *p;

	WRITE_ONCE(sink, !rcu_dereference(p));
	return 0;
}

static int planted_sleep(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
	return 0;
}

static int planted_percpu(void)
{
	WRITE_ONCE(sink, smp_processor_id());
	return 0;
}

static void planted_timer_fn(struct timer_list *t)
{
}

static int planted_object(void)
{
	struct timer_list *t = kmalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	timer_setup(t, planted_timer_fn, 0);
	mod_timer(t, jiffies + 100 * HZ);
	kfree(t);
	return 0;
}

static int planted_list(void)
{
	LIST_HEAD(list);
	LIST_HEAD(entry);
	struct list_head *next = list.next;

	list.prev = &entry;
	list_add(&entry, next);
	return 0;
}

static int planted_poison(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	void *p;

	if (!page)
		return -ENOMEM;
	p = page_address(page);
	__free_page(page);
	/* Past KASAN's eyes, as a device or another kernel's code would. */
	asm volatile("movb $0x55, 64(%0)" : : "r" (p) : "memory");
	page = alloc_page(GFP_KERNEL);
	if (page)
		__free_page(page);
	return 0;
}

/* Lost at once, and kept until the module goes. */
static void *kept;

static int planted_leak(void)
{
	WRITE_ONCE(sink, (unsigned long)kmalloc(4000, GFP_KERNEL) & 1);
	return 0;
}

static int planted_late_leak(void)
{
	WRITE_ONCE(kept, kmalloc(4000, GFP_KERNEL));
	return READ_ONCE(kept) ? 0 : -ENOMEM;
}

static unsigned long raced;

static int planted_racer(void *arg)
{
	unsigned long end = jiffies + 5 * HZ;

	while (time_before(jiffies, end)) {
		raced++;
		/* In memory, in each round. */
		barrier();
		cond_resched();
	}
	complete(arg);
	return 0;
}

static int planted_race(void)
{
	DECLARE_COMPLETION_ONSTACK(one);
	DECLARE_COMPLETION_ONSTACK(two);
	struct task_struct *first, *second;

	first = kthread_run(planted_racer, &one, "planted/1");
	if (IS_ERR(first))
		return PTR_ERR(first);
	second = kthread_run(planted_racer, &two, "planted/2");
	wait_for_completion(&one);
	if (IS_ERR(second))
		return PTR_ERR(second);
	wait_for_completion(&two);
	/* A variable that nobody reads would be left out. */
	WRITE_ONCE(sink, raced);
	return 0;
}

static const struct {
	const char *name;
	int (*commit)(void);
} planted[] = {
	{ "kasan", planted_kasan },
	{ "kfence", planted_kfence },
	{ "ubsan", planted_ubsan },
	{ "order", planted_order },
	{ "nesting", planted_nesting },
	{ "rcu", planted_rcu },
	{ "sleep", planted_sleep },
	{ "percpu", planted_percpu },
	{ "object", planted_object },
	{ "list", planted_list },
	{ "poison", planted_poison },
	{ "leak", planted_leak },
	{ "late_leak", planted_late_leak },
	{ "race", planted_race },
};

static int __init planted_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(planted); i++)
		if (!strcmp(what, planted[i].name))
			return planted[i].commit();

	pr_err("there is no bug %s\n", what);
	return -EINVAL;
}

static void __exit planted_exit(void)
{
}

module_init(planted_init);
module_exit(planted_exit);

MODULE_DESCRIPTION("Planted bugs for the kvm-xen tests");
MODULE_LICENSE("GPL");
