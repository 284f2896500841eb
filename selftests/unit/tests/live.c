// SPDX-License-Identifier: GPL-2.0
/*
 * Readers without a lock: whoever takes a page from them waits until the last of
 * them is out, whoever else may be waiting already.
 */
#include <sched.h>
#include <linux/jiffies.h>
#include <pfncache/pfncache.h>
#include "live.h"
#include "rig/cpu.h"

#define GPC_UADDR	(SLOT_HVA + 0x2000)

/* Long enough for any test that readers say so, and short enough that they do not. */
#define SAYING		30
#define QUIET		0

static struct world w;
static struct gfn_to_pfn_cache *gpc;
static bool says;

static bool live(void)
{
	return live_look(gpc, 2);
}

static void live_begin(void)
{
	unit_jiffy_shift = SAYING;
	world_begin(&w);
	gpc = gpc_new(&w);
	EXPECT_EQ(activate(gpc, SLOT_GPA + 0x2010, 8), 0);
	/* A reader who was waited for: after that, all say so. */
	if (says) {
		EXPECT(live());
		kvm_gpc_quiesce(w.kvm);
	}
}

static void live_end(void)
{
	gpc_gone(gpc);
	world_end(&w);
}

/* A reader that stays inside until it is told to leave. Relaxed: makes no order. */
static struct holder {
	struct unit_thread *thread;
	bool reads, inside, leave;
} holder;

static void holder_main(void *arg)
{
	struct unit_seen seen = { 0 };
	struct gpc_read read = { 0 };
	void *khva = NULL;

	if (holder.reads) {
		read = kvm_gpc_read_begin(w.kvm);
		EXPECT_EQ(read.said, says);
		khva = kvm_gpc_live(gpc);
		EXPECT(khva);
	} else {
		local_irq_save(read.flags);
	}
	__atomic_store_n(&holder.inside, true, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&holder.leave, __ATOMIC_RELAXED)) {
		if (khva)
			unit_touch_live(khva, &seen);
		sched_yield();
	}
	if (khva)
		unit_touch_live(khva, &seen);
	__atomic_store_n(&holder.inside, false, __ATOMIC_RELAXED);
	kvm_gpc_read_end(read);
}

static bool holder_inside(void *unused)
{
	return __atomic_load_n(&holder.inside, __ATOMIC_RELAXED);
}

static void hold(bool reads)
{
	holder = (struct holder){ .reads = reads };
	holder.thread = unit_thread_start("holder", w.mm, holder_main, NULL);
	EXPECT(unit_wait_until(holder_inside, NULL, 5000));
}

static void let_go(void)
{
	__atomic_store_n(&holder.leave, true, __ATOMIC_RELAXED);
	unit_thread_join(holder.thread);
}

/* What takes the page of the cache from its readers. */
static void op_unmap(void)
{
	unit_mm_zap(w.mm, GPC_UADDR, GPC_UADDR + PAGE_SIZE);
}

static void op_deactivate(void)
{
	kvm_gpc_deactivate(gpc);
}

static void op_move(void)
{
	EXPECT_EQ(activate_hva(gpc, FREE_HVA, 8), 0);
}

static void op_shift(void)
{
	EXPECT_EQ(activate(gpc, SLOT_GPA + 0x2020, 8), 0);
}

static void op_slot(void)
{
	unit_slot_mark_invalid(w.kvm, 0);
}

static void op_release(void)
{
	mmput(w.mm);
}

struct op {
	const char *name;
	void (*fn)(void);
	struct unit_thread *thread;
	bool done;
};

static struct op ops[] = {
	{ .name = "an unmap", .fn = op_unmap },
	{ .name = "deactivation", .fn = op_deactivate },
	{ .name = "activation elsewhere", .fn = op_move },
	{ .name = "a memslot's end", .fn = op_slot },
	/* The following leave the page where it is, or never end alone. */
	{ .name = "activation in the same page", .fn = op_shift },
	{ .name = "the address space's end", .fn = op_release },
};

