/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/shard.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "dsm/timing.h"
#include "dsm/uffd.h"

#define FAULT_BATCH 16
#define EVENTS      32
#define CONGESTED   (1 * MIB)

struct shard {
	const struct pager_config *cfg;
	unsigned index;
	int uffd, pagemap, epoll, stop;
	struct dsm_proto *proto;
	struct timing timing;
	struct hist local, remote;
	uint64_t now;  /* ns, of the event that is being handled */
	bool taking;   /* the userfaultfd is polled */
	bool failed;
	pthread_t thread;
	bool running;
};

/* What an epoll event's pointer may be, besides a connection. */
static struct conn *conn_of(const struct shard *s, bool data, unsigned peer)
{
	struct conn **of = data ? s->cfg->data : s->cfg->request;

	return of ? of[s->index * s->cfg->nodes + peer] : NULL;
}

static uint64_t hva_of(const struct shard *s, uint64_t gpa)
{
	return (uintptr_t)ram_ptr(s->cfg->ram, gpa, PAGE_BYTES);
}

/* Ends the shard's service; the first reason is the one that counts. */
static int fail(struct shard *s, int code, int culprit, const char *text)
{
	if (!s->failed) {
		s->failed = true;
		s->cfg->fatal(s->cfg->ctx, culprit, text);
	}
	return code;
}

static int fail_peer(struct shard *s, int code, unsigned peer)
{
	char text[160];

	snprintf(text, sizeof(text), "page connection to node %u: %s", peer,
		 code == -EPROTO || code == -EBADMSG ? "it broke the protocol"
						     : strerror(-code));
	return fail(s, code, (int)peer, text);
}

static int fail_here(struct shard *s, int code, const char *what, uint64_t gpa)
{
	char text[160];

	snprintf(text, sizeof(text), "pager: %s of page %#llx failed: %s", what,
		 (unsigned long long)gpa, strerror(-code));
	return fail(s, code, -1, text);
}

static bool all_zero(const void *page)
{
	const uint64_t *word = page;

	for (unsigned i = 0; i < PAGE_BYTES / sizeof(*word); i += 4)
		if (word[i] | word[i + 1] | word[i + 2] | word[i + 3])
			return false;
	return true;
}

/* A page that turns out to be all zero travels as a flag. */
static int emit_send(struct shard *s, const struct dsm_action *a)
{
	struct wire_hdr hdr = a->send.hdr;
	const void *page = NULL;

	if (hdr.flags & WIRE_GRANT_DATA) {
		page = (const void *)hva_of(s, a->gpa);
		if (all_zero(page)) {
			hdr.flags = (uint8_t)((hdr.flags & ~WIRE_GRANT_DATA) | WIRE_GRANT_ZERO);
			hdr.len = 0;
			page = NULL;
		}
	}
	struct conn *c = conn_of(s, hdr.type == WIRE_GRANT, a->send.to);
	int r = conn_send(c, &hdr, page);
	return r < 0 ? fail_peer(s, r, a->send.to) : 0;
}

static int emit_track(struct shard *s, const struct dsm_action *a)
{
	uint64_t hva = hva_of(s, a->gpa);
	int r = uffd_register(s->uffd, hva, REGION_BYTES);

	/* After the registration only this thread populates, so the snapshot below stays true. */
	if (r == 0)
		r = uffd_populated(s->pagemap, hva, REGION_PAGES, a->track.populated);
	return r;
}

static void record(struct shard *s, uint64_t gpa, bool writable)
{
	uint64_t start;

	if (timing_end(&s->timing, gpa, writable, &start))
		hist_add(&s->remote, clock_now_ns() - start);
}

static int emit(void *ctx, const struct dsm_action *a)
{
	struct shard *s = ctx;
	uint64_t hva = a->type == DSM_SEND ? 0 : hva_of(s, a->gpa);
	int r = 0;

	switch (a->type) {
	case DSM_SEND:
		return emit_send(s, a);
	case DSM_MAP:
		r = a->map.data || !a->map.writable
			    ? uffd_copy(s->uffd, hva, a->map.data, !a->map.writable)
			    : uffd_zero(s->uffd, hva);
		record(s, a->gpa, a->map.writable);
		return r < 0 ? fail_here(s, r, "mapping", a->gpa) : 0;
	case DSM_UNPROTECT:
		r = uffd_protect(s->uffd, hva, false);
		record(s, a->gpa, true);
		return r < 0 ? fail_here(s, r, "unprotecting", a->gpa) : 0;
	case DSM_PROTECT:
		r = uffd_protect(s->uffd, hva, true);
		return r < 0 ? fail_here(s, r, "protecting", a->gpa) : 0;
	case DSM_DROP:
		r = uffd_drop(hva);
		return r < 0 ? fail_here(s, r, "dropping", a->gpa) : 0;
	case DSM_WAKE:
		r = uffd_wake(s->uffd, hva);
		return r < 0 ? fail_here(s, r, "waking", a->gpa) : 0;
	case DSM_TRACK:
		r = emit_track(s, a);
		if (r == -ENOMEM)
			return fail(s, r, -1,
				    "pager: too many memory mappings: raise vm.max_map_count");
		return r < 0 ? fail_here(s, r, "tracking", a->gpa) : 0;
	}
	return -EINVAL;
}

