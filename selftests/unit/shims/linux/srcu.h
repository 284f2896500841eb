/* SPDX-License-Identifier: GPL-2.0 */
/* custom: sleepable RCU with real grace periods */
#ifndef _UNIT_SHIM_LINUX_SRCU_H
#define _UNIT_SHIM_LINUX_SRCU_H

#include <linux/rcupdate.h>
#define init_srcu_struct(s)	unit_srcu_init(s)
#define cleanup_srcu_struct(s)	unit_srcu_cleanup(s, UNIT_HERE)
#define srcu_read_lock(s)	unit_srcu_lock(s)
#define srcu_read_unlock(s, i)	unit_srcu_unlock(s, i, UNIT_HERE)
#define srcu_read_lock_held(s)	unit_srcu_held(s)
#define synchronize_srcu(s)	unit_srcu_synchronize(s, UNIT_HERE)
#define synchronize_srcu_expedited(s) synchronize_srcu(s)
#define srcu_dereference_check(p, s, c) \
	rcu_dereference_check(p, (c) || srcu_read_lock_held(s))
#define srcu_dereference(p, s)	srcu_dereference_check(p, s, 0)

#endif
