// SPDX-License-Identifier: GPL-2.0
/*
 * Operations: events.  What guests send, what the VMM sends, interrupt lines and
 * eventfds that are routed to event channels.
 */
#include "stress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "xenabi.h"

static int any_vm(struct worker *w, struct rng *rng)
{
	return FD_VM(rng_below(rng, w->round->vms));
}

/* Mostly of those that guests send on, and few enough to meet. */
static uint32_t any_port(struct rng *rng)
{
	switch (rng_below(rng, 8)) {
	case 0:
		return rng_edge(rng);
	case 1:
		return rng_below(rng, PORTS);
	case 2:		/* the last of each mode, and the first beyond */
		return (rng_next(rng) & 1 ? PORTS : PORTS_COMPAT) -
		       rng_below(rng, 2);
	default:
		return 1 + rng_below(rng, FEW_PORTS);
	}
}

static uint32_t any_target(struct rng *rng)
{
	return rng_once_in(rng, 8) ? rng_edge(rng) : rng_below(rng, NCPU);
}

static uint32_t any_priority(struct rng *rng)
{
	return rng_once_in(rng, 16) ? rng_edge(rng) : PRIO_2LEVEL;
}

static int any_eventfd(struct rng *rng)
{
	return rng_once_in(rng, 16) ? (int)rng_edge(rng) :
	       FD_EVENT(rng_below(rng, NEVENTFD));
}

/* The guest's own channels: to itself, to a neighbour, to an eventfd. */
static void op_channel(struct worker *w, struct rng *rng)
{
	static const uint32_t types[] = {
		EVTCHNSTAT_ipi, EVTCHNSTAT_interdomain, EVTCHNSTAT_interdomain,
		EVTCHNSTAT_interdomain, EVTCHNSTAT_virq,
	};
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn.send_port = any_port(rng),
		.u.evtchn.type = rng_once_in(rng, 16) ? rng_edge(rng) :
				 pick(rng, types),
	};
	uint64_t wanted = OK | E(EINVAL) | E(EEXIST) | E(EBADF);
	int fd = any_vm(w, rng), how = rng_below(rng, 10);

	if (rng_once_in(rng, 3)) {
		attr.u.evtchn.deliver.eventfd.fd = any_eventfd(rng);
	} else {
		attr.u.evtchn.deliver.port.port =
			attr.u.evtchn.type == EVTCHNSTAT_ipi ?
			attr.u.evtchn.send_port : any_port(rng);
		attr.u.evtchn.deliver.port.vcpu = any_target(rng);
		attr.u.evtchn.deliver.port.priority = any_priority(rng);
	}
	if (how < 2) {
		attr.u.evtchn.flags = KVM_XEN_EVTCHN_DEASSIGN;
		wanted = OK | E(ENOENT) | E(EINVAL);
	} else if (how < 4) {
		attr.u.evtchn.flags = KVM_XEN_EVTCHN_UPDATE;
		wanted = OK | E(ENOENT) | E(EINVAL);
	} else if (how == 4) {
		attr.u.evtchn.flags = rng_edge(rng);
		wanted |= E(ENOENT);
	} else if (rng_once_in(rng, 16)) {
		attr.u.evtchn.flags = KVM_XEN_EVTCHN_RESET;
		wanted = OK;
	}
	if (attr.u.evtchn.flags != KVM_XEN_EVTCHN_RESET &&
	    (!attr.u.evtchn.send_port || attr.u.evtchn.send_port >= PORTS))
		wanted = E(EINVAL);
	judge(w->round, "KVM_XEN_HVM_SET_ATTR", "event channel",
	      ioctl(fd, KVM_XEN_HVM_SET_ATTR, &attr) ? -errno : 0,
	      wanted | GONE);
}

static void op_send(struct worker *w, struct rng *rng)
{
	struct kvm_irq_routing_xen_evtchn event = {
		.port = any_port(rng),
		.vcpu = any_target(rng),
		.priority = any_priority(rng),
	};
	uint64_t wanted = OK | E(EFAULT) | E(EINVAL);

	if (!event.port || event.port >= PORTS || event.priority != PRIO_2LEVEL)
		wanted = E(EINVAL);
	judge(w->round, "KVM_XEN_HVM_EVTCHN_SEND", "",
	      ioctl(any_vm(w, rng), KVM_XEN_HVM_EVTCHN_SEND, &event) ?
	      -errno : 0, wanted | GONE);
}

