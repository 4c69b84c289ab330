/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console on its way: kept in a file, and watched for what the proof from inside, or a
 * guest that is measured, says to us: PROOF-START, `PROOF {json}` and `PROOF-MARK NAME` (marks.h).
 * What the guest prints is not trusted, only bounded and parsed.
 */
#ifndef SSIHV_CLI_PROOF_H
#define SSIHV_CLI_PROOF_H

#include <jansson.h>
#include <stdio.h>

#include "cluster/lines.h"

struct proof {
	FILE *log; /* NULL: the console is not kept */
	struct lines lines;
	json_t *found;	   /* the last PROOF line's object, or NULL */
	uint64_t start_ns; /* when PROOF-START came; 0: it did not */
	/* A mark, by a name of one printable line. May be NULL; to be set after proof_open(). */
	void (*mark)(void *ctx, const char *name);
	void *ctx;
};

/** proof_open() - @log: path of the file that keeps the console. */
void proof_open(struct proof *p, const char *log);
void proof_add(struct proof *p, const char *data, size_t len);
/** proof_end() - no more comes; what was found stays until proof_free(). */
void proof_end(struct proof *p);
void proof_free(struct proof *p);

#endif
