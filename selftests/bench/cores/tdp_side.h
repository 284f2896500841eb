/* SPDX-License-Identifier: GPL-2.0 */
/* The part of a side that maps guest memory: see tdp_side.c and side.h. */
#ifndef _CORES_TDP_SIDE_H
#define _CORES_TDP_SIDE_H

void tdp_side_begin(unsigned int nr_vcpus);
void tdp_side_end(void);
void tdp_side_fault(unsigned int vcpu, unsigned long gfn);
void tdp_side_zap(unsigned long gfn, unsigned long nr);
long tdp_side_mapped(void);

#endif
