// SPDX-License-Identifier: GPL-2.0
/* Outbound ports: an event goes where the table says, before a change or after. */
#include <linux/eventfd.h>
#include <string.h>
#include <xen/interface/event_channel.h>
#include "together.h"
#include "xen_world.h"
#include "arch/x86/kvm/xen/ports.h"

#define TO		100	/* where port 5 leads */
#define TO_OTHER	900	/* and port 6 */

static bool stop;
static unsigned long nr_sent;

static int set_port(u32 port, u32 flags, u32 to, u32 vcpu_or_fd)
{
	struct kvm_xen_hvm_attr a = { 0 };
	int r;

	a.u.evtchn.send_port = port;
	a.u.evtchn.flags = flags;
	a.u.evtchn.type = to == port ? EVTCHNSTAT_ipi : EVTCHNSTAT_interdomain;
	if (to) {
		a.u.evtchn.deliver.port.port = to;
		a.u.evtchn.deliver.port.vcpu = vcpu_or_fd;
		a.u.evtchn.deliver.port.priority =
			KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL;
	} else {
		a.u.evtchn.deliver.eventfd.fd = vcpu_or_fd;
	}
	mutex_lock(&xen_vm(w.kvm)->lock);
	r = xen_ports_set(w.kvm, &a);
	mutex_unlock(&xen_vm(w.kvm)->lock);

	return r;
}

static int send_on(u32 port)
{
	return xen_ports_send(kvm_get_vcpu(w.kvm, 0), port);
}

static void ports_end(void)
{
	xen_ports_destroy(w.kvm);
	for (int i = 0; i < UNIT_EVENTFDS; i++)
		EXPECT_EQ(unit_eventfds[i].refs, 0);
	xen_end();
}

TEST(xen_ports_basic, "xen: ports: to another port, to an eventfd, back to itself, nowhere")
{
	xen_begin(2, true);
	EXPECT_EQ(send_on(5), -ENOENT);
	EXPECT_EQ(set_port(5, 0, TO, 1), 0);
	EXPECT_EQ(set_port(5, 0, TO, 0), -EEXIST);
	EXPECT_EQ(send_on(5), 0);
	EXPECT(guest_bit(guest_pending(TO), TO) && guest_told(1, TO));
	EXPECT(!guest_told(0, TO));
	EXPECT_EQ(set_port(7, 0, 0, 99), -EBADF);
	EXPECT_EQ(set_port(7, 0, 0, 2), 0);
	EXPECT_EQ(send_on(7), 0);
	EXPECT_EQ(unit_eventfds[2].signals, 1);
	EXPECT_EQ(set_port(8, 0, 8, 0), 0);
	EXPECT_EQ(send_on(8), 0);
	EXPECT(guest_bit(guest_pending(8), 8) && guest_told(0, 8));
	EXPECT(xen_ports_bound(w.kvm, 8) == kvm_get_vcpu(w.kvm, 0));
	EXPECT(!xen_ports_bound(w.kvm, 5) && xen_ports_known(w.kvm, 5));
	/* An update changes the vCPU and nothing else. */
	EXPECT_EQ(set_port(5, KVM_XEN_EVTCHN_UPDATE, TO + 1, 0), -EINVAL);
	EXPECT_EQ(set_port(7, KVM_XEN_EVTCHN_UPDATE, TO, 0), -EINVAL);
	EXPECT_EQ(set_port(9, KVM_XEN_EVTCHN_UPDATE, TO, 0), -ENOENT);
	EXPECT_EQ(set_port(5, KVM_XEN_EVTCHN_UPDATE, TO, 0), 0);
	*guest_pending(TO) = 0;
	EXPECT_EQ(send_on(5), 0);
	EXPECT(guest_told(0, TO));
	EXPECT_EQ(set_port(5, KVM_XEN_EVTCHN_DEASSIGN, TO, 0), 0);
	EXPECT_EQ(set_port(5, KVM_XEN_EVTCHN_DEASSIGN, TO, 0), -ENOENT);
	EXPECT_EQ(send_on(5), -ENOENT);
	EXPECT_EQ(send_on(0), -ENOENT);
	EXPECT_EQ(send_on(4096), -ENOENT);
	EXPECT_EQ(send_on(~0u), -ENOENT);
	EXPECT_EQ(set_port(0, KVM_XEN_EVTCHN_RESET, 0, 0), 0);
	EXPECT_EQ(send_on(8), -ENOENT);
	ports_end();
}

