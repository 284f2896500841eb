// SPDX-License-Identifier: GPL-2.0
/*
 * What of the rig is more than an inline function: threads as CPUs, waiting, grace
 * periods, pages. One copy of it is in each side's object.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/kvm_host.h>
#include <linux/xarray.h>
#include "rig/cpu.h"
#include "rig/lock.h"

struct task_struct unit_tasks[UNIT_MAX_TASKS];
__thread struct task_struct *unit_current;
__thread unsigned long cores_locks;
unsigned long cores_jiffies;
struct unit_mutants unit_mutants;

void unit_fail(const char *kind, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "cores: %s: ", kind);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(3);
}

void cores_yield(void)
{
	sched_yield();
}

void cores_spin_wait(uint32_t *id, uint16_t ticket)
{
	unsigned int n = 0;

	while (__atomic_load_n((uint16_t *)id, __ATOMIC_ACQUIRE) != ticket)
		cores_spin(&n);
}

/* The lock was not free for a reader, who is counted in it already. */
void cores_read_wait(uint32_t *id)
{
	unsigned int n = 0;

	if (!current->hardirq) {
		__atomic_fetch_sub(id, RW_READER, __ATOMIC_RELAXED);
		cores_spin_lock(id + 1);
		__atomic_fetch_add(id, RW_READER, __ATOMIC_ACQUIRE);
	}
	while (__atomic_load_n(id, __ATOMIC_ACQUIRE) & RW_WRITER)
		cores_spin(&n);
	if (!current->hardirq)
		cores_spin_unlock(id + 1);
}

