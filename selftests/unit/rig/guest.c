// SPDX-License-Identifier: GPL-2.0
/*
 * custom: a processor in guest mode, by what the manuals let it do at most (Intel SDM
 * volume 3, "Caching Translation Information"; AMD APM volume 2, "Nested Paging"): it
 * walks the tables by physical address, holds no lock and is in no RCU section, sets
 * Accessed and Dirty by locked operations, and uses what it found until it is told to
 * forget it: translations, and the way to a leaf table.
 *
 * It leaves the guest when there is a request, between two accesses. Who makes a
 * request waits until it has left, as for the IPI.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "mmu.h"
#include "mmu_internal.h"
#include "spte.h"
#include "around.h"
#include "tdp_mmu.h"
#include "rig/guest.h"
#include "rig/tap.h"
#include "rig/vcpu.h"

enum { WALK_OK, WALK_FAULT, WALK_MMIO };

static bool hw_ad(void)
{
	return unit_format != UNIT_EPT_NO_AD;
}

static bool is_npt(void)
{
	return unit_format == UNIT_NPT;
}

static bool hw_present(u64 e)
{
	return e & (is_npt() ? 1 : 7);
}

static bool hw_mmio(u64 e)
{
	return is_npt() ? e & BIT_ULL(51) : (e & 7) == 6;
}

static bool hw_x(u64 e)
{
	return is_npt() ? !(e & BIT_ULL(63)) : e & 4;
}

static u64 hw_a(void)
{
	return is_npt() ? BIT_ULL(5) : BIT_ULL(8);
}

static u64 hw_d(void)
{
	return is_npt() ? BIT_ULL(6) : BIT_ULL(9);
}

static u64 hw_addr(u64 e)
{
	return e & GENMASK_ULL(50, 12);
}

static void forget(struct guest *g)
{
	memset(g->small, 0, sizeof(g->small));
	memset(g->large, 0, sizeof(g->large));
	memset(g->path, 0, sizeof(g->path));
	memset(g->upper, 0, sizeof(g->upper));
	g->flushes++;
}

/* What it knows by the tree that it has now. */
static void forget_now(struct guest *g)
{
	for (int i = 0; i < ARRAY_SIZE(g->small); i++)
		g->small[i].there &= g->small[i].of != g->now;
	for (int i = 0; i < ARRAY_SIZE(g->large); i++)
		g->large[i].there &= g->large[i].of != g->now;
	for (int i = 0; i < ARRAY_SIZE(g->path); i++)
		g->path[i].there &= g->path[i].of != g->now;
	for (int i = 0; i < ARRAY_SIZE(g->upper); i++)
		g->upper[i].there &= g->upper[i].of != g->now;
	g->flushes++;
}

static void drain_pml(struct guest *g)
{
	struct kvm *kvm = g->vcpu.kvm;
	int idx = srcu_read_lock(&kvm->srcu);

	while (g->nr_pml) {
		gfn_t gfn = g->pml[--g->nr_pml];

		mark_page_dirty_in_slot(kvm,
					__gfn_to_memslot(kvm_memslots(kvm), gfn),
					gfn);
	}
	srcu_read_unlock(&kvm->srcu, idx);
}

static void leave(struct guest *g)
{
	/* What the processor has logged is taken at every exit. */
	if (g->nr_pml)
		drain_pml(g);
	__atomic_store_n(&g->mode, g->mode + 1, __ATOMIC_RELEASE);
}

/* The word in one piece, which a task that has the lock may be changing. */
static void free_obsolete(struct kvm_vcpu *vcpu, hpa_t *root)
{
	union kvm_mmu_page_role role;

	if (!VALID_PAGE(*root))
		return;
	role.word = READ_ONCE(root_to_sp(*root)->role.word);
	if (role.invalid)
		unit_mmu_put_root(vcpu, root);
}

/* Roots that are obsolete, of this mode and of others. */
void kvm_mmu_free_obsolete_roots(struct kvm_vcpu *vcpu)
{
	struct guest *g = (struct guest *)vcpu;

	free_obsolete(vcpu, &vcpu->arch.mmu->root.hpa);
	for (int i = 0; i < GUEST_MODES; i++)
		free_obsolete(vcpu, &g->roots[i]);
}

/* As kvm_mmu_reload(): a root is made if there is none. */
static void reload(struct guest *g)
{
	struct kvm_vcpu *vcpu = &g->vcpu;

	if (!VALID_PAGE(vcpu->arch.mmu->root.hpa)) {
		unit_mmu_topup(vcpu);
		EXPECT_EQ(kvm_tdp_mmu_alloc_root(vcpu), 0);
		/* A processor comes to a new root with nothing of the old one. */
		forget_now(g);
	}
}

