// SPDX-License-Identifier: GPL-2.0
/* Ports the VMM keeps: events go to the vCPU that is known here, before a move or after. */
#include <linux/kvm_host.h>
#include <string.h>
#include <xen/interface/event_channel.h>
#include "rig/mem.h"
#include "xen_fifo_world.h"
#include "arch/x86/kvm/xen/kept.h"
#include "arch/x86/kvm/xen/ports.h"
#include "arch/x86/kvm/xen/uapi.h"

#define PORT		100
#define OTHER		200

static bool stop;

static int keep(u32 port, u32 type, u32 vcpu, u32 dom, u32 detail)
{
	struct kvm_xen_x_port p = {
		.port = port, .type = type, .vcpu = vcpu,
		.dom = dom, .detail = detail,
	};
	struct kvm_xen_hvm_attr a = { 0 };
	int r;

	memcpy(&a.u, &p, sizeof(p));
	mutex_lock(&xen_vm(w.kvm)->lock);
	r = xen_kept_set(w.kvm, &a);
	mutex_unlock(&xen_vm(w.kvm)->lock);

	return r;
}

static int kept(u32 port, struct kvm_xen_x_port *p)
{
	struct kvm_xen_hvm_attr a = { 0 };
	int r;

	a.u.evtchn.send_port = port;
	mutex_lock(&xen_vm(w.kvm)->lock);
	r = xen_kept_get(w.kvm, &a);
	mutex_unlock(&xen_vm(w.kvm)->lock);
	memcpy(p, &a.u, sizeof(*p));

	return r;
}

/* As a sender who believes that the port is vCPU 0's. */
static int send_to_0(u32 port)
{
	return xen_event_send(w.kvm, kvm_get_vcpu(w.kvm, 0), 0, port,
			      XEN_PRIORITY_NONE);
}

TEST(xen_kept_basic, "xen: kept: an event goes to the vCPU in the record")
{
	struct kvm_xen_x_port p;

	xen_begin(3, true);
	EXPECT_EQ(kept(PORT, &p), -ENOENT);
	/* To forget what is not known takes no memory. */
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_closed, 99, 0, 0), 0);
	EXPECT(!xen_events(w.kvm)->kept[0]);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_interdomain, 2, 0x7ff0, 0xfffffff), 0);
	EXPECT_EQ(kept(PORT, &p), 0);
	EXPECT_EQ(p.type, EVTCHNSTAT_interdomain);
	EXPECT_EQ(p.vcpu, 2);
	EXPECT_EQ(p.dom, 0x7ff0);
	EXPECT_EQ(p.detail, 0xfffffff);
	EXPECT_EQ(send_to_0(PORT), 1);
	EXPECT(guest_told(2, PORT) && !guest_told(0, PORT));
	/* Others are not touched. */
	EXPECT_EQ(send_to_0(OTHER), 1);
	EXPECT(guest_told(0, OTHER));
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_closed, 0, 0, 0), 0);
	EXPECT_EQ(kept(PORT, &p), -ENOENT);
	xen_end();
}

TEST(xen_kept_wrong, "xen: kept: what cannot be is refused, and changes nothing")
{
	struct kvm_xen_x_port p;

	xen_begin(3, true);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_virq, 1, 0, 3), 0);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_ipi, 1, 0, 0), -EINVAL);
	EXPECT_EQ(keep(PORT, 6, 1, 0, 0), -EINVAL);
	EXPECT_EQ(keep(PORT, ~0u, 1, 0, 0), -EINVAL);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_pirq, 3, 0, 0), -EINVAL);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_pirq, ~0u, 0, 0), -EINVAL);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_unbound, 1, 0x10000, 0), -EINVAL);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_unbound, 1, 0, 1 << 28), -EINVAL);
	EXPECT_EQ(keep(0, EVTCHNSTAT_virq, 1, 0, 0), -EINVAL);
	EXPECT_EQ(keep(XEN_PORTS, EVTCHNSTAT_virq, 1, 0, 0), -EINVAL);
	EXPECT_EQ(keep(~0u, EVTCHNSTAT_virq, 1, 0, 0), -EINVAL);
	EXPECT_EQ(kept(0, &p), -EINVAL);
	EXPECT_EQ(kept(XEN_PORTS, &p), -EINVAL);
	EXPECT_EQ(xen_kept_lookup(w.kvm, ~0u), 0);
	EXPECT_EQ(kept(PORT, &p), 0);
	EXPECT_EQ(p.type, EVTCHNSTAT_virq);
	EXPECT_EQ(p.vcpu, 1);
	EXPECT_EQ(p.detail, 3);
	xen_end();
}

