/* SPDX-License-Identifier: GPL-2.0 */
/* stub: no trace events are made */
