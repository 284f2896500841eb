/* SPDX-License-Identifier: GPL-2.0 */
/* dup: parts of a word, by their constant masks. */
#ifndef UNIT_LINUX_BITFIELD_H
#define UNIT_LINUX_BITFIELD_H

#define FIELD_FIT(m, v)		(!(~((m) >> __builtin_ctzll(m)) & (u64)(v)))
#define FIELD_PREP(m, v)	((u64)(v) << __builtin_ctzll(m) & (m))
#define FIELD_GET(m, v)		(((v) & (m)) >> __builtin_ctzll(m))

#endif
