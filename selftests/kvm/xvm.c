// SPDX-License-Identifier: GPL-2.0
/*
 * A Xen-flavoured virtual machine made with raw KVM ioctls, see xvm.h.
 * It owns no state of its own and no threads: one struct per VM, the caller's.
 */
#include "xvm.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define TSS_GPA		0xfffbd000UL	/* three pages, for CPUs that need them */
#define CR0_PE		1UL
#define XEN_HYPERCALL_MSR	0x40000200
#define XVM_FDS_MAX		8
#define TICK_ROUNDS		5

void __xvm_die(const char *file, int line, const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fprintf(stderr, "# %s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (errno %d: %s)\n", err, strerror(err));
	fflush(NULL);
	abort();
}

static int xvm_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

bool xvm_has_type(unsigned int type)
{
	int types, kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		xvm_die("cannot open /dev/kvm");
	types = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	close(kvm);
	return types > 0 && types >> type & 1;
}

void xvm_create(struct xvm *vm, bool irqchip)
{
	xvm_create_type(vm, KVM_X86_DEFAULT_VM, irqchip);
}

void xvm_create_type(struct xvm *vm, unsigned int type, bool irqchip)
{
	struct kvm_xen_hvm_attr mode = {
		.type = KVM_XEN_ATTR_TYPE_LONG_MODE,
		.u.long_mode = 1,
	};
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			 KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = XEN_HYPERCALL_MSR,
	};
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = { 24 },
	};
	int i, kvm;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		xvm_die("cannot open /dev/kvm");
	vm->fd = ioctl(kvm, KVM_CREATE_VM, (unsigned long)type);
	if (vm->fd < 0)
		xvm_die("KVM_CREATE_VM");
	close(kvm);

	for (i = 0; i < XVM_CPU_MAX; i++) {
		vm->cpu[i] = -1;
		vm->run[i] = NULL;
	}
	if (irqchip && ioctl(vm->fd, KVM_ENABLE_CAP, &split))
		xvm_die("split irqchip");
	if (ioctl(vm->fd, KVM_XEN_HVM_CONFIG, &config))
		xvm_die("KVM_XEN_HVM_CONFIG");
	if (ioctl(vm->fd, KVM_XEN_HVM_SET_ATTR, &mode))
		xvm_die("Xen long mode");
}

void xvm_destroy(struct xvm *vm)
{
	int i;

	for (i = 0; i < XVM_CPU_MAX; i++) {
		if (vm->run[i])
			munmap(vm->run[i], XVM_PAGE);
		if (vm->cpu[i] >= 0)
			close(vm->cpu[i]);
		vm->run[i] = NULL;
		vm->cpu[i] = -1;
	}
	close(vm->fd);
	vm->fd = -1;
}

void xvm_add_cpu(struct xvm *vm, unsigned int id)
{
	vm->cpu[id] = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (vm->cpu[id] < 0)
		xvm_die("KVM_CREATE_VCPU %u", id);
}

static void set_segment(struct kvm_segment *s, unsigned int type)
{
	*s = (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = 8,
		.type = type,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

void xvm_add_flat_cpu(struct xvm *vm, unsigned int id)
{
	/* All but the first would wait for an INIT. */
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;

	/* Once for a VM. */
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_GPA) && errno != EEXIST)
		xvm_die("KVM_SET_TSS_ADDR");
	xvm_add_cpu(vm, id);
	vm->run[id] = mmap(NULL, XVM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			   vm->cpu[id], 0);
	if (vm->run[id] == MAP_FAILED)
		xvm_die("kvm_run");
	if (ioctl(vm->cpu[id], KVM_GET_SREGS, &sregs))
		xvm_die("KVM_GET_SREGS");
	set_segment(&sregs.cs, 11);
	set_segment(&sregs.ds, 3);
	set_segment(&sregs.es, 3);
	set_segment(&sregs.ss, 3);
	sregs.cr0 |= CR0_PE;
	if (ioctl(vm->cpu[id], KVM_SET_SREGS, &sregs) ||
	    ioctl(vm->cpu[id], KVM_SET_MP_STATE, &runnable))
		xvm_die("flat mode of vCPU %u", id);
}

