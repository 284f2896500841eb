// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables that a guest hypervisor makes for its own guest (EPT in EPT).
 *
 * Affected: guests that are hypervisors. Tried: entries of each kind that only EPT
 * has, in tables that L1 changes itself. A right system lets L2 do what the entry
 * allows, and hands L1 the rest with the qualification that a CPU would give.
 *
 * Here L0 is the host under test, L1 and L2 are below. L1 and L2 share their page
 * tables for virtual addresses; L1 sees the EPT entry of the page in question
 * through a window.
 */
#include <fcntl.h>

#include "kselftest_harness.h"

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "vmx.h"

#define EPT_R		BIT_ULL(0)
#define EPT_W		BIT_ULL(1)
#define EPT_X		BIT_ULL(2)
#define EPT_RWX		(EPT_R | EPT_W | EPT_X)
#define EPT_A		BIT_ULL(8)
#define EPT_D		BIT_ULL(9)
#define EPT_ADDRESS	GENMASK_ULL(51, 12)
#define EPT_LEVELS	4

#define CAP_EXEC_ONLY	BIT_ULL(0)
#define CAP_AD		BIT_ULL(21)

/* Exit qualification: what was tried, below what the entry allows. */
#define TRIED_READ	BIT_ULL(0)
#define TRIED_WRITE	BIT_ULL(1)
#define TRIED_FETCH	BIT_ULL(2)
#define TRIED		(TRIED_READ | TRIED_WRITE | TRIED_FETCH)
#define ALLOWED(rwx)	((rwx) << 3)
#define ALLOWED_ALL	ALLOWED(EPT_RWX)

#define EXIT_VIOLATION	48
#define EXIT_MISCONFIG	49
#define L2_STACK	64

/*
 * A page of L2's code with nothing else in it. It says that it runs, and reads
 * itself.
 */
extern char l2_page[];
uint32_t l2_saw;
asm(
	".pushsection .text\n"
	".balign 4096\n"
	"l2_page:\n"
	"	vmcall\n"
	"	mov l2_page(%rip), %eax\n"
	"	mov %eax, l2_saw(%rip)\n"
	"	vmcall\n"
	"	hlt\n"
	".balign 4096\n"
	".popsection\n"
);

static uint8_t l2_data[4096] __attribute__((__aligned__(4096)));

static void l2_reads_then_writes(void)
{
	READ_ONCE(l2_data[0]);
	vmcall();
	WRITE_ONCE(l2_data[0], 1);
	vmcall();
}

/* What the host tells L1. */
struct l1_args {
	struct vmx_pages *vmx;
	uint64_t *entry;	/* of the page, through the window */
	uint64_t gpa;		/* of the page, for L2 */
};

static void invept_all(void)
{
	struct {
		uint64_t eptp, zero;
	} none = {};

	asm volatile("invept %0, %1" : : "m"(none), "r"(2UL) : "cc", "memory");
}

/* The entry allows @rwx from now on. */
static void allow(struct l1_args *args, uint64_t rwx)
{
	WRITE_ONCE(*args->entry, (*args->entry & ~EPT_RWX) | rwx);
	invept_all();
}

static void begin(struct l1_args *args, void *rip)
{
	static unsigned long stack[L2_STACK];

	GUEST_ASSERT(prepare_for_vmx_operation(args->vmx));
	GUEST_ASSERT(load_vmcs(args->vmx));
	prepare_vmcs(args->vmx, rip, &stack[L2_STACK]);
}

static void expect_vmcall(void)
{
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_REASON_VMCALL);
	vmwrite(GUEST_RIP, vmreadz(GUEST_RIP) +
		vmreadz(VM_EXIT_INSTRUCTION_LEN));
}

static void expect_violation(struct l1_args *args, uint64_t tried,
			     uint64_t allowed)
{
	uint64_t qualification = vmreadz(EXIT_QUALIFICATION);

	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_VIOLATION);
	GUEST_ASSERT_EQ(qualification & TRIED, tried);
	GUEST_ASSERT_EQ(qualification & ALLOWED_ALL, ALLOWED(allowed));
	GUEST_ASSERT_EQ(vmreadz(GUEST_PHYSICAL_ADDRESS) & EPT_ADDRESS,
			args->gpa);
}

static void l1_exec_only(struct l1_args *args)
{
	begin(args, l2_page);
	allow(args, EPT_X);
	GUEST_ASSERT(!vmlaunch());
	expect_vmcall();		/* it ran */
	GUEST_ASSERT(!vmresume());
	expect_violation(args, TRIED_READ, EPT_X);
	GUEST_ASSERT_EQ(l2_saw, 0);
	allow(args, EPT_R | EPT_X);
	GUEST_ASSERT(!vmresume());
	expect_vmcall();
	GUEST_ASSERT_EQ(l2_saw, *(uint32_t *)l2_page);
	GUEST_DONE();
}

static void l1_not_executable(struct l1_args *args)
{
	begin(args, l2_page);
	allow(args, EPT_R | EPT_W);
	GUEST_ASSERT(!vmlaunch());
	expect_violation(args, TRIED_FETCH, EPT_R | EPT_W);
	allow(args, EPT_RWX);
	GUEST_ASSERT(!vmresume());
	expect_vmcall();
	GUEST_DONE();
}

