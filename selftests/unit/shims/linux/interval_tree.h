/* SPDX-License-Identifier: GPL-2.0 */
/* custom: memslots by user address, which are few enough to look at each; see rig/kvm.c */
#ifndef _UNIT_SHIM_LINUX_INTERVAL_TREE_H
#define _UNIT_SHIM_LINUX_INTERVAL_TREE_H

struct rb_root_cached { int unused; };
struct interval_tree_node { int unused; };

struct interval_tree_node *
interval_tree_iter_first(struct rb_root_cached *root, unsigned long start,
			 unsigned long last);
struct interval_tree_node *
interval_tree_iter_next(struct interval_tree_node *node, unsigned long start,
			unsigned long last);

#endif
