// SPDX-License-Identifier: GPL-2.0
/*
 * Says in modinfo which kvm-xen this is and which package's KVM it was built
 * on. Staged once per module.
 */
#include <linux/module.h>

MODULE_INFO(version, KVM_XEN_VERSION);
MODULE_INFO(kvm_xen_base, KVM_XEN_BASE);
