/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/timing.h"
#include "dsm/pagehash.h"

#define VALID  UINT64_C(1)
#define WRITE  UINT64_C(2)
#define PROBES 8

static unsigned slot_of(uint64_t gpa, unsigned probe)
{
	uint64_t hash = page_hash_bits(gpa);

	return (unsigned)((hash >> 32) + probe) & (TIMING_SLOTS - 1);
}

static int find(const struct timing *t, uint64_t gpa)
{
	uint64_t page = ALIGN_DOWN(gpa, PAGE_BYTES);

	for (unsigned probe = 0; probe < PROBES; probe++) {
		unsigned i = slot_of(gpa, probe);
		uint64_t key = t->slot[i].key;
		if ((key & VALID) && ALIGN_DOWN(key, PAGE_BYTES) == page)
			return (int)i;
	}
	return -1;
}

void timing_begin(struct timing *t, uint64_t gpa, bool write, uint64_t now)
{
	if (find(t, gpa) >= 0)
		return;
	for (unsigned probe = 0; probe < PROBES; probe++) {
		unsigned i = slot_of(gpa, probe);
		if (!(t->slot[i].key & VALID)) {
			t->slot[i].key = ALIGN_DOWN(gpa, PAGE_BYTES) | VALID | (write ? WRITE : 0);
			t->slot[i].start = now;
			return;
		}
	}
}

bool timing_end(struct timing *t, uint64_t gpa, bool writable, uint64_t *start)
{
	int i = find(t, gpa);

	if (i < 0 || ((t->slot[i].key & WRITE) && !writable))
		return false;
	*start = t->slot[i].start;
	t->slot[i].key = 0;
	return true;
}
