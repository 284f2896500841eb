/* SPDX-License-Identifier: GPL-2.0 */
/* custom: eventfds that count, and whose references are counted */
#ifndef _UNIT_SHIM_LINUX_EVENTFD_H
#define _UNIT_SHIM_LINUX_EVENTFD_H

#include <linux/err.h>
#include <linux/bug.h>

#define UNIT_EVENTFDS	4

struct eventfd_ctx {
	int refs;
	unsigned long signals;
};
extern struct eventfd_ctx unit_eventfds[UNIT_EVENTFDS];

static inline struct eventfd_ctx *eventfd_ctx_fdget(int fd)
{
	if (fd < 0 || fd >= UNIT_EVENTFDS)
		return ERR_PTR(-EBADF);
	__atomic_fetch_add(&unit_eventfds[fd].refs, 1, __ATOMIC_SEQ_CST);
	return &unit_eventfds[fd];
}

static inline void eventfd_ctx_put(struct eventfd_ctx *ctx)
{
	BUG_ON(__atomic_fetch_sub(&ctx->refs, 1, __ATOMIC_SEQ_CST) <= 0);
}

static inline void eventfd_signal(struct eventfd_ctx *ctx)
{
	BUG_ON(__atomic_load_n(&ctx->refs, __ATOMIC_SEQ_CST) <= 0);
	__atomic_fetch_add(&ctx->signals, 1, __ATOMIC_SEQ_CST);
}

#endif
