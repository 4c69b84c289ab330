/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/stream.h"

#define SLACK 4	   /* steps behind a batch at which its stream may go on */
#define YOUNG 3	   /* deltas that a stream has when it must know where it goes, or stay close */
#define FAR   128u /* pages: how far a young stream reaches */
#define NEAR  4u
#define WRITE 2 /* batches for writing that the last write pays for */

void streams_init(struct streams *t)
{
	*t = (struct streams){.first = STREAM_FIRST};
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static uint64_t head(const struct stream *s)
{
	return s->at + (uint64_t)((int64_t)s->span * s->step);
}

/* How many steps lead from the last fault to @page; 0: it is not on the way. */
static uint64_t steps_to(const struct stream *s, uint64_t page)
{
	int64_t away = (int64_t)(page - s->at);

	if (!s->step || away % s->step || away / s->step < 0)
		return 0;
	return (uint64_t)(away / s->step);
}

static bool goes_on(const struct stream *s, uint64_t page)
{
	uint64_t steps = steps_to(s, page);

	return steps > s->span && steps <= s->span + (s->span ? SLACK : 1u);
}

static bool in_batch(const struct stream *s, uint64_t page)
{
	uint64_t steps = steps_to(s, page);

	return steps > 0 && steps <= s->span;
}

static uint64_t reach(const struct stream *s)
{
	return s->deltas < YOUNG ? FAR : MIN(FAR, NEAR + 4u * (unsigned)abs(s->step));
}

/* The batch has ended, and what is open of it was for nothing; @blamed: should it be shorter? */
static void end_batch(struct streams *t, struct stream *s, struct stream_stats *stats, bool blamed)
{
	stats->wrong += s->open;
	if (blamed && 2 * s->open > s->span) {
		s->depth /= 2;
		t->first /= 2;
	}
	s->span = s->open = 0;
}

static void confirm(struct stream *s, struct stream_stats *stats, unsigned pages)
{
	pages = MIN(pages, s->open);
	stats->right += pages;
	s->open = (uint8_t)(s->open - pages);
}

static struct stream *begin(struct streams *t, struct stream *s, struct stream_stats *stats,
			    uint64_t page)
{
	end_batch(t, s, stats, true);
	*s = (struct stream){.at = page, .depth = t->first};
	return s;
}

/* The stream that a fault on @page belongs to; a new one when there is none. */
static struct stream *stream_of(struct streams *t, struct stream_stats *stats, uint64_t page)
{
	struct stream *nearest = NULL, *oldest = &t->stream[0];
	uint64_t best = FAR + 1;

	for (unsigned i = 0; i < STREAMS; i++) {
		struct stream *s = &t->stream[i];

		if (s->used < oldest->used)
			oldest = s;
		if (!s->used)
			continue;
		if (goes_on(s, page) || in_batch(s, page))
			return s;
		uint64_t away = MIN(distance(page, s->at), distance(page, head(s)));
		if (away <= reach(s) && away < best) {
			best = away;
			nearest = s;
		}
	}
	return nearest ? nearest : begin(t, oldest, stats, page);
}

/* All of the batch was wanted. */
static void reward(struct streams *t, struct stream *s, struct stream_stats *stats)
{
	confirm(s, stats, s->open);
	s->span = 0;
	s->depth = (uint8_t)MIN(2u * s->depth + 1, STREAM_MAX);
	t->first = (uint8_t)MIN(2u * t->first + 1, STREAM_FIRST);
}

/* The pages of the batch were the right ones, but the thread writes, and they may only be read. */
static void write_from_now(struct streams *t, struct stream *s, struct stream_stats *stats)
{
	s->write = WRITE;
	s->depth = s->depth > 0;
	end_batch(t, s, stats, false);
}

/* What was asked for is judged by where the stream goes on. */
static void judge(struct streams *t, struct stream *s, struct stream_stats *stats, uint64_t page,
		  bool write)
{
	if (s->span && goes_on(s, page)) {
		reward(t, s, stats);
		if (s->write && !write)
			s->write--;
	} else if (write && !s->write && in_batch(s, page)) {
		write_from_now(t, s, stats);
	} else {
		end_batch(t, s, stats, true);
	}
	if (write && s->write)
		s->write = WRITE;
}

/* Boyer and Moore: the only value that can be the majority of the newest @n; then it is counted. */
static int16_t majority(const struct stream *s, unsigned n)
{
	unsigned votes = 0, all = 0;
	int16_t step = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!votes)
			step = s->delta[i];
		votes += s->delta[i] == step ? 1u : -1u;
	}
	for (unsigned i = 0; i < n; i++)
		all += s->delta[i] == step;
	return 2 * all > n ? step : 0;
}

