/* SPDX-License-Identifier: GPL-2.0 */
/* custom: kernel messages go to the test's log */
#ifndef _UNIT_SHIM_LINUX_PRINTK_H
#define _UNIT_SHIM_LINUX_PRINTK_H

#include "rig/rig.h"
#define printk(fmt, ...)	unit_log(fmt, ##__VA_ARGS__)
#define pr_cont			printk
#define pr_info			printk
#define pr_warn			printk
#define pr_err			printk
#define pr_debug(fmt, ...)	((void)0)
#define pr_warn_once		printk
#define pr_err_once		printk
#define pr_warn_ratelimited	printk
#define KERN_CONT		""

#endif
