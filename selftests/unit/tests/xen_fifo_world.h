/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM whose guest uses FIFO queues: two pages of the event array and a control
 * block for each vCPU behind the pages of xen_world.h; and the guest's part of the
 * protocol, as Linux has it.
 */
#ifndef _UNIT_XEN_FIFO_WORLD_H
#define _UNIT_XEN_FIFO_WORLD_H

#include "xen_world.h"
#include "arch/x86/kvm/xen/fifo.h"
#include "arch/x86/kvm/xen/fifo_words.h"
#include "arch/x86/kvm/xen/uapi.h"

#define FIFO_PORTS	2048
/* A page of the rig begins with its tag, where no test's port has its word. */
#define FIRST_WORD	16
#define ARRAY_PAGE(i)	((8 + (i)) * PAGE_SIZE)
#define CONTROL_PAGE(i)	((16 + (i)) * PAGE_SIZE)
#define CONTROL_OFFSET	(PAGE_SIZE - sizeof(struct evtchn_fifo_control_block))
#define CONTROL_GPA(i)	(SLOT_GPA + CONTROL_PAGE(i) + CONTROL_OFFSET)

static inline int fifo_attr(u32 type, u64 a, u64 b)
{
	struct kvm_xen_hvm_attr data = { .type = type };
	int r;

	data.u.pad[0] = a;
	data.u.pad[1] = b;
	mutex_lock(&xen_vm(w.kvm)->lock);
	r = xen_fifo_set_attr(w.kvm, &data);
	mutex_unlock(&xen_vm(w.kvm)->lock);

	return r;
}

static inline int fifo_vcpu_attr(int i, struct kvm_xen_vcpu_attr *data)
{
	int idx = srcu_read_lock(&w.kvm->srcu);
	int r = xen_fifo_set_vcpu_attr(kvm_get_vcpu(w.kvm, i), data);

	srcu_read_unlock(&w.kvm->srcu, idx);

	return r;
}

static inline int fifo_page(int i, bool there)
{
	return fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO_PAGE, i, there ?
			 (SLOT_GPA + ARRAY_PAGE(i)) >> PAGE_SHIFT :
			 KVM_XEN_INVALID_GFN);
}

static inline int fifo_control(int i, u64 gpa)
{
	struct kvm_xen_vcpu_attr data = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_CONTROL,
		.u.gpa = gpa,
	};

	return fifo_vcpu_attr(i, &data);
}

static inline void fifo_begin(int vcpus)
{
	xen_begin(vcpus, true);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, FIFO_PORTS, 0), 0);
	EXPECT_EQ(fifo_page(0, true), 0);
	EXPECT_EQ(fifo_page(1, true), 0);
	while (vcpus--)
		EXPECT_EQ(fifo_control(vcpus, CONTROL_GPA(vcpus)), 0);
}

static inline u32 *guest_word(u32 port)
{
	return guest_ptr(SLOT_HVA + ARRAY_PAGE(port / 1024)) + port % 1024 * 4;
}

static inline struct evtchn_fifo_control_block *guest_control(int i)
{
	return guest_ptr(SLOT_HVA + CONTROL_PAGE(i) + CONTROL_OFFSET);
}

static inline u32 guest_word_bits(u32 port)
{
	return __atomic_load_n(guest_word(port), __ATOMIC_SEQ_CST);
}

/* What a vCPU of the guest remembers from one event to the next. */
struct fifo_guest {
	u32 ready;
	u32 head[EVTCHN_FIFO_MAX_QUEUES];
};

/* Take the first port of a queue. Return: it, or 0 if there is none. */
static inline u32 fifo_take(struct fifo_guest *g, int vcpu, u32 priority)
{
	u32 port = g->head[priority], word;

	if (!port)
		port = __atomic_load_n(&guest_control(vcpu)->head[priority],
				       __ATOMIC_SEQ_CST);
	if (!port || port >= FIFO_PORTS) {
		g->ready &= ~BIT(priority);
		return 0;
	}

	word = guest_word_bits(port);
	do {
		word &= ~BIT(EVTCHN_FIFO_BUSY);
	} while (!__atomic_compare_exchange_n(guest_word(port), &word,
					      word & ~(BIT(EVTCHN_FIFO_LINKED) |
						       EVTCHN_FIFO_LINK_MASK),
					      false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));

	g->head[priority] = word & EVTCHN_FIFO_LINK_MASK;
	if (!g->head[priority])
		g->ready &= ~BIT(priority);

	return port;
}

/*
 * The next event of a vCPU, highest priority first, as a guest finds it in its
 * interrupt. Return: its port, no longer PENDING, or 0. Ports that are masked or not
 * PENDING are passed by.
 */
static inline u32 fifo_next(struct fifo_guest *g, int vcpu)
{
	u32 port, word;

	for (;;) {
		g->ready |= __atomic_exchange_n(&guest_control(vcpu)->ready, 0,
						__ATOMIC_SEQ_CST);
		if (!g->ready)
			return 0;
		port = fifo_take(g, vcpu, __builtin_ctz(g->ready));
		if (!port)
			continue;
		word = guest_word_bits(port);
		if (!(word & BIT(EVTCHN_FIFO_PENDING)) ||
		    word & BIT(EVTCHN_FIFO_MASKED))
			continue;
		__atomic_fetch_and(guest_word(port), ~BIT(EVTCHN_FIFO_PENDING),
				   __ATOMIC_SEQ_CST);
		return port;
	}
}

#endif
