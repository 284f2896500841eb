// SPDX-License-Identifier: GPL-2.0
/*
 * custom: the kernel's allocator over malloc(), whose use after free and leaks
 * the sanitizer finds. What it cannot know is checked here: whether the context
 * allows an allocation, and that the MMU notifier makes none.
 */
#include <stdlib.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/xarray.h>

extern struct kmem_cache *radix_tree_node_cachep;
void radix_tree_node_rcu_free(struct rcu_head *head);

/* Objects that come from a named cache. */
static struct kmem_cache node_cache = { sizeof(struct xa_node), true };
struct kmem_cache *radix_tree_node_cachep = &node_cache;

static unsigned long fail_after = ~0ul;
static unsigned long fail_nth;
static unsigned long denied;
static unsigned long count;
static long outstanding;

void unit_might_alloc(unsigned int gfp, const char *where)
{
	if (current->notifier)
		unit_fail("alloc", "in the MMU notifier, at %s", where);
	if (current->hardirq)
		unit_fail("alloc", "in a hard interrupt, at %s", where);
	if (unit_rt && (current->irqs_off || current->preempt))
		unit_fail("rt", "allocation with interrupts or preemption off at %s",
			  where);
	if (gfp & __GFP_DIRECT_RECLAIM)
		unit_might_sleep(where);
}

bool unit_alloc_denied(unsigned int gfp)
{
	unsigned long left = __atomic_load_n(&fail_after, __ATOMIC_RELAXED);
	unsigned long nth = __atomic_load_n(&fail_nth, __ATOMIC_RELAXED);

	if (nth) {
		__atomic_store_n(&fail_nth, nth - 1, __ATOMIC_RELAXED);
		if (nth != 1)
			return false;
	} else if (left == ~0ul) {
		return false;
	} else if (!(gfp & __GFP_DIRECT_RECLAIM)) {
		return true;
	} else if (left) {
		__atomic_store_n(&fail_after, left - 1, __ATOMIC_RELAXED);
		return false;
	}
	__atomic_fetch_add(&denied, 1, __ATOMIC_RELAXED);
	return true;
}

void *unit_alloc(size_t size, unsigned int gfp, const char *where)
{
	void *p;

	unit_tick(UNIT_ALLOC);
	unit_might_alloc(gfp, where);
	__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
	if (unit_alloc_denied(gfp))
		return NULL;
	p = gfp & __GFP_ZERO ? calloc(1, size) : malloc(size);
	if (!p)
		unit_fail("rig", "out of memory");
	__atomic_fetch_add(&outstanding, 1, __ATOMIC_RELAXED);
	return p;
}

void *unit_cache_alloc(struct kmem_cache *c, unsigned int gfp,
		       const char *where)
{
	struct xa_node *node = unit_alloc(c->size, gfp | __GFP_ZERO, where);

	/* As the kernel's constructor leaves a node. */
	if (node && c->is_xa_node)
		INIT_LIST_HEAD(&node->private_list);
	return node;
}

void unit_free(const void *p, const char *where)
{
	if (!p)
		return;
	if (current->hardirq || (unit_rt && current->preempt))
		unit_fail("alloc", "free in atomic context, at %s", where);
	__atomic_fetch_sub(&outstanding, 1, __ATOMIC_RELAXED);
	free((void *)p);
}

void radix_tree_node_rcu_free(struct rcu_head *head)
{
	unit_free(container_of(head, struct xa_node, rcu_head), "rcu");
}

void unit_alloc_fail_after(unsigned long n)
{
	__atomic_store_n(&fail_after, n, __ATOMIC_RELAXED);
}

void unit_alloc_fail_nth(unsigned long n)
{
	__atomic_store_n(&fail_nth, n, __ATOMIC_RELAXED);
}

unsigned long unit_alloc_denials(void)
{
	return __atomic_load_n(&denied, __ATOMIC_RELAXED);
}

unsigned long unit_alloc_count(void)
{
	return __atomic_load_n(&count, __ATOMIC_RELAXED);
}

long unit_alloc_outstanding(void)
{
	return __atomic_load_n(&outstanding, __ATOMIC_RELAXED);
}