int xvm_try_slot(struct xvm *vm, unsigned int slot, unsigned int flags,
		 uint64_t gpa, uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.userspace_addr = (uintptr_t)hva,
		.memory_size = size,
		.guest_phys_addr = gpa,
		.flags = flags,
		.slot = slot,
	};

	return xvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

void xvm_slot(struct xvm *vm, unsigned int slot, unsigned int flags,
	      uint64_t gpa, uint64_t size, void *hva)
{
	int r = xvm_try_slot(vm, slot, flags, gpa, size, hva);

	if (r)
		xvm_die("memory slot %u: %d", slot, r);
}

void xvm_attributes(struct xvm *vm, uint64_t gpa, uint64_t size, uint64_t attrs)
{
	struct kvm_memory_attributes a = {
		.address = gpa,
		.size = size,
		.attributes = attrs,
	};

	if (ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &a))
		xvm_die("KVM_SET_MEMORY_ATTRIBUTES");
}

void xvm_no_quirk(struct xvm *vm, uint64_t quirk)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DISABLE_QUIRKS2,
		.args = { quirk },
	};

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		xvm_die("quirk %#llx", (unsigned long long)quirk);
}

void xvm_dirty_log(struct xvm *vm, unsigned int slot, void *bitmap)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log))
		xvm_die("KVM_GET_DIRTY_LOG %u", slot);
}

void xvm_manual_log(struct xvm *vm, uint64_t flags)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { flags },
	};

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		xvm_die("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
}

void xvm_clear_log(struct xvm *vm, unsigned int slot, unsigned int first,
		   unsigned int nr, void *bits)
{
	struct kvm_clear_dirty_log clear = {
		.slot = slot,
		.first_page = first,
		.num_pages = nr,
		.dirty_bitmap = bits,
	};

	if (ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear))
		xvm_die("KVM_CLEAR_DIRTY_LOG %u", slot);
}

void xvm_use_rings(struct xvm *vm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
		.args = { XVM_RING * sizeof(struct kvm_dirty_gfn) },
	};

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		xvm_die("KVM_CAP_DIRTY_LOG_RING_ACQ_REL");
}

volatile struct kvm_dirty_gfn *xvm_ring(struct xvm *vm, unsigned int id)
{
	void *ring = mmap(NULL, XVM_RING * sizeof(struct kvm_dirty_gfn),
			  PROT_READ | PROT_WRITE, MAP_SHARED, vm->cpu[id],
			  KVM_DIRTY_LOG_PAGE_OFFSET * XVM_PAGE);

	if (ring == MAP_FAILED)
		xvm_die("dirty ring of vCPU %u", id);
	return ring;
}

int xvm_reset_rings(struct xvm *vm)
{
	int nr = ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0);

	if (nr < 0)
		xvm_die("KVM_RESET_DIRTY_RINGS");
	return nr;
}

void xvm_run_once(struct xvm *vm, unsigned int id, uint64_t gpa, uint8_t *code)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rip = gpa, .rflags = 2 };

	/* 1: out %al, $0x80; jmp 1b: KVM resumes after the OUT, so loop. */
	memcpy(code, "\xe6\x80\xeb\xfc", 4);
	if (!vm->run[id]) {
		vm->run[id] = mmap(NULL, XVM_PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED, vm->cpu[id], 0);
		if (vm->run[id] == MAP_FAILED)
			xvm_die("kvm_run");
	}
	if (ioctl(vm->cpu[id], KVM_GET_SREGS, &sregs))
		xvm_die("KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vm->cpu[id], KVM_SET_SREGS, &sregs) ||
	    ioctl(vm->cpu[id], KVM_SET_REGS, &regs))
		xvm_die("registers of vCPU %u", id);
	if (ioctl(vm->cpu[id], KVM_RUN, 0))
		xvm_die("KVM_RUN");
	if (vm->run[id]->exit_reason != KVM_EXIT_IO)
		xvm_die("exit reason %u (%u), not I/O",
			vm->run[id]->exit_reason,
			vm->run[id]->internal.suberror);
}

