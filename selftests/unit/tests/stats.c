// SPDX-License-Identifier: GPL-2.0
/* What an operator reads in debugfs. The base kernel has no such file. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <stdio.h>
#include <string.h>
#include "world.h"

static void expect_line(const char *name, long value)
{
	char text[2048], line[80];
	struct seq_file s = { .private = unit_debugfs.data, .buf = text,
			      .size = sizeof(text) };

	EXPECT_EQ(unit_debugfs.fops->show(&s, NULL), 0);
	snprintf(line, sizeof(line), "%s %ld\n", name, value);
	if (!strstr(text, line))
		unit_fail("expected", "line '%s %ld' in:\n%s", name, value,
			  text);
}

TEST(stats_file, "stats: the file is made once and counts what happened")
{
	struct world w;
	struct gfn_to_pfn_cache *gpc[3];
	struct bg bg;
	int i;

	world_begin(&w);
	EXPECT(!unit_debugfs.made);
	for (i = 0; i < 3; i++) {
		gpc[i] = gpc_new(&w);
		EXPECT_EQ(activate(gpc[i], SLOT_GPA + i * PAGE_SIZE, 8), 0);
	}
	EXPECT_EQ(unit_debugfs.made, 1);
	EXPECT(!strcmp(unit_debugfs.name, "pfncache"));
	expect_line("caches", 3);
	expect_line("invalidations", 0);
	expect_line("page_resolutions", 3);

	unit_mm_zap(w.mm, FREE_HVA, FREE_HVA + PAGE_SIZE);
	unit_mn_start(w.mm, SLOT_HVA, SLOT_HVA + 2 * PAGE_SIZE, true);
	expect_line("invalidations", 2);
	expect_line("hits", 2);
	bg_refresh(&bg, &w, gpc[0]);
	expect_sleepers(1);
	expect_line("waits", 1);
	unit_mn_end(w.mm, SLOT_HVA, SLOT_HVA + 2 * PAGE_SIZE, true);
	EXPECT_EQ(bg_wait(&bg), 0);
	expect_line("page_resolutions", 4);
	expect_line("raced", 0);
	/* Once for two caches, and never for none. */
	expect_line("quiesces", 1);
	unit_slots_touch(w.kvm);
	EXPECT(usable(gpc[0]) && usable(gpc[2]));
	expect_line("quiesces", 1);
	unit_slot_mark_invalid(w.kvm, 0);
	expect_line("quiesces", 2);
	expect_line("failures", 0);
	for (i = 0; i < 3; i++)
		gpc_gone(gpc[i]);
	EXPECT_EQ(unit_debugfs.made, 1);
	world_end(&w);
}
