/* SPDX-License-Identifier: GPL-2.0 */
/* custom: variables of each CPU, which is a thread, a cache line and more apart */
#ifndef _UNIT_SHIM_LINUX_PERCPU_H
#define _UNIT_SHIM_LINUX_PERCPU_H

#include <linux/compiler.h>
#include "rig/cpu.h"

#define UNIT_PER_CPU(type, name)	__typeof__(type) name[UNIT_MAX_TASKS][16]

#define DEFINE_PER_CPU(type, name)	UNIT_PER_CPU(type, name)
#define DEFINE_PER_CPU_SHARED_ALIGNED(type, name)	UNIT_PER_CPU(type, name)
#define DECLARE_PER_CPU(type, name)	extern UNIT_PER_CPU(type, name)
#define per_cpu(name, cpu)		((name)[cpu][0])
#define per_cpu_ptr(p, cpu)		(&(*(p))[cpu][0])
#define this_cpu_ptr(p)			per_cpu_ptr(p, unit_cpu_id(UNIT_HERE))
#define this_cpu_read(name)		READ_ONCE(per_cpu(name, unit_cpu_id(UNIT_HERE)))

#endif
