/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where does a thread's walk through memory lead, and how far ahead is it worth fetching? Pure.
 *
 * MAJORITY. A stream is a part of a thread's faults that lie near each other; a fault belongs to
 * the stream that it continues, else to the nearest, else it begins one in place of that which was
 * used least lately. So walks through several arrays in turn are told apart. Of its last faults a
 * stream keeps by how many pages each was away from the one before, and votes on these: first the
 * newest two, then four, then eight (after Leap: Maruf and Chowdhury, "Effectively Prefetching
 * Remote Memory with Leap", USENIX ATC 2020). The majority is its step, forward or backward; no
 * majority, no guess. A fault astray costs a vote, not the stream.
 *
 * WORTH. A page that was fetched ahead and is then used raises no fault, so this is judged by what
 * can be seen. All of a batch was right when the stream's next fault lies behind it, by a few steps
 * at most (some may have been here before). A page was right, and so were those in front of it,
 * when a thread faults on it while it is under way. The rest was wrong when the stream goes on
 * elsewhere or is given up. So what was used up just before a walk ended counts as wrong.
 *
 * DEPTH. A batch that was right makes the stream's next one twice as long, one that was mostly
 * wrong half as long, down to none. What a stream begins with is the thread's: it follows in the
 * same way, to STREAM_FIRST at most. A thread whose guesses are off tries one page each
 * STREAM_PROBE times that it could have guessed.
 *
 * READING. A batch is asked for to read, also where the thread writes: a guess takes no page from a
 * node that may write to it, and pages that are all zero come writable anyway. Where the thread
 * then writes to read-only pages of its own batch, asking for those has saved nothing. Such a
 * stream goes on for writing, with one page: twice as many each time that it has written to all of
 * them. So a guess takes no more than the thread has just taken by itself; and it ends with the
 * writes.
 *
 * A batch ends with its 2 MiB region: what lies behind may have another home.
 */
#ifndef SSIHV_DSM_STREAM_H
#define SSIHV_DSM_STREAM_H

#include "base/base.h"

#define STREAM_FIRST  15u
#define STREAM_MAX    63u
#define STREAM_WINDOW 8
#define STREAM_PROBE  16
#define STREAMS	      4 /* of a thread */

/* In pages. What is neither right nor wrong was not judged yet, or its thread was forgotten. */
struct stream_stats {
	uint64_t asked, right, wrong;
};

struct stream {
	uint64_t at;   /* number of the page that the last fault was on */
	uint64_t used; /* when, by the thread's count of faults; 0: there is no stream */
	int16_t delta[STREAM_WINDOW]; /* pages between faults; newest first */
	int16_t step;		      /* their majority; 0: none */
	uint8_t deltas;
	uint8_t depth; /* of the next batch */
	uint8_t span;  /* steps from `at` to the end of the batch */
	uint8_t open;  /* pages of it that were asked for and not judged yet */
	uint8_t write; /* batches that are still asked for writing */
};

struct streams {
	struct stream stream[STREAMS];
	uint64_t faults;
	uint8_t first;	/* depth of a new stream's first batch */
	uint8_t passed; /* batches that were not asked for since the last probe */
	uint8_t last;	/* whose batch was the last */
};

/* The pages that are @step bytes apart, from the faulted one on. */
struct stream_batch {
	unsigned pages; /* without that one; 0: no guess */
	int64_t step;
	bool write;
};

void streams_init(struct streams *t);

/** stream_fault() - the thread waits for the page at @gpa, for which a new request was made */
struct stream_batch stream_fault(struct streams *t, struct stream_stats *stats, uint64_t gpa,
				 bool write);

/** stream_asked() - of the last batch @tried pages were looked at and @asked asked for */
void stream_asked(struct streams *t, struct stream_stats *stats, unsigned tried, unsigned asked);

/** stream_joined() - the thread waits for the page at @gpa, which is under way */
void stream_joined(struct streams *t, struct stream_stats *stats, uint64_t gpa);

#endif
