/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Failures on request: the nth allocation that this task makes, of whatever kind,
 * is refused. A loop over n that ends when an operation made fewer allocations
 * than that has made each of them fail once:
 *
 *	while (fault_next(&f)) {
 *		r = FAULTED(&f, operation());
 *		... r, and what became of things ...
 *	}
 *	... f.points were hit ...
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

#define FAULT_MAX	2000	/* no operation here makes so many allocations */

struct fault {
	int fd;
	unsigned int nth;	/* what fails in this round */
	unsigned int points;	/* failures so far */
	bool hit;		/* the last operation met with one */
};

/* Why the kernel cannot do this, or NULL. */
const char *fault_missing(void);
void fault_open(struct fault *f);
void fault_close(struct fault *f);
/* From here on only allocations made by KVM's code, or below it, count. */
void fault_only_kvm(void);

bool fault_next(struct fault *f);
void fault_arm(struct fault *f);
void fault_disarm(struct fault *f);

#define FAULTED(f, operation) ({			\
	typeof(operation) __r;				\
							\
	fault_arm(f);					\
	__r = (operation);				\
	fault_disarm(f);				\
	__r;						\
})

/* Has one function of KVM's fail, once, with @value, in whatever task. */
bool fault_function(const char *name, long value);
/* True if it was called, and so failed. */
bool fault_function_end(const char *name);

#endif
