/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A Xen-flavoured virtual machine made with raw KVM ioctls, for tests of what
 * KVM writes into guest memory.
 *
 * Memory comes from a memfd that the test maps a second time (the witness), so
 * a write that KVM makes through a stale mapping is seen in the page it hit and
 * never lands in freed memory.
 *
 * Functions without a result stop the test (SIGABRT) when they cannot do their
 * work; those with a result return 0 or a negative errno for the test to judge.
 */
#ifndef XVM_H
#define XVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/kvm.h>

#define XVM_PAGE		4096UL
#define XVM_CPU_MAX		1024
#define XVM_PRIO		((__u32)(-1))	/* two-level event channels */
#define XVM_RING		1024

/* Xen public ABI, 64-bit guest: offsets in shared_info and vcpu_info. */
#define XEN_SHINFO_PENDING	2048
#define XEN_SHINFO_MASK		2560
#define XEN_VCPU_INFO_SEL	8
#define XEN_VCPU_INFO_SIZE	64
#define XEN_TIME_INFO_SIZE	32
#define XEN_RUNSTATE_SIZE	0x30
#define EVTCHNSTAT_CLOSED	0
#define EVTCHNSTAT_UNBOUND	1
#define EVTCHNSTAT_INTERDOMAIN	2
#define EVTCHNSTAT_PIRQ		3
#define EVTCHNSTAT_VIRQ		4
#define EVTCHNSTAT_IPI		5

struct xvm {
	int fd;
	int cpu[XVM_CPU_MAX];
	struct kvm_run *run[XVM_CPU_MAX];
};

struct xvm_mem {
	int memfd;
	size_t size;
	uint8_t *map;		/* what KVM is pointed at; tests remap it */
	uint8_t *witness;	/* the memfd's pages, always */
};

/* Says where and why, then aborts: the kselftest harness counts a failure. */
#define xvm_die(fmt, ...) \
	__xvm_die(__FILE__, __LINE__, fmt, ##__VA_ARGS__)
void __attribute__((noreturn, format(printf, 3, 4)))
__xvm_die(const char *file, int line, const char *fmt, ...);

/* Life of a VM. */
void xvm_create(struct xvm *vm, bool irqchip);
/* @type: KVM_X86_*_VM; does the kernel have it? */
bool xvm_has_type(unsigned int type);
void xvm_create_type(struct xvm *vm, unsigned int type, bool irqchip);
void xvm_destroy(struct xvm *vm);
void xvm_add_cpu(struct xvm *vm, unsigned int id);
/* One that is ready to run, in flat 32-bit mode without paging. */
void xvm_add_flat_cpu(struct xvm *vm, unsigned int id);
void xvm_slot(struct xvm *vm, unsigned int slot, unsigned int flags,
	      uint64_t gpa, uint64_t size, void *hva);
int xvm_try_slot(struct xvm *vm, unsigned int slot, unsigned int flags,
		 uint64_t gpa, uint64_t size, void *hva);
/* Whole pages get KVM_MEMORY_ATTRIBUTE_*, and no others. */
void xvm_attributes(struct xvm *vm, uint64_t gpa, uint64_t size, uint64_t attrs);
/* @quirk: KVM_X86_QUIRK_*, which ends. */
void xvm_no_quirk(struct xvm *vm, uint64_t quirk);
void xvm_dirty_log(struct xvm *vm, unsigned int slot, void *bitmap);
/* @flags: KVM_DIRTY_LOG_*; then logged pages are watched again when cleared. */
void xvm_manual_log(struct xvm *vm, uint64_t flags);
void xvm_clear_log(struct xvm *vm, unsigned int slot, unsigned int first,
		   unsigned int nr, void *bits);
/* Writes are logged in a ring of each vCPU, which is added later. */
void xvm_use_rings(struct xvm *vm);
/* The ring of a vCPU, of XVM_RING entries. */
volatile struct kvm_dirty_gfn *xvm_ring(struct xvm *vm, unsigned int id);
/* Returns how many entries were given back, and are watched again. */
int xvm_reset_rings(struct xvm *vm);
/* Runs a real-mode guest at @gpa, backed by @code, up to its next I/O exit. */
void xvm_run_once(struct xvm *vm, unsigned int id, uint64_t gpa,
		  uint8_t *code);

/* Xen attributes: @id names the vCPU. */
int xvm_vm_attr(struct xvm *vm, const struct kvm_xen_hvm_attr *attr);
int xvm_shinfo_gfn(struct xvm *vm, uint64_t gfn);
int xvm_shinfo_hva(struct xvm *vm, void *hva);
uint64_t xvm_get_shinfo_gfn(struct xvm *vm);
uint64_t xvm_get_shinfo_hva(struct xvm *vm);
int xvm_cpu_attr(struct xvm *vm, unsigned int id, unsigned int type,
		 uint64_t value);
int xvm_get_cpu_attr(struct xvm *vm, unsigned int id, unsigned int type,
		     uint64_t *value);
int xvm_runstate(struct xvm *vm, unsigned int id, unsigned int state);
/* Arms the vCPU's Xen timer @ns nanoseconds from now. */
void xvm_timer(struct xvm *vm, unsigned int id, unsigned int port, uint64_t ns);

/* Events. @flags: KVM_XEN_EVTCHN_*, of the guest's EVTCHNOP_send to @id. */
int xvm_ipi_port(struct xvm *vm, unsigned int flags, unsigned int port,
		 unsigned int id);
int xvm_send(struct xvm *vm, unsigned int port, unsigned int id);
void xvm_route(struct xvm *vm, unsigned int gsi, unsigned int nr,
	       unsigned int port, unsigned int id);
int xvm_irqfd(struct xvm *vm, unsigned int gsi);
void xvm_signal(int eventfd);
bool xvm_pending(const uint8_t *shinfo, unsigned int port);
bool xvm_wait_pending(const uint8_t *shinfo, unsigned int port, int ms);

/* Memory. */
void xvm_mem_create(struct xvm_mem *mem, size_t pages);
uint8_t *xvm_map(struct xvm_mem *mem, size_t page, void *fixed);
uint8_t *xvm_anon(size_t pages);
/* One page of a size that @flags name (MAP_HUGE_2MB), or MAP_FAILED. */
void *xvm_huge(size_t size, int flags);
/* Has the kernel ask which pages were used lately, those of guests among them. */
bool xvm_ages_memory(void);
bool xvm_age_memory(void);

/* Is a switch of a module's on? @name: "kvm_intel/parameters/pml"; no module, no. */
bool xvm_param(const char *name);
/* A counter of KVM's, by its name there; @fd: of KVM_GET_STATS_FD. */
bool xvm_stat(int fd, const char *name, uint64_t *value);

/*
 * Costs, in ticks of the TSC. On the emulated hosts a tick is an instruction; elsewhere
 * they say nothing. Where indirect calls are made by way of retpolines, each takes some
 * more: xvm_allowed() is what a bound of the AMD host's is there.
 */
bool xvm_ticks_are_instructions(void);
unsigned int xvm_allowed(unsigned int ticks);

/* Small things. */
void xvm_sleep_ms(int ms);
/* Less than a second, and to the nanosecond as far as the host's timers go. */
void xvm_sleep_ns(unsigned long ns);
uint64_t xvm_now_ns(void);
uint64_t xvm_thread_cpu_ns(void);
pid_t xvm_tid(void);
void xvm_send_fds(int sock, const int *fds, int nr);
void xvm_recv_fds(int sock, int *fds, int nr);

#endif
