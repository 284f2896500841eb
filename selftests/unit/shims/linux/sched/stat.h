/* SPDX-License-Identifier: GPL-2.0 */
/* custom: the scheduler accounts delays; a test says how long they were */
#ifndef _UNIT_SHIM_LINUX_SCHED_STAT_H
#define _UNIT_SHIM_LINUX_SCHED_STAT_H

#define sched_info_on()		true

#endif
