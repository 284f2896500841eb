// SPDX-License-Identifier: GPL-2.0
/*
 * Without memory: each operation is run once for every allocation it makes, its
 * own or one that it has others make (a page, a mapping), and that one fails;
 * then once more for each, and all that come after it fail too. The answer is
 * an errno of the contract, nothing is left half done, the other caches do not
 * notice, and the same operation succeeds as soon as there is memory.
 */
#include <linux/gfp.h>
#include "nomem.h"

#define OTHER_GPA	(SLOT_GPA + 5000 * PAGE_SIZE)
#define FAR_GFN		0x4000000UL	/* a slot of its own */

enum { JUST_ONE, ALL_FROM_THERE };

static void starve(int how, unsigned long point)
{
	if (how == JUST_ONE)
		unit_alloc_fail_nth(point);
	else
		unit_alloc_fail_after(point - 1);
}

static void feed(void)
{
	unit_alloc_fail_nth(0);
	unit_alloc_fail_after(~0ul);
}

static void nomem_begin(struct nomem *n, const struct nomem_op *op)
{
	world_begin(&n->w);
	unit_slot_set(n->w.kvm, 1, IO_GFN, IO_PAGES, IO_HVA, 0);
	n->gpc = gpc_new(&n->w);
	n->other = gpc_new(&n->w);
	EXPECT_EQ(activate(n->other, OTHER_GPA, 8), 0);
	if (op->prepare)
		op->prepare(n);
}

/* A cache that the operation left behind, whatever became of it. */
static void expect_sound(struct nomem *n, unsigned long uhva)
{
	unsigned long a = uhva & PAGE_MASK;

	EXPECT_EQ(n->gpc->uhva, uhva);
	EXPECT(usable(n->gpc));
	/* The notifier finds it, which is what makes it safe to use. */
	unit_mm_zap(n->w.mm, a, a + PAGE_SIZE);
	EXPECT(!usable(n->gpc));
	EXPECT_EQ(refresh(n->gpc, 8), 0);
	EXPECT(usable(n->gpc));
}

static void nomem_end(struct nomem *n)
{
	EXPECT(usable(n->other));
	gpc_gone(n->gpc);
	gpc_gone(n->other);
	EXPECT_EQ(n->w.mm->maps, n->w.mm->unmaps);
	world_end(&n->w);
}

/* Returns whether something failed for want of memory. */
static bool nomem_at(const struct nomem_op *op, int how, unsigned long point)
{
	unsigned long before;
	struct nomem n;
	bool denied;
	int r;

	nomem_begin(&n, op);
	before = unit_alloc_denials();
	starve(how, point);
	r = op->run(&n);
	feed();
	denied = unit_alloc_denials() != before;

	if (r) {
		EXPECT(denied);
		EXPECT(r == -ENOMEM || r == -EFAULT);
		EXPECT(!op->error || r == op->error);
		/* Active where it was pointed, and not usable: rule 6. */
		EXPECT(n.gpc->active && !n.gpc->valid && !n.gpc->khva);
		EXPECT(is_error_noslot_pfn(n.gpc->pfn));
		EXPECT(!usable(n.gpc));
		EXPECT_EQ(n.w.mm->maps - n.w.mm->unmaps, 1);
		EXPECT(usable(n.other));
		EXPECT_EQ(op->run(&n), 0);
	}
	expect_sound(&n, op->uhva);
	nomem_end(&n);
	return denied;
}

unsigned long nomem_everywhere(const struct nomem_op *op)
{
	unsigned long point, points[2];
	int how;

	for (how = JUST_ONE; how <= ALL_FROM_THERE; how++) {
		for (point = 1; nomem_at(op, how, point); point++)
			EXPECT(point < 100);
		points[how] = point - 1;
	}
	unit_log("%lu points one by one, %lu with all after them", points[0],
		 points[1]);
	return points[JUST_ONE];
}

static int run_activate(struct nomem *n)
{
	return activate(n->gpc, SLOT_GPA + 8, 8);
}

const struct nomem_op nomem_activate = {
	.run = run_activate, .uhva = SLOT_HVA + 8,
};

TEST_RT(nomem_gpa, "nomem: an activation by guest address")
{
	EXPECT(nomem_everywhere(&nomem_activate) >= 1);
}

static int run_activate_hva(struct nomem *n)
{
	return activate_hva(n->gpc, FREE_HVA + 64, 8);
}

TEST_RT(nomem_hva, "nomem: an activation by user address")
{
	const struct nomem_op op = {
		.run = run_activate_hva, .uhva = FREE_HVA + 64,
	};

	EXPECT(nomem_everywhere(&op) >= 1);
}

static int run_activate_io(struct nomem *n)
{
	return activate(n->gpc, (IO_GFN + 3) << PAGE_SHIFT, 8);
}

TEST_RT(nomem_io, "nomem: an activation on memory without struct page")
{
	const struct nomem_op op = {
		.run = run_activate_io, .uhva = IO_HVA + 3 * PAGE_SIZE,
	};

	/* The page and its mapping at least. */
	EXPECT(nomem_everywhere(&op) >= 2);
}

static void prepare_active(struct nomem *n)
{
	EXPECT_EQ(activate(n->gpc, SLOT_GPA + 8, 8), 0);
}

static int run_move(struct nomem *n)
{
	return activate_hva(n->gpc, FREE_HVA + 512 * PAGE_SIZE, 8);
}

