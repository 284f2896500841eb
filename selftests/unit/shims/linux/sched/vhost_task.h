/* SPDX-License-Identifier: GPL-2.0 */
/* custom: a task of the VM's, which works when a test has it do so; see rig/tdp.c */
#ifndef _UNIT_SHIM_LINUX_SCHED_VHOST_TASK_H
#define _UNIT_SHIM_LINUX_SCHED_VHOST_TASK_H

#include <linux/types.h>

struct vhost_task;

struct vhost_task *vhost_task_create(bool (*fn)(void *), void (*kill)(void *),
				     void *arg, const char *name);

#endif
