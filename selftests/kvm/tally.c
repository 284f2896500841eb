// SPDX-License-Identifier: GPL-2.0
/* Counts the events that a vCPU finds, see tally.h. */
#include "tally.h"

void tally_look(struct tally *t)
{
	uint64_t *sel = (void *)(t->vcpu_info + XEN_VCPU_INFO_SEL);
	uint64_t *mask = (void *)(t->shinfo + XEN_SHINFO_MASK);
	uint64_t *pending = (void *)(t->shinfo + XEN_SHINFO_PENDING);
	uint64_t words, bits;

	if (!__atomic_exchange_n(t->vcpu_info, 0, __ATOMIC_SEQ_CST))
		return;

	words = __atomic_exchange_n(sel, 0, __ATOMIC_SEQ_CST);
	for (; words; words &= words - 1) {
		unsigned int word = __builtin_ctzll(words);

		bits = __atomic_load_n(&pending[word], __ATOMIC_SEQ_CST) &
		       ~__atomic_load_n(&mask[word], __ATOMIC_SEQ_CST);
		__atomic_fetch_and(&pending[word], ~bits, __ATOMIC_SEQ_CST);
		for (; bits; bits &= bits - 1)
			__atomic_fetch_add(&t->seen[word * 64 +
						    __builtin_ctzll(bits)], 1,
					   __ATOMIC_RELEASE);
	}
}

bool tally_has(struct tally *t, unsigned int port)
{
	return __atomic_load_n(&t->seen[port], __ATOMIC_ACQUIRE) ==
	       t->sent[port];
}

unsigned int tally_missing(struct tally *t)
{
	unsigned int port, missing = 0;

	for (port = 0; port < TALLY_PORTS; port++)
		missing += !tally_has(t, port);
	return missing;
}
