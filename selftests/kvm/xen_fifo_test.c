// SPDX-License-Identifier: GPL-2.0
/*
 * FIFO event channels, served by KVM.
 *
 * Affected: guests with many vCPUs, devices or watches, for which 4096 ports are too
 * few, and guests that want urgent events first; without this a VMM has to refuse
 * them the FIFO ABI. Tried: a guest that takes events from its queues as Linux does,
 * while pages are taken from under it, while it moves to another VM, and while it
 * scribbles over what it shares with KVM. A right system brings each event once, in
 * the order of the queues, and minds nothing a guest writes.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "calls.h"

/* Pages of the guest, behind those of calls.h. */
#define CONSUMER	6	/* of each vCPU */
#define ARRAY_FIRST	12	/* page 0 of the event array */
#define ARRAY_HIGH	13	/* page 4 */
#define CONTROL		14
#define GUEST_CODE	15

#define PORTS		8192
#define HIGH		4096	/* first port of page 4 */
#define WORDS		1024
#define QUEUES		16
#define MS		1000000ULL

/* Xen's public event_channel.h. */
#define PENDING		(1U << 31)
#define MASKED		(1U << 30)
#define LINKED		(1U << 29)
#define BUSY		(1U << 28)
#define LINK		((1U << 17) - 1)

struct control {
	uint32_t ready;
	uint32_t pad;
	uint32_t head[QUEUES];
};

/* A vCPU of the guest: its part of the queues, and what it has taken from them. */
#define SEEN		512
#define LOG		256
struct consumer {
	uint64_t info, control, first, high;	/* guest addresses */
	uint32_t ready;
	uint32_t head[QUEUES];
	uint32_t nr;
	uint32_t log[LOG];
	uint32_t seen[SEEN];
	uint8_t stack[512];
};

_Static_assert(sizeof(struct consumer) <= XVM_PAGE, "a page of its own");

/* Part of what runs in the guest, which has no other functions. */
#define INLINE		static inline __attribute__((always_inline))

/* Only ports below 256, and as many from HIGH on. */
INLINE uint32_t seen_of(uint32_t port)
{
	return (port & 255) + (port >= HIGH ? 256 : 0);
}

#define GUEST		__attribute__((section("guest_text"), noinline, used))

extern const uint8_t __start_guest_text[], __stop_guest_text[];

INLINE uint32_t *guest_word(struct consumer *c, uint32_t port)
{
	return (uint32_t *)(port < WORDS ? c->first : c->high) + port % WORDS;
}

/* Take the first of a queue. Returns its port or 0. */
INLINE uint32_t guest_take(struct consumer *c, uint32_t queue)
{
	struct control *control = (void *)c->control;
	uint32_t port = c->head[queue], word, *p;

	if (!port)
		port = __atomic_load_n(&control->head[queue], __ATOMIC_SEQ_CST);
	if (!port || (port >= WORDS && port - HIGH >= WORDS)) {
		c->ready &= ~(1U << queue);
		return 0;
	}

	p = guest_word(c, port);
	word = __atomic_load_n(p, __ATOMIC_SEQ_CST);
	do {
		word &= ~BUSY;
	} while (!__atomic_compare_exchange_n(p, &word, word & ~(LINKED | LINK),
					      0, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST));
	c->head[queue] = word & LINK;
	if (!c->head[queue])
		c->ready &= ~(1U << queue);
	return port;
}

/* What is copied into the guest. All that is in the queues; then back, and again. */
GUEST void guest_consume(struct consumer *c)
{
	struct control *control = (void *)c->control;
	uint32_t port, *p;

	for (;;) {
		__atomic_store_n((uint8_t *)c->info, 0, __ATOMIC_SEQ_CST);
		for (;;) {
			c->ready |= __atomic_exchange_n(&control->ready, 0,
							__ATOMIC_SEQ_CST) &
				    0xffff;
			if (!c->ready)
				break;
			port = guest_take(c, __builtin_ctz(c->ready));
			p = guest_word(c, port);
			if (!port || (*(volatile uint32_t *)p &
				      (PENDING | MASKED)) != PENDING)
				continue;
			__atomic_fetch_and(p, ~PENDING, __ATOMIC_SEQ_CST);
			if (c->nr < LOG)
				c->log[c->nr] = port;
			c->nr++;
			__atomic_fetch_add(&c->seen[seen_of(port)], 1,
					   __ATOMIC_SEQ_CST);
		}
		asm volatile("outb %%al, $0x80" ::: "memory");
	}
}