int xvm_shinfo_gfn(struct xvm *vm, uint64_t gfn)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
		.u.shared_info.gfn = gfn,
	};

	return xvm_ioctl(vm->fd, KVM_XEN_HVM_SET_ATTR, &attr);
}

int xvm_shinfo_hva(struct xvm *vm, void *hva)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA,
		.u.shared_info.hva = (uintptr_t)hva,
	};

	return xvm_ioctl(vm->fd, KVM_XEN_HVM_SET_ATTR, &attr);
}

int xvm_vm_attr(struct xvm *vm, const struct kvm_xen_hvm_attr *attr)
{
	return xvm_ioctl(vm->fd, KVM_XEN_HVM_SET_ATTR, (void *)attr);
}

static struct kvm_xen_hvm_attr xvm_get_attr(struct xvm *vm, unsigned int type)
{
	struct kvm_xen_hvm_attr attr = { .type = type };

	if (ioctl(vm->fd, KVM_XEN_HVM_GET_ATTR, &attr))
		xvm_die("KVM_XEN_HVM_GET_ATTR %u", type);
	return attr;
}

uint64_t xvm_get_shinfo_gfn(struct xvm *vm)
{
	return xvm_get_attr(vm, KVM_XEN_ATTR_TYPE_SHARED_INFO).u.shared_info.gfn;
}

uint64_t xvm_get_shinfo_hva(struct xvm *vm)
{
	return xvm_get_attr(vm, KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA)
		.u.shared_info.hva;
}

int xvm_cpu_attr(struct xvm *vm, unsigned int id, unsigned int type,
		 uint64_t value)
{
	struct kvm_xen_vcpu_attr attr = { .type = type, .u.gpa = value };

	return xvm_ioctl(vm->cpu[id], KVM_XEN_VCPU_SET_ATTR, &attr);
}

int xvm_get_cpu_attr(struct xvm *vm, unsigned int id, unsigned int type,
		     uint64_t *value)
{
	struct kvm_xen_vcpu_attr attr = { .type = type };
	int r = xvm_ioctl(vm->cpu[id], KVM_XEN_VCPU_GET_ATTR, &attr);

	*value = attr.u.gpa;
	return r;
}

int xvm_runstate(struct xvm *vm, unsigned int id, unsigned int state)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT,
		.u.runstate.state = state,
	};

	return xvm_ioctl(vm->cpu[id], KVM_XEN_VCPU_SET_ATTR, &attr);
}

void xvm_timer(struct xvm *vm, unsigned int id, unsigned int port, uint64_t ns)
{
	struct kvm_xen_vcpu_attr attr = {
		.type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
		.u.timer.port = port,
		.u.timer.priority = XVM_PRIO,
	};
	struct kvm_clock_data clock = {};

	if (ioctl(vm->fd, KVM_GET_CLOCK, &clock))
		xvm_die("KVM_GET_CLOCK");
	attr.u.timer.expires_ns = clock.clock + ns;
	if (ioctl(vm->cpu[id], KVM_XEN_VCPU_SET_ATTR, &attr))
		xvm_die("Xen timer of vCPU %u", id);
}

int xvm_ipi_port(struct xvm *vm, unsigned int flags, unsigned int port,
		 unsigned int id)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn = {
			.send_port = port,
			.type = EVTCHNSTAT_IPI,
			.flags = flags,
			.deliver.port = { port, id, XVM_PRIO },
		},
	};

	return xvm_vm_attr(vm, &attr);
}

int xvm_send(struct xvm *vm, unsigned int port, unsigned int id)
{
	struct kvm_irq_routing_xen_evtchn event = {
		.port = port,
		.vcpu = id,
		.priority = XVM_PRIO,
	};

	return xvm_ioctl(vm->fd, KVM_XEN_HVM_EVTCHN_SEND, &event);
}