/* To be written to and not read: no CPU takes such an entry. */
static void l1_misconfigured(struct l1_args *args)
{
	begin(args, l2_page);
	allow(args, EPT_W | EPT_X);
	GUEST_ASSERT(!vmlaunch());
	GUEST_ASSERT_EQ(vmreadz(VM_EXIT_REASON), EXIT_MISCONFIG);
	GUEST_ASSERT_EQ(vmreadz(GUEST_PHYSICAL_ADDRESS) & EPT_ADDRESS,
			args->gpa);
	allow(args, EPT_RWX);
	GUEST_ASSERT(!vmresume());
	expect_vmcall();
	GUEST_DONE();
}

static void l1_accessed_and_dirty(struct l1_args *args)
{
	begin(args, l2_reads_then_writes);
	WRITE_ONCE(*args->entry, *args->entry & ~(EPT_A | EPT_D));
	invept_all();
	GUEST_ASSERT(!vmlaunch());
	expect_vmcall();
	GUEST_ASSERT_EQ(*args->entry & (EPT_A | EPT_D), EPT_A);
	GUEST_ASSERT(!vmresume());
	expect_vmcall();
	GUEST_ASSERT_EQ(*args->entry & (EPT_A | EPT_D), EPT_A | EPT_D);
	GUEST_DONE();
}

/* Read-only: L1 sees the write, and L2 goes on once it may. */
static void l1_read_only(struct l1_args *args)
{
	begin(args, l2_reads_then_writes);
	allow(args, EPT_R);
	GUEST_ASSERT(!vmlaunch());
	expect_vmcall();
	GUEST_ASSERT(!vmresume());
	expect_violation(args, TRIED_WRITE, EPT_R);
	GUEST_ASSERT_EQ(l2_data[0], 0);
	allow(args, EPT_R | EPT_W);
	GUEST_ASSERT(!vmresume());
	expect_vmcall();
	GUEST_ASSERT_EQ(l2_data[0], 1);
	GUEST_DONE();
}

static bool have_vmx(void)
{
	return !access("/sys/module/kvm_intel", F_OK) &&
	       kvm_cpu_has(X86_FEATURE_VMX) && kvm_cpu_has_ept();
}

static bool have_cap(uint64_t cap)
{
	return kvm_get_feature_msr(MSR_IA32_VMX_EPT_VPID_CAP) & cap;
}

/* The EPT entry that maps @gpa, and the page of L1's that it lies in. */
static uint64_t *find_entry(struct kvm_vm *vm, struct vmx_pages *vmx,
			    uint64_t gpa, uint64_t *table_gpa)
{
	uint64_t *entry, *table = vmx->eptp_hva;
	int level;

	for (level = EPT_LEVELS; ; level--) {
		entry = &table[gpa >> (12 + 9 * (level - 1)) & 511];
		if (level == 1)
			return entry;
		*table_gpa = *entry & EPT_ADDRESS;
		table = addr_gpa2hva(vm, *table_gpa);
	}
}

/* Runs @l1, with the EPT entry of the page at @page in its window. */
static void run(void (*l1)(struct l1_args *args), void *page)
{
	vm_vaddr_t vmx_gva, args_gva, window;
	uint64_t table_gpa, *entry, *pte;
	struct kvm_vcpu *vcpu;
	struct vmx_pages *vmx;
	struct l1_args *args;
	struct kvm_vm *vm;
	struct ucall uc;

	vm = vm_create_with_one_vcpu(&vcpu, l1);
	vmx = vcpu_alloc_vmx(vm, &vmx_gva);
	args_gva = vm_vaddr_alloc_page(vm);
	window = vm_vaddr_alloc_page(vm);
	prepare_eptp(vmx, vm, 0);
	nested_map_memslot(vmx, vm, 0);

	args = addr_gva2hva(vm, args_gva);
	args->vmx = (void *)vmx_gva;
	args->gpa = addr_gva2gpa(vm, (vm_vaddr_t)page);
	entry = find_entry(vm, vmx, args->gpa, &table_gpa);
	args->entry = (void *)(window + (uintptr_t)entry % 4096);
	pte = vm_get_page_table_entry(vm, window);
	*pte = (*pte & ~EPT_ADDRESS) | table_gpa;
	vcpu_args_set(vcpu, 1, args_gva);

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_DONE:
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	default:
		TEST_FAIL("ucall %lu", uc.cmd);
	}
	kvm_vm_free(vm);
}

FIXTURE(ept) {
};

FIXTURE_SETUP(ept)
{
	if (!have_vmx())
		SKIP(return, "needs nested VMX with EPT");
}

FIXTURE_TEARDOWN(ept)
{
}

TEST_F_TIMEOUT(ept, exec_only_page_runs_and_is_not_read, 120)
{
	if (!have_cap(CAP_EXEC_ONLY))
		SKIP(return, "the CPU has no pages that only execute");
	run(l1_exec_only, l2_page);
}

TEST_F_TIMEOUT(ept, page_without_exec_does_not_run, 120)
{
	run(l1_not_executable, l2_page);
}

TEST_F_TIMEOUT(ept, write_only_entry_is_misconfigured, 120)
{
	run(l1_misconfigured, l2_page);
}

TEST_F_TIMEOUT(ept, accessed_and_dirty_bits_are_set, 120)
{
	if (!have_cap(CAP_AD))
		SKIP(return, "the CPU has no accessed and dirty bits in EPT");
	run(l1_accessed_and_dirty, l2_data);
}

TEST_F_TIMEOUT(ept, read_only_page_is_not_written, 120)
{
	run(l1_read_only, l2_data);
}

TEST_HARNESS_MAIN
