// SPDX-License-Identifier: GPL-2.0
/*
 * What Xen says of itself, XENVER_*, answered by KVM with what the VMM has left it.
 *
 * Affected: guests and their tools, which ask for it at boot and whenever
 * /sys/hypervisor is read. Tried: each answer from 32-bit and from 64-bit code, with
 * good and with bad arguments, set, read back, replaced under way, taken back. A right
 * system returns what Xen returns, and without an answer asks the VMM.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "calls.h"

/* XENVER_*, Xen's public ABI. */
enum {
	VERSION,
	EXTRAVERSION,
	COMPILE_INFO,
	CAPABILITIES,
	CHANGESET,
	PLATFORM_PARAMETERS,
	GET_FEATURES,
	PAGESIZE,
	GUEST_HANDLE,
	COMMANDLINE,
	BUILD_ID,
	NR_ANSWERS
};

#define LONGEST		1024
#define SUBMAPS		2
#define BUILD_ID_LEN	20
#define FILL		0xee

FIXTURE(version) {
	struct calls c;
};

FIXTURE_VARIANT(version) {
	bool wide;
};

FIXTURE_VARIANT_ADD(version, narrow) {
};

FIXTURE_VARIANT_ADD(version, wide) {
	.wide = true,
};

FIXTURE_SETUP(version)
{
	calls_create(&self->c, variant->wide);
}

FIXTURE_TEARDOWN(version)
{
	calls_destroy(&self->c);
}

/* How long each answer is, and a length that is wrong. */
static const struct {
	uint32_t len;
	uint32_t wrong;
} answer[NR_ANSWERS] = {
	[EXTRAVERSION] = { 16, 15 },
	[COMPILE_INFO] = { 144, 145 },
	[CAPABILITIES] = { 1024, 4096 },
	[CHANGESET] = { 64, 1 },
	[PLATFORM_PARAMETERS] = { 8, 4 },
	[GET_FEATURES] = { SUBMAPS * 4, 68 },
	[PAGESIZE] = { 4, 8 },
	[GUEST_HANDLE] = { 16, 17 },
	[COMMANDLINE] = { 1024, 1023 },
	[BUILD_ID] = { BUILD_ID_LEN, 65 },
};

static int attr(struct calls *c, unsigned long request, uint32_t cmd,
		uint32_t *len, const void *data)
{
	struct kvm_xen_x_version v = { cmd, *len, (uintptr_t)data };
	struct kvm_xen_hvm_attr a = { .type = KVM_XEN_ATTR_TYPE_X_VERSION };
	int r;

	memcpy(&a.u, &v, sizeof(v));
	r = ioctl(c->vm.fd, request, &a) ? -errno : 0;
	memcpy(&v, &a.u, sizeof(v));
	*len = v.len;
	return r;
}

static int set(struct calls *c, uint32_t cmd, uint32_t len, const void *data)
{
	return attr(c, KVM_XEN_HVM_SET_ATTR, cmd, &len, data);
}

static int get(struct calls *c, uint32_t cmd, uint32_t *len, void *data)
{
	return attr(c, KVM_XEN_HVM_GET_ATTR, cmd, len, data);
}

/* Bytes that are others for each answer. */
static const uint8_t *bytes_of(uint32_t cmd)
{
	static uint8_t bytes[4096];
	int i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = cmd * 16 + i % 15;
	return bytes;
}

static void set_all(struct calls *c)
{
	uint32_t cmd;

	for (cmd = EXTRAVERSION; cmd < NR_ANSWERS; cmd++)
		if (set(c, cmd, answer[cmd].len, bytes_of(cmd)))
			xvm_die("answer %u cannot be set", cmd);
}

/* Is the answer to @cmd the one of set_all()? */
static bool is_set(struct calls *c, uint32_t cmd)
{
	uint32_t len = LONGEST;
	uint8_t is[LONGEST] = {};

	return !get(c, cmd, &len, is) && len == answer[cmd].len &&
	       !memcmp(is, bytes_of(cmd), len);
}

static int64_t ask(struct calls *c, uint32_t cmd, uint64_t gpa)
{
	return calls_make(c, 0, HYPERVISOR_XEN_VERSION, cmd, gpa, 0);
}

TEST_F(version, is_told)
{
	const uint32_t plain[] = { EXTRAVERSION, COMPILE_INFO, CAPABILITIES,
				   CHANGESET, GUEST_HANDLE, COMMANDLINE };
	struct calls *c = &self->c;
	uint8_t *arg = calls_arg(c, 0);
	uint32_t i, cmd, len;

	ASSERT_EQ(0, set(c, EXTRAVERSION, 16, bytes_of(EXTRAVERSION)));
	set_all(c);
	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		cmd = plain[i];
		len = answer[cmd].len;
		memset(arg, FILL, 2 * LONGEST);
		EXPECT_EQ(0, ask(c, cmd, calls_arg_gpa(0)));
		EXPECT_EQ(0, memcmp(arg, bytes_of(cmd), len));
		EXPECT_EQ(FILL, arg[len]);
		EXPECT_EQ(-EFAULT, ask(c, cmd, CALLS_BAD));
	}
}