#define NR_OPS		ARRAY_SIZE(ops)
#define NR_TAKERS	4

static void op_main(void *arg)
{
	struct op *op = arg;

	op->fn();
	/* The same CPU may have come back, which here it does not. */
	if (holder_inside(NULL))
		unit_fail("live", "%s returned with a reader inside", op->name);
	__atomic_store_n(&op->done, true, __ATOMIC_RELAXED);
}

static void op_start(struct op *op)
{
	op->done = false;
	op->thread = unit_thread_start(op->name, w.mm, op_main, op);
}

static bool op_waits(void *n)
{
	return unit_cpu_waiting() >= (unsigned long)n;
}

/* It has had every chance to return too early, a planted one more than that. */
static bool op_waits_or_done(void *arg)
{
	struct op *op = arg;

	return __atomic_load_n(&op->done, __ATOMIC_RELAXED) ||
	       unit_cpu_waiting() >= 2;
}

TEST_RT(live_states, "live: there to be read exactly while the cache is valid")
{
	live_begin();
	EXPECT(live());
	op_unmap();
	EXPECT(!live());
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(live());
	EXPECT_EQ((unsigned long)gpc->live & ~PAGE_MASK, 0x10);
	op_shift();
	EXPECT(live());
	EXPECT_EQ((unsigned long)gpc->live & ~PAGE_MASK, 0x20);
	kvm_gpc_deactivate(gpc);
	EXPECT(!live());
	op_move();
	EXPECT(live());
	live_end();
}

static void waited(void)
{
	for (int i = 0; i < NR_OPS; i++) {
		live_begin();
		hold(true);
		op_start(&ops[i]);
		EXPECT(unit_wait_until(op_waits, (void *)1, 5000));
		/* A reader who comes now: the new address, or nothing. */
		EXPECT_EQ(live(), ops[i].fn == op_shift);
		let_go();
		unit_thread_join(ops[i].thread);
		live_end();
	}
}

TEST_RT(live_waited, "live: each operation waits for a reader, and later ones see nothing")
{
	waited();
}

TEST_RT(live_said, "live: each operation waits for a reader that says so")
{
	says = true;
	waited();
}

static void both(void)
{
	for (int i = 0; i < NR_TAKERS; i++)
		for (int j = 0; j < NR_TAKERS; j++) {
			if (i == j && ops[i].fn != op_unmap)
				continue;
			unit_log("%s, then %s\n", ops[i].name, ops[j].name);
			live_begin();
			hold(true);
			op_start(&ops[i]);
			EXPECT(unit_wait_until(op_waits, (void *)1, 5000));
			if (i != j) {
				op_start(&ops[j]);
				unit_wait_until(op_waits_or_done, &ops[j],
						unit_mutants.taken_unheard ? 1000 : 50);
				let_go();
				unit_thread_join(ops[j].thread);
			} else {
				struct op again = ops[i];

				op_start(&again);
				EXPECT(unit_wait_until(op_waits, (void *)2,
						       5000));
				let_go();
				unit_thread_join(again.thread);
			}
			unit_thread_join(ops[i].thread);
			live_end();
		}
}

TEST_RT(live_both, "live: an operation waits for readers that another waits for")
{
	both();
}

TEST_RT(live_both_said, "live: an operation waits for readers that say so and another waits for")
{
	says = true;
	both();
}

PLANTED(d_taken, "design: readers that another waits for are not waited for", "returned with a reader inside|used after invalidate_start had returned|use-after-poison|ThreadSanitizer: data race")
{
	unit_mutants.taken_unheard = true;
	both();
}

PLANTED(d_taken_said, "design: readers that say so and another waits for are not waited for", "returned with a reader inside|used after invalidate_start had returned|use-after-poison|ThreadSanitizer: data race")
{
	says = true;
	unit_mutants.taken_unheard = true;
	both();
}