static int16_t vote(const struct stream *s)
{
	int16_t step = 0;

	for (unsigned n = 2; !step && n <= s->deltas; n *= 2)
		step = majority(s, n);
	return step;
}

static void go_to(struct stream *s, uint64_t page, uint64_t from)
{
	int64_t delta = (int64_t)(page - from);

	s->at = page;
	memmove(&s->delta[1], &s->delta[0], sizeof(s->delta) - sizeof(s->delta[0]));
	s->delta[0] = (int16_t)delta;
	s->deltas = (uint8_t)MIN(s->deltas + 1, STREAM_WINDOW);
	s->step = vote(s);
}

/* Pages of the step between @page and the end of its region. */
static unsigned room(uint64_t page, int16_t step)
{
	unsigned at = page % REGION_PAGES;

	return (step > 0 ? (unsigned)REGION_PAGES - 1 - at : at) / (unsigned)abs(step);
}

static unsigned how_many(struct streams *t, struct stream *s)
{
	unsigned pages = s->step ? MIN(s->depth, room(s->at, s->step)) : 0;

	if (!s->step || s->depth || ++t->passed < STREAM_PROBE)
		return pages;
	t->passed = 0;
	return MIN(1u, room(s->at, s->step));
}

/* What the way to @page is counted from: behind a batch that is the batch's end. */
static uint64_t origin(const struct stream *s, uint64_t page)
{
	return distance(page, s->at) < distance(page, head(s)) ? s->at : head(s);
}

/* Another fault on the page that was the last, or the first one of a stream. */
static void fault_again(struct streams *t, struct stream *s, struct stream_stats *stats, bool write)
{
	if (write && s->span && !s->write)
		write_from_now(t, s, stats);
	else if (write && s->write)
		s->write = WRITE;
}

struct stream_batch stream_fault(struct streams *t, struct stream_stats *stats, uint64_t gpa,
				 bool write)
{
	uint64_t page = gpa / PAGE_BYTES, from;
	struct stream *s = stream_of(t, stats, page);

	s->used = ++t->faults;
	t->last = (uint8_t)(s - t->stream);
	if (s->at == page) {
		fault_again(t, s, stats, write);
		return (struct stream_batch){0};
	}
	from = origin(s, page);
	judge(t, s, stats, page, write);
	go_to(s, page, from);
	s->span = (uint8_t)how_many(t, s);
	return (struct stream_batch){
		.pages = s->span,
		.step = s->step * (int64_t)PAGE_BYTES,
		.write = s->write > 0,
	};
}

void stream_asked(struct streams *t, struct stream_stats *stats, unsigned tried, unsigned asked)
{
	struct stream *s = &t->stream[t->last];

	s->span = (uint8_t)tried;
	s->open = (uint8_t)asked;
	stats->asked += asked;
}

void stream_joined(struct streams *t, struct stream_stats *stats, uint64_t gpa)
{
	uint64_t page = gpa / PAGE_BYTES;

	for (unsigned i = 0; i < STREAMS; i++) {
		struct stream *s = &t->stream[i];

		if (!s->used || !in_batch(s, page))
			continue;
		unsigned steps = (unsigned)steps_to(s, page);
		confirm(s, stats, steps);
		s->span = (uint8_t)(s->span - steps);
		s->at = page;
		s->used = ++t->faults;
		if (!s->span)
			reward(t, s, stats);
		return;
	}
}
