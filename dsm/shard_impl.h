/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What shard.c (the loop), shard_act.c (the core's actions), shard_send.c and shard_receive.c
 * (messages), shard_call.c (questions), shard_evict.c (the limit), shard_guess.c (what nobody waits
 * for yet), shard_tidy.c (regions), shard_homes.c (that move), shard_wait.c, shard_trace.c (what is
 * recorded) and shard_fail.c (why it ended) share; see shard.h. The loop uses the others, none of
 * them the loop.
 */
#ifndef SSIHV_DSM_SHARD_IMPL_H
#define SSIHV_DSM_SHARD_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "dsm/batch.h"
#include "dsm/granule.h"
#include "dsm/prefetch.h"
#include "dsm/recall.h"
#include "dsm/rehome.h"
#include "dsm/shard.h"
#include "dsm/staging.h"
#include "dsm/track.h"
#include "dsm/usage.h"
#include "dsm/waits.h"

#define FAULT_BATCH 16 /* faults that are taken at once */

struct shard {
	const struct pager_config *cfg;
	unsigned index;
	int uffd, pagemap, epoll, stop;
	int nudge;			    /* eventfd: look at `idle`, `yields` and `calls` */
	_Atomic bool idle;		    /* no vCPU runs */
	_Atomic bool yields;		    /* the turn is to be cut short */
	_Atomic bool holding;		    /* demands wait for the end of a turn */
	_Atomic(struct shard_call *) calls; /* newest first; shard_call.c */
	struct dsm_proto *proto;
	struct prefetch prefetch;
	struct recall recall;
	struct evict *evict; /* NULL: copies are kept for ever */
	struct tracker tracker;
	struct usage usage;
	struct rehome rehome;
	struct hist local, remote;
	struct waits waits;
	struct batch batch;
	struct staging staging;
	struct {
		struct trace_ring *ring;    /* NULL: nothing is recorded */
		uint8_t turn;		    /* ticket of the one that has begun there; 0: none */
		struct stream_stats judged; /* as far as was recorded */
	} trace;

	uint64_t now;	 /* ns, of the event that is being handled */
	bool taking;	 /* the userfaultfd is polled */
	bool arms;	 /* a connection wants conn_arm() before each wait */
	uint64_t posted; /* peers for which messages wait for the end of this round */
	uint64_t asked;	 /* peers to which something was sent while own requests wait */
	bool received;	 /* the last wait ended with an answer: others come next */
	bool backlog;	 /* some connection has bytes queued that the kernel did not take */
	struct {
		int code; /* 0: it serves */
		int culprit;
		char text[160];
	} reason; /* why it ended: shard_fail() */
	pthread_t thread;
	bool running;
};

/* The connection to @peer; NULL for this node. */
static inline struct conn *shard_conn(const struct shard *s, unsigned peer)
{
	return s->cfg->conn ? s->cfg->conn[s->index * s->cfg->nodes + peer] : NULL;
}

static inline uint64_t shard_hva(const struct shard *s, uint64_t gpa)
{
	return (uintptr_t)ram_ptr(s->cfg->ram, gpa, PAGE_BYTES);
}

/*
 * The first home of the region at @gpa; -1 when it is no RAM of this shard. Where it is now,
 * dsm_proto_home() tells; see shard_homes.c.
 */
static inline int shard_home(const struct shard *s, uint64_t gpa)
{
	return granule_home(&s->cfg->ram->layout, s->cfg->shards, s->index, gpa);
}

/*
 * shard_act.c. act(): the core's emit(). effect(): of the batch. take(): pages leave
 * guest memory, and are at *@ret until the next call.
 * Return: 0; negative errno, whose reason was noted.
 */
int shard_act(void *ctx, const struct dsm_action *a);
int shard_effect(void *ctx, const struct batch_effect *e);
int shard_take(struct shard *s, uint64_t gpa, unsigned pages, const uint64_t **ret);

/*
 * shard_send.c. post(): of the batch. transmit(): a message joins what leaves at the end of the
 * round; @last: nothing else follows. flush(): the end: what was said so far is sent.
 * Return: as above.
 */
int shard_post(void *ctx, unsigned to, const struct wire_hdr *run, bool gives, bool last);
int shard_transmit(struct shard *s, unsigned to, struct wire_hdr h, const void *payload, bool last);
int shard_flush(struct shard *s);

/* shard_receive.c: for conn_receive(). */
int shard_receive(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload);

/*
 * shard_call.c, in the shard's thread: takes calls from now on; makes those that wait; makes no
 * more, and refuses those that wait.
 */
void shard_calls_open(struct shard *s);
void shard_calls_make(struct shard *s);
void shard_calls_close(struct shard *s);

/*
 * shard_evict.c. has_room(): may what is under way come, and @spare more pages? copy_came(): a page
 * was mapped. offer(): offers some copies to their homes, if it is time; 0, -errno.
 */
int shard_evict_init(struct shard *s);
bool shard_has_room(const struct shard *s, unsigned spare);
void shard_copy_came(struct shard *s, uint64_t gpa);
int shard_offer(struct shard *s);

/*
 * Also there. region_fits(): is there room for the region, if it comes to be at home here?
 * resize(): it @came, or left. Return: 0; -errno.
 */
bool shard_region_fits(const struct shard *s, uint64_t region);
int shard_resize(struct shard *s, uint64_t region, bool came);

/*
 * shard_guess.c. takes_faults(): is there room for a batch of faults? writes(): is the right to
 * write to be asked for? joined(): the thread waits for a page that is under way. guess(): a fault
 * made a request, what else is asked for? Return: 0; negative errno, whose reason was noted.
 */
struct shard_fault {
	uint64_t gpa;
	uint32_t tid;
	bool write;
};
bool shard_takes_faults(const struct shard *s);
bool shard_writes(struct shard *s, uint64_t gpa, bool write);
void shard_joined(struct shard *s, uint32_t tid, uint64_t gpa);
int shard_guess(struct shard *s, const struct shard_fault *fault);

/*
 * shard_homes.c. saw(): a peer's message was served, before which owner() had told who could write
 * to the page; -1: nobody, or it does not matter. used(): a thread of this node asked for the page.
 * move(): lets a region go to the node that uses it most, if it is time; 0, -errno. accepts(),
 * region_moved(): the core's accept(), DSM_CAME and DSM_LEFT.
 */
int shard_owner(const struct shard *s, const struct wire_hdr *h);
void shard_saw(struct shard *s, const struct wire_hdr *h, int owner);
void shard_used(struct shard *s, uint64_t gpa);
int shard_move(struct shard *s);
bool shard_accepts(void *ctx, uint64_t gpa);
int shard_region_moved(struct shard *s, uint64_t gpa, bool came);

/*
 * shard_tidy.c. tidy(): a round is over, and its answers are on their way; does some housekeeping,
 * if it is time. Return: 0, -errno. tidy_deadline(): when tidy() has something to do.
 */
int shard_tidy(struct shard *s);
uint64_t shard_tidy_deadline(const struct shard *s);

/*
 * shard_wait.c: waits for events, or receives an answer, by @take, in their place.
 * Return: number of events in @ev, 0 also when messages were taken; negative errno, whose reason
 * was noted.
 */
struct epoll_event;
int shard_wait(struct shard *s, struct epoll_event *ev, int max, conn_recv_fn take);

/*
 * shard_trace.c: records what happens, in the order in which the core is told of it and tells it,
 * before it is done. The core itself knows nothing of this. To be called by SHARD_TRACE() only,
 * which costs a test of a pointer where there is no trace. turn(): time has passed, or a fault may
 * have begun one; judged(): by a fault on that page; tracked(): DSM_TRACK was done.
 */
#define SHARD_TRACE(s, what, ...)                                                                  \
	do {                                                                                       \
		if (unlikely((s)->trace.ring))                                                     \
			shard_trace_##what((s), ##__VA_ARGS__);                                    \
	} while (0)
void shard_trace_turn(struct shard *s);
void shard_trace_fault(struct shard *s, const struct shard_fault *fault);
void shard_trace_action(struct shard *s, const struct dsm_action *a);
void shard_trace_tracked(struct shard *s, uint64_t gpa, const uint64_t *populated);
void shard_trace_received(struct shard *s, const struct wire_hdr *h);
void shard_trace_guess(struct shard *s, const struct prefetch_page *page, enum trace_guess why);
void shard_trace_judged(struct shard *s, uint64_t gpa);

/*
 * Note why the shard's service ends; the first reason stands. Return: @code.
 * fail_peer(): the connection to @peer broke, or what came over it was wrong.
 * fail_here(): @what could not be done to the page at @gpa on this host; fail_host(): @what failed.
 */
int shard_fail(struct shard *s, int code, int culprit, const char *fmt, ...) _printf_(4, 5);
int shard_fail_peer(struct shard *s, int code, unsigned peer);
int shard_fail_here(struct shard *s, int code, const char *what, uint64_t gpa);
int shard_fail_host(struct shard *s, int code, const char *what);

#endif
