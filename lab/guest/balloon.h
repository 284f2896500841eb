/* SPDX-License-Identifier: GPL-2.0 */
/*
 * First words of pages that a guest and its VMM agree on: xen-guest-load.c gives
 * pages and says what each means, lab/storm/storm.c discards them.
 */
#ifndef __LAB_BALLOON_H__
#define __LAB_BALLOON_H__

#define BALLOON_GIVEN	0x6b766d78656e4731ULL
#define BALLOON_TAKEN	0x6b766d78656e5432ULL
#define BALLOON_KEPT	0x6b766d78656e4b33ULL

#endif
