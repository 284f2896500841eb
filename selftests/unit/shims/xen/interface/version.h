/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the base kernel's own header, as it is */
#ifndef _UNIT_SHIM_XEN_INTERFACE_VERSION_H
#define _UNIT_SHIM_XEN_INTERFACE_VERSION_H

#include "include/xen/interface/version.h"

#endif
