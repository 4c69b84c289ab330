/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/shard_impl.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "dsm/requests.h"
#include "dsm/uffd.h"
#include "dsm/underway.h"

#define EVENTS	  (MAX_NODES + 16) /* all connections, and room for the rest */
#define CONGESTED (1 * MIB)

#define RECORDS                                                                                    \
	(PAGER_MAX_PENDING * (6 * sizeof(struct underway) + MAX_NODES * sizeof(struct request)))
static_assert(sizeof(struct shard) + STAGING_AREA * PAGE_BYTES + RECORDS <= PAGER_SHARD_BYTES,
	      "as is said");

static void served_here(struct shard *s, uint64_t gpa)
{
	uint64_t now = clock_now_ns();

	hist_add(&s->local, now - s->now);
	waits_end(&s->waits, gpa, true, now);
}

/* Return: as dsm_proto_fault(); *@asks: it made a request that guesses may follow. */
static int serve_fault(struct shard *s, const struct shard_fault *fault, bool *asks)
{
	unsigned waiting = dsm_proto_waiting(s->proto);
	bool write = shard_writes(s, fault->gpa, fault->write);
	enum dsm_want wants = fault->write ? DSM_WRITE : write ? DSM_READ_SOON_WRITE : DSM_READ;
	int r;

	SHARD_TRACE(s, turn);
	SHARD_TRACE(s, fault, fault);
	waits_begin(&s->waits, fault->tid, fault->gpa, fault->write, s->now);
	r = dsm_proto_fault(s->proto, fault->gpa, wants, s->now);
	SHARD_TRACE(s, turn);
	shard_used(s, fault->gpa);

	*asks = r == 0 && dsm_proto_waiting(s->proto) > waiting;
	if (r > 0)
		r = batch_settle(&s->batch) ?: 1;
	if (r < 0)
		return shard_fail_here(s, r, "a fault", fault->gpa);
	if (r > 0)
		served_here(s, fault->gpa);
	else if (!*asks)
		shard_joined(s, fault->tid, fault->gpa);
	return r;
}

/* Not in guest memory. */
static int serve_outside(struct shard *s, uint64_t hva)
{
	int r = staging_outside(&s->staging, hva);

	return r > 0 ? 0 : shard_fail_host(s, r ?: -EFAULT, "locating a fault");
}

static int take_faults(struct shard *s)
{
	struct uffd_fault fault[FAULT_BATCH];
	struct shard_fault asked[FAULT_BATCH];
	int n = uffd_read(s->uffd, fault, FAULT_BATCH), r = 0;
	unsigned count = 0;

	if (n < 0)
		return shard_fail_host(s, n, "reading faults");
	for (int i = 0; i < n; i++) {
		struct shard_fault one = {.tid = fault[i].tid, .write = fault[i].write};
		bool asks = false;

		if (mem_gpa(&s->cfg->ram->layout, fault[i].hva - (uintptr_t)s->cfg->ram->base,
			    &one.gpa) < 0)
			r = serve_outside(s, fault[i].hva);
		else
			r = serve_fault(s, &one, &asks);
		if (r < 0)
			return r;
		if (asks)
			asked[count++] = one;
	}
	/* Behind all that somebody waits for. */
	for (unsigned i = 0; i < count && r >= 0; i++)
		r = shard_guess(s, &asked[i]);
	return MIN(r, 0);
}

/* Polls for writing exactly while something is queued. Return: 1 if a queue is too long, 0. */
static int update_writers(struct shard *s)
{
	int congested = 0;

	s->backlog = false;
	for (unsigned i = 0; i < s->cfg->nodes; i++) {
		struct conn *c = shard_conn(s, i);
		if (!c)
			continue;
		bool want = conn_queued(c) > 0;
		s->backlog |= want;
		congested |= conn_queued(c) > CONGESTED;
		if (want != c->polled_for_write) {
			struct epoll_event ev = {.events = EPOLLIN | (want ? EPOLLOUT : 0u),
						 .data.ptr = c};
			if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &ev) < 0)
				return -errno;
			c->polled_for_write = want;
		}
	}
	return congested;
}

