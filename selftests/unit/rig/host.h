/* SPDX-License-Identifier: GPL-2.0 */
/* The process whose memory the guest has: pages that come, change and go. */
#ifndef _UNIT_HOST_H
#define _UNIT_HOST_H

#include <linux/kvm_host.h>

/*
 * One memslot, aligned so that all of it but its last pages can be huge. Guests come to
 * three regions of 2M and a few pages; with pages of 1G these are its first two regions,
 * its last one, and what follows. The number of a page tells where it is.
 */
#define HOST_REGIONS	3UL
#define HOST_REGION	512UL
#define HOST_PAGES	(HOST_REGIONS * HOST_REGION + 8)
#define HOST_HVA	UNIT_UADDR
#define HOST_GUESTS	4

extern struct host_layout {
	gfn_t gfn;		/* where the memslot begins */
	unsigned long pages;	/* how many it has */
	unsigned long region[HOST_REGIONS + 1];	/* which of its regions */
	bool giga;		/* they are in one page of 1G, and what follows it */
} host_layout;

#define HOST_GFN	(host_layout.gfn)
#define HOST_END	(host_layout.gfn + host_layout.pages)

/* With pages of 1G or not, and high enough for a fifth level of tables or not. */
void host_lay_out(bool giga, bool high);
/* The page's gfn, and back; what is not there fails the test. */
gfn_t host_gfn(unsigned long i);
unsigned long host_index(gfn_t gfn);

struct host_page {
	u64 owner;		/* gfn + 1 while it is mapped there, atomic */
	u64 life;		/* how often it came to be, atomic */
	u64 written;		/* by guests in this life, atomic */
	u64 dirty;		/* told so in this life, atomic */
	u64 folio;		/* pages that came as one, and are dirty as one */
	u64 word[HOST_GUESTS];	/* plain: a race with who may not be there */
};

/* How pages come: by chance, if a test does not say. */
enum host_how { HOST_CHANCE, HOST_NEVER, HOST_ALWAYS };
extern struct host_policy {
	enum host_how huge;
	enum host_how giga;	/* of the huge ones, those of 1G where there can be any */
	enum host_how shared;	/* only to be read, if that is what is asked for */
} host_policy;

void host_begin(struct mm_struct *mm);
/* Every page goes, and must have been told if it was written to. */
void host_end(void);

/* What a fault resolves; breaks copy-on-write as the host does. */
kvm_pfn_t host_gup(gfn_t gfn, bool write, bool *writable);
/* How often its page tables have been looked at without waiting; atomic. */
extern unsigned long host_looks;
/* How large a page the host has there. */
int host_level(gfn_t gfn);
/* Unmap, by the host's own rules. */
void host_unmap(gfn_t start, gfn_t end, bool blockable);
/* The same in two parts: from the first to the second nobody maps the pages. */
void host_unmap_begin(gfn_t start, gfn_t end);
void host_unmap_end(gfn_t start, gfn_t end);
/* The first of them in two: KVM is told, and the host still has the pages; they go. */
void host_unmap_tell(gfn_t start, gfn_t end);
void host_unmap_take(gfn_t start, gfn_t end);
/* One page of a huge one goes, in two parts: between them the huge page is still there. */
void host_discard_begin(gfn_t gfn);
void host_discard_end(gfn_t gfn);
/* Write back: told clean, if it was not written to since. */
void host_clean(gfn_t start, gfn_t end);
/* Ask for accesses; @clear them, and @flush. */
bool host_young(gfn_t gfn, bool clear, bool flush);

struct host_page *host_page(kvm_pfn_t pfn);

#endif
