/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers of Xen's public ABI that KVM knows, and some that it leaves alone. */
#ifndef STRESS_XENABI_H
#define STRESS_XENABI_H

#define HYPERVISOR_memory_op		12
#define HYPERVISOR_set_timer_op		15
#define HYPERVISOR_xen_version		17
#define HYPERVISOR_vcpu_op		24
#define HYPERVISOR_sched_op		29
#define HYPERVISOR_event_channel_op	32
#define HYPERVISOR_hvm_op		34

#define XENVER_version			0
#define EVTCHNOP_send			4
#define SCHEDOP_yield			0
#define SCHEDOP_block			1
#define SCHEDOP_shutdown		2
#define SCHEDOP_poll			3
#define VCPUOP_register_vcpu_info	10
#define VCPUOP_set_singleshot_timer	8
#define VCPUOP_stop_singleshot_timer	9

#define EVTCHNSTAT_unbound		1
#define EVTCHNSTAT_interdomain		2
#define EVTCHNSTAT_pirq			3
#define EVTCHNSTAT_virq			4
#define EVTCHNSTAT_ipi			5

#define PORTS_COMPAT			1024
#define PORTS				4096
#define FEW_PORTS			16	/* that most events are for */

#define RUNSTATE_offline		3

#endif