TEST(xen_kept_nomem, "xen: kept: without memory nothing is known, and nothing is lost")
{
	struct kvm_xen_x_port p;

	xen_begin(3, true);
	unit_alloc_fail_nth(1);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_virq, 1, 0, 3), -ENOMEM);
	EXPECT_EQ(kept(PORT, &p), -ENOENT);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_virq, 1, 0, 3), 0);
	EXPECT_EQ(kept(PORT, &p), 0);
	EXPECT_EQ(send_to_0(PORT), 1);
	EXPECT(guest_told(1, PORT));
	xen_end();
}

TEST(xen_kept_move, "xen: kept: the guest moves what Xen lets it move")
{
	struct kvm_xen_x_port p;

	xen_begin(3, true);
	EXPECT(!xen_kept_bind(w.kvm, PORT, 1, false));
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_interdomain, 0, 5, 6), 0);
	EXPECT(xen_kept_bind(w.kvm, PORT, 1, true));
	EXPECT_EQ(kept(PORT, &p), 0);
	EXPECT_EQ(p.vcpu, 0);
	EXPECT(xen_kept_bind(w.kvm, PORT, 1, false));
	EXPECT_EQ(kept(PORT, &p), 0);
	EXPECT_EQ(p.vcpu, 1);
	EXPECT_EQ(p.dom, 5);
	EXPECT_EQ(p.detail, 6);
	EXPECT_EQ(send_to_0(PORT), 1);
	EXPECT(guest_told(1, PORT) && !guest_told(0, PORT));

	EXPECT_EQ(keep(OTHER, EVTCHNSTAT_unbound, 0, 0, 0), 0);
	EXPECT(xen_kept_bind(w.kvm, OTHER, 2, false));
	EXPECT_EQ(keep(OTHER, EVTCHNSTAT_virq, 0, 0, 0), 0);
	EXPECT(!xen_kept_bind(w.kvm, OTHER, 2, false));
	EXPECT_EQ(keep(OTHER, EVTCHNSTAT_pirq, 0, 0, 0), 0);
	EXPECT(!xen_kept_bind(w.kvm, OTHER, 2, false));
	EXPECT(!xen_kept_bind(w.kvm, 0, 2, false));
	EXPECT(!xen_kept_bind(w.kvm, XEN_PORTS, 2, false));
	EXPECT(!xen_kept_bind(w.kvm, ~0u, 2, false));

	mutex_lock(&xen_vm(w.kvm)->lock);
	xen_kept_reset(w.kvm);
	mutex_unlock(&xen_vm(w.kvm)->lock);
	EXPECT_EQ(kept(PORT, &p), -ENOENT);
	EXPECT(!xen_kept_bind(w.kvm, PORT, 2, false));
	xen_end();
}

/* While shared_info is away the event waits, for the vCPU in the record. */
TEST(xen_kept_latched, "xen: kept: an event that waits is for the vCPU in the record")
{
	xen_begin(3, true);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_interdomain, 2, 0, 0), 0);
	kvm_gpc_deactivate(&xen_vm(w.kvm)->shinfo);
	EXPECT_EQ(send_to_0(PORT), 1);
	EXPECT_EQ(READ_ONCE(xen_events(w.kvm)->latched_for[PORT]), 2);
	xen_end();
}

