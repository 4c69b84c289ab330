/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Surveys of the guest's memory (survey/survey.h), written beside the traces of a run, so that a
 * hot page's number becomes a name.
 *
 * THEORY. What a page is can be told while the guest lives only, and which pages will be asked
 * about is known only when the traces of all nodes are read. So a survey is of all of it, and it is
 * made when it disturbs nothing: while the guest stands still, by each node for the vCPUs that are
 * there, and by node 0 once more when the guest has powered itself off, before the others learn of
 * it. Files NAME-1.survey, NAME-2.survey, .. of DIR; node 0 also writes NAME.symbols, once, with
 * what the kernel's own tables say, as a System.map.
 *
 * NEVER HANGS. Guest memory may be another node's, which may have gone. So a thread of its own
 * reads it, the main thread never waits for that, and the pager's end frees it like a vCPU:
 * surveyor_cancel(), pager_stop(), surveyor_join(). What was under way then is not written.
 *
 * COST. The kernel's half of the tables and, once, node 0's memory for the image (some 40 MiB,
 * SURVEY_IMAGE_BYTES at most). Pages that were read are there to read afterwards, and the reads are
 * in the trace, one each. vCPUs that went elsewhere left behind where their per-CPU area is.
 *
 * Threads: surveyor_left() any; the rest the main thread.
 */
#ifndef SSIHV_VMM_SURVEYOR_H
#define SSIHV_VMM_SURVEYOR_H

#include <pthread.h>
#include <stdatomic.h>

#include "mem/ram.h"
#include "survey/survey.h"
#include "vmm/events.h"
#include "wire/vcpu.h"

struct surveyor {
	/* Constant once set. */
	struct ram *ram;
	struct events *events;
	const char *dir; /* NULL: nobody wants to know */
	const char *name;
	uint32_t epoch;
	bool symbols; /* this node writes them */

	_Atomic uint64_t gs[MAX_VCPUS]; /* of vCPUs that went elsewhere; 0: unknown */
	struct survey_cpu cpu[MAX_VCPUS];
	size_t cpus;
	unsigned number; /* of surveys that were begun */
	pthread_t thread;
	bool started;
	_Atomic bool done, cancelled;
};

/** surveyor_init() - the constants are set; another run's symbols go. */
void surveyor_init(struct surveyor *s);

/** surveyor_left() - the vCPU @image goes elsewhere. */
void surveyor_left(struct surveyor *s, const struct wire_vcpu *image);

/** surveyor_may() - is a survey wanted, and none under way? Then it can be begun. */
bool surveyor_may(struct surveyor *s);

/** surveyor_add() - a vCPU that is here; before surveyor_begin(). */
void surveyor_add(struct surveyor *s, const struct wire_vcpu *image);

/** surveyor_begin() - after surveyor_may(): start a survey with what was added. */
void surveyor_begin(struct surveyor *s);

/** surveyor_busy() - is one under way? */
bool surveyor_busy(const struct surveyor *s);

/** surveyor_cancel() - what is under way gives up, once it has the page that it waits for. */
void surveyor_cancel(struct surveyor *s);

/** surveyor_join() - wait for its end. */
void surveyor_join(struct surveyor *s);

#endif
