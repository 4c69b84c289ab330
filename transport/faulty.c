/* SPDX-License-Identifier: Apache-2.0 */
/* The interposer's transport: passes on, but for greetings that are cut. See faulty.h. */
#include "transport/faulty.h"

#include <stdatomic.h>

#include "transport/hello.h"

struct faulty {
	struct transport transport;
	const struct transport *inner;
	struct faults faults;
	_Atomic uint64_t channels; /* so far */
};

struct faulty_listener {
	struct listener listener;
	struct listener *inner;
};

struct faulty_channel {
	struct channel channel;
	struct channel *inner;
	uint64_t random;
	size_t left; /* bytes, said or heard, until it is cut */
};

static struct faulty *faulty_of(const struct transport *t)
{
	return container_of(t, struct faulty, transport);
}

static struct faulty_channel *channel_of(struct channel *c)
{
	return container_of(c, struct faulty_channel, channel);
}

static int faulty_listen(const struct transport *t, const char *address, uint16_t *port,
			 struct listener **ret, struct err *err)
{
	_cleanup_free_ struct faulty_listener *l = malloc(sizeof(*l));

	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	int r = transport_listen(faulty_of(t)->inner, address, port, &l->inner, err);
	if (r < 0)
		return r;
	l->listener = (struct listener){.transport = t, .fd = l->inner->fd};
	*ret = &TAKE_PTR(l)->listener;
	return 0;
}

static void faulty_unlisten(struct listener *listener)
{
	struct faulty_listener *l = container_of(listener, struct faulty_listener, listener);

	listener_close(l->inner);
	free(l);
}

/* Takes @inner, also when it fails. */
static int channel_new(const struct transport *t, struct channel *inner, struct channel **ret)
{
	struct faulty *f = faulty_of(t);
	struct faulty_channel *c = malloc(sizeof(*c));

	if (!c) {
		channel_drop(inner);
		return -ENOMEM;
	}
	*c = (struct faulty_channel){
		.channel = {.transport = t, .fd = inner->fd, .hangup = inner->hangup},
		.inner = inner,
		.random = f->faults.seed + (atomic_fetch_add(&f->channels, 1) << 32),
		.left = SIZE_MAX,
	};
	if (faulty_random(&c->random) % 1000 < f->faults.greetings)
		c->left = faulty_random(&c->random) % (2 * HELLO_BYTES);
	*ret = &c->channel;
	return 0;
}

static int faulty_accept(struct listener *listener, struct channel **ret)
{
	struct faulty_listener *l = container_of(listener, struct faulty_listener, listener);
	struct channel *inner;
	int r = listener_accept(l->inner, &inner);

	return r < 0 ? r : channel_new(listener->transport, inner, ret);
}

static int faulty_dial(const struct transport *t, const struct sockaddr *to, socklen_t len,
		       struct channel **ret)
{
	struct channel *inner;
	int r = transport_dial(faulty_of(t)->inner, to, len, &inner);

	return r < 0 ? r : channel_new(t, inner, ret);
}

static int faulty_step(struct channel *c, short *want)
{
	return channel_step(channel_of(c)->inner, want);
}

static int cut(struct faulty_channel *c)
{
	c->left = 0;
	shutdown(c->channel.fd, SHUT_RDWR);
	return -ECONNRESET;
}

static int faulty_say(struct channel *channel, const void *bytes, size_t len)
{
	struct faulty_channel *c = channel_of(channel);
	size_t n = MIN(len, c->left);
	int r = n ? channel_say(c->inner, bytes, n) : 0;

	if (r < 0)
		return r;
	if (n < len)
		return cut(c);
	c->left -= c->left == SIZE_MAX ? 0 : n;
	return 0;
}

static ssize_t faulty_hear(struct channel *channel, void *bytes, size_t len)
{
	struct faulty_channel *c = channel_of(channel);
	size_t piece = 1 + faulty_random(&c->random) % len;
	ssize_t n;

	if (!c->left)
		return cut(c);
	n = channel_hear(c->inner, bytes, MIN(piece, c->left));
	if (n > 0)
		c->left -= c->left == SIZE_MAX ? 0 : (size_t)n;
	return n;
}

static bool faulty_waits(struct channel *channel)
{
	struct faulty_channel *c = channel_of(channel);

	return c->left && channel_waits(c->inner);
}

static bool faulty_gone(struct channel *c)
{
	return channel_gone(channel_of(c)->inner);
}

static int faulty_open(struct channel *channel, const struct conn_config *cfg, struct conn **ret)
{
	struct faulty_channel *c = channel_of(channel);
	struct conn *inner;
	int r = channel_open(c->inner, cfg, &inner);

	if (r < 0)
		return r;
	c->inner = NULL;
	r = faulty_conn_new(&faulty_of(channel->transport)->faults, inner, ret);
	if (r < 0) {
		conn_close(inner);
		return r;
	}
	free(c);
	return 0;
}

static void faulty_drop(struct channel *c)
{
	channel_drop(channel_of(c)->inner);
	free(channel_of(c));
}

static const struct transport_ops faulty_ops = {
	.name = "a faulty network",
	.caps = TRANSPORT_FIFO,
	.listen = faulty_listen,
	.accept = faulty_accept,
	.unlisten = faulty_unlisten,
	.dial = faulty_dial,
	.step = faulty_step,
	.say = faulty_say,
	.hear = faulty_hear,
	.waits = faulty_waits,
	.gone = faulty_gone,
	.open = faulty_open,
	.drop = faulty_drop,
};

int faulty_new(const struct transport *inner, const struct faults *faults, struct transport **ret)
{
	bool ends = faults->greetings || faults->cut_at || faults->tear_at;
	struct faulty *f;

	if (!(inner->ops->caps & TRANSPORT_FIFO) ||
	    (ends && !(inner->ops->caps & TRANSPORT_STREAM)))
		return -ENOTSUP;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->transport.ops = &faulty_ops;
	f->inner = inner;
	f->faults = *faults;
	*ret = &f->transport;
	return 0;
}

void faulty_free(struct transport *t)
{
	if (t)
		free(faulty_of(t));
}
