/* SPDX-License-Identifier: GPL-2.0 */
/* stub: no modules here */
#ifndef _UNIT_SHIM_LINUX_MODULE_H
#define _UNIT_SHIM_LINUX_MODULE_H

#include <linux/export.h>
#include <linux/kernel.h>
#define MODULE_LICENSE(x)	extern int __unit_unused_export
#define MODULE_DESCRIPTION(x)	extern int __unit_unused_export
#define module_param_named(n, v, t, perm) extern int __unit_unused_export
#define THIS_MODULE		NULL

#endif
