/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connecting side of a slot: connect, say hello, judge the answer.
 *
 * What may heal (nobody listens yet, the host is not up, the peer went away before it answered) is
 * tried again, address by address, with a pause after the last one. What will not heal by waiting
 * (a refusal, an answer that is none of ours) ends the bring-up with its reason.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "transport/dial.h"
#include "transport/tcp.h"

/* Longer than it takes to notice that a host has vanished (tcp.c). */
#define BUSY_NS (6 * NSEC_PER_SEC)

static int fatal(struct bringup *b, const struct slot *s, int code)
{
	const struct mesh_config *cfg = b->cfg;

	if (code == -EMFILE || code == -ENFILE)
		return err_set(b->err, code,
			       "too many open files for the connections to %s: raise the limit "
			       "(ulimit -n)",
			       cfg->name[s->peer]);
	return err_set(b->err, code, "no socket for %s at %s: %s", cfg->name[s->peer],
		       cfg->address[s->peer], strerror(-code));
}

static void try_again(struct bringup *b, struct slot *s, uint64_t now, const char *why)
{
	s->next = s->next->ai_next;
	peer_trouble(b, s->peer, "%s", why);
	slot_down(b, s, s->next ? now : now + RETRY_NS);
}

/*
 * A socket that connects to a free port of its own host can meet itself, when the kernel picks the
 * very port as its source: it would even take the port from the peer that is about to start.
 */
static bool met_itself(int fd)
{
	struct sockaddr_storage local = {0}, remote = {0};
	socklen_t local_len = sizeof(local), remote_len = sizeof(remote);

	if (getsockname(fd, (struct sockaddr *)&local, &local_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&remote, &remote_len) < 0)
		return false;
	return local_len == remote_len && memcmp(&local, &remote, local_len) == 0;
}

static void connected(struct bringup *b, struct slot *s, uint64_t now)
{
	const struct wire_hello hello = slot_hello(b, s);
	uint8_t bytes[HELLO_BYTES];

	if (met_itself(s->fd)) {
		try_again(b, s, now, "nobody listens there yet");
		return;
	}
	hello_encode(&hello, bytes);
	int r = greeting_send(s->fd, bytes, sizeof(bytes));

	if (r < 0) {
		try_again(b, s, now, strerror(-r));
		return;
	}
	s->greeting.got = 0;
	s->state = SLOT_GREETING;
	peer_trouble(b, s->peer, "it does not answer");
}

int dial_start(struct bringup *b, struct slot *s, uint64_t now)
{
	int r;

	if (!s->next)
		s->next = b->peers[s->peer].addresses;
	s->fd = socket(s->next->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0 && errno == EAFNOSUPPORT) {
		try_again(b, s, now, strerror(EAFNOSUPPORT));
		return 0;
	}
	if (s->fd < 0)
		return fatal(b, s, -errno);
	s->state = SLOT_CONNECTING;
	r = tcp_tune(s->fd);
	if (r < 0)
		return fatal(b, s, r);
	if (connect(s->fd, s->next->ai_addr, s->next->ai_addrlen) == 0)
		connected(b, s, now);
	else if (errno != EINPROGRESS && errno != EINTR)
		try_again(b, s, now, strerror(errno));
	return 0;
}

static void connect_ended(struct bringup *b, struct slot *s, uint64_t now)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error)
		try_again(b, s, now, strerror(error));
	else
		connected(b, s, now);
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
	slot_up(b, s, s->fd, theirs.instance);
	return 0;
}

int dial_ready(struct bringup *b, struct slot *s, uint64_t now)
{
	int r;

	if (s->state == SLOT_CONNECTING) {
		connect_ended(b, s, now);
		return 0;
	}
	r = greeting_read(s->fd, &s->greeting);
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
