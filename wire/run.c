/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/run.h"

/* What of a header belongs to its pages. */
static void set_pages(struct wire_hdr *h, uint64_t addr, unsigned pages)
{
	h->len = h->len / wire_run_pages(h) * pages;
	h->more = (uint8_t)(pages - 1);
	h->addr = addr;
}

struct wire_hdr wire_run_part(const struct wire_hdr *run, unsigned first, unsigned pages)
{
	struct wire_hdr part = *run;

	set_pages(&part, run->addr + first * PAGE_BYTES, pages);
	return part;
}

bool wire_run_join(struct wire_hdr *run, const struct wire_hdr *h)
{
	unsigned pages = wire_run_pages(run);
	uint64_t next = run->addr + pages * PAGE_BYTES;
	struct wire_hdr last = *run;

	set_pages(&last, next, 1);
	if (!wire_may_run(run->type) || pages == WIRE_RUN_PAGES || next % REGION_BYTES == 0 ||
	    memcmp(&last, h, sizeof(last)))
		return false;
	set_pages(run, run->addr, pages + 1);
	return true;
}
