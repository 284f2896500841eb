/* SPDX-License-Identifier: GPL-2.0 */
/* custom: a seq_file is a buffer that a test reads */
#ifndef _UNIT_SHIM_LINUX_SEQ_FILE_H
#define _UNIT_SHIM_LINUX_SEQ_FILE_H

#include <stdio.h>
#include <linux/types.h>

struct inode;
struct file;
struct seq_file {
	void *private;
	char *buf;
	size_t size, count;
};

/* What a file of debugfs does when read, without the file. */
struct file_operations {
	int (*show)(struct seq_file *s, void *unused);
};

#define seq_printf(s, fmt, ...) \
	((void)((s)->count += snprintf((s)->buf + (s)->count, \
				       (s)->size - (s)->count, \
				       fmt, ##__VA_ARGS__)))
#define seq_puts(s, text)	seq_printf(s, "%s", text)
#define DEFINE_SHOW_ATTRIBUTE(name) \
	static const struct file_operations name##_fops = { \
		.show = name##_show, \
	}

#endif
