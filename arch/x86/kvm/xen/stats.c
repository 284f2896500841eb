// SPDX-License-Identifier: GPL-2.0
/*
 * What an operator can see of a VM's events: the file "xen" in the VM's directory
 * below /sys/kernel/debug/kvm, one "name value" per line.
 */
#include <linux/bitops.h>
#include <linux/debugfs.h>
#include <linux/kvm_host.h>
#include <linux/seq_file.h>

#include "events.h"

static int xen_stats_show(struct seq_file *s, void *unused)
{
	struct xen_events *ev = s->private;
	struct xen_stats *st = &ev->stats;

	seq_printf(s, "latched %ld\n", atomic_long_read(&st->latched));
	seq_printf(s, "flushed %ld\n", atomic_long_read(&st->flushed));
	seq_printf(s, "parked %ld\n", atomic_long_read(&st->parked));
	seq_printf(s, "injected %ld\n", atomic_long_read(&st->injected));
	seq_printf(s, "retries %ld\n", atomic_long_read(&st->retries));
	seq_printf(s, "hypercalls_to_user %ld\n",
		   atomic_long_read(&st->to_user));

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(xen_stats);

/**
 * xen_stats_publish - make the VM's file
 * @kvm: the VM, with its events
 *
 * KVM removes the directory, and with it the file, before the events go.
 *
 * Context: may sleep.
 */
void xen_stats_publish(struct kvm *kvm)
{
	struct xen_events *ev = xen_events(kvm);

	debugfs_create_file("xen", 0444, kvm->debugfs_dentry, ev,
			    &xen_stats_fops);
}