static int on_message(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload)
{
	struct shard *s = ctx;
	int r = dsm_proto_message(s->proto, h, payload, s->now);

	return r < 0 ? fail_peer(s, r, c->peer) : 0;
}

static int take_faults(struct shard *s)
{
	struct uffd_fault fault[FAULT_BATCH];
	int n = uffd_read(s->uffd, fault, FAULT_BATCH);

	if (n < 0)
		return fail_here(s, n, "reading a fault", 0);
	for (int i = 0; i < n; i++) {
		uint64_t gpa;

		if (mem_gpa(&s->cfg->ram->layout,
			    fault[i].hva - (uintptr_t)s->cfg->ram->base, &gpa) < 0)
			return fail_here(s, -EFAULT, "locating a fault", fault[i].hva);
		int r = dsm_proto_fault(s->proto, gpa, fault[i].write, s->now);
		if (r < 0)
			return fail_here(s, r, "fault", gpa);
		if (r > 0)
			hist_add(&s->local, clock_now_ns() - s->now);
		else
			timing_begin(&s->timing, gpa, fault[i].write, s->now);
	}
	return 0;
}

/* Polls for writing exactly while something is queued; takes faults only while there is room. */
static int update_interest(struct shard *s)
{
	bool congested = dsm_proto_waiting(s->proto) + FAULT_BATCH > PAGER_MAX_PENDING;

	for (unsigned i = 0; i < 2 * s->cfg->nodes; i++) {
		struct conn *c = conn_of(s, i & 1, i / 2);
		if (!c)
			continue;
		bool want = conn_queued(c) > 0;
		congested |= conn_queued(c) > CONGESTED;
		if (want != c->polled_for_write) {
			struct epoll_event ev = {.events = EPOLLIN | (want ? EPOLLOUT : 0u),
						 .data.ptr = c};
			if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &ev) < 0)
				return -errno;
			c->polled_for_write = want;
		}
	}
	if (s->taking == congested) {
		struct epoll_event ev = {.events = congested ? 0u : EPOLLIN, .data.ptr = s};
		if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->uffd, &ev) < 0)
			return -errno;
		s->taking = !congested;
	}
	return 0;
}

/* Waits for the next events: polling while an answer is near, else asleep up to the deadline. */
static int wait_events(struct shard *s, struct epoll_event *ev)
{
	uint64_t deadline = dsm_proto_deadline(s->proto);
	uint64_t spin_end = dsm_proto_waiting(s->proto) ? s->now + s->cfg->spin_ns : 0;
	int n;

	for (;;) {
		uint64_t now = clock_now_ns();

		if (now >= spin_end || now >= deadline) {
			struct timespec ts, *timeout = NULL;
			if (deadline != UINT64_MAX) {
				uint64_t left = deadline > now ? deadline - now : 0;
				ts.tv_sec = (time_t)(left / NSEC_PER_SEC);
				ts.tv_nsec = (long)(left % NSEC_PER_SEC);
				timeout = &ts;
			}
			n = epoll_pwait2(s->epoll, ev, EVENTS, timeout, NULL);
			break;
		}
		n = epoll_wait(s->epoll, ev, EVENTS, 0);
		if (n)
			break;
	}
	return n < 0 && errno == EINTR ? 0 : n < 0 ? -errno : n;
}