/* Routes @nr lines from @gsi on to event channels from @port on. */
void xvm_route(struct xvm *vm, unsigned int gsi, unsigned int nr,
	       unsigned int port, unsigned int id)
{
	struct kvm_irq_routing *table;
	unsigned int i;

	table = calloc(1, sizeof(*table) + nr * sizeof(table->entries[0]));
	if (!table)
		xvm_die("no memory");
	table->nr = nr;
	for (i = 0; i < nr; i++) {
		table->entries[i].gsi = gsi + i;
		table->entries[i].type = KVM_IRQ_ROUTING_XEN_EVTCHN;
		table->entries[i].u.xen_evtchn.port = port + i;
		table->entries[i].u.xen_evtchn.vcpu = id;
		table->entries[i].u.xen_evtchn.priority = XVM_PRIO;
	}
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, table))
		xvm_die("KVM_SET_GSI_ROUTING");
	free(table);
}

int xvm_irqfd(struct xvm *vm, unsigned int gsi)
{
	struct kvm_irqfd irqfd = { .gsi = gsi };
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		xvm_die("eventfd");
	irqfd.fd = fd;
	if (ioctl(vm->fd, KVM_IRQFD, &irqfd))
		xvm_die("KVM_IRQFD %u", gsi);
	return fd;
}

void xvm_signal(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		xvm_die("eventfd write");
}

bool xvm_pending(const uint8_t *shinfo, unsigned int port)
{
	const volatile uint8_t *byte = shinfo + XEN_SHINFO_PENDING + port / 8;

	return *byte & (1u << (port % 8));
}

bool xvm_wait_pending(const uint8_t *shinfo, unsigned int port, int ms)
{
	uint64_t end = xvm_now_ns() + ms * 1000000ULL;

	while (!xvm_pending(shinfo, port)) {
		if (xvm_now_ns() > end)
			return false;
		xvm_sleep_ms(1);
	}
	return true;
}

void xvm_mem_create(struct xvm_mem *mem, size_t pages)
{
	mem->size = pages * XVM_PAGE;
	mem->memfd = memfd_create("xvm", MFD_CLOEXEC);
	if (mem->memfd < 0 || ftruncate(mem->memfd, mem->size))
		xvm_die("memfd");
	mem->witness = mmap(NULL, mem->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			    mem->memfd, 0);
	mem->map = mmap(NULL, mem->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			mem->memfd, 0);
	if (mem->witness == MAP_FAILED || mem->map == MAP_FAILED)
		xvm_die("mmap of the memfd");
	/* The pages stay for ever: a stale write must hit a page we can see. */
	memset(mem->witness, 0, mem->size);
}

/* Maps one page of @mem, over what is at @fixed if that is not NULL. */
uint8_t *xvm_map(struct xvm_mem *mem, size_t page, void *fixed)
{
	void *p = mmap(fixed, XVM_PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | (fixed ? MAP_FIXED : 0), mem->memfd,
		       page * XVM_PAGE);

	if (p == MAP_FAILED)
		xvm_die("mmap of page %zu", page);
	return p;
}

uint8_t *xvm_anon(size_t pages)
{
	void *p = mmap(NULL, pages * XVM_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		xvm_die("mmap");
	/* One small page at a time, or events would cover their neighbours. */
	madvise(p, pages * XVM_PAGE, MADV_NOHUGEPAGE);
	return p;
}

void *xvm_huge(size_t size, int flags)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		    MAP_ANONYMOUS | MAP_HUGETLB | flags, -1, 0);
}

/* The interface of the kernel's generations of pages. */
#define LRU_GEN		"/sys/kernel/debug/lru_gen"

bool xvm_ages_memory(void)
{
	return !access(LRU_GEN, W_OK);
}

