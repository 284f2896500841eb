// SPDX-License-Identifier: GPL-2.0
/* Errors that are not passed on, planted between the caches' files (nomem.c). */
#include "nomem.h"

PLANTED(d_insert, "design: a cache that is used although the index had no memory for it", "used after invalidate_start had returned|expected: !usable")
{
	unit_mutants.insert_unheard = true;
	nomem_everywhere(&nomem_index);
}

PLANTED(d_map, "design: a refresh without a page that is called a success", "expected: usable(n->gpc)")
{
	unit_mutants.map_unheard = true;
	nomem_everywhere(&nomem_refresh);
}

PLANTED(d_kept, "design: a failure that leaves the old page mapped", "expected: n.w.mm->maps - n.w.mm->unmaps|expected: n->w.mm->maps == n->w.mm->unmaps")
{
	unit_mutants.unmap_nothing = true;
	nomem_everywhere(&nomem_move);
}