/* An address, which is as long as the guest's are. */
TEST_F(version, platform_parameters_are_told)
{
	uint32_t len = variant->wide ? 8 : 4;
	struct calls *c = &self->c;
	uint8_t *arg = calls_arg(c, 0);

	ASSERT_EQ(0, set(c, PLATFORM_PARAMETERS, 8,
			 bytes_of(PLATFORM_PARAMETERS)));
	memset(arg, FILL, 16);
	EXPECT_EQ(0, ask(c, PLATFORM_PARAMETERS, calls_arg_gpa(0)));
	EXPECT_EQ(0, memcmp(arg, bytes_of(PLATFORM_PARAMETERS), len));
	EXPECT_EQ(FILL, arg[len]);
	EXPECT_EQ(-EFAULT, ask(c, PLATFORM_PARAMETERS, CALLS_BAD));
}

TEST_F(version, features_are_told)
{
	const uint32_t submap[SUBMAPS] = { 0xdeadbeef, 0x12345678 };
	struct calls *c = &self->c;
	uint32_t *arg = calls_arg(c, 0), i;

	ASSERT_EQ(0, set(c, GET_FEATURES, sizeof(submap), submap));
	for (i = 0; i < SUBMAPS; i++) {
		arg[0] = i;
		EXPECT_EQ(0, ask(c, GET_FEATURES, calls_arg_gpa(0)));
		EXPECT_EQ(i, arg[0]);
		EXPECT_EQ(submap[i], arg[1]);
	}
	/* There are no more of them. */
	arg[0] = SUBMAPS;
	arg[1] = FILL;
	EXPECT_EQ(-EINVAL, ask(c, GET_FEATURES, calls_arg_gpa(0)));
	arg[0] = UINT32_MAX;
	EXPECT_EQ(-EINVAL, ask(c, GET_FEATURES, calls_arg_gpa(0)));
	EXPECT_EQ(FILL, arg[1]);
	EXPECT_EQ(-EFAULT, ask(c, GET_FEATURES, CALLS_BAD));
}

TEST_F(version, page_size_is_told)
{
	const uint32_t size = 4096;
	struct calls *c = &self->c;

	ASSERT_EQ(0, set(c, PAGESIZE, sizeof(size), &size));
	EXPECT_EQ(4096, ask(c, PAGESIZE, 0));
	EXPECT_EQ(-EINVAL, ask(c, PAGESIZE, calls_arg_gpa(0)));
}

TEST_F(version, build_id_is_told)
{
	struct calls *c = &self->c;
	uint8_t *arg = calls_arg(c, 0);
	uint32_t *room = (void *)arg;

	ASSERT_EQ(0, set(c, BUILD_ID, BUILD_ID_LEN, bytes_of(BUILD_ID)));
	EXPECT_EQ(BUILD_ID_LEN, ask(c, BUILD_ID, 0));
	memset(arg, FILL, 64);
	*room = 0;
	EXPECT_EQ(-EINVAL, ask(c, BUILD_ID, calls_arg_gpa(0)));
	*room = BUILD_ID_LEN - 1;
	EXPECT_EQ(-ENOBUFS, ask(c, BUILD_ID, calls_arg_gpa(0)));
	EXPECT_EQ(FILL, arg[4]);
	*room = UINT32_MAX;
	EXPECT_EQ(BUILD_ID_LEN, ask(c, BUILD_ID, calls_arg_gpa(0)));
	EXPECT_EQ(0, memcmp(arg + 4, bytes_of(BUILD_ID), BUILD_ID_LEN));
	EXPECT_EQ(FILL, arg[4 + BUILD_ID_LEN]);
	EXPECT_EQ(-EFAULT, ask(c, BUILD_ID, CALLS_BAD));
}

/* Before the VMM has said anything, and when it has taken it back. */
TEST_F(version, without_an_answer_is_the_vmms)
{
	struct calls *c = &self->c;
	uint32_t cmd, len;

	for (cmd = VERSION; cmd <= NR_ANSWERS; cmd++)
		EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_XEN_VERSION, cmd,
					 calls_arg_gpa(0), 0));
	if (set(c, EXTRAVERSION, 16, bytes_of(EXTRAVERSION)))
		return;		/* stock modules: nothing to take back */
	set_all(c);
	for (cmd = EXTRAVERSION; cmd < NR_ANSWERS; cmd++) {
		ASSERT_EQ(0, set(c, cmd, 0, NULL));
		ASSERT_EQ(0, set(c, cmd, 0, NULL));
		len = LONGEST;
		EXPECT_EQ(0, get(c, cmd, &len, NULL));
		EXPECT_EQ(0, len);
		EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_XEN_VERSION, cmd,
					 calls_arg_gpa(0), 0));
	}
}