bool xvm_age_memory(void)
{
	unsigned long memcg = 0, node = 0, seq = 0, n;
	char line[256], path[128], command[128];
	FILE *file = fopen(LRU_GEN, "r");
	bool ok;

	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " memcg %lu %127s", &n, path) == 2)
			memcg = n;
		else if (sscanf(line, " node %lu", &n) == 1)
			node = n;
		else if (sscanf(line, " %lu", &n) == 1)
			seq = n;
	}
	fclose(file);
	/* The youngest generation, swappable pages too, all of them. */
	snprintf(command, sizeof(command), "+ %lu %lu %lu 1 1", memcg, node,
		 seq);
	file = fopen(LRU_GEN, "w");
	if (!file)
		return false;
	ok = fputs(command, file) >= 0;
	return !fclose(file) && ok;
}

bool xvm_param(const char *name)
{
	char path[128], value = 'N';
	int fd;

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (read(fd, &value, 1) != 1)
			xvm_die("%s", path);
		close(fd);
	}
	return value == 'Y' || value == '1';
}

/* Without memory of its own: a task that is held may have the address space locked. */
bool xvm_stat(int fd, const char *name, uint64_t *value)
{
	union {
		struct kvm_stats_desc d;
		char room[128];
	} u;
	struct kvm_stats_header h;
	unsigned int i;
	size_t size;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h))
		xvm_die("statistics");
	size = sizeof(u.d) + h.name_size;
	if (size > sizeof(u))
		xvm_die("names of statistics");
	for (i = 0; i < h.num_desc; i++) {
		if (pread(fd, &u, size, h.desc_offset + i * size) != (ssize_t)size)
			xvm_die("description of a statistic");
		if (strcmp(u.d.name, name))
			continue;
		if (pread(fd, value, sizeof(*value),
			  h.data_offset + u.d.offset) != sizeof(*value))
			xvm_die("statistic %s", name);
		return true;
	}
	return false;
}

void xvm_sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

void xvm_sleep_ns(unsigned long ns)
{
	struct timespec ts = { .tv_nsec = ns };

	if (prctl(PR_SET_TIMERSLACK, 1))
		xvm_die("PR_SET_TIMERSLACK");
	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

static uint64_t xvm_clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t xvm_now_ns(void)
{
	return xvm_clock_ns(CLOCK_MONOTONIC);
}

uint64_t xvm_thread_cpu_ns(void)
{
	return xvm_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

pid_t xvm_tid(void)
{
	return syscall(SYS_gettid);
}

void xvm_send_fds(int sock, const int *fds, int nr)
{
	char control[CMSG_SPACE(XVM_FDS_MAX * sizeof(int))] = {}, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nr * sizeof(int));
	if (sendmsg(sock, &msg, 0) != 1)
		xvm_die("sendmsg");
}

void xvm_recv_fds(int sock, int *fds, int nr)
{
	char control[CMSG_SPACE(XVM_FDS_MAX * sizeof(int))] = {}, byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		xvm_die("recvmsg");
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_len != CMSG_LEN(nr * sizeof(int)))
		xvm_die("not %d descriptors", nr);
	memcpy(fds, CMSG_DATA(c), nr * sizeof(int));
}

/* Ticks of a thousand rounds of two instructions, or of five; the best of several. */
static uint64_t loop_ticks(bool five)
{
	uint64_t start, best = ~0ULL;
	unsigned long n;
	int i;

	for (i = 0; i < TICK_ROUNDS; i++) {
		n = 1000;
		start = __rdtsc();
		if (five)
			asm volatile("1: nop; nop; nop; dec %0; jnz 1b" : "+r" (n));
		else
			asm volatile("1: dec %0; jnz 1b" : "+r" (n));
		start = __rdtsc() - start;
		if (start < best)
			best = start;
	}
	return best;
}

bool xvm_ticks_are_instructions(void)
{
	return loop_ticks(false) / 100 == 20 && loop_ticks(true) / 100 == 50;
}

unsigned int xvm_allowed(unsigned int ticks)
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	return ebx == signature_AMD_ebx ? ticks : ticks + ticks / 10;
}