/* Scribbles over words, links and heads. */
GUEST void guest_riot(struct consumer *c)
{
	volatile uint32_t *control = (void *)c->control;
	uint32_t x = 2463534242U, n;

	for (;;) {
		for (n = 0; n < 2000; n++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			*(volatile uint32_t *)guest_word(c, x % 256) =
				(x & 256 ? x : x | LINKED | BUSY | LINK) & ~MASKED;
			control[x % 18] = x;
		}
		asm volatile("outb %%al, $0x80" ::: "memory");
	}
}

/* ------------------------------------------------------------------------ */

FIXTURE(fifo) {
	struct calls c;
};

static uint8_t *page(struct calls *c, unsigned int nr)
{
	return c->mem.witness + nr * XVM_PAGE;
}

static struct consumer *consumer(struct calls *c, int cpu)
{
	return (void *)page(c, CONSUMER + cpu);
}

static uint64_t control_gpa(int cpu)
{
	return CONTROL * XVM_PAGE + cpu * 1024 + 8;
}

static uint32_t *word(struct calls *c, uint32_t port)
{
	return (uint32_t *)page(c, port < WORDS ? ARRAY_FIRST : ARRAY_HIGH) +
	       port % WORDS;
}

static int vm_attr(struct xvm *vm, unsigned int type, uint64_t a, uint64_t b)
{
	struct kvm_xen_hvm_attr attr = { .type = type };

	attr.u.pad[0] = a;
	attr.u.pad[1] = b;
	return ioctl(vm->fd, KVM_XEN_HVM_SET_ATTR, &attr) ? -errno : 0;
}

static int set_page(struct xvm *vm, unsigned int nr, uint64_t gfn)
{
	return vm_attr(vm, KVM_XEN_ATTR_TYPE_X_FIFO_PAGE, nr, gfn);
}

static int set_control(struct xvm *vm, int cpu, uint64_t gpa)
{
	return xvm_cpu_attr(vm, cpu, KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_CONTROL, gpa);
}

/* As after the guest's EVTCHNOP_init_control and _expand_array. */
static int fifo_on(struct xvm *vm)
{
	int r, i;

	r = vm_attr(vm, KVM_XEN_ATTR_TYPE_X_FIFO, PORTS, 0);
	if (!r)
		r = set_page(vm, 0, ARRAY_FIRST);
	if (!r)
		r = set_page(vm, HIGH / WORDS, ARRAY_HIGH);
	for (i = 0; i < 2 && !r; i++)
		r = set_control(vm, i, control_gpa(i));
	return r;
}

static int send(struct xvm *vm, uint32_t port, int cpu, uint32_t priority)
{
	struct kvm_irq_routing_xen_evtchn event = { port, cpu, priority };

	return ioctl(vm->fd, KVM_XEN_HVM_EVTCHN_SEND, &event) ? -errno : 0;
}

/* Starts what the vCPU does in its next runs. */
static void guest_start(struct calls *c, int cpu, void (*what)(struct consumer *))
{
	uint64_t state = (CONSUMER + cpu) * XVM_PAGE;
	struct kvm_regs regs = {
		.rip = GUEST_CODE * XVM_PAGE +
		       ((const uint8_t *)what - __start_guest_text),
		.rsp = state + sizeof(struct consumer) - 8,
		.rdi = state,
		.rflags = 2,
	};

	if (ioctl(c->vm.cpu[cpu], KVM_SET_REGS, &regs))
		xvm_die("KVM_SET_REGS");
}

/* Once around. */
static void guest_go(struct calls *c, int cpu)
{
	int r;

	do {
		r = caller_go(&c->cpu[cpu]);
	} while (r == -EINTR || r == -EAGAIN);
	if (r)
		xvm_die("vCPU %d came back with %d", cpu, r);
}

static uint32_t seen(struct calls *c, uint32_t port)
{
	return __atomic_load_n(&consumer(c, 0)->seen[seen_of(port)],
			       __ATOMIC_SEQ_CST) +
	       __atomic_load_n(&consumer(c, 1)->seen[seen_of(port)],
			       __ATOMIC_SEQ_CST);
}

/*
 * Does the guest take the event, at the latest after @ms? It has to run, for what its
 * vcpu_info could not be told is told at an entry.
 */