TEST(xen_ports_layout, "xen: ports: those that the layout has not are not known")
{
	xen_begin(1, true);
	EXPECT_EQ(set_port(1023, 0, TO, 0), 0);
	EXPECT_EQ(set_port(1024, 0, 1024, 0), 0);
	EXPECT(xen_ports_known(w.kvm, 1024) && xen_ports_bound(w.kvm, 1024));
	EXPECT_EQ(send_on(1024), 0);
	xen_vm(w.kvm)->long_mode = false;
	EXPECT(!xen_ports_known(w.kvm, 1024) && !xen_ports_bound(w.kvm, 1024));
	EXPECT_EQ(send_on(1024), -ENOENT);
	EXPECT_EQ(send_on(1023), 0);
	ports_end();
}

static void sender(void *arg)
{
	uint64_t rnd = unit_seed ^ (uint64_t)current->slot << 32;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		u32 port = 5 + unit_rand(&rnd) % 3;
		int r = send_on(port);

		EXPECT(!r || (r == -ENOENT && port == 7));
		__atomic_fetch_add(&nr_sent, 1, __ATOMIC_RELAXED);
	}
}

/* As the guest: nothing has come that was never to come. */
static void look(void)
{
	for (int i = 0; i < 3; i++) {
		u32 *sel = guest_vi(i) + 8;
		u64 sels = __atomic_exchange_n(&sel[0], 0, __ATOMIC_SEQ_CST) |
			   (u64)__atomic_exchange_n(&sel[1], 0,
						    __ATOMIC_SEQ_CST) << 32;

		EXPECT_EQ(sels & ~(i < 2 ? BIT(TO / 64) : BIT(TO_OTHER / 64)), 0);
	}
	for (u32 d = 0; d < 128; d++) {
		u32 *word = guest_pending(d * 32);
		u32 got = __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST), may;

		may = d == TO / 32 ? 1u << TO % 32 :
		      d == TO_OTHER / 32 ? 1u << TO_OTHER % 32 : 0;
		EXPECT_EQ(got & ~may, 0);
	}
	EXPECT_EQ(__atomic_load_n(&unit_eventfds[3].signals, __ATOMIC_RELAXED),
		  0);
}

static void ports_race(unsigned int ms)
{
	uint64_t begin, rnd = unit_seed;
	struct unit_thread *t[3];
	unsigned long changes = 0;
	int i;

	xen_begin(3, true);
	/* Of another VM, so to say. */
	EXPECT(!IS_ERR(eventfd_ctx_fdget(3)));
	EXPECT_EQ(set_port(5, 0, TO, 0), 0);
	EXPECT_EQ(set_port(6, 0, TO_OTHER, 2), 0);
	for (i = 0; i < 3; i++)
		t[i] = unit_thread_start("sender", w.mm, sender, NULL);
	begin = unit_now_ns();
	while (unit_now_ns() < begin + ms * 1000000ull ||
	       ((changes <= 20 || __atomic_load_n(&nr_sent, __ATOMIC_RELAXED) <= 100) &&
		unit_now_ns() < begin + PATIENCE_NS)) {
		EXPECT_EQ(set_port(5, KVM_XEN_EVTCHN_UPDATE, TO,
				   unit_rand(&rnd) % 2), 0);
		/* Port 7 leads to eventfds, to a port, and nowhere, in turn. */
		if (unit_rand(&rnd) % 2)
			EXPECT_EQ(set_port(7, 0, 0, unit_rand(&rnd) % 3), 0);
		else
			EXPECT_EQ(set_port(7, 0, TO, 1), 0);
		look();
		EXPECT_EQ(set_port(7, KVM_XEN_EVTCHN_DEASSIGN, 0, 0), 0);
		changes++;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 3; i++)
		unit_thread_join(t[i]);
	look();
	EXPECT(nr_sent > 100 && changes > 20);
	unit_log("sent %lu, changes %lu, signals %lu %lu %lu\n", nr_sent, changes,
		 unit_eventfds[0].signals, unit_eventfds[1].signals,
		 unit_eventfds[2].signals);
	eventfd_ctx_put(&unit_eventfds[3]);
	ports_end();
}

TEST(xen_ports_change, "xen: ports: changes under senders; no event goes where it never was to")
{
	ports_race(unit_race_ms);
}

PLANTED_FOR(address, b_rcu, "rig: records freed under RCU readers; the ports' test sees it", "AddressSanitizer: heap-use-after-free|BUG: ")
{
	unit_mutants.rcu_early = true;
	ports_race(15000);
}
