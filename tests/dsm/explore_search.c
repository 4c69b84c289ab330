/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Breadth first over all states. Of a state that was seen 64 bits of its hash are kept, and which
 * event of which state led to it; its bytes only until its own events are done (two levels).
 * Memory: 24 to 40 bytes a state, and at most LEVEL_BYTES a level.
 */
#include "tests/dsm/explore.h"

#include <sys/mman.h>

#define EVENTS_MAX  256
#define DRAIN_EVERY 64	/* states */
#define DRAIN_STEPS 400 /* far above what a few requests can cause */
#define LEVEL_BYTES (512 * MIB)

/* How a state was first reached. */
struct way {
	uint32_t from;
	struct xp_event event;
};

/* States that wait for their events, packed one behind the other. */
struct level {
	uint8_t *bytes;
	size_t used;
};

struct search {
	struct explorer *x;
	uint64_t *seen; /* open addressing; 0 is free */
	uint64_t mask;
	struct way *way; /* by number of the state */
	uint64_t states;
	struct level now, next;
};

static uint64_t hash(const struct xp_state *s)
{
	const uint8_t *at = (const uint8_t *)s;
	size_t left = xp_bytes(s);
	uint64_t h = UINT64_C(0x9e3779b97f4a7c15);

	while (left) {
		uint64_t word = 0;
		size_t n = MIN(left, sizeof(word));

		memcpy(&word, at, n);
		h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
		at += n;
		left -= n;
	}
	h = (h ^ (h >> 29)) * UINT64_C(0xc4ceb9fe1a85ec53);
	h ^= h >> 32;
	return h ? h : 1;
}

/* Return: was it new? */
static bool insert(struct search *s, uint64_t key)
{
	uint64_t at = key & s->mask;

	while (s->seen[at] && s->seen[at] != key)
		at = (at + 1) & s->mask;
	if (s->seen[at] == key)
		return false;
	s->seen[at] = key;
	return true;
}

/*
 * A state in a level: its number, its length, then for each 8 bytes a mask of those that are not 0
 * and these. Most are 0. Return: 0; 1 when the level is full.
 */
static int append(struct level *l, uint32_t number, const struct xp_state *s)
{
	const uint8_t *from = (const uint8_t *)s;
	uint16_t bytes = (uint16_t)xp_bytes(s);
	uint8_t *to = l->bytes + l->used;

	if (l->used + 2 * sizeof(*s) > LEVEL_BYTES)
		return 1;
	memcpy(to, &number, sizeof(number));
	memcpy(to + 4, &bytes, sizeof(bytes));
	to += 6;
	for (unsigned at = 0; at < bytes; at += 8) {
		uint8_t *mask = to++;

		*mask = 0;
		for (unsigned i = 0; i < 8 && at + i < bytes; i++)
			if (from[at + i]) {
				*mask |= (uint8_t)(1u << i);
				*to++ = from[at + i];
			}
	}
	l->used = (size_t)(to - l->bytes);
	return 0;
}

static size_t extract(const struct level *l, size_t at, uint32_t *number, struct xp_state *s)
{
	const uint8_t *from = l->bytes + at;
	uint8_t *to = (uint8_t *)s;
	uint16_t bytes;

	memcpy(number, from, sizeof(*number));
	memcpy(&bytes, from + 4, sizeof(bytes));
	from += 6;
	memset(s, 0, bytes);
	for (unsigned done = 0; done < bytes; done += 8)
		for (uint8_t mask = *from++; mask; mask &= (uint8_t)(mask - 1))
			to[done + (unsigned)__builtin_ctz(mask)] = *from++;
	return (size_t)(from - l->bytes);
}

/* Without new faults all that is under way comes to an end. */
static int drain(struct explorer *x, struct xp_state s)
{
	struct xp_event event[EVENTS_MAX];

	for (unsigned step = 0; !xp_at_rest(x, &s); step++) {
		unsigned n = xp_events(x, &s, event, EVENTS_MAX), best = n;

		for (unsigned i = 0; i < n; i++)
			if (event[i].kind <= XP_EXPIRE &&
			    (best == n || event[i].kind < event[best].kind))
				best = i;
		if (best == n || step == DRAIN_STEPS)
			return xp_fail(x, "what is under way does not end");
		if (xp_step(x, &s, event[best]) < 0 || xp_check(x, &s) < 0)
			return -EIO;
	}
	return 0;
}

