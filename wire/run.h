/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs: messages about neighbouring pages that travel as one, see RUN in wire/msg.h. Pure.
 *
 * The laws: a message that joins is the last page's message of the run, and wire_check() finds a
 * run good that was made of good messages.
 */
#ifndef SSIHV_WIRE_RUN_H
#define SSIHV_WIRE_RUN_H

#include "wire/msg.h"

/** wire_run_pages() - how many pages @h speaks of. */
static inline unsigned wire_run_pages(const struct wire_hdr *h)
{
	return h->more + 1u;
}

/**
 * wire_run_join() - let @run speak of the page of @h, too, if @h is its continuation
 * @h: about one page
 *
 * Return: false, and @run is as it was, when @h differs in more than the page, is not about the
 * next one or of another region, or when the run is as long as it may be.
 */
bool wire_run_join(struct wire_hdr *run, const struct wire_hdr *h);

/**
 * wire_run_part() - what @run says of @pages pages from the @first-th on
 *
 * Together they are within the run. A payload is that of @run from @first pages on.
 */
struct wire_hdr wire_run_part(const struct wire_hdr *run, unsigned first, unsigned pages);

#endif
