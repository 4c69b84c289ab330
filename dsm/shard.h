/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One shard: the thread between a fault and its answer.
 *
 * THEORY. The thread waits in epoll for its userfaultfd (faults of vCPUs and of other threads of
 * this process) and for its connections to the same shard on every peer. Both are turned into
 * calls of the protocol core (dsm/proto.h), whose actions are executed on the spot (shard_act.c),
 * or together with what they are continued by (dsm/batch.h). Received pages go from the receive
 * buffer into the guest without a copy in between.
 *
 * The thread takes no lock, allocates nothing and logs nothing on this path.
 *
 * IT NEVER FAULTS on what it serves, or it would wait for itself for ever: it only reads guest
 * memory of which the core says that this node has a copy. Those pages have content. They got it
 * with the copy: from DSM_MAP, or with DSM_TRACK, which asks the kernel once only this thread
 * populates the region (a page of zeros that all share counts, one that is swapped out, too). They
 * lose it with the copy, by DSM_DROP or DSM_GIVE: nothing else in this process gives guest memory
 * up, no other process can (process_madvise() refuses advice that destroys), and the kernel
 * reclaims none without swap. Who breaks this is told where the kernel tells (UFFDIO_MOVE of a page
 * that is not there): then the shard ends with a reason.
 *
 * SPIN. While own requests wait for an answer, the thread polls for at most spin_ns after the last
 * event, then sleeps: a wake-up across CPUs costs more than most answers take. It polls by trying
 * to receive the answer; the rest is looked at now and then (shard_wait.c).
 *
 * BACKPRESSURE. While a connection has more than CONGESTED bytes queued, or the core has no room
 * for a batch of faults, no new faults are taken; requests of peers are always served. The
 * faulting threads wait, nobody else does.
 *
 * QUESTIONS of other threads about the core's state are answered here as well (shard_call()).
 *
 * FAILURE. A broken connection, a peer that breaks the protocol or a failing ioctl ends the shard:
 * `fatal` is called once, and the thread waits to be stopped. Who waits for a page stays asleep
 * until shard_release() closes the userfaultfd. No child process may hold a copy of it (it is
 * close-on-exec), or the waiters would stay.
 */
#ifndef SSIHV_DSM_SHARD_H
#define SSIHV_DSM_SHARD_H

#include "base/err.h"
#include "dsm/mappings.h"
#include "dsm/pager_config.h"

struct shard;

/** shard_new() - as pager_new(), for shard @index; @cfg and @mappings must outlive the shard. */
int shard_new(const struct pager_config *cfg, unsigned index, struct mappings *mappings,
	      struct shard **ret, struct err *err);

/** shard_start() - start the thread, with all signals blocked. Return: 0 or negative errno. */
int shard_start(struct shard *s);

/** shard_set_idle(), shard_yield() - see pager_set_idle(), pager_yield(). Any thread. */
void shard_set_idle(struct shard *s, bool idle);
void shard_yield(struct shard *s);

/** shard_call() - as pager_call(). Any thread but the shard's own. */
int shard_call(struct shard *s, pager_call_fn fn, void *arg);

/** shard_stop() - end the thread; the userfaultfd stays open. Idempotent. */
void shard_stop(struct shard *s);

/** shard_release() - close the userfaultfd of a stopped shard: all waiters go on. Idempotent. */
void shard_release(struct shard *s);

/** shard_free() - stop, release and free. NULL is allowed. */
void shard_free(struct shard *s);

/** shard_waited() - as pager_waited(), for this shard's part of the memory. Any thread. */
uint64_t shard_waited(const struct shard *s, uint32_t tid);

/** shard_stats() - add this shard's figures to @sum. Any thread; may be a sample behind. */
void shard_stats(const struct shard *s, struct pager_stats *sum);

#endif