/* Takes faults only while there is room. All is as it was in the common case: nothing queued. */
static int update_interest(struct shard *s)
{
	bool room = shard_takes_faults(s);

	if (s->backlog || (room && !s->taking)) {
		int r = update_writers(s);
		if (r < 0)
			return r;
		room = room && r == 0;
	}
	if (s->taking != room) {
		struct epoll_event ev = {.events = room ? EPOLLIN : 0u, .data.ptr = s};
		if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->uffd, &ev) < 0)
			return -errno;
		s->taking = room;
	}
	return 0;
}

/* The nudge's only message is that somebody has a question, or end_turns() has to look. */
static int take_nudge(struct shard *s)
{
	uint64_t token;

	if (read(s->nudge, &token, sizeof(token)) < 0 && errno != EAGAIN)
		return shard_fail_host(s, -errno, "waking up");
	shard_calls_make(s);
	return 0;
}

/* Without a demand that waits nobody is in a hurry to know. */
static void nudge(struct shard *s)
{
	const uint64_t one = 1;

	if (atomic_load(&s->holding) && write(s->nudge, &one, sizeof(one)) < 0)
		return;
}

void shard_set_idle(struct shard *s, bool idle)
{
	atomic_store(&s->idle, idle);
	if (idle)
		nudge(s);
}

void shard_yield(struct shard *s)
{
	atomic_store(&s->yields, true);
	nudge(s);
}

/*
 * Serves the demands that waited for a turn which is over. `holding` is told before `idle` and
 * `yields` are read, as the other side sets them before it reads `holding`: one of the two sees the
 * other.
 */
static int end_turns(struct shard *s)
{
	bool holding = dsm_proto_deadline(s->proto) != UINT64_MAX;

	if (holding != atomic_load_explicit(&s->holding, memory_order_relaxed))
		atomic_store(&s->holding, holding);
	dsm_proto_set_idle(s->proto, atomic_load(&s->idle));
	if (atomic_load(&s->yields) && atomic_exchange(&s->yields, false))
		dsm_proto_yield(s->proto);
	SHARD_TRACE(s, turn);
	return s->now >= dsm_proto_deadline(s->proto) ? dsm_proto_tick(s->proto, s->now) : 0;
}

/* One round of events. Return: 1 to stop, 0 to go on, negative after a failure. */
static int serve(struct shard *s)
{
	struct epoll_event ev[EVENTS];
	int r, n = shard_wait(s, ev, EVENTS, shard_receive);

	if (n < 0)
		return n;
	s->now = clock_now_ns();
	for (int i = 0; i < n; i++) {
		if (ev[i].data.ptr == &s->stop)
			return 1;
		if (ev[i].data.ptr == &s->nudge) {
			r = take_nudge(s);
		} else if (ev[i].data.ptr == s) {
			r = take_faults(s);
		} else {
			struct conn *c = ev[i].data.ptr;
			/* What this round has posted so far leaves with the rest of it. */
			r = c->polled_for_write ? conn_ready(c, shard_receive, s)
						: conn_receive(c, shard_receive, s);
			if (r < 0)
				shard_fail_peer(s, r, c->peer);
		}
		if (r < 0)
			return r;
	}
	r = end_turns(s);
	if (r < 0)
		return shard_fail_host(s, r, "ending a turn");
	s->asked = dsm_proto_waiting(s->proto) ? s->asked | s->posted | s->batch.open : 0;
	r = shard_flush(s);
	if (r == 0 && s->evict)
		r = shard_offer(s); /* what was asked of this node has been answered */
	if (r == 0)
		r = shard_tidy(s);
	if (r == 0)
		r = shard_flush(s);
	if (r < 0)
		return r;
	r = staging_tidy(&s->staging);
	if (r < 0)
		return shard_fail_host(s, r, "dropping pages that were sent");
	r = update_interest(s);
	return r < 0 ? shard_fail_host(s, r, "choosing events") : 0;
}

/* Nothing is served any more, but what the core knows can still be asked. */
static void await_stop(struct shard *s)
{
	struct pollfd fd[] = {{.fd = s->stop, .events = POLLIN},
			      {.fd = s->nudge, .events = POLLIN}};

	while (!fd[0].revents) {
		if (poll(fd, ARRAY_SIZE(fd), -1) > 0 && fd[1].revents)
			take_nudge(s);
	}
}