void cores_write_wait(uint32_t *id)
{
	unsigned int n = 0;
	uint32_t want;

	cores_spin_lock(id + 1);
	__atomic_fetch_or(id, RW_WAITING, __ATOMIC_RELAXED);
	for (;;) {
		want = RW_WAITING;
		if (__atomic_compare_exchange_n(id, &want, RW_WRITER, false,
						__ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			break;
		cores_spin(&n);
	}
	cores_spin_unlock(id + 1);
}

/*
 * The system call interrupts every processor that runs a thread of this process and
 * has it pass a full barrier; then each of the CPUs is seen in its section, or will
 * see what was stored before.
 */
void cores_interrupt_all(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		unit_fail("membarrier", "errno %d", errno);
}

void cores_called(void)
{
	unsigned long *section = &current->section;
	unsigned int n = 0;

	do {
		__atomic_store_n(section, *section + 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&current->called, __ATOMIC_ACQUIRE))
			cores_spin(&n);
		__atomic_store_n(section, *section + 1, __ATOMIC_RELAXED);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	} while (__atomic_load_n(&current->called, __ATOMIC_RELAXED));
}

/* The function runs here, in the place of each CPU, which is in no section meanwhile. */
static void run_on(int cpu, void (*fn)(void *arg), void *arg)
{
	unsigned long *section = &unit_tasks[cpu].section, seen;
	int self = current->slot;
	unsigned int n = 0;

	seen = __atomic_load_n(section, __ATOMIC_ACQUIRE);
	while (cpu != self && seen & 1 &&
	       __atomic_load_n(section, __ATOMIC_ACQUIRE) == seen)
		cores_spin(&n);
	current->slot = cpu;
	fn(arg);
	current->slot = self;
	__atomic_fetch_sub(&unit_tasks[cpu].called, 1, __ATOMIC_RELEASE);
}

void unit_call_cpus(const unsigned long *mask, bool (*cond)(int cpu, void *arg),
		    void (*fn)(void *arg), void *arg, bool wait, const char *where)
{
	uint64_t called = 0;
	int i;

	for (i = 0; i < UNIT_MAX_TASKS; i++) {
		if (!test_bit(i, mask) || !cond(i, arg))
			continue;
		__atomic_fetch_add(&unit_tasks[i].called, 1, __ATOMIC_RELAXED);
		called |= 1ull << i;
	}
	if (called & ~(1ull << current->slot))
		cores_interrupt_all();
	for (i = 0; i < UNIT_MAX_TASKS; i++)
		if (called >> i & 1)
			run_on(i, fn, arg);
}

static bool always(int cpu, void *arg)
{
	return true;
}

void unit_call_cpu(int cpu, void (*fn)(void *arg), void *arg, bool wait,
		   const char *where)
{
	unsigned long mask[UNIT_MAX_TASKS / 64] = {};

	mask[cpu / 64] = 1ul << cpu % 64;
	unit_call_cpus(mask, always, fn, arg, wait, where);
}

/* As the kernel's clock, the TSC and no call. */
static unsigned long ticks_per_us;

__attribute__((__constructor__))
static void measure_ticks(void)
{
	struct timespec ts = { .tv_nsec = 2 * 1000 * 1000 }, a, b;
	unsigned long start = __builtin_ia32_rdtsc();

	clock_gettime(CLOCK_MONOTONIC, &a);
	nanosleep(&ts, NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ticks_per_us = (__builtin_ia32_rdtsc() - start) * 1000 /
		       ((b.tv_sec - a.tv_sec) * 1000000000l + b.tv_nsec - a.tv_nsec);
}

uint64_t unit_now_ns(void)
{
	return __builtin_ia32_rdtsc() / ticks_per_us * 1000;
}

/* Its steps are about as long as a millisecond. */
void cores_tick(void)
{
	unsigned long now = __builtin_ia32_rdtsc() >> 21;

	if (now != __atomic_load_n(&cores_jiffies, __ATOMIC_RELAXED))
		__atomic_store_n(&cores_jiffies, now, __ATOMIC_RELAXED);
}

static void wait_for_readers(size_t counter)
{
	unsigned long *count;
	unsigned int n = 0;
	int i;

	cores_interrupt_all();
	for (i = 0; i < UNIT_MAX_TASKS; i++) {
		count = (void *)((char *)&unit_tasks[i] + counter);
		while (&unit_tasks[i] != current &&
		       __atomic_load_n(count, __ATOMIC_ACQUIRE))
			cores_spin(&n);
	}
}

void unit_synchronize_rcu(const char *where)
{
	wait_for_readers(offsetof(struct task_struct, rcu));
}

void unit_srcu_synchronize(struct srcu_struct *s, const char *where)
{
	wait_for_readers(offsetof(struct task_struct, srcu));
}

static struct callback_head *callbacks;

void unit_call_rcu(struct callback_head *h,
		   void (*fn)(struct callback_head *h))
{
	h->func = fn;
	h->next = __atomic_load_n(&callbacks, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&callbacks, &h->next, h, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

static void run_callbacks(void)
{
	struct callback_head *h = callbacks, *next;

	callbacks = NULL;
	for (; h; h = next) {
		next = h->next;
		h->func(h);
	}
}

bool unit_wq_has_sleeper(wait_queue_head_t *q, bool full_barrier)
{
	if (full_barrier)
		unit_fence();
	return __atomic_load_n(&q->sleepers, __ATOMIC_RELAXED);
}

void unit_wake_up(wait_queue_head_t *q, const char *where)
{
	__atomic_fetch_add(&q->wakes, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&q->sleepers, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &q->wakes, FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
			NULL, 0);
}

void unit_wait_begin(wait_queue_head_t *q, struct unit_waiter *w)
{
	w->wq = q;
	__atomic_fetch_add(&q->sleepers, 1, __ATOMIC_SEQ_CST);
}

void unit_wait_prepare(struct unit_waiter *w)
{
	w->seen = __atomic_load_n(&w->wq->wakes, __ATOMIC_SEQ_CST);
}

void unit_wait_sleep(struct unit_waiter *w)
{
	syscall(SYS_futex, &w->wq->wakes, FUTEX_WAIT_PRIVATE, w->seen, NULL,
		NULL, 0);
}

void unit_wait_finish(struct unit_waiter *w)
{
	__atomic_fetch_sub(&w->wq->sleepers, 1, __ATOMIC_SEQ_CST);
}

/* What the XArray's nodes are made of. */
extern struct kmem_cache *radix_tree_node_cachep;
void radix_tree_node_rcu_free(struct rcu_head *head);

struct kmem_cache *radix_tree_node_cachep;

void *unit_alloc(size_t size, unsigned int gfp, const char *where)
{
	void *p = gfp & __GFP_ZERO ? calloc(1, size) : malloc(size);

	if (!p)
		unit_fail("memory", "there is none");
	return p;
}

void *unit_cache_alloc(struct kmem_cache *c, unsigned int gfp, const char *where)
{
	struct xa_node *node = unit_alloc(sizeof(*node), __GFP_ZERO, where);

	INIT_LIST_HEAD(&node->private_list);
	return node;
}

void unit_free(const void *p, const char *where)
{
	free((void *)p);
}

void radix_tree_node_rcu_free(struct rcu_head *head)
{
	free(container_of(head, struct xa_node, rcu_head));
}

void unit_kfree_rcu(struct callback_head *h, void *p)
{
	unit_synchronize_rcu("");
	free(p);
}

struct mm_struct *cores_mm;

struct mm_struct *cores_mm_create(void)
{
	struct mm_struct *mm = unit_alloc(sizeof(*mm), __GFP_ZERO, "");
	char *mem = mmap(NULL, CORES_FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	unsigned long i;

	if (mem == MAP_FAILED)
		unit_fail("memory", "there is none");
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0,
		    0))
		unit_fail("membarrier", "errno %d", errno);
	for (i = 0; i < CORES_FRAMES; i++) {
		mm->frame[i].pfn = i;
		mm->frame[i].mem = mem + i * PAGE_SIZE;
		if (i < UNIT_UPAGES)
			mm->page[i] = &mm->frame[i];
	}
	cores_mm = mm;
	return mm;
}

void cores_mm_destroy(struct mm_struct *mm)
{
	run_callbacks();
	munmap(mm->frame[0].mem, CORES_FRAMES * PAGE_SIZE);
	free(mm);
}

kvm_pfn_t hva_to_pfn(unsigned long addr, bool atomic, bool interruptible,
		     bool *async, bool write_fault, bool *writable)
{
	unsigned long i = (addr - UNIT_UADDR) >> PAGE_SHIFT;

	if (i >= UNIT_UPAGES)
		return KVM_PFN_ERR_FAULT;
	return __atomic_load_n(&cores_mm->page[i], __ATOMIC_ACQUIRE)->pfn;
}

int mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm)
{
	mm->mn = mn;
	return 0;
}

void mmu_notifier_unregister(struct mmu_notifier *mn, struct mm_struct *mm)
{
	mn->ops->release(mn, mm);
	mm->mn = NULL;
}

void kvm_release_pfn_clean(kvm_pfn_t pfn) {}
void kvm_release_pfn_dirty(kvm_pfn_t pfn) {}
