/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/trace_file.h"

#include <ctype.h>

#include "wire/msg.h"

struct parser {
	const char *name;
	const uint8_t *data;
	size_t len, at;
	struct trace_file *f;
	size_t room; /* for parts */
	struct err *err;
};

static int bad(const struct parser *p, const char *what)
{
	return err_set(p->err, -EBADMSG, "%s: byte %zu: %s; it is no trace, or a damaged one",
		       p->name, p->at, what);
}

/* What a cluster file allows, so that it can be shown as it is. */
static bool is_name(const char *text, size_t room)
{
	size_t len = 0;

	while (len < room &&
	       (isalnum((unsigned char)text[len]) || (text[len] && strchr("-_.", text[len]))))
		len++;
	return len && len < room && !text[len];
}

static int parse_header(struct parser *p)
{
	struct trace_header *h = &p->f->head;

	if (p->len < sizeof(*h))
		return bad(p, "it is too short");
	memcpy(h, p->data, sizeof(*h));
	if (h->magic != TRACE_MAGIC)
		return bad(p, "it does not begin like one");
	if (h->version != TRACE_VERSION || h->wire_version != wire_version())
		return err_set(p->err, -EPROTONOSUPPORT,
			       "%s: was written by another version of ssihv; read it with that",
			       p->name);
	if (h->record_bytes != sizeof(struct trace_record) || !h->nodes || h->nodes > MAX_NODES ||
	    h->self >= h->nodes || !h->shards || h->shards > MAX_SHARDS || !h->ticks_khz)
		return bad(p, "its head is wrong");
	if (!is_name(h->name, sizeof(h->name)))
		return bad(p, "its node has no name");
	p->at = sizeof(*h);
	return 0;
}

static int add_part(struct parser *p, const struct trace_chunk *chunk, uint64_t count)
{
	struct trace_file *f = p->f;
	struct trace_part *more;

	if (f->parts == p->room) {
		p->room = MAX(2 * p->room, (size_t)64);
		more = reallocarray(f->part, p->room, sizeof(*more));
		if (!more)
			return err_set(p->err, -ENOMEM, "%s: out of memory", p->name);
		f->part = more;
	}
	f->part[f->parts++] =
		(struct trace_part){.at = p->data + p->at, .count = count, .shard = chunk->shard};
	f->shard[chunk->shard].records += count;
	return 0;
}

static int parse_records(struct parser *p, const struct trace_chunk *chunk)
{
	uint64_t whole = (p->len - p->at) / sizeof(struct trace_record);
	uint64_t count = MIN((uint64_t)chunk->count, whole);
	int r = add_part(p, chunk, count);

	p->f->cut = count < chunk->count;
	for (uint64_t i = 0; r == 0 && i < count; i++) {
		struct trace_record record;

		memcpy(&record, p->data + p->at, sizeof(record));
		if (trace_record_check(&record, p->f->head.nodes) < 0)
			r = bad(p, "a record that nobody writes");
		if (record.kind == TRACE_GAP)
			p->f->shard[chunk->shard].lost += record.value;
		p->at += sizeof(record);
	}
	return r;
}

static int parse_chunk(struct parser *p)
{
	struct trace_chunk chunk;

	if (p->len - p->at < sizeof(chunk)) {
		p->f->cut = true;
		return 0;
	}
	memcpy(&chunk, p->data + p->at, sizeof(chunk));
	if (chunk.magic != TRACE_CHUNK || chunk.shard >= p->f->head.shards || chunk.end > 1 ||
	    chunk.count > TRACE_CHUNK_MOST || chunk.reserved || chunk.reserved2 ||
	    (chunk.end ? chunk.count != 0 : !chunk.count || chunk.lost) ||
	    p->f->shard[chunk.shard].ended)
		return bad(p, "records should begin here");
	p->at += sizeof(chunk);
	if (!chunk.end)
		return parse_records(p, &chunk);
	p->f->shard[chunk.shard].ended = true;
	p->f->shard[chunk.shard].lost += chunk.lost;
	return 0;
}

int trace_file_parse(const char *name, const uint8_t *data, size_t len, struct trace_file *ret,
		     struct err *err)
{
	struct trace_file f = {{NULL}};
	struct parser p = {.name = name, .data = data, .len = len, .f = &f, .err = err};
	int r = parse_header(&p);

	while (r == 0 && !f.cut && p.at < len)
		r = parse_chunk(&p);
	if (r < 0)
		trace_file_free(&f);
	else
		*ret = f;
	return r;
}

int trace_file_read(const char *path, struct trace_file *ret, struct err *err)
{
	struct file file;
	int r = file_read("trace", path, SIZE_MAX, &file, err);

	if (r < 0)
		return r;
	r = trace_file_parse(path, file.data, file.len, ret, err);
	if (r < 0)
		file_free(&file);
	else
		ret->file = file;
	return r;
}

void trace_file_free(struct trace_file *f)
{
	free(TAKE_PTR(f->part));
	file_free(&f->file);
}

bool trace_cursor_next(struct trace_cursor *c, struct trace_record *ret)
{
	const struct trace_file *f = c->file;

	for (; c->part < f->parts; c->part++, c->at = 0) {
		const struct trace_part *part = &f->part[c->part];

		if (part->shard != c->shard || c->at == part->count)
			continue;
		memcpy(ret, part->at + c->at++ * sizeof(*ret), sizeof(*ret));
		c->index++;
		return true;
	}
	return false;
}
