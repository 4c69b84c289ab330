/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/hold.h"

#define WAIT_MAX 32 /* lengths that a turn may last before its node has run at all */
#define RUN_MAX	 4  /* lengths that it may last after that, whatever else the node waits for */
#define YIELDED	 16 /* a turn that was yielded runs for a length divided by this */

void hold_init(struct turn *t, unsigned capacity, uint64_t length_ns, unsigned self)
{
	list_init(&t->quiet);
	list_init(&t->loud);
	list_init(&t->due);
	t->capacity = capacity;
	t->length = length_ns;
	t->self = (uint8_t)self;
}

static void end_turn(struct turn *t)
{
	t->ticket = 0;
	t->ran = t->first_ran = 0;
	t->yielded = false;
}

/* When the turn is over, as far as is known now. */
static uint64_t turn_end(const struct turn *t)
{
	if (t->idle || !t->ticket)
		return 0;
	if (!t->first_ran)
		return t->began + WAIT_MAX * t->length;
	uint64_t last = t->first_ran + RUN_MAX * t->length;
	uint64_t length = t->yielded ? t->length / YIELDED : t->length;
	return t->ran ? MIN(t->ran + length, last) : last;
}

static struct ticket ticket_of(const struct wire_hdr *demand)
{
	return (struct ticket){.number = demand->ticket, .node = demand->ticket_node};
}

/* Does the turn for which @demand is made come before this node's, which waits as well? */
static bool goes_first(const struct turn *t, const struct wire_hdr *demand)
{
	const struct ticket own = {.number = t->ticket, .node = t->self};

	return ticket_older(ticket_of(demand), own);
}

/* The node waits again: it no longer comes before those with an older ticket. */
static void give_precedence(struct turn *t)
{
	list_for_each_safe (l, &t->loud) {
		struct underway *u = container_of(l, struct underway, link);

		if (goes_first(t, &u->demand)) {
			list_del(&u->link);
			list_add_tail(&t->due, &u->link);
		}
	}
}

void hold_wait(struct turn *t, uint64_t now)
{
	if (turn_end(t) <= now)
		end_turn(t);
	if (t->ran)
		give_precedence(t);
	if (!t->ticket) {
		t->ticket = t->newest = ticket_next(t->newest);
		t->began = now;
	}
	t->ran = 0;
}

void hold_run(struct turn *t, uint64_t now)
{
	if (!t->ticket)
		return;
	t->ran = now;
	if (!t->first_ran)
		t->first_ran = now;
}

void hold_yield(struct turn *t)
{
	t->yielded = t->ticket;
}

void hold_saw(struct turn *t, uint8_t ticket)
{
	const struct ticket seen = {.number = ticket}, newest = {.number = t->newest};

	if (ticket && (!t->newest || ticket_older(newest, seen)))
		t->newest = ticket;
}

static struct underway *first(const struct list *l)
{
	struct list *item = list_first(l);

	return item ? container_of(item, struct underway, link) : NULL;
}

static void forget(struct turn *t, struct underway *u)
{
	list_del(&u->link);
	u->kept = u->waits = false;
	t->kept--;
}

struct underway *hold_begin(struct turn *t, struct underway *u, uint64_t now)
{
	struct underway *lost = NULL;

	if (!t->length)
		return NULL;
	if (u->kept) {
		forget(t, u);
	} else if (t->kept == t->capacity) {
		lost = first(&t->quiet);
		if (!lost)
			return NULL;
		forget(t, lost);
	}
	u->kept = true;
	t->kept++;
	u->mapped = now;
	list_add_tail(&t->quiet, &u->link);
	return lost;
}

bool hold_defer(struct turn *t, struct underway *u, const struct wire_hdr *demand, uint64_t now)
{
	if (!u || !u->kept)
		return false;
	if (turn_end(t) <= now || u->mapped < t->began || (!t->ran && goes_first(t, demand))) {
		forget(t, u);
		return false;
	}
	u->waits = true;
	u->held = now;
	u->demand = *demand;
	list_del(&u->link);
	list_add_tail(&t->loud, &u->link);
	return true;
}

void hold_urge(struct turn *t, struct underway *u, struct ticket ticket)
{
	if (!ticket_older(ticket, ticket_of(&u->demand)))
		return;
	u->demand.ticket = ticket.number;
	u->demand.ticket_node = ticket.node;
	if (!t->ran)
		give_precedence(t);
}

/*
 * When the first demand that waits has waited enough. One of an earlier turn has: the next turn
 * began before its end was acted on. Such demands are the first, as they came before it.
 */
static uint64_t first_end(const struct turn *t)
{
	const struct underway *u = first(&t->loud);

	if (!list_empty(&t->due))
		return 0;
	if (!u)
		return UINT64_MAX;
	return u->mapped < t->began ? 0 : turn_end(t);
}

struct underway *hold_ended(struct turn *t, uint64_t now)
{
	if (!list_empty(&t->due))
		return first(&t->due);
	return first_end(t) <= now ? first(&t->loud) : NULL;
}

struct wire_hdr hold_take(struct turn *t, struct underway *u)
{
	forget(t, u);
	return u->demand;
}

uint64_t hold_deadline(const struct turn *t)
{
	return first_end(t);
}

static enum turn_state state_of(const struct turn *t, uint64_t end, uint64_t now)
{
	if (end > now)
		return TURN_GOES_ON;
	if (t->idle)
		return TURN_IDLE;
	if (!t->first_ran)
		return TURN_NEVER_RAN;
	if (end == t->first_ran + RUN_MAX * t->length)
		return TURN_RAN_OUT;
	return t->yielded ? TURN_YIELDED : TURN_RAN;
}

struct turn_info hold_info(const struct turn *t, uint64_t now)
{
	uint64_t end = turn_end(t);

	return (struct turn_info){.ticket = t->ticket,
				  .state = state_of(t, end, now),
				  .began = t->began,
				  .ended = t->idle ? now : MIN(end, now)};
}
