// SPDX-License-Identifier: GPL-2.0
/*
 * What an operator can see of a VM's caches: the file "pfncache" in the VM's
 * directory below /sys/kernel/debug/kvm, one "name value" per line.
 */
#include <linux/bitops.h>
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "pfncache.h"

static int gpc_stats_show(struct seq_file *s, void *unused)
{
	struct gpc_manager *m = s->private;
	struct gpc_stats *st = &m->stats;
	long raced = atomic_long_read(&st->raced);
	long gups = READ_ONCE(m->inflight.nr_gups);

	/* Counters of a running VM: each is right, together they are a blur. */
	seq_printf(s, "caches %lu\n", READ_ONCE(st->caches));
	seq_printf(s, "invalidations %lu\n", READ_ONCE(m->inflight.nr_events));
	seq_printf(s, "hits %lu\n", READ_ONCE(st->hits));
	seq_printf(s, "refreshes %ld\n", gups - raced);
	seq_printf(s, "page_resolutions %ld\n", gups);
	seq_printf(s, "waits %ld\n", atomic_long_read(&st->waits));
	seq_printf(s, "raced %ld\n", raced);
	seq_printf(s, "failures %ld\n", atomic_long_read(&st->failures));
	seq_printf(s, "quiesces %ld\n", atomic_long_read(&st->quiesces));
	seq_printf(s, "calls %ld\n", atomic_long_read(&st->calls));

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(gpc_stats);

/**
 * gpc_stats_publish - make the VM's file, if it is not there yet
 * @m: the VM's caches, one of them active
 *
 * Not done when the manager is made: the VM's directory comes later than its
 * notifier. KVM removes the directory, and with it the file, before the manager
 * can go.
 *
 * Context: may sleep; no lock held but a cache's refresh_lock.
 */
void gpc_stats_publish(struct gpc_manager *m)
{
	if (likely(test_bit(0, &m->debugfs_made)) ||
	    test_and_set_bit(0, &m->debugfs_made))
		return;

	debugfs_create_file("pfncache", 0444, m->kvm->debugfs_dentry, m,
			    &gpc_stats_fops);
}