static bool comes(struct calls *c, int cpu, uint32_t port, int ms)
{
	uint32_t before = seen(c, port);
	uint64_t end = xvm_now_ns() + ms * MS;

	do {
		guest_go(c, cpu);
		if (seen(c, port) != before)
			break;
		xvm_sleep_ms(1);
	} while (xvm_now_ns() < end);
	return seen(c, port) == before + 1;
}

static void guest_reset(struct calls *c)
{
	int i;

	memset(page(c, ARRAY_FIRST), 0, 3 * XVM_PAGE);
	for (i = 0; i < 2; i++) {
		memset(consumer(c, i), 0, sizeof(struct consumer));
		consumer(c, i)->info = (CALLS_INFO + i) * XVM_PAGE;
		consumer(c, i)->control = control_gpa(i);
		consumer(c, i)->first = ARRAY_FIRST * XVM_PAGE;
		consumer(c, i)->high = ARRAY_HIGH * XVM_PAGE;
		*(uint8_t *)page(c, CALLS_INFO + i) = 0;
		guest_start(c, i, guest_consume);
	}
}

FIXTURE_SETUP(fifo)
{
	struct calls *c = &self->c;

	calls_create(c, true);
	memcpy(page(c, GUEST_CODE), __start_guest_text,
	       __stop_guest_text - __start_guest_text);
	guest_reset(c);
}

FIXTURE_TEARDOWN(fifo)
{
	calls_destroy(&self->c);
}

TEST_F(fifo, can_be_asked_for)
{
	struct xvm *vm = &self->c.vm;
	uint64_t pad[2], gpa;

	/* The 2-level ABI at first, in which there are no priorities. */
	ASSERT_EQ(0, calls_vm_attr(&self->c, KVM_XEN_ATTR_TYPE_X_FIFO, pad));
	EXPECT_EQ(0, pad[0]);
	EXPECT_EQ(-EINVAL, send(vm, 5, 0, 7));
	EXPECT_EQ(-EINVAL, set_page(vm, 0, ARRAY_FIRST));
	EXPECT_EQ(-EINVAL, set_control(vm, 0, control_gpa(0)));
	EXPECT_EQ(-EINVAL, vm_attr(vm, KVM_XEN_ATTR_TYPE_X_FIFO, 1, 0));
	EXPECT_EQ(-EINVAL, vm_attr(vm, KVM_XEN_ATTR_TYPE_X_FIFO,
				   (1 << 17) + 1, 0));
	EXPECT_EQ(-EINVAL, vm_attr(vm, KVM_XEN_ATTR_TYPE_X_FIFO,
				   1ULL << 32 | PORTS, 0));

	ASSERT_EQ(0, fifo_on(vm));
	ASSERT_EQ(0, calls_vm_attr(&self->c, KVM_XEN_ATTR_TYPE_X_FIFO, pad));
	EXPECT_EQ(PORTS, pad[0]);
	EXPECT_EQ(-EBUSY, vm_attr(vm, KVM_XEN_ATTR_TYPE_X_FIFO, PORTS / 2, 0));
	EXPECT_EQ(-EINVAL, set_page(vm, PORTS / WORDS, ARRAY_FIRST));
	EXPECT_EQ(-EINVAL, set_page(vm, 0, 1ULL << 60));
	EXPECT_NE(0, set_page(vm, 1, CALLS_BAD / XVM_PAGE));
	EXPECT_EQ(-EINVAL, set_control(vm, 0, control_gpa(0) + 4));
	EXPECT_EQ(-EINVAL, set_control(vm, 0, CONTROL * XVM_PAGE +
				       XVM_PAGE - 64));
	EXPECT_EQ(0, xvm_get_cpu_attr(vm, 1,
				      KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_CONTROL,
				      &gpa));
	EXPECT_EQ(control_gpa(1), gpa);

	EXPECT_EQ(-EINVAL, send(vm, 0, 0, 0));
	EXPECT_EQ(-EINVAL, send(vm, PORTS, 0, 0));
	EXPECT_EQ(-EINVAL, send(vm, 5, 0, QUEUES));
	EXPECT_EQ(-EINVAL, send(vm, 5, 9, 0));
}