const struct nomem_op nomem_move = {
	.prepare = prepare_active,
	.run = run_move,
	.uhva = FREE_HVA + 512 * PAGE_SIZE,
};

TEST_RT(nomem_elsewhere, "nomem: an active cache that is pointed elsewhere")
{
	EXPECT(nomem_everywhere(&nomem_move) >= 1);
}

/* The page is there already, so that only the index wants memory. */
static void prepare_page(struct nomem *n)
{
	EXPECT_EQ(run_move(n), 0);
	prepare_active(n);
}

const struct nomem_op nomem_index = {
	.prepare = prepare_page,
	.run = run_move,
	.uhva = FREE_HVA + 512 * PAGE_SIZE,
	.error = -ENOMEM,
};

TEST_RT(nomem_in_index, "nomem: an index that cannot take the cache says -ENOMEM")
{
	EXPECT(nomem_everywhere(&nomem_index) >= 1);
}

static void prepare_zapped(struct nomem *n)
{
	prepare_active(n);
	unit_mm_zap(n->w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	EXPECT(!usable(n->gpc));
}

static int run_refresh(struct nomem *n)
{
	return refresh(n->gpc, 8);
}

const struct nomem_op nomem_refresh = {
	.prepare = prepare_zapped,
	.run = run_refresh,
	.uhva = SLOT_HVA + 8,
	.error = -EFAULT,
};

TEST_RT(nomem_zapped, "nomem: a refresh after an invalidation, once for the page")
{
	/* It stays in the index, so that all it needs is the page. */
	EXPECT_EQ(nomem_everywhere(&nomem_refresh), 1);
}

static void prepare_cow(struct nomem *n)
{
	prepare_active(n);
	unit_mn_start(n->w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	unit_mn_end(n->w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE, true);
	unit_mm_set_cow(n->w.mm, SLOT_HVA, false);
}

TEST_RT(nomem_cow, "nomem: a refresh that has to break copy-on-write")
{
	const struct nomem_op op = {
		.prepare = prepare_cow,
		.run = run_refresh,
		.uhva = SLOT_HVA + 8,
	};

	EXPECT(nomem_everywhere(&op) >= 1);
}

static void prepare_slot_moved(struct nomem *n)
{
	unit_slot_set(n->w.kvm, 2, FAR_GFN, 16, FREE_HVA, 0);
	EXPECT_EQ(activate(n->gpc, FAR_GFN << PAGE_SHIFT, 8), 0);
	unit_slot_set(n->w.kvm, 2, FAR_GFN, 16, FREE_HVA + 600 * PAGE_SIZE, 0);
}

TEST_RT(nomem_slot, "nomem: a refresh after the memslot got other memory")
{
	const struct nomem_op op = {
		.prepare = prepare_slot_moved,
		.run = run_refresh,
		.uhva = FREE_HVA + 600 * PAGE_SIZE,
	};

	EXPECT(nomem_everywhere(&op) >= 1);
}

TEST_RT(nomem_same_page, "nomem: a cache on a page that has one already needs none")
{
	struct nomem n;

	nomem_begin(&n, &nomem_activate);
	starve(ALL_FROM_THERE, 1);
	EXPECT_EQ(activate(n.gpc, OTHER_GPA + 128, 8), 0);
	feed();
	EXPECT(usable(n.gpc) && usable(n.other));
	unit_mm_zap(n.w.mm, n.gpc->uhva & PAGE_MASK,
		    (n.gpc->uhva & PAGE_MASK) + PAGE_SIZE);
	EXPECT(!usable(n.gpc) && !usable(n.other));
	EXPECT_EQ(refresh(n.other, 8), 0);
	nomem_end(&n);
}

/* What takes memory back must not need any. */
TEST_RT(nomem_notifier, "nomem: invalidation, deactivation and the end of all need none")
{
	unsigned long before = unit_alloc_denials();
	struct nomem n;

	nomem_begin(&n, &nomem_activate);
	prepare_active(&n);
	starve(ALL_FROM_THERE, 1);
	unit_mm_zap(n.w.mm, SLOT_HVA, SLOT_HVA + PAGE_SIZE);
	EXPECT(!usable(n.gpc) && usable(n.other));
	unit_mm_zap(n.w.mm, UNIT_UADDR, UNIT_UEND);
	EXPECT(!usable(n.other));
	kvm_gpc_deactivate(n.other);
	unit_mm_release(n.w.mm);
	gpc_gone(n.gpc);
	gpc_gone(n.other);
	world_end(&n.w);
	feed();
	EXPECT_EQ(unit_alloc_denials(), before);
}

TEST(nomem_vm, "nomem: a VM is made whole or not at all")
{
	struct mm_struct *mm = unit_mm_create();
	struct kvm *kvm = NULL;
	unsigned long point;

	current->mm = mm;
	for (point = 1; !kvm; point++) {
		EXPECT(point < 10);
		starve(JUST_ONE, point);
		kvm = unit_vm_create(mm);
		feed();
		/* Nobody is told of an address space that we gave up on. */
		EXPECT(kvm || !mm->mn);
	}
	/* Our own state, and the notifier's. */
	EXPECT(point - 2 >= 2);
	unit_vm_destroy(kvm, NULL);
	unit_mm_destroy(mm);
	current->mm = NULL;
}
