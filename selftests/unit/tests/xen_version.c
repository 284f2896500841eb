// SPDX-License-Identifier: GPL-2.0
/* What Xen says of itself: an answer stays as long as somebody reads it, and no longer. */
#include <linux/kvm_host.h>
#include <string.h>
#include <xen/interface/xen.h>
#include <xen/interface/version.h>
#include "rig/mem.h"
#include "xen_world.h"
#include "arch/x86/kvm/xen/hypercall.h"
#include "arch/x86/kvm/xen/uapi.h"
#include "arch/x86/kvm/xen/version.h"

#define LEN	sizeof(struct xen_commandline)

/* The guest's memory: a vCPU that writes to it sleeps while it is away. */
static _Thread_local u8 guest_memory[LEN];
static bool away, asleep, stop;

int xen_read_arg(struct kvm_vcpu *vcpu, u64 gva, void *data, u32 len)
{
	return -EFAULT;
}

static bool is_back(void *unused)
{
	return !READ_ONCE(away);
}

int xen_write_arg(struct kvm_vcpu *vcpu, u64 gva, void *data, u32 len)
{
	might_sleep();
	if (READ_ONCE(away)) {
		WRITE_ONCE(asleep, true);
		EXPECT(unit_wait_until(is_back, NULL, 10000));
	}
	memcpy(guest_memory, data, len);

	return 0;
}

static int set(const void *data, u32 len)
{
	struct kvm_xen_x_version v = {
		.cmd = XENVER_commandline, .len = len, .addr = (u64)data,
	};
	struct kvm_xen_hvm_attr a = { 0 };
	int r;

	memcpy(&a.u, &v, sizeof(v));
	mutex_lock(&xen_vm(w.kvm)->lock);
	r = xen_version_set(w.kvm, &a);
	mutex_unlock(&xen_vm(w.kvm)->lock);

	return r;
}

static int set_bytes(u8 byte)
{
	u8 data[LEN];

	memset(data, byte, sizeof(data));

	return set(data, sizeof(data));
}

/* Return: the byte that all of the answer consists of; -1 if there is none. */
static int ask(bool probe)
{
	struct xen_hcall h = {
		.nr = __HYPERVISOR_xen_version,
		.arg = { XENVER_commandline, 1 },
		.wide = true,
		.probe = probe,
	};
	unsigned int i;

	if (!xen_version_op(kvm_get_vcpu(w.kvm, 0), &h))
		return -1;
	EXPECT_EQ(h.result, 0);
	for (i = 1; !probe && i < LEN; i++)
		EXPECT_EQ(guest_memory[i], guest_memory[0]);

	return guest_memory[0];
}

static void version_end(void)
{
	xen_version_destroy(w.kvm);
	xen_end();
}

static bool is_asleep(void *unused)
{
	return READ_ONCE(asleep);
}

static void sleeper(void *arg)
{
	EXPECT_EQ(ask(false), 'a');
}

TEST(xen_version_bound, "xen: version: one old answer for each vCPU that sleeps over it, and no more")
{
	struct unit_thread *t;
	long before;
	int i;

	xen_begin(1, true);
	EXPECT_EQ(set_bytes('a'), 0);
	away = true;
	t = unit_thread_start("sleeper", w.mm, sleeper, NULL);
	EXPECT(unit_wait_until(is_asleep, NULL, 10000));
	before = unit_alloc_outstanding();
	for (i = 0; i < 1000; i++) {
		EXPECT_EQ(set_bytes('b' + i % 20), 0);
		EXPECT_EQ(unit_alloc_outstanding(), before + 1);
	}
	/* Taken back, it is there for who reads it. */
	EXPECT_EQ(set(NULL, 0), 0);
	EXPECT_EQ(unit_alloc_outstanding(), before);
	WRITE_ONCE(away, false);
	unit_thread_join(t);
	EXPECT_EQ(unit_alloc_outstanding(), before - 1);
	EXPECT_EQ(ask(false), -1);
	version_end();
}

TEST(xen_version_errors, "xen: version: an answer that cannot be set leaves the one there is")
{
	u8 data[LEN] = { 0 };

	xen_begin(1, true);
	EXPECT_EQ(ask(true), -1);
	EXPECT_EQ(set_bytes('a'), 0);
	EXPECT_EQ(set(data, LEN - 1), -EINVAL);
	EXPECT_EQ(set(NULL, LEN), -EFAULT);
	unit_alloc_fail_nth(1);
	EXPECT_EQ(set(data, LEN), -ENOMEM);
	EXPECT_EQ(ask(true), 0);
	EXPECT_EQ(ask(false), 'a');
	version_end();
}

static void asker(void *arg)
{
	while (!READ_ONCE(stop))
		ask(false);
}

TEST(xen_version_race, "race: xen: version: answers that are replaced and taken back while they are read")
{
	struct unit_thread *t[2];
	uint64_t end;
	int i;

	xen_begin(1, true);
	for (i = 0; i < 2; i++)
		t[i] = unit_thread_start("asker", w.mm, asker, NULL);
	end = unit_now_ns() + unit_race_ms * 1000000ull;
	for (i = 0; unit_now_ns() < end; i++)
		EXPECT_EQ(i % 5 ? set_bytes('a' + i % 20) : set(NULL, 0), 0);
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++)
		unit_thread_join(t[i]);
	version_end();
}