TEST_F(fifo, urgent_events_first_then_in_order)
{
	struct calls *c = &self->c;
	uint32_t i, q;

	ASSERT_EQ(0, fifo_on(&c->vm));
	for (i = 0; i < 3; i++)
		for (q = 0; q < QUEUES; q++)
			ASSERT_EQ(0, send(&c->vm, (i == 1 ? HIGH : 0) + 1 +
					  3 * q + i, 0, q));
	ASSERT_TRUE(calls_upcall(c, 0));
	EXPECT_FALSE(calls_upcall(c, 1));
	guest_go(c, 0);
	ASSERT_EQ(3 * QUEUES, consumer(c, 0)->nr);
	for (i = 0; i < 3 * QUEUES; i++)
		EXPECT_EQ((i % 3 == 1 ? HIGH : 0) + 1 + i,
			  consumer(c, 0)->log[i]);
}

/* Nobody has to be told again of what he has not looked at yet. */
TEST_F(fifo, one_upcall_for_a_full_queue)
{
	struct calls *c = &self->c;
	uint32_t port;

	ASSERT_EQ(0, fifo_on(&c->vm));
	ASSERT_EQ(0, send(&c->vm, 1, 0, 3));
	ASSERT_TRUE(calls_upcall(c, 0));
	*page(c, CALLS_INFO) = 0;
	for (port = 2; port < 200; port++)
		ASSERT_EQ(0, send(&c->vm, port, 0, 3));
	EXPECT_FALSE(calls_upcall(c, 0));
	guest_go(c, 0);
	EXPECT_EQ(199, consumer(c, 0)->nr);
}

TEST_F(fifo, masked_event_waits_for_the_guests_unmask)
{
	struct calls *c = &self->c;

	ASSERT_EQ(0, fifo_on(&c->vm));
	*word(c, HIGH + 7) = MASKED;
	ASSERT_EQ(0, send(&c->vm, HIGH + 7, 1, 2));
	EXPECT_EQ(MASKED | PENDING, *word(c, HIGH + 7));
	EXPECT_FALSE(calls_upcall(c, 1));
	/* From the other vCPU; KVM knows for whom the event was. */
	*(uint32_t *)calls_arg(c, 0) = HIGH + 7;
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK,
				calls_arg_gpa(0), 0));
	EXPECT_TRUE(comes(c, 1, HIGH + 7, 1000));
}

static int evtchn(struct calls *c, uint32_t port, uint32_t to, int cpu)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn = {
			.send_port = port,
			.type = port == to ? EVTCHNSTAT_IPI :
					     EVTCHNSTAT_INTERDOMAIN,
			.deliver.port = { to, cpu, 4 },
		},
	};

	return ioctl(c->vm.fd, KVM_XEN_HVM_SET_ATTR, &attr) ? -errno : 0;
}

TEST_F(fifo, guests_own_sends_timers_and_irqfds_know_it)
{
	struct kvm_xen_vcpu_attr timer = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer = { HIGH + 11, 2, 0 },
	};
	struct calls *c = &self->c;
	int fd;

	ASSERT_EQ(0, fifo_on(&c->vm));
	/* A port beyond those of the 2-level ABI, both as source and as target. */
	ASSERT_EQ(0, evtchn(c, HIGH + 9, HIGH + 10, 1));
	*(uint32_t *)calls_arg(c, 0) = HIGH + 9;
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_SEND,
				calls_arg_gpa(0), 0));
	EXPECT_TRUE(comes(c, 1, HIGH + 10, 1000));

	xvm_timer(&c->vm, 1, HIGH + 11, 1 * MS);
	EXPECT_TRUE(comes(c, 1, HIGH + 11, 5000));
	ASSERT_EQ(0, ioctl(c->vm.cpu[1], KVM_XEN_VCPU_SET_ATTR, &timer));
	ASSERT_EQ(0, ioctl(c->vm.cpu[1], KVM_XEN_VCPU_GET_ATTR, &timer));
	EXPECT_EQ(2, timer.u.timer.priority);

	xvm_route(&c->vm, 24, 1, HIGH + 12, 1);
	fd = xvm_irqfd(&c->vm, 24);
	xvm_signal(fd);
	EXPECT_TRUE(comes(c, 1, HIGH + 12, 1000));
	close(fd);
}

static int port_of(struct calls *c, unsigned long cmd, struct kvm_xen_x_port *p)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_X_PORT };
	int r;

	memcpy(&attr.u, p, sizeof(*p));
	r = ioctl(c->vm.fd, cmd, &attr) ? -errno : 0;
	memcpy(p, &attr.u, sizeof(*p));
	return r;
}

