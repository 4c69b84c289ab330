/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accepting side: who connects is a stranger until a hello says otherwise.
 *
 * A stranger has STRANGER_NS and one of STRANGERS_MAX places; when all are taken the oldest leaves.
 * A node sends its hello with the connection, so it is read at once and hardly ever holds a place:
 * a crowd of silent strangers costs a real node at most another attempt. Nothing is sent to what
 * does not speak like a node; a node that does not fit is told why.
 */
#include <stdio.h>

#include "transport/accept.h"

#define STRANGER_NS  (3 * NSEC_PER_SEC)
#define ACCEPT_BATCH 16

static void stranger_drop(struct stranger *s)
{
	channel_drop(s->channel);
	s->channel = NULL;
}

void strangers_expire(struct bringup *b, uint64_t now)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < b->stranger_count; i++) {
		struct stranger *s = &b->strangers[i];

		if (s->channel && now >= s->deadline)
			stranger_drop(s);
		if (!s->channel)
			continue;
		if (kept != i)
			b->strangers[kept] = *s;
		kept++;
	}
	b->stranger_count = kept;
}

static struct slot *slot_of(struct bringup *b, const struct wire_hello *hello)
{
	for (unsigned i = 0; i < b->slot_count; i++) {
		struct slot *s = &b->slots[i];

		if (s->peer == hello->from && !slot_dials(b, s) && s->class_ == hello->class_ &&
		    s->shard == hello->shard)
			return s;
	}
	return NULL;
}

static void refuse(struct bringup *b, struct stranger *s, bool busy, const char *why)
{
	const struct mesh_config *cfg = b->cfg;
	uint8_t bytes[sizeof(s->greeting.bytes)];
	size_t len = hello_refuse((uint16_t)cfg->self, cfg->epoch, busy, why, bytes);
	struct err line;

	(void)channel_say(s->channel, bytes, len); /* it may be gone: then nobody wants to know */
	if (!cfg->refused)
		return;
	err_set(&line, 0, "refused a connection: %s", why);
	cfg->refused(cfg->progress_ctx, line.text);
}

/* So that the deadline's line can say more than that a peer did not come. */
static void remember_refusal(struct bringup *b, unsigned from, const char *why)
{
	if (from >= b->cfg->nodes || from <= b->cfg->self)
		return;
	b->peers[from].unfit = true;
	peer_trouble(b, from, "refused: %s", why);
}

/*
 * Makes room for a hello of @instance. A process that dials a slot anew has given the old one up.
 * Of another process it is believed that it has replaced the old one only when that one is dead.
 */
static int make_room(struct bringup *b, struct slot *slot, uint32_t instance, uint64_t now)
{
	struct peer *p = &b->peers[slot->peer];

	if (p->up && p->instance != instance) {
		if (!peer_hung_up(b, slot->peer))
			return -EBUSY;
		peer_down(b, slot->peer, now);
	}
	if (slot->state == SLOT_UP)
		slot_died(b, slot, now);
	return 0;
}

/* It fits: answers on the slot that it asks for. */
static void welcome(struct bringup *b, struct stranger *s, struct slot *slot, uint32_t instance)
{
	const struct wire_hello ours = slot_hello(b, slot);
	uint8_t bytes[HELLO_BYTES];

	hello_encode(&ours, bytes);
	if (channel_say(s->channel, bytes, sizeof(bytes)) == 0)
		slot_up(b, slot, TAKE_PTR(s->channel), instance);
}

/* The greeting is complete: gives the socket to its slot, or leaves it to be dropped. */
static void admit(struct bringup *b, struct stranger *s, uint64_t now)
{
	const struct mesh_config *cfg = b->cfg;
	struct wire_hello theirs, ours;
	struct slot *slot;
	char who[16];
	struct err why;

	if (greeting_hello(&s->greeting, &theirs) == -EBADMSG)
		return;
	snprintf(who, sizeof(who), "node %u", theirs.from);
	const char *their_name = theirs.from < cfg->nodes ? cfg->name[theirs.from] : who;

	ours = slot_hello(b, &(struct slot){.peer = theirs.from});
	if (hello_compare(&ours, &theirs, cfg->name[cfg->self], their_name, &why) < 0) {
		remember_refusal(b, theirs.from, why.text);
		refuse(b, s, false, why.text);
		return;
	}
	slot = slot_of(b, &theirs);
	if (!slot) {
		err_set(&why, 0,
			"%s expects no such connection from %s: check who runs as which node",
			cfg->name[cfg->self], their_name);
		refuse(b, s, false, why.text);
		return;
	}
	if (make_room(b, slot, theirs.instance, now) < 0) {
		err_set(&why, 0, "%s is connected to %s already: is %s started twice?", their_name,
			cfg->name[cfg->self], their_name);
		refuse(b, s, true, why.text);
		return;
	}
	welcome(b, s, slot, theirs.instance);
}

void stranger_ready(struct bringup *b, struct stranger *s, uint64_t now)
{
	int r = 1;

	if (!s->ready)
		r = channel_step(s->channel, &s->want);
	if (r > 0) {
		s->ready = true;
		s->want = POLLIN;
		r = greeting_read(s->channel, &s->greeting);
		if (r > 0)
			admit(b, s, now);
	}
	if (r)
		stranger_drop(s);
}

static struct stranger *stranger_add(struct bringup *b)
{
	if (b->stranger_count == STRANGERS_MAX) {
		stranger_drop(&b->strangers[0]);
		strangers_expire(b, 0); /* closes the gap */
	}
	return &b->strangers[b->stranger_count++];
}

int accept_ready(struct bringup *b, uint64_t now)
{
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		struct channel *c;
		int r = listener_accept(b->cfg->listener, &c);

		switch (r) {
		case 0:
			break;
		case -EAGAIN:
			return 0;
		case -ECONNABORTED:
			continue;
		case -ENOMEM:
			return err_set(b->err, r, "out of memory");
		case -EMFILE:
		case -ENFILE:
			return err_set(b->err, r,
				       "too many open files for the connections from other nodes: "
				       "raise the limit (ulimit -n)");
		default:
			return err_set(b->err, r, "cannot accept connections: %s", strerror(-r));
		}
		struct stranger *s = stranger_add(b);

		*s = (struct stranger){.channel = c, .deadline = now + STRANGER_NS};
		stranger_ready(b, s, now);
	}
	return 0;
}