static void *shard_main(void *arg)
{
	struct shard *s = arg;
	int r;

	s->now = clock_now_ns();
	while ((r = serve(s)) == 0)
		;
	if (r < 0) {
		s->cfg->fatal(s->cfg->ctx, s->reason.culprit, s->reason.text);
		await_stop(s);
	}
	shard_calls_close(s);
	return NULL;
}

static int home_of(void *ctx, uint64_t gpa)
{
	return shard_home(ctx, gpa);
}

/* Registers the memory that is at home elsewhere, run by run of this shard's granules. */
static int track_remote(struct shard *s, struct err *err)
{
	const struct mem_layout *layout = &s->cfg->ram->layout;

	for (unsigned i = 0; i < layout->nranges; i++) {
		const struct mem_range *range = &layout->range[i];
		uint64_t start = range->gpa, end = range->gpa + range->size, at;

		if (range->node == s->cfg->self)
			continue;
		for (at = start; at < end; at = start) {
			while (at < end && shard_home(s, at) < 0)
				at += REGION_BYTES;
			for (start = at; start < end && shard_home(s, start) >= 0;)
				start += REGION_BYTES;
			if (start == at)
				break;
			int r = uffd_register(s->uffd, shard_hva(s, at), start - at);
			if (r < 0)
				return err_set(err, r, "userfaultfd: cannot track %llu MiB: %s%s",
					       (unsigned long long)((start - at) / MIB),
					       strerror(-r),
					       r == -ENOMEM ? "; raise vm.max_map_count" : "");
		}
	}
	return 0;
}

static int poll_all(struct shard *s)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &s->stop};

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->stop, &ev) < 0)
		return -errno;
	ev.data.ptr = &s->nudge;
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->nudge, &ev) < 0)
		return -errno;
	ev.data.ptr = s;
	if (s->uffd >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->uffd, &ev) < 0)
		return -errno;
	s->taking = true;
	for (unsigned i = 0; i < s->cfg->nodes; i++) {
		struct conn *c = shard_conn(s, i);
		ev.data.ptr = c;
		if (c && epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
			return -errno;
		s->arms |= c && c->ops->arm;
	}
	return 0;
}

static int shard_init(struct shard *s, struct mappings *mappings, struct err *err)
{
	const struct dsm_proto_config proto = {
		.self = s->cfg->self,
		.nodes = s->cfg->nodes,
		.epoch = s->cfg->epoch,
		.hold_ns = s->cfg->hold_ns,
		.max_pending = PAGER_MAX_PENDING,
		.home = home_of,
		.accept = shard_accepts,
		.emit = shard_act,
		.ctx = s,
		.gpa_end = mem_end(&s->cfg->ram->layout),
	};
	/* A node alone shares nothing: it needs no right to a userfaultfd. */
	bool moves = false;
	int r = s->cfg->nodes > 1 ? uffd_open(&s->uffd, &moves, err) : 0;

	if (r < 0)
		return r;
	s->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->nudge < 0 || s->pagemap < 0 || s->epoll < 0 || s->stop < 0)
		return err_set(err, -errno, "pager: %s", strerror(errno));
	r = dsm_proto_new(&proto, &s->proto);
	if (r == 0)
		r = shard_evict_init(s);
	if (r == 0)
		r = staging_init(&s->staging, s->uffd, moves, proto.gpa_end);
	if (r == 0)
		r = track_init(&s->tracker, s->cfg, s->index, s->uffd, mappings);
	if (r == 0)
		r = usage_init(&s->usage, proto.gpa_end, s->cfg->quiet_ns);
	if (r == 0)
		r = rehome_init(&s->rehome, proto.gpa_end, s->cfg->self, s->cfg->homes,
				s->cfg->homes_rest_ns);
	if (r == 0)
		r = poll_all(s);
	if (r < 0)
		return err_set(err, r, "pager: %s", strerror(-r));
	return track_remote(s, err);
}

static const struct batch_ops batch_ops = {.effect = shard_effect, .post = shard_post};

