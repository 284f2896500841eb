/* SPDX-License-Identifier: GPL-2.0 */
/* dup: the few bitmap operations the XArray and the caches use */
#ifndef _UNIT_SHIM_LINUX_BITMAP_H
#define _UNIT_SHIM_LINUX_BITMAP_H

#include <string.h>
#include <linux/bitops.h>
#include <linux/kernel.h>
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]
static inline unsigned long find_next_bit(const unsigned long *p,
					  unsigned long size, unsigned long i)
{
	while (i < size && !test_bit(i, p))
		i++;
	return i < size ? i : size;
}
static inline unsigned long find_first_bit(const unsigned long *p,
					   unsigned long size)
{
	return find_next_bit(p, size, 0);
}
static inline unsigned long find_first_zero_bit(const unsigned long *p,
						unsigned long size)
{
	unsigned long i = 0;

	while (i < size && test_bit(i, p))
		i++;
	return i;
}
static inline unsigned long find_last_bit(const unsigned long *p,
					  unsigned long size)
{
	unsigned long i = size;

	while (i && !test_bit(i - 1, p))
		i--;
	return i ? i - 1 : size;
}
#define for_each_set_bit(i, p, size) \
	for ((i) = find_first_bit(p, size); (i) < (size); \
	     (i) = find_next_bit(p, size, (i) + 1))
static inline void bitmap_fill(unsigned long *p, unsigned int bits)
{
	memset(p, 0xff, BITS_TO_LONGS(bits) * sizeof(*p));
}
static inline void bitmap_zero(unsigned long *p, unsigned int bits)
{
	memset(p, 0, BITS_TO_LONGS(bits) * sizeof(*p));
}
static inline bool bitmap_empty(const unsigned long *p, unsigned int bits)
{
	return find_first_bit(p, bits) >= bits;
}
static inline void bitmap_set(unsigned long *p, unsigned int start,
			      unsigned int n)
{
	while (n--)
		set_bit(start++, p);
}
static inline void bitmap_clear(unsigned long *p, unsigned int start,
				unsigned int n)
{
	while (n--)
		clear_bit(start++, p);
}

#endif