TEST_RT(live_stranger, "live: nobody waits for a CPU that never read a cache")
{
	live_begin();
	EXPECT(live());
	hold(false);
	op_unmap();
	EXPECT_EQ(refresh(gpc, 8), 0);
	op_move();
	kvm_gpc_deactivate(gpc);
	EXPECT_EQ(unit_cpu_waits(), 0);
	EXPECT(unit_cpu_calls());
	let_go();
	live_end();
}

TEST_RT(live_no_call, "live: no CPU is called for what takes no cache from a reader")
{
	unsigned long calls;

	live_begin();
	EXPECT(live());
	calls = unit_cpu_calls();
	unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + 64 * PAGE_SIZE);
	unit_mm_zap(w.mm, GPC_UADDR + PAGE_SIZE, GPC_UADDR + 9 * PAGE_SIZE);
	unit_slots_touch(w.kvm);
	unit_slot_set(w.kvm, 0, SLOT_GFN, SLOT_PAGES, SLOT_HVA,
		      KVM_MEM_LOG_DIRTY_PAGES);
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT(live());
	EXPECT_EQ(unit_cpu_calls(), calls);

	/* Once, and not again for a cache that nobody can be reading. */
	op_unmap();
	EXPECT_EQ(unit_cpu_calls(), calls + 1);
	op_unmap();
	EXPECT_EQ(refresh(gpc, 8), 0);
	EXPECT_EQ(unit_cpu_calls(), calls + 1);
	unit_jiffy_shift = QUIET;
	EXPECT(live());
	op_unmap();
	kvm_gpc_deactivate(gpc);
	EXPECT_EQ(unit_cpu_calls(), calls + 2);
	live_end();
}

TEST_RT(live_storm, "live: CPUs that were called once are not again, however often the page goes")
{
	unsigned long calls;

	live_begin();
	EXPECT(live());
	calls = unit_cpu_calls();
	for (int i = 0; i < 100; i++) {
		EXPECT(live());
		op_unmap();
		EXPECT(!live());
		EXPECT_EQ(refresh(gpc, 8), 0);
	}
	EXPECT_EQ(unit_cpu_calls(), calls + 1);
	/* And by and by they need not say so any more. */
	unit_jiffy_shift = QUIET;
	EXPECT(live());
	op_unmap();
	EXPECT_EQ(unit_cpu_calls(), calls + 2);
	live_end();
}

TEST(live_elsewhere, "live: a CPU that has gone on to another VM is not called")
{
	struct world other;
	unsigned long calls;
	struct gpc_read read;

	live_begin();
	world_begin(&other);
	EXPECT(live());
	read = kvm_gpc_read_begin(other.kvm);
	kvm_gpc_read_end(read);
	calls = unit_cpu_calls();
	op_unmap();
	EXPECT_EQ(unit_cpu_calls(), calls);
	gpc_gone(gpc);
	world_end(&other);
	world_end(&w);
}

static bool reads_quietly(struct kvm *kvm)
{
	unsigned long flags;
	bool quietly;

	local_irq_save(flags);
	quietly = kvm_gpc_reads_quietly(kvm);
	local_irq_restore(flags);

	return quietly;
}

static void section(struct kvm *kvm, bool said)
{
	struct gpc_read read = kvm_gpc_read_begin(kvm);

	EXPECT_EQ(read.said, said);
	kvm_gpc_read_end(read);
}

TEST(live_next_vm, "live: a VM that gets the place of another is not taken for it")
{
	struct kvm *was;

	live_begin();
	was = w.kvm;
	/* Nobody is waited for after this but by the VM's end. */
	gpc_gone(gpc);
	unit_jiffy_shift = QUIET;
	section(was, false);
	EXPECT(reads_quietly(was));
	world_end(&w);
	EXPECT(!reads_quietly(was));
}

TEST(live_other_vm, "live: a VM's end takes nothing from the readers of another")
{
	struct world other;

	live_begin();
	world_begin(&other);
	EXPECT(live());
	section(other.kvm, false);
	EXPECT(reads_quietly(other.kvm));
	live_end();
	EXPECT(reads_quietly(other.kvm));
	world_end(&other);
}