/* Of any port; its sender believes that it is the other vCPU's. */
TEST_F(fifo, port_that_the_vmm_keeps_has_its_vcpu)
{
	struct kvm_xen_x_port p = {
		.port = HIGH + 9, .type = EVTCHNSTAT_INTERDOMAIN,
		.vcpu = 1, .detail = 3,
	};
	struct calls *c = &self->c;

	EXPECT_EQ(-EINVAL, port_of(c, KVM_XEN_HVM_SET_ATTR, &p));
	ASSERT_EQ(0, fifo_on(&c->vm));
	ASSERT_EQ(0, port_of(c, KVM_XEN_HVM_SET_ATTR, &p));
	ASSERT_EQ(0, send(&c->vm, p.port, 0, 7));
	EXPECT_FALSE(comes(c, 0, p.port, 20));
	EXPECT_TRUE(comes(c, 1, p.port, 20));
	p = (struct kvm_xen_x_port){ .port = HIGH + 9 };
	EXPECT_EQ(0, port_of(c, KVM_XEN_HVM_GET_ATTR, &p));
	EXPECT_EQ(1, p.vcpu);
	EXPECT_EQ(3, p.detail);
	/* One that was pending before, of which KVM knows nothing else. */
	p.port++;
	ASSERT_EQ(0, port_of(c, KVM_XEN_HVM_SET_ATTR, &p));
	*word(c, p.port) = MASKED | PENDING;
	*(uint32_t *)calls_arg(c, 0) = p.port;
	EXPECT_EQ(0, calls_make(c, 0, HYPERVISOR_EVTCHN_OP, EVTCHNOP_UNMASK,
				calls_arg_gpa(0), 0));
	EXPECT_TRUE(comes(c, 1, p.port, 1000));
	p.port = PORTS;
	EXPECT_EQ(-EINVAL, port_of(c, KVM_XEN_HVM_SET_ATTR, &p));
}

TEST_F(fifo, poll_is_woken)
{
	struct caller_thread t;
	struct {
		uint64_t ports;
		uint32_t nr;
		uint64_t timeout;
	} *poll;
	struct calls *c = &self->c;

	ASSERT_EQ(0, fifo_on(&c->vm));
	poll = calls_arg(c, 0);
	poll->ports = calls_arg_gpa(0) + 64;
	poll->nr = 1;
	poll->timeout = 0;
	*(uint32_t *)((uint8_t *)poll + 64) = HIGH + 20;
	*word(c, HIGH + 20) = MASKED;
	caller_set(&c->cpu[0], HYPERVISOR_SCHED_OP, SCHEDOP_POLL,
		   calls_arg_gpa(0), 0);
	caller_start(&t, &c->cpu[0]);
	EXPECT_FALSE(caller_is_done(&t, 20));
	EXPECT_EQ(0, send(&c->vm, HIGH + 20, 1, 0));
	EXPECT_TRUE(caller_is_done(&t, 5000));
	caller_end(&t);
	EXPECT_EQ(0, t.r);
	EXPECT_EQ(0, caller_result(&c->cpu[0]));
}

TEST_F(fifo, event_is_kept_until_its_page_is_there)
{
	struct kvm_xen_hvm_attr kept = { .type = KVM_XEN_ATTR_TYPE_X_FIFO_LATCHED };
	struct calls *c = &self->c;

	ASSERT_EQ(0, fifo_on(&c->vm));
	ASSERT_EQ(0, set_page(&c->vm, 4, KVM_XEN_INVALID_GFN));
	EXPECT_NE(0, send(&c->vm, HIGH + 30, 1, 3));
	ASSERT_EQ(0, ioctl(c->vm.fd, KVM_XEN_HVM_GET_ATTR, &kept));
	EXPECT_EQ(HIGH + 30, kept.u.pad[0]);
	EXPECT_EQ(1, kept.u.pad[1]);
	EXPECT_EQ(3, kept.u.pad[2]);
	ASSERT_EQ(0, set_page(&c->vm, 4, ARRAY_HIGH));
	EXPECT_TRUE(comes(c, 1, HIGH + 30, 5000));

	/* And while the slot is gone; a page of another slot brings nothing. */
	ASSERT_EQ(0, xvm_try_slot(&c->vm, 0, 0, 0, 0, NULL));
	EXPECT_NE(0, send(&c->vm, 31, 1, 3));
	xvm_slot(&c->vm, 0, 0, 0, c->mem.size, c->mem.map);
	EXPECT_TRUE(comes(c, 1, 31, 5000));
	kept.u.pad[0] = 0;
	EXPECT_EQ(-1, ioctl(c->vm.fd, KVM_XEN_HVM_GET_ATTR, &kept));
	EXPECT_EQ(ENOENT, errno);
}

