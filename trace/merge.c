/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/merge.h"

#include "wire/msg.h"

/* Messages on their way from one node to another, each with what its sender had seen. */
struct flights {
	struct trace_record *record;
	uint64_t *seen; /* `nodes` words each */
	size_t first, count, room;
};

struct stream {
	struct trace_cursor cursor;
	struct trace_record next; /* if `have` */
	bool have;
	bool over; /* nothing follows */
	bool torn; /* something does, and is missing */
	uint64_t *seen;
};

struct merge {
	const struct trace_set *set;
	unsigned nodes, shard;
	const struct trace_merge_ops *ops;
	void *ctx;
	struct stream *stream;
	struct flights *flights; /* [from * nodes + to] */
	bool ended;
	int error;
};

static struct flights *flights_of(struct merge *m, unsigned from, unsigned to)
{
	return &m->flights[from * m->nodes + to];
}

static int grow(struct flights *f, unsigned nodes)
{
	size_t room = MAX(2 * f->room, (size_t)64), word = nodes * sizeof(uint64_t);
	struct trace_record *record = calloc(room, sizeof(*record));
	uint64_t *seen = calloc(room, word);

	if (!record || !seen) {
		free(record);
		free(seen);
		return -ENOMEM;
	}
	for (size_t i = 0; i < f->count; i++) {
		size_t from = (f->first + i) % f->room;

		record[i] = f->record[from];
		memcpy(seen + i * nodes, f->seen + from * nodes, word);
	}
	free(f->record);
	free(f->seen);
	*f = (struct flights){.record = record, .seen = seen, .count = f->count, .room = room};
	return 0;
}

static int take_off(struct merge *m, const struct trace_record *r, unsigned from)
{
	struct flights *f = flights_of(m, from, r->peer);
	size_t at;

	if (f->count == f->room && grow(f, m->nodes) < 0)
		return -ENOMEM;
	at = (f->first + f->count++) % f->room;
	f->record[at] = *r;
	memcpy(f->seen + at * m->nodes, m->stream[from].seen, m->nodes * sizeof(uint64_t));
	return 0;
}

/* A page that turned out to be all zero travels as a flag. */
static uint8_t as_received(uint8_t flags)
{
	return (uint8_t)((flags & ~WIRE_GRANT_DATA) | WIRE_GRANT_ZERO);
}

static bool same_message(const struct trace_record *sent, const struct trace_record *got)
{
	bool flags = sent->flags == got->flags ||
		     (sent->what == WIRE_GRANT && sent->flags & WIRE_GRANT_DATA &&
		      as_received(sent->flags) == got->flags);

	return flags && sent->what == got->what && sent->addr == got->addr &&
	       sent->node == got->node && sent->acks == got->acks && sent->ticket == got->ticket &&
	       sent->ticket_node == got->ticket_node;
}

static void hand_out(struct merge *m, unsigned node, bool sound)
{
	struct stream *s = &m->stream[node];
	const struct trace_event e = {.node = node,
				      .shard = m->shard,
				      .index = s->cursor.index - 1,
				      .record = &s->next,
				      .seen = s->seen};

	if (sound)
		m->ops->event(m->ctx, &e);
	else
		m->ops->torn(m->ctx, &e);
	m->ended |= !sound;
}

/* Return: false when the message is still to be sent. */
static bool land(struct merge *m, unsigned node, bool *sound)
{
	struct stream *s = &m->stream[node];
	struct flights *f = flights_of(m, s->next.peer, node);
	const uint64_t *seen;

	if (!f->count)
		return false;
	*sound = same_message(&f->record[f->first], &s->next);
	seen = f->seen + f->first * m->nodes;
	for (unsigned i = 0; i < m->nodes; i++)
		s->seen[i] = MAX(s->seen[i], seen[i]);
	f->first = (f->first + 1) % f->room;
	f->count--;
	return true;
}

static void fetch(struct stream *s)
{
	if (s->have || s->over || s->torn)
		return;
	s->over = !trace_cursor_next(&s->cursor, &s->next);
	s->torn = !s->over && s->next.kind == TRACE_GAP;
	s->have = !s->over && !s->torn;
}

/* One record of the node's. Return: whether there was one whose turn it is. */
static bool step(struct merge *m, unsigned node)
{
	struct stream *s = &m->stream[node];
	bool sound = true;

	fetch(s);
	if (!s->have || m->ended || m->error)
		return false;
	if (s->next.kind == TRACE_RECEIVED && !land(m, node, &sound))
		return false;
	s->seen[node] = s->cursor.index;
	if (s->next.kind == TRACE_SENT)
		m->error = take_off(m, &s->next, node);
	if (!m->error)
		hand_out(m, node, sound);
	s->have = false;
	return true;
}

/* All that the node's shard did is in its trace, and was handed out. */
static bool is_whole(const struct merge *m, unsigned node)
{
	const struct trace_file *f = m->set->node[node];

	return m->stream[node].over && f->shard[m->shard].ended && !f->shard[m->shard].lost;
}

/*
 * Nobody can go on. Who waits for a message of somebody who has said all waits for what was never
 * sent. So does one of those who wait for each other in a circle: each must have received before it
 * could send. Who waits for what may be missing proves nothing.
 */
static void find_orphan(struct merge *m)
{
	for (unsigned i = 0; i < m->nodes && !m->ended; i++) {
		unsigned at = i, steps = 0;

		if (!m->stream[i].have)
			continue;
		while (m->stream[m->stream[at].next.peer].have && ++steps <= m->nodes)
			at = m->stream[at].next.peer;
		if (steps > m->nodes || is_whole(m, m->stream[at].next.peer))
			hand_out(m, at, false);
	}
}

static uint64_t count_left(const struct merge *m)
{
	uint64_t left = 0;

	for (unsigned i = 0; i < m->nodes; i++)
		left += m->set->node[i]->shard[m->shard].records - m->stream[i].seen[i];
	return left;
}

static void merge_free(struct merge *m)
{
	for (unsigned i = 0; m->stream && i < m->nodes; i++)
		free(m->stream[i].seen);
	for (unsigned i = 0; m->flights && i < m->nodes * m->nodes; i++) {
		free(m->flights[i].record);
		free(m->flights[i].seen);
	}
	free(m->stream);
	free(m->flights);
}

static int merge_init(struct merge *m)
{
	m->stream = calloc(m->nodes, sizeof(*m->stream));
	m->flights = calloc(m->nodes * m->nodes, sizeof(*m->flights));
	if (!m->stream || !m->flights)
		return -ENOMEM;
	for (unsigned i = 0; i < m->nodes; i++) {
		m->stream[i].cursor =
			(struct trace_cursor){.file = m->set->node[i], .shard = m->shard};
		m->stream[i].seen = calloc(m->nodes, sizeof(uint64_t));
		if (!m->stream[i].seen)
			return -ENOMEM;
	}
	return 0;
}

int trace_merge(const struct trace_set *set, unsigned shard, const struct trace_merge_ops *ops,
		void *ctx, uint64_t *left)
{
	struct merge m = {.set = set, .nodes = set->nodes, .shard = shard, .ops = ops, .ctx = ctx};
	bool goes_on = true;

	m.error = merge_init(&m);
	while (goes_on && !m.error) {
		goes_on = false;
		for (unsigned i = 0; i < m.nodes; i++)
			while (step(&m, i))
				goes_on = true;
	}
	if (!m.error) {
		find_orphan(&m);
		*left = count_left(&m);
	}
	merge_free(&m);
	return m.error;
}
