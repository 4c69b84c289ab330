/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connecting side of a slot: connect, say hello, judge the answer.
 *
 * What may heal (nobody listens yet, the host is not up, the peer went away before it answered) is
 * tried again, address by address, with a pause after the last one. What will not heal by waiting
 * (a refusal, an answer that is none of ours) ends the bring-up with its reason.
 */
#include "transport/dial.h"

/* Longer than it takes to notice that a host has vanished (tcp.c). */
#define BUSY_NS (6 * NSEC_PER_SEC)

/* What this host lacks, and waiting does not bring. */
static bool is_fatal(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOMEM;
}

static int fatal(struct bringup *b, const struct slot *s, int code)
{
	if (code == -ENOMEM)
		return err_set(b->err, code, "out of memory");
	return err_set(b->err, code,
		       "too many open files for the connections to %s: raise the limit "
		       "(ulimit -n)",
		       b->cfg->name[s->peer]);
}

static void try_again(struct bringup *b, struct slot *s, uint64_t now, const char *why)
{
	s->next = s->next->ai_next;
	peer_trouble(b, s->peer, "%s", why);
	slot_down(b, s, s->next ? now : now + RETRY_NS);
}

static void say_hello(struct bringup *b, struct slot *s, uint64_t now)
{
	const struct wire_hello hello = slot_hello(b, s);
	uint8_t bytes[HELLO_BYTES];

	hello_encode(&hello, bytes);
	int r = channel_say(s->channel, bytes, sizeof(bytes));

	if (r < 0) {
		try_again(b, s, now, strerror(-r));
		return;
	}
	s->greeting.got = 0;
	s->state = SLOT_GREETING;
	peer_trouble(b, s->peer, "it does not answer");
}

static void connecting(struct bringup *b, struct slot *s, uint64_t now)
{
	int r = channel_step(s->channel, &s->want);

	if (r < 0)
		try_again(b, s, now, strerror(-r));
	else if (r > 0)
		say_hello(b, s, now);
}

int dial_start(struct bringup *b, struct slot *s, uint64_t now)
{
	int r;

	if (!s->next)
		s->next = b->peers[s->peer].addresses;
	r = transport_dial(b->cfg->listener->transport, s->next->ai_addr, s->next->ai_addrlen,
			   &s->channel);
	if (is_fatal(r))
		return fatal(b, s, r);
	if (r < 0) {
		try_again(b, s, now, strerror(-r));
		return 0;
	}
	s->state = SLOT_CONNECTING;
	connecting(b, s, now);
	return 0;
}

static int not_ours(struct bringup *b, const struct slot *s)
{
	return err_set(b->err, -EPROTO,
		       "what answers as %s at %s is no node of this cluster: check the address",
		       b->cfg->name[s->peer], b->cfg->address[s->peer]);
}

/*
 * The peer has the connection already, of another process of ours that it holds to be alive. That
 * may be one which died a moment ago, or whose host did; or we have been started twice.
 */
static int busy(struct bringup *b, struct slot *s, uint64_t now, const char *text)
{
	struct peer *p = &b->peers[s->peer];

	if (!p->busy_since)
		p->busy_since = now;
	if (now - p->busy_since > BUSY_NS)
		return err_set(b->err, -EPROTO, "%s at %s refused: %s", b->cfg->name[s->peer],
			       b->cfg->address[s->peer], text);
	try_again(b, s, now, text);
	return 0;
}

/* The answer is complete. */
static int answered(struct bringup *b, struct slot *s, uint64_t now)
{
	const struct mesh_config *cfg = b->cfg;
	const struct wire_hello ours = slot_hello(b, s);
	char text[WIRE_TEXT_MAX + 1];
	struct wire_hello theirs;
	struct err why;

	int r = greeting_refusal(&s->greeting, text);
	if (r == -EAGAIN)
		return busy(b, s, now, text);
	if (r == 0)
		return err_set(b->err, -EPROTO, "%s at %s refused: %s", cfg->name[s->peer],
			       cfg->address[s->peer], text);
	if (greeting_hello(&s->greeting, &theirs) == -EBADMSG)
		return not_ours(b, s);
	if (hello_compare(&ours, &theirs, cfg->name[cfg->self], cfg->name[s->peer], &why) < 0)
		return err_set(b->err, -EPROTO, "%s at %s does not fit: %s", cfg->name[s->peer],
			       cfg->address[s->peer], why.text);
	if (theirs.from != s->peer || theirs.class_ != s->class_ || theirs.shard != s->shard)
		return not_ours(b, s);
	/* It was started again: what is up leads to its former process. */
	if (theirs.instance != b->peers[s->peer].instance)
		peer_down(b, s->peer, now);
	slot_up(b, s, s->channel, theirs.instance);
	return 0;
}

int dial_ready(struct bringup *b, struct slot *s, uint64_t now)
{
	int r;

	if (s->state == SLOT_CONNECTING) {
		connecting(b, s, now);
		return 0;
	}
	r = greeting_read(s->channel, &s->greeting);
	if (r == 0)
		return 0;
	if (r == -EBADMSG)
		return not_ours(b, s);
	if (r < 0) {
		/* Also when a stranger has the port: the deadline's line says it. */
		try_again(b, s, now, "it hung up without an answer");
		return 0;
	}
	return answered(b, s, now);
}
