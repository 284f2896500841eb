/* SPDX-License-Identifier: GPL-2.0 */
/* custom: interrupts of the thread that stands for a CPU: on or off, checked */
#ifndef _UNIT_SHIM_LINUX_IRQFLAGS_H
#define _UNIT_SHIM_LINUX_IRQFLAGS_H

#include "rig/rig.h"
#define local_irq_save(f)	((f) = unit_irq_off(UNIT_HERE))
#define local_irq_restore(f)	unit_irq_restore(f, UNIT_HERE)
#define local_irq_disable()	((void)unit_irq_off(UNIT_HERE))
#define local_irq_enable()	unit_irq_restore(0, UNIT_HERE)
#define irqs_disabled()		(current->irqs_off != 0)

#endif