int shard_new(const struct pager_config *cfg, unsigned index, struct mappings *mappings,
	      struct shard **ret, struct err *err)
{
	struct shard *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, -ENOMEM, "pager: out of memory");
	s->cfg = cfg;
	s->index = index;
	s->trace.ring = cfg->trace ? trace_writer_ring(cfg->trace, index) : NULL;
	batch_init(&s->batch, &batch_ops, s);
	shard_calls_close(s);
	s->uffd = s->pagemap = s->epoll = s->stop = s->nudge = -1;

	int r = shard_init(s, mappings, err);
	if (r < 0) {
		shard_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* Signals are for other threads: this one must never run a handler between fault and answer. */
int shard_start(struct shard *s)
{
	char name[16];
	sigset_t all, old;
	int r;

	shard_calls_open(s);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&s->thread, NULL, shard_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		shard_calls_close(s);
		return -r;
	}
	s->running = true;
	snprintf(name, sizeof(name), "shard-%u", s->index);
	pthread_setname_np(s->thread, name);
	return 0;
}

void shard_stop(struct shard *s)
{
	const uint64_t one = 1;

	if (!s->running)
		return;
	/* An eventfd takes this write at once: the counter is far from full. */
	if (write(s->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(s->thread, NULL);
	s->running = false;
}

void shard_release(struct shard *s)
{
	closep(&s->uffd);
	s->uffd = -1;
}

void shard_free(struct shard *s)
{
	if (!s)
		return;
	shard_stop(s);
	shard_release(s);
	dsm_proto_free(s->proto);
	evict_free(s->evict);
	staging_free(&s->staging);
	track_free(&s->tracker);
	usage_free(&s->usage);
	rehome_free(&s->rehome);
	closep(&s->pagemap);
	closep(&s->epoll);
	closep(&s->stop);
	closep(&s->nudge);
	free(s);
}

/*
 * Words that their owner changes meanwhile: each is read whole, the set may be a sample apart. The
 * owner's side is plain on purpose: it counts in the path of every fault.
 */
__attribute__((no_sanitize("thread"))) static void snapshot(void *to, const void *from,
							    size_t bytes)
{
	uint64_t *out = to;
	const uint64_t *in = from;

	for (size_t i = 0; i < bytes / sizeof(*out); i++)
		out[i] = __atomic_load_n(&in[i], __ATOMIC_RELAXED);
}

void shard_stats(const struct shard *s, struct pager_stats *sum)
{
	union {
		struct hist hist;
		uint64_t copies[sizeof(struct evict_stats) / sizeof(uint64_t)];
		uint64_t counter[sizeof(struct dsm_stats) / sizeof(uint64_t)];
		uint64_t guesses[sizeof(struct prefetch_stats) / sizeof(uint64_t)];
	} now;
	uint64_t *to = (uint64_t *)&sum->dsm;

	static_assert(sizeof(struct dsm_stats) % sizeof(uint64_t) == 0, "64-bit counters only");
	static_assert(sizeof(struct hist) % sizeof(uint64_t) == 0, "read by words");
	snapshot(now.counter, dsm_proto_stats(s->proto), sizeof(now.counter));
	for (unsigned i = 0; i < ARRAY_SIZE(now.counter); i++)
		to[i] += now.counter[i];
	to = (uint64_t *)&sum->evict;
	if (s->evict)
		snapshot(now.copies, evict_stats(s->evict), sizeof(now.copies));
	for (unsigned i = 0; s->evict && i < ARRAY_SIZE(now.copies); i++)
		to[i] += now.copies[i];
	to = (uint64_t *)&sum->prefetch;
	snapshot(now.guesses, &s->prefetch.stats, sizeof(now.guesses));
	for (unsigned i = 0; i < ARRAY_SIZE(now.guesses); i++)
		to[i] += now.guesses[i];
	snapshot(&now.hist, &s->local, sizeof(now.hist));
	hist_merge(&sum->local, &now.hist);
	snapshot(&now.hist, &s->remote, sizeof(now.hist));
	hist_merge(&sum->remote, &now.hist);
}

uint64_t shard_waited(const struct shard *s, uint32_t tid)
{
	return waits_of(&s->waits, tid);
}
