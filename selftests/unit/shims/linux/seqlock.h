/* SPDX-License-Identifier: GPL-2.0 */
/* custom: sequence counts, of which a test is the writer; an odd one is waited for */
#ifndef _UNIT_SHIM_LINUX_SEQLOCK_H
#define _UNIT_SHIM_LINUX_SEQLOCK_H

#include <asm/barrier.h>
#include <linux/sched.h>

typedef struct {
	unsigned int sequence;
} seqcount_raw_spinlock_t;

static inline unsigned int read_seqcount_begin(const seqcount_raw_spinlock_t *s)
{
	unsigned int seq;

	while ((seq = __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE)) & 1)
		unit_relax();

	return seq;
}

static inline bool read_seqcount_retry(const seqcount_raw_spinlock_t *s, unsigned int seq)
{
	smp_rmb();

	return __atomic_load_n(&s->sequence, __ATOMIC_RELAXED) != seq;
}

static inline void write_seqcount_begin(seqcount_raw_spinlock_t *s)
{
	__atomic_fetch_add(&s->sequence, 1, __ATOMIC_SEQ_CST);
}

static inline void write_seqcount_end(seqcount_raw_spinlock_t *s)
{
	__atomic_fetch_add(&s->sequence, 1, __ATOMIC_SEQ_CST);
}

#endif