void xp_print_event(const struct xp_state *s, struct xp_event e, FILE *out)
{
	static const char *const names[XP_KINDS] = {
		[XP_TICK] = "acts on the end of its turn",
		[XP_EXPIRE] = "its turn ends",
		[XP_FAULT] = "faults on",
		[XP_PREFETCH] = "asks ahead for",
		[XP_PUT] = "offers",
		[XP_UNTRACK] = "stops tracking",
		[XP_MOVE] = "gives another home to",
		[XP_TOUCH] = "touches its own",
		[XP_IDLE] = "falls idle or wakes",
		[XP_CRASH] = "crashes",
	};
	const struct xp_message *m = &s->message[e.at];

	if (e.kind == XP_DELIVER || e.kind == XP_LOSE)
		fprintf(out,
			"# node %u %s %s of page %u from node %u for node %u, flags %u, "
			"acks %u, ticket %u\n",
			m->to, e.kind == XP_LOSE ? "loses" : "gets", wire_type_name(m->type),
			m->page, m->from, m->node, m->flags, m->acks, m->ticket);
	else
		fprintf(out, "# node %u %s page %u%s\n", e.node, names[e.kind], e.at,
			e.mode & XP_WRITE ? ", to write" : "");
}

static void print_way(struct search *s, uint32_t to, struct xp_event last, FILE *out)
{
	uint32_t count = 0, at, i;
	struct xp_event *event;
	struct xp_state state;

	for (at = to; at; at = s->way[at].from)
		count++;
	event = calloc(count + 1, sizeof(*event));
	if (!event)
		return;
	event[count] = last;
	for (at = to, i = count; at; at = s->way[at].from)
		event[--i] = s->way[at].event;
	xp_first(s->x, &state);
	for (i = 0;; i++) {
		xp_print_event(&state, event[i], out);
		if (i == count)
			break;
		xp_step(s->x, &state, event[i]);
	}
	free(event);
}

/* All events of one state. Return: 0; -EIO; -ENOMEM. */
static int expand(struct search *s, uint32_t number, const struct xp_state *from, FILE *out)
{
	struct explorer *x = s->x;
	struct xp_event event[EVENTS_MAX];
	unsigned n = xp_events(x, from, event, EVENTS_MAX);

	for (unsigned i = 0; i < n; i++) {
		struct xp_state to = *from;
		int r = xp_step(x, &to, event[i]);

		if (r == 0 && insert(s, hash(&to))) {
			r = xp_check(x, &to);
			if (r == 0 && s->states % DRAIN_EVERY == 0 && !to.crashed)
				r = drain(x, to);
			s->way[s->states] = (struct way){.from = number, .event = event[i]};
			if (r == 0)
				r = append(&s->next, (uint32_t)s->states, &to);
			s->states++;
		}
		if (r == -EIO)
			print_way(s, number, event[i], out);
		if (r < 0)
			return r;
		if (s->states == x->cfg.max_states)
			return 1;
	}
	return 0;
}

static int run(struct search *s, struct xp_result *ret, FILE *out)
{
	struct xp_state state;
	int r = 0;

	xp_first(s->x, &state);
	insert(s, hash(&state));
	s->states = 1;
	r = append(&s->next, 0, &state);
	while (r == 0 && s->next.used) {
		struct level done = s->now;

		madvise(done.bytes, LEVEL_BYTES, MADV_DONTNEED);
		s->now = s->next;
		s->next = done;
		s->next.used = 0;
		for (size_t at = 0; r == 0 && at < s->now.used;) {
			uint32_t number;

			at = extract(&s->now, at, &number, &state);
			r = expand(s, number, &state, out);
		}
		ret->depth++;
	}
	ret->complete = r == 0;
	ret->states = s->states;
	ret->events = s->x->events;
	ret->rests = s->x->rests;
	return MIN(r, 0);
}

static void *reserve(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void release(void *at, size_t bytes)
{
	if (at)
		munmap(at, bytes);
}

int xp_search(struct explorer *x, struct xp_result *ret, FILE *out)
{
	struct search s = {.x = x};
	size_t slots = 2, ways = x->cfg.max_states * sizeof(s.way[0]);
	int r = -ENOMEM;

	while (slots < 2 * x->cfg.max_states)
		slots *= 2;
	*ret = (struct xp_result){0};
	s.mask = slots - 1;
	s.seen = reserve(slots * sizeof(s.seen[0]));
	s.way = reserve(ways);
	s.now.bytes = reserve(LEVEL_BYTES);
	s.next.bytes = reserve(LEVEL_BYTES);
	if (s.seen && s.way && s.now.bytes && s.next.bytes)
		r = run(&s, ret, out);
	release(s.seen, slots * sizeof(s.seen[0]));
	release(s.way, ways);
	release(s.now.bytes, LEVEL_BYTES);
	release(s.next.bytes, LEVEL_BYTES);
	return r;
}