TEST_F(fifo, reset_goes_back_to_two_levels)
{
	struct kvm_xen_hvm_attr reset = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn.flags = KVM_XEN_EVTCHN_RESET,
	};
	struct calls *c = &self->c;

	ASSERT_EQ(0, fifo_on(&c->vm));
	ASSERT_EQ(0, set_control(&c->vm, 0, KVM_XEN_INVALID_GPA));
	EXPECT_NE(0, send(&c->vm, 40, 0, 0));
	ASSERT_EQ(0, ioctl(c->vm.fd, KVM_XEN_HVM_SET_ATTR, &reset));
	*word(c, 40) = 0;
	EXPECT_EQ(-EINVAL, send(&c->vm, 41, 0, 0));
	EXPECT_EQ(0, xvm_send(&c->vm, 41, 0));
	EXPECT_TRUE(xvm_pending(c->shinfo, 41));
	EXPECT_EQ(0, *word(c, 41));
	/* Another kernel may begin anew, and finds nothing of the last one's. */
	guest_reset(c);
	ASSERT_EQ(0, fifo_on(&c->vm));
	ASSERT_EQ(0, send(&c->vm, 42, 0, 0));
	EXPECT_TRUE(comes(c, 0, 42, 1000));
	EXPECT_EQ(1, consumer(c, 0)->nr);
}

/* Stopped with events in its queues, and carried to a VM that knows nothing. */
TEST_F(fifo, queues_survive_save_and_restore)
{
	struct kvm_xen_vcpu_attr tails = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_TAILS,
	};
	struct calls *c = &self->c, to;
	uint32_t port, nr;
	uint64_t pad[2];

	ASSERT_EQ(0, fifo_on(&c->vm));
	for (port = 1; port < 60; port++)
		ASSERT_EQ(0, send(&c->vm, port, 0, port % 3));
	ASSERT_EQ(0, calls_vm_attr(c, KVM_XEN_ATTR_TYPE_X_FIFO, pad));
	ASSERT_EQ(0, ioctl(c->vm.cpu[0], KVM_XEN_VCPU_GET_ATTR, &tails));

	calls_create(&to, true);
	memcpy(to.mem.witness, c->mem.witness, c->mem.size);
	ASSERT_EQ(0, fifo_on(&to.vm));
	ASSERT_EQ(0, ioctl(to.vm.cpu[0], KVM_XEN_VCPU_SET_ATTR, &tails));
	for (port = 60; port < 120; port++)
		ASSERT_EQ(0, send(&to.vm, port, 0, port % 3));
	guest_start(&to, 0, guest_consume);
	guest_go(&to, 0);
	nr = consumer(&to, 0)->nr;
	EXPECT_EQ(119, nr);
	for (port = 1; port < 120; port++)
		EXPECT_EQ(1, seen(&to, port));
	calls_destroy(&to);
}

static int get_aim(struct xvm *vm, uint64_t *pad)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_X_FIFO_AIM };
	int r;

	attr.u.pad[0] = pad[0];
	r = ioctl(vm->fd, KVM_XEN_HVM_GET_ATTR, &attr) ? -errno : 0;
	memcpy(pad, attr.u.pad, 3 * sizeof(*pad));
	return r;
}

static int set_aim(struct xvm *vm, uint64_t port, uint64_t cpu, uint64_t priority)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_X_FIFO_AIM };

	attr.u.pad[0] = port;
	attr.u.pad[1] = cpu;
	attr.u.pad[2] = priority;
	return ioctl(vm->fd, KVM_XEN_HVM_SET_ATTR, &attr) ? -errno : 0;
}

