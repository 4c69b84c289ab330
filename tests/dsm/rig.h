/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One protocol core with its actions recorded, for tests that play the other nodes. Three nodes;
 * region k has home k, so PAGE(k, i) is page i of the region of node k.
 */
#ifndef SSIHV_TESTS_DSM_RIG_H
#define SSIHV_TESTS_DSM_RIG_H

#include "dsm/proto.h"
#include "tests/check.h"

#define NODES	    3
#define EPOCH	    7
#define HOLD	    1000
#define PENDING	    4
#define PAGE(k, i)  ((uint64_t)(k)*REGION_BYTES + (uint64_t)(i)*PAGE_BYTES)
#define LOG_ACTIONS 64

struct rig {
	struct dsm_proto *p;
	unsigned self;
	unsigned count; /* actions since the last expectation */
	struct dsm_action log[LOG_ACTIONS];
	uint64_t populated; /* of the first 64 pages of a tracked region */
	int error;	    /* what emit() returns */
	uint64_t now;
};

extern const char page_data[PAGE_BYTES]; /* of each grant that take_grant() carries */

int rig_home(void *ctx, uint64_t gpa);
int rig_record(void *ctx, const struct dsm_action *a);
void rig_open(struct rig *r, unsigned self, uint64_t hold_ns);
void rig_close(struct rig *r);
struct wire_hdr message(enum wire_type type, unsigned from, unsigned node, uint64_t gpa);
int take(struct rig *r, enum wire_type type, unsigned from, unsigned node, uint64_t gpa);
int take_grant(struct rig *r, unsigned from, uint64_t gpa, unsigned flags, unsigned acks);
struct dsm_action rig_next(struct rig *r);
void expect_action(struct rig *r, enum dsm_action_type type, uint64_t gpa);
void expect_map(struct rig *r, uint64_t gpa, const void *data, bool writable);
struct wire_hdr expect_send(struct rig *r, enum wire_type type, unsigned to, unsigned node,
			    uint64_t gpa);
void expect_grant(struct rig *r, unsigned to, uint64_t gpa, unsigned flags, unsigned acks);
void expect_copy(const struct rig *r, uint64_t gpa, enum dsm_copy copy);
void get_shared(struct rig *r, uint64_t gpa);
void get_owned(struct rig *r, uint64_t gpa);

#endif
