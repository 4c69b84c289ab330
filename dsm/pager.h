/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pager: makes the guest's RAM of all nodes one coherent memory on this node.
 *
 * Guest memory is cut into granules that are dealt to shards in turn (dsm/granule.h); each shard
 * has one thread that owns its userfaultfd, its connections to the same shard on the peers and its
 * part of the directory (dsm/shard.h). The pager only divides, starts, stops and adds up.
 *
 * Memory whose home is another node is tracked from the start. Memory at home here is plain
 * anonymous memory until another node asks for a page in it (dsm/proto.h, DSM_TRACK). That is where
 * it is at home at first: a region's home may move to who uses it most (dsm/rehome.h).
 *
 * Threads: pager_new() to pager_free() from one thread; pager_stats() from any; the callback
 * `fatal` comes from a shard's thread, at most once a shard, and must not block on guest memory.
 * After `fatal` that shard serves no more faults: the caller must stop the VM and then call
 * pager_stop(), which releases every thread that still waits for a page.
 */
#ifndef SSIHV_DSM_PAGER_H
#define SSIHV_DSM_PAGER_H

#include "base/err.h"
#include "dsm/pager_config.h"

struct pager;

/**
 * pager_new() - open the userfaultfds and track all memory that is at home elsewhere
 *
 * Return: 0; negative errno with @err: no access to userfaultfd, no memory, too many mappings.
 */
int pager_new(const struct pager_config *cfg, struct pager **ret, struct err *err);

/** pager_start() - start the shards' threads. Return: 0 or negative errno; then only free it. */
int pager_start(struct pager *pager);

/**
 * pager_stop() - end the threads and stop tracking
 *
 * Threads that wait for a page go on with whatever is in memory: vCPUs must have been told to stop
 * before, so that they leave KVM_RUN instead of entering the guest. Idempotent.
 */
void pager_stop(struct pager *pager);

void pager_free(struct pager *pager);

/**
 * pager_set_idle() - no vCPU of this node runs, or one does again
 *
 * Pages that are held for a CPU that sleeps would be waited for in vain. Any thread.
 */
void pager_set_idle(struct pager *pager, bool idle);

/**
 * pager_yield() - another node was sent an interrupt
 *
 * It may need pages that are held here before it can do what is asked of it: what this node holds
 * is given up soon (dsm/hold.h). Any thread.
 */
void pager_yield(struct pager *pager);

/**
 * pager_call() - ask shard @shard something: @fn runs in its thread, on what its core knows
 *
 * Waits for the answer. @fn must not block, nor touch guest memory: the faults of a part of the
 * memory wait meanwhile. From any thread that is no shard's and holds no lock that @fn takes.
 * @pager may stop meanwhile, but not be freed before the return.
 *
 * Return: 0 when @fn has run; -EINVAL for no such shard; -ESHUTDOWN when its thread does not run.
 */
int pager_call(struct pager *pager, unsigned shard, pager_call_fn fn, void *arg);

/**
 * pager_page() - what this node knows of the page at @gpa; its home knows who has it
 *
 * Return: 0; -EFAULT for an address that is no RAM; or as pager_call().
 */
int pager_page(struct pager *pager, uint64_t gpa, struct dsm_page_info *ret);

/**
 * pager_waited() - ns for which a thread of this process has waited for pages
 * @tid: as of gettid()
 *
 * From when the pager knows of a fault until the page is there; a wait that goes on is not in it.
 * Any thread.
 */
uint64_t pager_waited(const struct pager *pager, uint32_t tid);

/** pager_stats() - sum over all shards; @ret may be large, not for the stack of a small thread. */
void pager_stats(const struct pager *pager, struct pager_stats *ret);

#endif