TEST(xen_kept_fifo, "xen: kept: of the FIFO ABI's ports, too, as many as there are")
{
	struct kvm_xen_hvm_attr latched = {
		.type = KVM_XEN_ATTR_TYPE_X_FIFO_LATCHED,
	};
	const u32 high = 2 * XEN_PORTS - 1;
	struct kvm_xen_x_port p;

	xen_begin(3, true);
	EXPECT_EQ(kept(high, &p), -EINVAL);
	EXPECT_EQ(fifo_attr(KVM_XEN_ATTR_TYPE_X_FIFO, high + 1, 0), 0);
	EXPECT_EQ(kept(high, &p), -ENOENT);
	EXPECT_EQ(keep(high + 1, EVTCHNSTAT_virq, 1, 0, 0), -EINVAL);
	EXPECT(!xen_kept_bind(w.kvm, high, 1, false));
	EXPECT(!xen_kept_bind(w.kvm, EVTCHN_FIFO_NR_CHANNELS, 1, false));
	unit_alloc_fail_nth(1);
	EXPECT_EQ(keep(high, EVTCHNSTAT_unbound, 1, 5, 6), -ENOMEM);
	EXPECT_EQ(keep(high, EVTCHNSTAT_unbound, 1, 5, 6), 0);
	EXPECT(xen_kept_bind(w.kvm, high, 2, false));
	EXPECT_EQ(kept(high, &p), 0);
	EXPECT_EQ(p.vcpu, 2);
	EXPECT_EQ(p.dom, 5);
	EXPECT_EQ(p.detail, 6);
	/* Its page is not there yet. */
	EXPECT_EQ(send_to_0(high), 1);
	expect_worker_idle();
	mutex_lock(&xen_vm(w.kvm)->lock);
	EXPECT_EQ(xen_fifo_get_attr(w.kvm, &latched), 0);
	EXPECT_EQ(latched.u.pad[0], high);
	EXPECT_EQ(latched.u.pad[1], 2);
	xen_kept_reset(w.kvm);
	mutex_unlock(&xen_vm(w.kvm)->lock);
	EXPECT_EQ(kept(high, &p), -ENOENT);
	xen_end();
}

static void sender(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		send_to_0(PORT);
}

static void mover(void *arg)
{
	u32 vcpu = 1;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		xen_kept_bind(w.kvm, PORT, vcpu, false);
		vcpu = 3 - vcpu;
	}
}

static void kept_race(unsigned int ms)
{
	struct unit_thread *t[3];
	struct kvm_xen_x_port p;
	uint64_t end;
	int i;

	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	xen_begin(3, true);
	EXPECT_EQ(keep(PORT, EVTCHNSTAT_interdomain, 1, 7, 8), 0);
	t[0] = unit_thread_start("sender", w.mm, sender, NULL);
	t[1] = unit_thread_start("mover", w.mm, mover, NULL);
	t[2] = unit_thread_start("mover", w.mm, mover, NULL);
	end = unit_now_ns() + ms * 1000000ull;
	while (unit_now_ns() < end) {
		/* Whoever wins, a word is of one piece. */
		EXPECT_EQ(kept(PORT, &p), 0);
		EXPECT_EQ(p.type, EVTCHNSTAT_interdomain);
		EXPECT(p.vcpu == 1 || p.vcpu == 2);
		EXPECT_EQ(p.dom, 7);
		EXPECT_EQ(p.detail, 8);
		__atomic_fetch_and(guest_pending(PORT), ~(1u << PORT % 32),
				   __ATOMIC_SEQ_CST);
		EXPECT_EQ(keep(PORT, EVTCHNSTAT_interdomain, 2, 7, 8), 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 3; i++)
		unit_thread_join(t[i]);
	EXPECT(!guest_told(0, PORT));
	xen_end();
}

TEST(xen_kept_race, "race: xen: kept: events go to none but the vCPUs that had the port")
{
	kept_race(unit_race_ms);
}