static void op_route(struct worker *w, struct rng *rng)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[NGSI];
	} table;
	uint64_t wanted = OK | E(EINVAL);
	unsigned int i;

	memset(&table, 0, sizeof(table));
	table.head.nr = rng_below(rng, NGSI + 1);
	for (i = 0; i < table.head.nr; i++) {
		table.entry[i].gsi = rng_once_in(rng, 32) ? rng_edge(rng) : i;
		if (rng_once_in(rng, 8)) {
			table.entry[i].type = KVM_IRQ_ROUTING_MSI;
			table.entry[i].u.msi.address_lo = 0xfee00000 |
				rng_below(rng, NCPU) << 12;
			table.entry[i].u.msi.data = rng_below(rng, 256);
			continue;
		}
		table.entry[i].type = KVM_IRQ_ROUTING_XEN_EVTCHN;
		table.entry[i].u.xen_evtchn.port = any_port(rng);
		table.entry[i].u.xen_evtchn.vcpu = any_target(rng);
		table.entry[i].u.xen_evtchn.priority = rng_once_in(rng, 64) ?
			rng_edge(rng) : PRIO_2LEVEL;
	}
	judge(w->round, "KVM_SET_GSI_ROUTING", "",
	      ioctl(any_vm(w, rng), KVM_SET_GSI_ROUTING, &table) ? -errno : 0,
	      wanted | GONE);
}

static void op_irqfd(struct worker *w, struct rng *rng)
{
	struct kvm_irqfd irqfd = {
		.fd = any_eventfd(rng),
		.gsi = rng_once_in(rng, 16) ? rng_edge(rng) :
		       rng_below(rng, NGSI),
	};

	switch (rng_below(rng, 8)) {
	case 0:
		irqfd.flags = rng_edge(rng);
		break;
	case 1:
	case 2:
	case 3:
		irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
		break;
	}
	judge(w->round, "KVM_IRQFD", "",
	      ioctl(any_vm(w, rng), KVM_IRQFD, &irqfd) ? -errno : 0,
	      OK | E(EINVAL) | E(EBADF) | E(EBUSY) | GONE);
}

static void op_signal(struct worker *w, struct rng *rng)
{
	uint64_t one = 1;
	int i, n = 1 + rng_below(rng, 4);
	long r;

	for (i = 0; i < n; i++) {
		r = write(FD_EVENT(rng_below(rng, NEVENTFD)), &one, sizeof(one));
		judge(w->round, "write", "of an eventfd", r < 0 ? -errno : 0,
		      OK | E(EAGAIN));
	}
}

static void op_line(struct worker *w, struct rng *rng)
{
	struct kvm_irq_level level = {
		.irq = rng_once_in(rng, 16) ? rng_edge(rng) :
		       rng_below(rng, NGSI),
		.level = !rng_once_in(rng, 4),
	};

	judge(w->round, "KVM_IRQ_LINE", "",
	      ioctl(any_vm(w, rng), KVM_IRQ_LINE, &level) ? -errno : 0,
	      OK | E(ENXIO) | GONE);
}

static void op_msi(struct worker *w, struct rng *rng)
{
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | rng_below(rng, NCPU) << 12,
		.data = rng_below(rng, 256),
	};
	long r = ioctl(any_vm(w, rng), KVM_SIGNAL_MSI, &msi);

	/* Without an answer from an interrupt controller it is EPERM. */
	judge(w->round, "KVM_SIGNAL_MSI", "", r < 0 ? -errno : 0,
	      OK | E(EINVAL) | E(EPERM) | GONE);
}

const struct op event_ops[] = {
	{ "channel", 16, op_channel },
	{ "send", 24, op_send },
	{ "route", 6, op_route },
	{ "irqfd", 8, op_irqfd },
	{ "signal", 16, op_signal },
	{ "line", 4, op_line },
	{ "msi", 2, op_msi },
	{}
};
