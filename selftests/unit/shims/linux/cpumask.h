/* SPDX-License-Identifier: GPL-2.0 */
/* custom: sets of CPUs, where every thread is one; allocated, so that it can fail */
#ifndef _UNIT_SHIM_LINUX_CPUMASK_H
#define _UNIT_SHIM_LINUX_CPUMASK_H

#include <linux/bitmap.h>
#include <linux/slab.h>
#include "rig/cpu.h"

struct cpumask { DECLARE_BITMAP(bits, UNIT_MAX_TASKS); };
typedef struct cpumask *cpumask_var_t;

#define nr_cpu_ids		UNIT_MAX_TASKS
#define zalloc_cpumask_var(m, f) \
	((*(m) = kzalloc(sizeof(struct cpumask), f)) != NULL)
#define free_cpumask_var(m)	kfree(m)
#define cpumask_test_cpu(cpu, m) test_bit(cpu, (m)->bits)
#define cpumask_set_cpu(cpu, m)	set_bit(cpu, (m)->bits)
#define cpumask_empty(m)	(find_first_bit((m)->bits, nr_cpu_ids) >= nr_cpu_ids)
#define for_each_cpu(cpu, m)	for_each_set_bit(cpu, (m)->bits, nr_cpu_ids)

#endif
