/* SPDX-License-Identifier: GPL-2.0 */
/*
 * custom: force-included where events are sent. The bits by which an event is kept
 * for others go through rig/xen_mutants.c, where a test can make one go wrong.
 */
#ifndef _UNIT_SHIM_XEN_MUTANTS_H
#define _UNIT_SHIM_XEN_MUTANTS_H

#include <linux/bitops.h>
#include "guest_bits.h"

void unit_xen_set_bit(unsigned long nr, unsigned long *p);
bool unit_xen_test_and_set_bit(unsigned long nr, unsigned long *p);
#define set_bit			unit_xen_set_bit
#define test_and_set_bit	unit_xen_test_and_set_bit

#endif
