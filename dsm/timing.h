/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When did the fault start that this grant ends? A small table from page to start time.
 *
 * Holds one entry a page, in open addressing with a bounded probe. It serves statistics only: when
 * it is full a sample is lost, nothing else. One thread.
 */
#ifndef SSIHV_DSM_TIMING_H
#define SSIHV_DSM_TIMING_H

#include "base/base.h"

#define TIMING_SLOTS 1024 /* power of two, well above the number of faults that can wait */

struct timing {
	struct {
		uint64_t key; /* page | VALID | WRITE */
		uint64_t start;
	} slot[TIMING_SLOTS];
};

/** timing_begin() - a fault on the page of @gpa began at @now; an earlier entry of it stays. */
void timing_begin(struct timing *t, uint64_t gpa, bool write, uint64_t now);

/**
 * timing_end() - the page of @gpa was mapped
 * @writable: a read-only page does not end a write fault
 *
 * Return: true with the start in *@start when a fault ended.
 */
bool timing_end(struct timing *t, uint64_t gpa, bool writable, uint64_t *start);

#endif