TEST_F(version, is_read_back)
{
	struct calls *c = &self->c;
	uint8_t is[LONGEST];
	uint32_t cmd, len;

	ASSERT_EQ(0, set(c, EXTRAVERSION, 16, bytes_of(EXTRAVERSION)));
	set_all(c);
	for (cmd = EXTRAVERSION; cmd < NR_ANSWERS; cmd++) {
		len = 0;
		EXPECT_EQ(0, get(c, cmd, &len, NULL));
		EXPECT_EQ(answer[cmd].len, len);
		len = answer[cmd].len - 1;
		EXPECT_EQ(-E2BIG, get(c, cmd, &len, is));
		len = LONGEST;
		EXPECT_EQ(-EFAULT, get(c, cmd, &len, NULL));
		EXPECT_TRUE(is_set(c, cmd));
	}
	len = 0;
	EXPECT_EQ(-EINVAL, get(c, VERSION, &len, NULL));
	EXPECT_EQ(-EINVAL, get(c, NR_ANSWERS, &len, NULL));
	EXPECT_EQ(-EINVAL, get(c, UINT32_MAX, &len, NULL));
}

/* What cannot be an answer is refused, and leaves the one there is. */
TEST_F(version, errors_change_nothing)
{
	struct calls *c = &self->c;
	uint32_t cmd;

	ASSERT_EQ(0, set(c, EXTRAVERSION, 16, bytes_of(EXTRAVERSION)));
	set_all(c);
	for (cmd = EXTRAVERSION; cmd < NR_ANSWERS; cmd++) {
		EXPECT_EQ(-EINVAL, set(c, cmd, answer[cmd].wrong, bytes_of(0)));
		EXPECT_EQ(-EINVAL, set(c, cmd, UINT32_MAX, bytes_of(0)));
		EXPECT_EQ(-EFAULT, set(c, cmd, answer[cmd].len, NULL));
		EXPECT_TRUE(is_set(c, cmd));
	}
	EXPECT_EQ(-EINVAL, set(c, VERSION, 4, bytes_of(0)));
	EXPECT_EQ(-EINVAL, set(c, NR_ANSWERS, 16, bytes_of(0)));
	EXPECT_EQ(-EINVAL, set(c, UINT32_MAX, 16, bytes_of(0)));
}

struct replacer {
	struct calls *c;
	int stop;		/* atomic */
};

static void *replace(void *arg)
{
	struct replacer *r = arg;
	uint8_t bytes[LONGEST];
	int i = 0;

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		memset(bytes, 'a' + i++ % 26, sizeof(bytes));
		if (set(r->c, COMMANDLINE, sizeof(bytes), bytes))
			xvm_die("no new answer");
	}
	return NULL;
}

/* A guest that asks meanwhile gets one or the other, never of both. */
TEST_F(version, replaced_while_it_is_read)
{
	struct replacer r = { .c = &self->c };
	struct calls *c = &self->c;
	uint8_t *arg = calls_arg(c, 0);
	pthread_t thread;
	int i, j;

	ASSERT_EQ(0, set(c, COMMANDLINE, LONGEST, bytes_of(COMMANDLINE)));
	ASSERT_EQ(0, pthread_create(&thread, NULL, replace, &r));
	xvm_sleep_ms(5);
	for (i = 0; i < 2000; i++) {
		ASSERT_EQ(0, ask(c, COMMANDLINE, calls_arg_gpa(0)));
		for (j = 1; j < LONGEST && arg[j] == arg[0]; j++)
			;
		ASSERT_EQ(LONGEST, j);
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

/* As any call that KVM answers it can be one of several. */
TEST_F(version, in_a_multicall)
{
	struct calls *c = &self->c;
	const uint32_t size = 4096;
	uint8_t *list = calls_arg(c, 0);
	int word = variant->wide ? 8 : 4;

	ASSERT_EQ(0, calls_accel(c, KVM_XEN_ACCEL_MULTICALL));
	memset(list, 0, 64);
	list[0] = HYPERVISOR_XEN_VERSION;
	list[2 * word] = PAGESIZE;
	EXPECT_TRUE(calls_to_vmm(c, 0, HYPERVISOR_MULTICALL, calls_arg_gpa(0), 1,
				 0));
	ASSERT_EQ(0, set(c, PAGESIZE, sizeof(size), &size));
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_MULTICALL, calls_arg_gpa(0), 1,
				0));
	EXPECT_EQ(4096, *(uint32_t *)(list + word));
}

TEST_HARNESS_MAIN
