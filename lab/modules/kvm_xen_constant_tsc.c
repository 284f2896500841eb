// SPDX-License-Identifier: GPL-2.0
/*
 * Tell an emulated host that its TSC runs at a constant rate.
 *
 * KVM does not load on PREEMPT_RT without that (X86_FEATURE_CONSTANT_TSC).  QEMU's
 * TCG gives every CPU the same clock, at one rate, but has no way to announce it:
 * it drops the feature "invtsc".  This is loaded ahead of KVM, whose code looks at
 * the feature, or is patched for it, when it is loaded itself.
 */
#include <linux/module.h>

#include <asm/cpufeature.h>
#include <asm/processor.h>

static int __init constant_tsc_init(void)
{
	set_cpu_cap(&boot_cpu_data, X86_FEATURE_CONSTANT_TSC);
	return 0;
}

static void __exit constant_tsc_exit(void)
{
}

module_init(constant_tsc_init);
module_exit(constant_tsc_exit);

MODULE_DESCRIPTION("Announces the constant TSC of an emulated CPU");
MODULE_LICENSE("GPL");
