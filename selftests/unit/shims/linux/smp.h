/* SPDX-License-Identifier: GPL-2.0 */
/* custom: a thread is a CPU; calls to others wait for their sections with interrupts off */
#ifndef _UNIT_SHIM_LINUX_SMP_H
#define _UNIT_SHIM_LINUX_SMP_H

#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>

#define raw_smp_processor_id()	(current->slot)
#define smp_processor_id()	unit_cpu_id(UNIT_HERE)
#define on_each_cpu_cond_mask(cond, fn, arg, wait, mask) \
	unit_call_cpus((mask)->bits, cond, fn, arg, wait, UNIT_HERE)
#define smp_call_function_single(cpu, fn, arg, wait) \
	unit_call_cpu(cpu, fn, arg, wait, UNIT_HERE)

#endif
