/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __KVM_GPC_TYPES_H__
#define __KVM_GPC_TYPES_H__

/**
 * struct gfn_to_pfn_cache - a guest or user page the kernel keeps mapped
 * @live: @khva while @valid, if @read_live, else NULL: what kvm_gpc_live() returns to
 *	readers who take no lock. Written with @lock held for write
 * @gpa: guest address, or INVALID_GPA for a cache addressed by @uhva alone.
 *	Protected by @lock
 * @uhva: user address, with the offset in the page. Does not change its page
 *	while the cache is indexed. Protected by @lock
 * @memslot: always NULL: the slot is looked up where it is needed. Here only
 *	because the stock inline in <linux/kvm_host.h> names it
 * @kvm: the VM, immutable after kvm_gpc_init()
 * @ring: of the caches on the same page. Protected by the index's xa_lock
 * @lock: readers access the page through @khva under it, from any context, hard
 *	interrupts included; held for write only to change the fields it protects
 * @refresh_lock: serialises activation, refresh and deactivation of one cache.
 *	Taken outside everything else, never by the MMU notifier
 * @khva: kernel address of @uhva, NULL when unmapped. Protected by @lock
 * @pfn: what @khva maps, or an error pfn. Protected by @lock
 * @active: in use; READ_ONCE() without a lock where a stale answer does no harm.
 *	Written with @refresh_lock and @lock held
 * @valid: @khva is the page that @uhva means now. Protected by @lock
 * @stale: an invalidation came by since the running refresh began, or none is
 *	running. Never true together with @valid. Set with @lock held for write,
 *	cleared with @refresh_lock held, read without either by the notifier's
 *	pre-check
 * @indexed: invalidations find the cache. Protected by @refresh_lock
 * @read_live: it has readers who take no lock; immutable after kvm_gpc_init_live()
 * @gup_pid: the task that is resolving @uhva just now, or 0. Written by that
 *	task, compared by others only with their own
 *
 * ::
 *
 *	            activate                 invalidate_start
 *	inactive ------------> active, stale <---------------- active, valid
 *	    ^                       |   ^                           ^
 *	    |               refresh |   | invalidate_start          | quiet and
 *	    |                       v   |                           | page mapped
 *	    |                   active, neither --------------------+
 *	    +------------------ deactivate, from any of the three
 *
 * Layout: every member that code outside virt/kvm/pfncache/ knows stays where
 * the stock header has it, and @stale, @indexed, @read_live and @gup_pid
 * live in what is padding there; overlay/include/linux/kvm_types.h asserts both.
 */
struct gfn_to_pfn_cache {
	void *live;
	gpa_t gpa;
	unsigned long uhva;
	struct kvm_memory_slot *memslot;
	struct kvm *kvm;
	struct list_head ring;
	rwlock_t lock;
	struct mutex refresh_lock;
	void *khva;
	kvm_pfn_t pfn;
	bool active, valid, stale;
	bool indexed : 1, read_live : 1;
	pid_t gup_pid;
};

#endif