/* Pending and masked: in no queue, so nothing in memory says for whom, and how urgent. */
TEST_F(fifo, priority_and_vcpu_survive_save_and_restore)
{
	static const struct {
		uint32_t port, priority;
	} sent[] = { { 5, 9 }, { HIGH + 6, 2 }, { HIGH + 7, 15 } };
	struct calls *c = &self->c, to;
	uint64_t pad[3] = { 0 };
	unsigned int i;

	EXPECT_EQ(-EINVAL, get_aim(&c->vm, pad));
	ASSERT_EQ(0, fifo_on(&c->vm));
	EXPECT_EQ(-ENOENT, get_aim(&c->vm, pad));
	for (i = 0; i < 3; i++) {
		*word(c, sent[i].port) = MASKED;
		ASSERT_EQ(0, send(&c->vm, sent[i].port, 1, sent[i].priority));
	}

	calls_create(&to, true);
	memcpy(to.mem.witness, c->mem.witness, c->mem.size);
	EXPECT_EQ(-EINVAL, set_aim(&to.vm, 5, 1, 9));
	ASSERT_EQ(0, fifo_on(&to.vm));
	for (i = 0; !get_aim(&c->vm, pad); i++, pad[0]++) {
		ASSERT_GT(3, i);
		EXPECT_EQ(sent[i].port, pad[0]);
		EXPECT_EQ(1, pad[1]);
		EXPECT_EQ(sent[i].priority, pad[2]);
		EXPECT_EQ(0, set_aim(&to.vm, pad[0], pad[1], pad[2]));
	}
	EXPECT_EQ(3, i);
	EXPECT_EQ(-EINVAL, set_aim(&to.vm, 0, 0, 0));
	EXPECT_EQ(-EINVAL, set_aim(&to.vm, PORTS, 0, 0));
	EXPECT_EQ(-EINVAL, set_aim(&to.vm, 1ULL << 32 | 5, 0, 0));
	EXPECT_EQ(-EINVAL, set_aim(&to.vm, 5, 1ULL << 32, 0));
	EXPECT_EQ(-EINVAL, set_aim(&to.vm, 5, 0, QUEUES));
	pad[0] = 5;
	EXPECT_EQ(0, get_aim(&to.vm, pad));
	EXPECT_EQ(1, pad[1]);
	EXPECT_EQ(9, pad[2]);

	/* Asked from the other vCPU, KVM knows by itself. */
	guest_start(&to, 1, guest_consume);
	for (i = 0; i < 3; i++) {
		*(uint32_t *)calls_arg(&to, 0) = sent[i].port;
		EXPECT_EQ(0, calls_make(&to, 0, HYPERVISOR_EVTCHN_OP,
					EVTCHNOP_UNMASK, calls_arg_gpa(0), 0));
	}
	guest_go(&to, 1);
	EXPECT_EQ(3, consumer(&to, 1)->nr);
	EXPECT_EQ(HIGH + 6, consumer(&to, 1)->log[0]);
	EXPECT_EQ(5, consumer(&to, 1)->log[1]);
	EXPECT_EQ(HIGH + 7, consumer(&to, 1)->log[2]);
	calls_destroy(&to);
}

/* A timer that fires while memory is being copied would put its port behind a tail. */
TEST_F(fifo, tails_that_were_read_are_the_tails)
{
	struct kvm_xen_vcpu_attr tails = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_X_FIFO_TAILS,
	};
	struct calls *c = &self->c;

	ASSERT_EQ(0, fifo_on(&c->vm));
	xvm_timer(&c->vm, 1, HIGH + 11, 20 * MS);
	ASSERT_EQ(0, ioctl(c->vm.cpu[1], KVM_XEN_VCPU_GET_ATTR, &tails));
	xvm_sleep_ms(100);
	EXPECT_EQ(0, *word(c, HIGH + 11));
	/* If the vCPU runs after all it comes. */
	EXPECT_TRUE(comes(c, 1, HIGH + 11, 5000));
}

/* ------------------------------------------------------------------------ */

#define STORM		1600
#define STORM_PORTS	40	/* of each sender */

struct party {
	struct calls *c;
	int id;
	uint32_t sent[SEEN];
	bool lost;
	int *stop;
};

static void *run_guest(void *arg)
{
	struct party *p = arg;

	while (!__atomic_load_n(p->stop, __ATOMIC_RELAXED)) {
		guest_go(p->c, p->id);
		if (!calls_upcall(p->c, p->id))
			xvm_sleep_ms(1);
	}
	return NULL;
}