TEST(live_again, "live: to read quietly again takes a barrier, on a CPU that is known")
{
	unsigned long rmw;

	live_begin();
	EXPECT(live());
	kvm_gpc_quiesce(w.kvm);
	unit_jiffy_shift = QUIET;
	rmw = unit_ops[UNIT_RMW];
	section(w.kvm, false);
	EXPECT(reads_quietly(w.kvm));
	EXPECT_EQ(unit_ops[UNIT_RMW], rmw + 1);
	live_end();
}

TEST(live_kinds, "live: a quiet CPU and one that says so are both waited for")
{
	live_begin();
	EXPECT(live());
	EXPECT(reads_quietly(w.kvm));
	/* As if somebody had just been waited for, before either came. */
	WRITE_ONCE(gpc_manager(w.kvm)->say_until, jiffies + 10);
	says = true;
	hold(true);
	op_start(&ops[0]);
	EXPECT(unit_wait_until(op_waits, (void *)1, 5000));
	EXPECT(!__atomic_load_n(&ops[0].done, __ATOMIC_RELAXED));
	let_go();
	unit_thread_join(ops[0].thread);
	live_end();
}

TEST_RT(live_other, "live: no CPU is called for a cache that is read by its lock alone")
{
	struct gfn_to_pfn_cache *other;
	unsigned long calls;

	live_begin();
	EXPECT(live());
	other = calloc(1, sizeof(*other));
	kvm_gpc_init(other, w.kvm);
	calls = unit_cpu_calls();
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(activate_hva(other, FREE_HVA + i * 512, 8), 0);
	EXPECT(usable(other));
	EXPECT(!other->live);
	EXPECT_EQ(activate_hva(other, FREE_HVA + PAGE_SIZE, 8), 0);
	gpc_gone(other);
	EXPECT_EQ(unit_cpu_calls(), calls);
	live_end();
}

TEST(live_cost, "live: a CPU announces itself once; a section that it says takes one barrier")
{
	struct gpc_read read, inner;
	unsigned long rmw;

	live_begin();
	rmw = unit_ops[UNIT_RMW];
	EXPECT(live());
	EXPECT(unit_ops[UNIT_RMW] > rmw);
	rmw = unit_ops[UNIT_RMW];
	for (int i = 0; i < 100; i++) {
		read = kvm_gpc_read_begin(w.kvm);
		inner = kvm_gpc_read_begin(w.kvm);
		EXPECT(kvm_gpc_live(gpc) && !read.said && !inner.said);
		kvm_gpc_read_end(inner);
		kvm_gpc_read_end(read);
	}
	EXPECT_EQ(unit_ops[UNIT_RMW], rmw);

	kvm_gpc_quiesce(w.kvm);
	rmw = unit_ops[UNIT_RMW];
	for (int i = 0; i < 100; i++) {
		read = kvm_gpc_read_begin(w.kvm);
		/* Only who said so says when it ends. */
		inner = kvm_gpc_read_begin(w.kvm);
		EXPECT(kvm_gpc_live(gpc) && read.said && !inner.said);
		kvm_gpc_read_end(inner);
		kvm_gpc_read_end(read);
	}
	EXPECT_EQ(unit_ops[UNIT_RMW], rmw + 100);
	live_end();
}

static void no_more_reader(struct kvm *kvm)
{
	struct gpc_read read;

	kvm_gpc_deactivate(gpc);
	read = kvm_gpc_read_begin(kvm);
	EXPECT(!kvm_gpc_live(gpc) && !read.said && !kvm_gpc_reads_quietly(kvm));
	kvm_gpc_read_end(read);
	kvm_gpc_quiesce(kvm);
}

TEST(live_no_manager, "live: nothing is to be read, nor waited for, once the caches are gone")
{
	live_begin();
	unit_vm_destroy(w.kvm, no_more_reader);
	unit_mm_destroy(w.mm);
	free(gpc);
}
