/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the base kernel's own header, as it is */
#ifndef _UNIT_SHIM_XEN_INTERFACE_FEATURES_H
#define _UNIT_SHIM_XEN_INTERFACE_FEATURES_H

#include "include/xen/interface/features.h"

#endif
