/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node knows by page, in tables of one 2 MiB region that come to be when they are needed:
 * a full entry for pages whose home is here and that another node asked for, one byte for pages of
 * other homes that were touched here. A region has one home at a time, so a table
 * of one kind.
 */
#ifndef SSIHV_DSM_DIRECTORY_H
#define SSIHV_DSM_DIRECTORY_H

#include "base/base.h"

#define NO_NODE UINT8_MAX
static_assert(MAX_NODES < NO_NODE, "a node number fits a byte");

struct home_entry {
	uint64_t sharers;  /* who has a copy once the transaction under way is done; 0: zero page */
	uint32_t queue;	   /* requests that wait: see requests.h */
	uint8_t owner;	   /* the sharer that may write, or NO_NODE */
	uint8_t requester; /* whose transaction is under way, or NO_NODE */
	uint8_t copy;	   /* this node's own copy: enum dsm_copy */
	uint8_t ticket;	   /* number of the requester's turn */
};
static_assert(sizeof(struct home_entry) == 16, "the cost of a tracked page at its home");

union region_table {
	struct home_entry *home; /* REGION_PAGES entries */
	uint8_t *copy;		 /* REGION_PAGES times enum dsm_copy */
};

struct directory {
	union region_table
		*region; /* a pointer for each 2 MiB; never written to: never in memory */
	uint64_t bytes;	 /* of all tables */
};

/** directory_init() - for guest addresses below @gpa_end. Return: 0; -ENOMEM. */
int directory_init(struct directory *d, uint64_t gpa_end);
void directory_free(struct directory *d, uint64_t gpa_end);

/** directory_home() - the entry of a page whose home is here; NULL when it is not tracked. */
struct home_entry *directory_home(const struct directory *d, uint64_t gpa);

/** directory_copy() - this node's copy of a page of another home; NULL when never touched. */
uint8_t *directory_copy(const struct directory *d, uint64_t gpa);

/**
 * directory_track() - make the entries of a region whose home is here (@self) and that has none
 * @populated: one bit a page: the home owns those, the others are zero
 *
 * Return: 0; -ENOMEM.
 */
int directory_track(struct directory *d, uint64_t gpa, unsigned self, const uint64_t *populated);

/** directory_untrack() - the region's entries, which exist, are no more. */
void directory_untrack(struct directory *d, uint64_t gpa);

/**
 * directory_arrive() - the region's home is here now: entries in place of bytes, if there are any
 * directory_leave() - the reverse
 *
 * This node's copies stay as they are; of others nothing is known. Return: 0; -ENOMEM.
 */
int directory_arrive(struct directory *d, uint64_t gpa);
int directory_leave(struct directory *d, uint64_t gpa);

/**
 * directory_touch() - make the byte table of a region of another home that has none
 *
 * Return: the byte of the page at @gpa; NULL when there is no memory.
 */
uint8_t *directory_touch(struct directory *d, uint64_t gpa);

#endif