/* One round of events. Return: 1 to stop, 0 to go on, negative after a failure. */
static int serve(struct shard *s)
{
	struct epoll_event ev[EVENTS];
	int r, n = wait_events(s, ev);

	if (n < 0)
		return fail_here(s, n, "waiting", 0);
	s->now = clock_now_ns();
	for (int i = 0; i < n; i++) {
		if (ev[i].data.ptr == &s->stop)
			return 1;
		if (ev[i].data.ptr == s) {
			r = take_faults(s);
		} else {
			struct conn *c = ev[i].data.ptr;
			r = conn_ready(c, on_message, s);
			if (r < 0)
				fail_peer(s, r, c->peer);
		}
		if (r < 0)
			return r;
	}
	if (s->now >= dsm_proto_deadline(s->proto)) {
		r = dsm_proto_tick(s->proto, s->now);
		if (r < 0)
			return fail_here(s, r, "end of a hold window", 0);
	}
	r = update_interest(s);
	return r < 0 ? fail_here(s, r, "polling", 0) : 0;
}

static void *shard_main(void *arg)
{
	struct shard *s = arg;
	int r;

	s->now = clock_now_ns();
	while ((r = serve(s)) == 0)
		;
	if (r < 0) {
		uint64_t token;
		struct timespec pause = {.tv_nsec = (long)(10 * NSEC_PER_MSEC)};
		/* Failed: nothing is served any more; only the stop is waited for. */
		while (read(s->stop, &token, sizeof(token)) < 0)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

static int home_of(void *ctx, uint64_t gpa)
{
	const struct shard *s = ctx;

	if (pager_shard_of(&s->cfg->ram->layout, s->cfg->shards, gpa) != s->index)
		return -1;
	return mem_home(&s->cfg->ram->layout, gpa);
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
			while (at < end && home_of(s, at) < 0)
				at += REGION_BYTES;
			for (start = at; start < end && home_of(s, start) >= 0;)
				start += REGION_BYTES;
			if (start == at)
				break;
			int r = uffd_register(s->uffd, hva_of(s, at), start - at);
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
	ev.data.ptr = s;
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->uffd, &ev) < 0)
		return -errno;
	s->taking = true;
	for (unsigned i = 0; i < 2 * s->cfg->nodes; i++) {
		struct conn *c = conn_of(s, i & 1, i / 2);
		ev.data.ptr = c;
		if (c && epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
			return -errno;
	}
	return 0;
}

static int shard_init(struct shard *s, struct err *err)
{
	const struct dsm_proto_config proto = {
		.self = s->cfg->self,
		.nodes = s->cfg->nodes,
		.epoch = s->cfg->epoch,
		.hold_ns = s->cfg->hold_ns,
		.max_pending = PAGER_MAX_PENDING,
		.home = home_of,
		.emit = emit,
		.ctx = s,
		.gpa_end = mem_end(&s->cfg->ram->layout),
	};
	int r = uffd_open(&s->uffd, err);

	if (r < 0)
		return r;
	s->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->pagemap < 0 || s->epoll < 0 || s->stop < 0)
		return err_set(err, -errno, "pager: %s", strerror(errno));
	r = dsm_proto_new(&proto, &s->proto);
	if (r == 0)
		r = poll_all(s);
	if (r < 0)
		return err_set(err, r, "pager: %s", strerror(-r));
	return track_remote(s, err);
}

int shard_new(const struct pager_config *cfg, unsigned index, struct shard **ret, struct err *err)
{
	struct shard *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, -ENOMEM, "pager: out of memory");
	s->cfg = cfg;
	s->index = index;
	s->uffd = s->pagemap = s->epoll = s->stop = -1;

	int r = shard_init(s, err);
	if (r < 0) {
		shard_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int shard_start(struct shard *s)
{
	int r = pthread_create(&s->thread, NULL, shard_main, s);

	s->running = r == 0;
	if (s->running) {
		char name[16];
		snprintf(name, sizeof(name), "shard-%u", s->index);
		pthread_setname_np(s->thread, name);
	}
	return -r;
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

void shard_free(struct shard *s)
{
	if (!s)
		return;
	shard_stop(s);
	dsm_proto_free(s->proto);
	closep(&s->uffd);
	closep(&s->pagemap);
	closep(&s->epoll);
	closep(&s->stop);
	free(s);
}

void shard_stats(const struct shard *s, struct pager_stats *sum)
{
	const struct dsm_stats *from = dsm_proto_stats(s->proto);
	/* All fields of dsm_stats are 64-bit counters: add them as an array. */
	const uint64_t *add = (const uint64_t *)from;
	uint64_t *to = (uint64_t *)&sum->dsm;

	static_assert(sizeof(struct dsm_stats) % sizeof(uint64_t) == 0, "counters only");
	for (unsigned i = 0; i < sizeof(*from) / sizeof(*to); i++)
		to[i] += add[i];
	hist_merge(&sum->local, &s->local);
	hist_merge(&sum->remote, &s->remote);
}