static void serve(struct guest *g)
{
	struct kvm_vcpu *vcpu = &g->vcpu;
	unsigned long req = __atomic_exchange_n(&vcpu->requests, 0,
						__ATOMIC_ACQUIRE);

	if (req & BIT(KVM_REQ_TLB_FLUSH))
		forget(g);
	if (req & BIT(KVM_REQ_MMU_FREE_OBSOLETE_ROOTS))
		kvm_mmu_free_obsolete_roots(vcpu);
	reload(g);
}

static void enter(struct guest *g)
{
	for (;;) {
		serve(g);
		/* Seen to be in the guest before requests are looked at. */
		__atomic_exchange_n(&g->mode, g->mode + 1, __ATOMIC_SEQ_CST);
		if (!__atomic_load_n(&g->vcpu.requests, __ATOMIC_SEQ_CST))
			return;
		leave(g);
	}
}

static bool asked(struct guest *g)
{
	return __atomic_load_n(&g->vcpu.requests, __ATOMIC_SEQ_CST);
}

static u64 *entry_of(u64 table, gfn_t gfn, int level)
{
	return unit_table_at(table, "a processor") +
	       (gfn >> (level - 1) * 9) % UNIT_TABLE_ENTRIES;
}

static bool hw_set(u64 *p, u64 was, u64 bits)
{
	return (was & bits) == bits ||
	       __atomic_compare_exchange_n(p, &was, was | bits, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static void keep_path(struct guest *g, struct guest_path *path, gfn_t gfn, u64 table,
		      bool w, bool x)
{
	path->there = true;
	path->of = g->now;
	path->gfn = gfn;
	path->table = table;
	path->w = w;
	path->x = x;
}

static bool has_path(struct guest *g, const struct guest_path *path, gfn_t gfn)
{
	return path->there && path->of == g->now && path->gfn == gfn;
}

/* Walk for @gfn. WALK_FAULT: @err says why. */
static int walk(struct guest *g, gfn_t gfn, bool write, bool exec,
		struct guest_tlb *t, u64 *err)
{
	u64 table, e, *p;
	bool w, x, log;
	struct guest_path *leaf = &g->path[(gfn >> 9) % ARRAY_SIZE(g->path)];
	struct guest_path *upper = &g->upper[(gfn >> 18) % ARRAY_SIZE(g->upper)];
	struct guest_path *path;
	int level;

	g->walks++;
again:
	*err = 0;
	level = g->vcpu.arch.mmu->root_role.level;
	table = g->vcpu.arch.mmu->root.hpa;
	w = x = true;
	path = has_path(g, leaf, gfn >> 9) ? leaf :
	       has_path(g, upper, gfn >> 18) ? upper : NULL;
	if (path) {
		level = path == leaf ? PG_LEVEL_4K : PG_LEVEL_2M;
		table = path->table;
		w = path->w;
		x = path->x;
	}
	for (;;) {
		p = entry_of(table, gfn, level);
		e = __atomic_load_n(p, __ATOMIC_ACQUIRE);
		if (!hw_present(e))
			return WALK_FAULT;
		if (hw_mmio(e))
			return WALK_MMIO;
		w &= !!(e & 2);
		x &= hw_x(e);
		if (level == PG_LEVEL_4K || e & BIT_ULL(7))
			break;
		if (hw_ad() && !hw_set(p, e, hw_a()))
			goto again;
		table = hw_addr(e);
		if (--level == PG_LEVEL_4K)
			keep_path(g, leaf, gfn >> 9, table, w, x);
		else if (level == PG_LEVEL_2M)
			keep_path(g, upper, gfn >> 18, table, w, x);
	}
	if ((write && !w) || (exec && !x)) {
		*err = PFERR_PRESENT_MASK;
		/* A fault ends what led to it, as far as it is cached. */
		leaf->there = false;
		upper->there = false;
		return WALK_FAULT;
	}
	if (hw_ad()) {
		/* A nested guest's addresses are not the VM's: no log is kept. */
		log = write && !(e & hw_d()) && g->now != GUEST_NESTED;
		if (!hw_set(p, e, hw_a() | (write ? hw_d() : 0)))
			goto again;
		if (log)
			g->pml[g->nr_pml++] = gfn;
	}
	t->there = true;
	t->of = g->now;
	t->level = level;
	t->gfn = gfn & -(gfn_t)KVM_PAGES_PER_HPAGE(level);
	t->pfn = hw_addr(e) >> PAGE_SHIFT;
	t->w = w;
	t->x = x;
	t->d = !hw_ad() || write || e & hw_d();
	return WALK_OK;
}

static bool fits(struct guest *g, struct guest_tlb *t, gfn_t gfn, bool write, bool exec)
{
	return t->there && t->of == g->now &&
	       t->gfn == (gfn & -(gfn_t)KVM_PAGES_PER_HPAGE(t->level)) &&
	       (!write || (t->w && t->d)) && (!exec || t->x);
}

static struct guest_tlb *lookup(struct guest *g, gfn_t gfn, bool write, bool exec)
{
	struct guest_tlb *t = &g->small[gfn % GUEST_TLB];

	if (fits(g, t, gfn, write, exec))
		return t;
	t = &g->large[(gfn >> 9) % 4];
	return fits(g, t, gfn, write, exec) ? t : NULL;
}

static void use(struct guest *g, gfn_t gfn, struct guest_tlb *t, bool write,
		const char *how)
{
	kvm_pfn_t pfn = t->pfn + (gfn - t->gfn);
	struct host_page *p = host_page(pfn);

	if (__atomic_load_n(&p->owner, __ATOMIC_RELAXED) != gfn + 1)
		unit_fail("use", "gfn %#llx: the guest has pfn %#llx by a translation that it %s, after the page has gone",
			  (unsigned long long)gfn, (unsigned long long)pfn, how);
	if (unit_mmu_attr_open(gfn))
		unit_fail("attr", "gfn %#llx is used while its attribute changes, by a translation that the guest %s",
			  (unsigned long long)gfn, how);
	if (!write) {
		(void)*(volatile u64 *)&p->word[g->nr];
		return;
	}
	__atomic_store_n(&p->written, 1, __ATOMIC_RELAXED);
	p->word[g->nr]++;
	/* The other address space is neither tracked nor logged. */
	if (g->now == GUEST_SMM)
		return;
	if (unit_mmu_tracked(gfn))
		unit_fail("track", "gfn %#llx was written to, by a translation that the guest %s",
			  (unsigned long long)gfn, how);
	unit_mmu_written(gfn);
}

static void fault(struct guest *g, gfn_t gfn, bool write, bool exec, u64 err)
{
	struct kvm *kvm = g->vcpu.kvm;
	int idx, r;

	err |= PFERR_USER_MASK | (write ? PFERR_WRITE_MASK : 0) |
	       (exec ? PFERR_FETCH_MASK : 0);
	g->faults++;
	idx = srcu_read_lock(&kvm->srcu);
	r = unit_mmu_fault(&g->vcpu, gfn << PAGE_SHIFT, err);
	if (r == RET_PF_EMULATE || r == RET_PF_WRITE_PROTECTED)
		g->emulated++;
	srcu_read_unlock(&kvm->srcu, idx);
}

/* What was made when there was no memory is void when there is. */
static bool mmio_is_stale(struct guest *g, gfn_t gfn)
{
	struct kvm *kvm = g->vcpu.kvm;
	int idx = srcu_read_lock(&kvm->srcu);
	bool stale = kvm_vcpu_gfn_to_memslot(&g->vcpu, gfn);

	srcu_read_unlock(&kvm->srcu, idx);
	return stale;
}

/* In the guest. False: it has to leave for this one. */
static bool try(struct guest *g, gfn_t gfn, bool write, bool exec, int *how,
		u64 *err)
{
	struct guest_tlb *t = lookup(g, gfn, write, exec), new;

	if (t) {
		use(g, gfn, t, write, "had");
		return true;
	}
	*how = walk(g, gfn, write, exec, &new, err);
	if (*how != WALK_OK)
		return false;
	t = new.level == PG_LEVEL_4K ? &g->small[gfn % GUEST_TLB] :
				       &g->large[(gfn >> 9) % 4];
	*t = new;
	use(g, gfn, t, write, "walked to");
	return true;
}

bool guest_access(struct guest *g, gfn_t gfn, bool write, bool exec)
{
	unsigned long emulated = g->emulated;
	u64 err = 0;
	bool done;
	int how;

	unit_running_vcpu = &g->vcpu;
	for (int i = 0; i < 1000; i++) {
		enter(g);
		done = try(g, gfn, write, exec, &how, &err);
		leave(g);
		if (done)
			return true;
		if (how == WALK_MMIO && !mmio_is_stale(g, gfn))
			return false;
		fault(g, gfn, write, exec, err);
		if (g->emulated != emulated)
			return false;
	}
	unit_fail("fault", "gfn %#llx faults again and again",
		  (unsigned long long)gfn);
}

static bool ring_is_full(struct kvm_vcpu *vcpu)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;

	return ring->size && ring->dirty_index - READ_ONCE(ring->reset_index) >=
			     ring->soft_limit;
}

void guest_run(struct guest *g, int n, gfn_t (*where)(struct guest *g))
{
	bool write = false, exec = false;
	gfn_t gfn = 0;
	u64 err = 0, r;
	int how = WALK_OK;

	unit_running_vcpu = &g->vcpu;
	/* The VMM has to read it first. */
	if (ring_is_full(&g->vcpu)) {
		sched_yield();
		return;
	}
	enter(g);
	while (n-- && !asked(g) && g->nr_pml < GUEST_PML) {
		gfn = where(g);
		r = unit_rand(&g->rnd) % 16;
		write = r < 7;
		exec = r == 15;
		if (!try(g, gfn, write, exec, &how, &err))
			break;
		g->accesses++;
		how = WALK_OK;
	}
	leave(g);
	if (how == WALK_FAULT || (how == WALK_MMIO && mmio_is_stale(g, gfn)))
		fault(g, gfn, write, exec, err);
	else if (how == WALK_MMIO)
		g->emulated++;
}

/* One page, of whatever size, as the base has it. */
long kvm_arch_vcpu_pre_fault_memory_base(struct kvm_vcpu *vcpu,
					 struct kvm_pre_fault_memory *range)
{
	u8 level = PG_LEVEL_4K;
	u64 end;
	int r;

	reload((struct guest *)vcpu);
	do {
		r = kvm_mmu_do_page_fault(vcpu, range->gpa, 0, true, NULL, &level);
	} while (r == RET_PF_RETRY);
	if (r < 0 || r == RET_PF_EMULATE)
		return r < 0 ? r : -ENOENT;
	end = (range->gpa | (KVM_PAGES_PER_HPAGE(level) * PAGE_SIZE - 1)) + 1;
	return min(range->size, end - range->gpa);
}

unsigned long guest_pre_fault(struct guest *g, gfn_t gfn, unsigned long nr)
{
	struct kvm_pre_fault_memory range = {
		.gpa = gfn << PAGE_SHIFT,
		.size = nr * PAGE_SIZE,
	};
	struct kvm *kvm = g->vcpu.kvm;
	int idx = srcu_read_lock(&kvm->srcu);
	long r;

	while (range.size) {
		r = kvm_arch_vcpu_pre_fault_memory(&g->vcpu, &range);
		if (r <= 0)
			break;
		if (r % PAGE_SIZE || r > range.size)
			unit_fail("fault", "%ld of %llu bytes were mapped ahead", r,
				  (unsigned long long)range.size);
		g->pre_faults++;
		range.gpa += r;
		range.size -= r;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return nr - range.size / PAGE_SIZE;
}

struct guest *guest_create(struct kvm *kvm)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct kvm_vcpu *vcpu = &g->vcpu;

	if (kvm->nr_vcpus == HOST_GUESTS)
		unit_fail("rig", "more than %d guests", HOST_GUESTS);
	g->nr = kvm->nr_vcpus;
	g->rnd = unit_seed ^ (u64)(g->nr + 1) << 48;
	unit_mmu_vcpu_init(vcpu, kvm, g->nr);
	for (int i = 0; i < GUEST_MODES; i++)
		g->roots[i] = INVALID_PAGE;
	vcpu->arch.mmu->root_role.level = HOST_GFN >> 36 ? 5 : 4;
	vcpu->arch.mmu->root_role.ad_disabled = !hw_ad();
	if (kvm->dirty_ring_size)
		EXPECT_EQ(kvm_dirty_ring_alloc(&vcpu->dirty_ring, g->nr,
					       kvm->dirty_ring_size), 0);
	kvm->vcpus[g->nr] = vcpu;
	__atomic_store_n(&kvm->nr_vcpus, g->nr + 1, __ATOMIC_RELEASE);
	return g;
}

void guest_switch(struct guest *g, enum guest_mode to)
{
	struct kvm_mmu *mmu = g->vcpu.arch.mmu;

	g->roots[g->now] = mmu->root.hpa;
	g->now = to;
	mmu->root.hpa = g->roots[to];
	g->roots[to] = INVALID_PAGE;
	mmu->root_role.guest_mode = to == GUEST_NESTED;
	mmu->root_role.smm = to == GUEST_SMM;
}

void guest_destroy(struct guest *g)
{
	for (int i = 0; i < GUEST_MODES; i++) {
		guest_switch(g, i);
		if (VALID_PAGE(g->vcpu.arch.mmu->root.hpa))
			unit_mmu_put_root(&g->vcpu, &g->vcpu.arch.mmu->root.hpa);
	}
	unit_mmu_drop_caches(&g->vcpu);
	__atomic_store_n(&g->vcpu.kvm->nr_vcpus, 0, __ATOMIC_RELEASE);
	if (unit_running_vcpu == &g->vcpu)
		unit_running_vcpu = NULL;
	if (g->vcpu.dirty_ring.size)
		kvm_dirty_ring_free(&g->vcpu.dirty_ring);
	free(g);
}