/* One event of a port at a time: each must be seen before the next. */
static void *run_sender(void *arg)
{
	struct party *p = arg;
	uint32_t n, port, i;
	uint64_t end;

	for (n = 0; n < STORM / 2 && !p->lost; n++) {
		i = n % STORM_PORTS;
		port = (i % 2 ? HIGH : 0) + 1 + p->id * 100 + i;
		end = xvm_now_ns() + 20000 * MS;
		while (seen(p->c, port) != p->sent[seen_of(port)]) {
			p->lost |= xvm_now_ns() > end;
			if (p->lost)
				return NULL;
			xvm_sleep_ms(1);
		}
		p->sent[seen_of(port)]++;
		/* What cannot be delivered now is kept: no error loses it. */
		send(&p->c->vm, port, n / STORM_PORTS % 2, n % QUEUES);
	}
	return NULL;
}

static void *run_mover(void *arg)
{
	static const uint8_t pages[] = { ARRAY_FIRST, ARRAY_HIGH, CONTROL,
					 CALLS_INFO, CALLS_INFO + 1 };
	struct party *p = arg;
	struct xvm_mem *mem = &p->c->mem;
	unsigned int n = 0;

	while (!__atomic_load_n(p->stop, __ATOMIC_RELAXED)) {
		unsigned int nr = pages[n++ % sizeof(pages)];

		xvm_map(mem, nr, mem->map + nr * XVM_PAGE);
		if (n % 16 == 0) {
			set_page(&p->c->vm, 4, KVM_XEN_INVALID_GFN);
			sched_yield();
			set_page(&p->c->vm, 4, ARRAY_HIGH);
		}
		xvm_sleep_ms(1);
	}
	return NULL;
}

/* Two senders, two vCPUs, pages that are taken away: sent is seen, one by one. */
TEST_F(fifo, none_lost_while_pages_come_and_go)
{
	struct party guests[2], senders[2], mover;
	struct calls *c = &self->c;
	uint32_t sent = 0, nr = 0;
	int i, j, stop_guests = 0, stop = 0;
	pthread_t thread[5];
	uint64_t end;

	ASSERT_EQ(0, fifo_on(&c->vm));
	memset(senders, 0, sizeof(senders));
	mover = (struct party){ .c = c, .stop = &stop };
	for (i = 0; i < 2; i++) {
		guests[i] = (struct party){ .c = c, .id = i,
					    .stop = &stop_guests };
		senders[i].c = c;
		senders[i].id = i;
		pthread_create(&thread[i], NULL, run_guest, &guests[i]);
		pthread_create(&thread[2 + i], NULL, run_sender, &senders[i]);
	}
	pthread_create(&thread[4], NULL, run_mover, &mover);
	pthread_join(thread[2], NULL);
	pthread_join(thread[3], NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread[4], NULL);

	for (i = 0; i < 2; i++) {
		EXPECT_FALSE(senders[i].lost);
		for (j = 0; j < SEEN; j++)
			sent += senders[i].sent[j];
	}
	EXPECT_EQ(STORM, sent);
	end = xvm_now_ns() + 20000 * MS;
	do {
		xvm_sleep_ms(5);
		nr = __atomic_load_n(&consumer(c, 0)->nr, __ATOMIC_RELAXED) +
		     __atomic_load_n(&consumer(c, 1)->nr, __ATOMIC_RELAXED);
	} while (nr < sent && xvm_now_ns() < end);
	__atomic_store_n(&stop_guests, 1, __ATOMIC_RELAXED);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	EXPECT_EQ(sent, consumer(c, 0)->nr + consumer(c, 1)->nr);
}

/* A guest that writes whatever it likes: KVM goes on, and so does a sane one. */
TEST_F(fifo, guest_that_scribbles_harms_itself)
{
	struct calls *c = &self->c;
	uint32_t n;
	int r;

	ASSERT_EQ(0, fifo_on(&c->vm));
	guest_start(c, 0, guest_riot);
	for (n = 0; n < 3000; n++) {
		r = send(&c->vm, 1 + n % 250, n % 2, n % QUEUES);
		ASSERT_TRUE(!r || r == -EFAULT);
		if (n % 100 == 0)
			guest_go(c, 0);
	}

	ASSERT_EQ(0, vm_attr(&c->vm, KVM_XEN_ATTR_TYPE_X_FIFO, 0, 0));
	guest_reset(c);
	ASSERT_EQ(0, fifo_on(&c->vm));
	for (n = 1; n < 100; n++)
		ASSERT_EQ(0, send(&c->vm, n, 0, 3));
	guest_go(c, 0);
	EXPECT_EQ(99, consumer(c, 0)->nr);
}

TEST_HARNESS_MAIN
