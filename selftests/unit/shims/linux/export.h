/* SPDX-License-Identifier: GPL-2.0 */
/* stub: nothing is exported here */
#ifndef _UNIT_SHIM_LINUX_EXPORT_H
#define _UNIT_SHIM_LINUX_EXPORT_H

#define EXPORT_SYMBOL(sym)	extern int __unit_unused_export
#define EXPORT_SYMBOL_GPL(sym)	extern int __unit_unused_export

#endif
