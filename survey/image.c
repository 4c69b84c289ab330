/* SPDX-License-Identifier: Apache-2.0 */
#include "survey/survey.h"

static bool in_image(const struct survey_range *r)
{
	return r->va >= SURVEY_KERNEL && r->va < SURVEY_MODULES;
}

/* Up to where the range is in the part of the image that is taken. */
static uint64_t end_of(const struct survey_range *r, uint64_t limit)
{
	return r->pages < (limit - r->va) / PAGE_BYTES ? r->va + r->pages * PAGE_BYTES : limit;
}

/* @left: pages that may be read: vCPUs whose tables disagree may map an address more than once. */
static int read_range(const struct survey_source *source, const struct survey_range *r,
		      uint8_t *image, uint64_t va, uint64_t end, uint64_t *left)
{
	for (uint64_t at = r->va; at < end && *left; at += PAGE_BYTES, --*left) {
		int error = source->read(source->ctx, r->gpa + (at - r->va), image + (at - va),
					 PAGE_BYTES);
		if (error == -EFAULT)
			memset(image + (at - va), 0, PAGE_BYTES);
		else if (error < 0)
			return error;
	}
	return 0;
}

int survey_image(const struct survey_source *source, const struct survey *s, uint8_t **ret,
		 size_t *ret_len, uint64_t *ret_va)
{
	uint64_t va = SURVEY_MODULES, end = 0;

	for (size_t i = 0; i < s->ranges; i++)
		if (in_image(&s->range[i]))
			va = MIN(va, s->range[i].va);
	const uint64_t limit = MIN(va + SURVEY_IMAGE_BYTES, SURVEY_MODULES);
	for (size_t i = 0; i < s->ranges; i++)
		if (in_image(&s->range[i]) && s->range[i].va < limit)
			end = MAX(end, end_of(&s->range[i], limit));
	if (end <= va)
		return -ENOENT;
	uint64_t left = (end - va) / PAGE_BYTES;
	_cleanup_free_ uint8_t *image = calloc(1, end - va);
	if (!image)
		return -ENOMEM;
	for (size_t i = 0; i < s->ranges; i++) {
		const struct survey_range *r = &s->range[i];
		int error = in_image(r) && r->va < limit
				    ? read_range(source, r, image, va, end_of(r, limit), &left)
				    : 0;
		if (error < 0)
			return error;
	}
	*ret = TAKE_PTR(image);
	*ret_len = end - va;
	*ret_va = va;
	return 0;
}
