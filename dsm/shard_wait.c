/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a shard waits. While own requests are under way it polls, until spin_ns after the last event;
 * then it sleeps in epoll.
 *
 * What it polls is what it hopes for. When all that was sent since went to one peer, the answer
 * will come from there in most cases: so it just tries to receive from it, which costs no more than
 * to ask whether there is something, and is done when there is. All else is looked at each
 * LOOK_EVERY rounds, and whenever the last wait ended with such an answer: a peer that sends all
 * the time keeps nothing else from being served.
 */
#include "dsm/shard_impl.h"

#include <sys/epoll.h>

#include "base/clock.h"

#define LOOK_EVERY 4

/* Sleeps until the next event or @deadline. */
static int sleep_events(struct shard *s, struct epoll_event *ev, int max, uint64_t deadline)
{
	struct timespec ts = {0}, *timeout = &ts;

	if (deadline == UINT64_MAX) {
		timeout = NULL;
	} else if (deadline) {
		uint64_t now = clock_now_ns(), left = deadline > now ? deadline - now : 0;

		ts.tv_sec = (time_t)(left / NSEC_PER_SEC);
		ts.tv_nsec = (long)(left % NSEC_PER_SEC);
	}
	return epoll_pwait2(s->epoll, ev, max, timeout, NULL);
}

/* Connections that hold what no event will tell, see conn_arm(). Return: how many. */
static int armed(const struct shard *s, struct epoll_event *ev)
{
	int n = 0;

	for (unsigned i = 0; i < s->cfg->nodes; i++) {
		struct conn *c = shard_conn(s, i);

		if (c && conn_arm(c) > 0)
			ev[n++] = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
	}
	return n;
}

/* The next events; @deadline 0: those that are here. Return: their number, or negative errno. */
static int look(struct shard *s, struct epoll_event *ev, int max, uint64_t deadline)
{
	int here = s->arms ? armed(s, ev) : 0;
	/* What else there is gets its turn, whatever a connection holds. */
	int n = sleep_events(s, ev + here, max - here, here ? 0 : deadline);

	if (n < 0 && errno != EINTR)
		return shard_fail_host(s, -errno, "waiting for events");
	return here + MAX(n, 0);
}

struct awaited {
	struct shard *s;
	conn_recv_fn take;
};

static int take_awaited(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct awaited *a = ctx;

	a->s->now = clock_now_ns();
	return a->take(a->s, c, h, payload);
}

/* The only connection that an answer may be hoped for on; NULL: there are several, or none. */
static struct conn *hopeful(const struct shard *s)
{
	struct conn *c;

	if (!s->asked || (s->asked & (s->asked - 1)))
		return NULL;
	c = shard_conn(s, (unsigned)__builtin_ctzll(s->asked));
	return c->polled_for_write ? NULL : c;
}

int shard_wait(struct shard *s, struct epoll_event *ev, int max, conn_recv_fn take)
{
	uint64_t deadline = MIN(dsm_proto_deadline(s->proto), shard_tidy_deadline(s));
	if (s->evict)
		deadline = MIN(deadline, evict_deadline(s->evict));
	uint64_t spin_end = dsm_proto_waiting(s->proto) ? s->now + s->cfg->spin_ns : 0;
	struct awaited awaited = {s, take};
	struct conn *c = hopeful(s);
	unsigned round = s->received ? 0 : 1;
	int n;

	s->received = false;
	for (uint64_t now = s->now; now < MIN(spin_end, deadline); now = clock_now_ns()) {
		bool looks = !c || round++ % LOOK_EVERY == 0;

		n = looks ? look(s, ev, max, 0) : conn_receive(c, take_awaited, &awaited);
		if (n < 0)
			return looks ? n : shard_fail_peer(s, n, c->peer);
		if (n > 0) {
			s->received = !looks;
			return looks ? n : 0;
		}
	}
	return look(s, ev, max, deadline);
}
