/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much a shard asks for that nobody waits for (dsm/shard_guess.c). The other node answers when
 * it is told to; nothing is done to memory.
 */
#include "dsm/shard_impl.h"
#include "tests/check.h"

#define NODE_SIZE (64 * REGION_BYTES)
#define WALKS	  64
#define LOST	  100
#define GUESSES	  (PAGER_MAX_PENDING / 2)

struct rig {
	struct pager_config cfg;
	struct ram ram;
	struct shard s;
	unsigned asked;
	uint64_t page[PAGER_MAX_PENDING]; /* that were asked for, and not answered yet */
};

static int emit(void *ctx, const struct dsm_action *a)
{
	struct rig *r = ctx;

	if (a->type == DSM_SEND &&
	    (a->send.hdr.type == WIRE_GETS || a->send.hdr.type == WIRE_GETM)) {
		assert_true(r->asked < PAGER_MAX_PENDING);
		r->page[r->asked++] = a->gpa;
	}
	return 0;
}

static int home_of(void *ctx, uint64_t gpa)
{
	return gpa / NODE_SIZE < 2 ? (int)(gpa / NODE_SIZE) : -1;
}

static struct rig *set_up(void)
{
	const uint64_t size[] = {NODE_SIZE, NODE_SIZE};
	struct rig *r = calloc(1, sizeof(*r));
	struct err err;

	assert_non_null(r);
	assert_int_equal(mem_layout_init(size, 2, &r->ram.layout, &err), 0);
	r->cfg = (struct pager_config){.nodes = 2, .shards = 1, .ram = &r->ram};
	r->s.cfg = &r->cfg;
	r->s.now = 1;
	const struct dsm_proto_config proto = {
		.nodes = 2,
		.max_pending = PAGER_MAX_PENDING,
		.home = home_of,
		.emit = emit,
		.ctx = r,
		.gpa_end = 2 * NODE_SIZE,
	};
	assert_int_equal(dsm_proto_new(&proto, &r->s.proto), 0);
	return r;
}

static void tear_down(struct rig *r)
{
	dsm_proto_free(r->s.proto);
	free(r);
}

static void answer_all(struct rig *r)
{
	while (r->asked) {
		const struct wire_hdr h = {.type = WIRE_GRANT,
					   .from = 1,
					   .flags = WIRE_GRANT_ZERO | WIRE_GRANT_WRITE,
					   .addr = r->page[--r->asked]};

		assert_int_equal(dsm_proto_message(r->s.proto, &h, NULL, 1), 0);
	}
}

static void fault(struct rig *r, uint32_t tid, uint64_t gpa)
{
	const struct shard_fault f = {.gpa = gpa, .tid = tid};

	assert_int_equal(dsm_proto_fault(r->s.proto, gpa, DSM_READ, 1), 0);
	assert_int_equal(shard_guess(&r->s, &f), 0);
	assert_in_range(dsm_proto_unwanted(r->s.proto), 0, GUESSES);
}

/* Nothing is answered, and many threads walk: what they wait for is asked for all the same. */
static void faults_do_not_wait_for_guesses(void **state)
{
	struct rig *r = set_up();

	for (unsigned i = 0; i < 3 * WALKS; i++) {
		assert_true(shard_takes_faults(&r->s));
		fault(r, i % WALKS, NODE_SIZE + i % WALKS * REGION_BYTES + i / WALKS * PAGE_BYTES);
	}
	assert_int_equal(dsm_proto_unwanted(r->s.proto), GUESSES);
	tear_down(r);
}

/* Many threads wait already: guesses leave room for those that come. */
static void guesses_do_not_take_the_last_room(void **state)
{
	struct rig *r = set_up();

	for (unsigned i = 0; i < PAGER_MAX_PENDING - 2 * FAULT_BATCH - 6; i++)
		assert_int_equal(
			dsm_proto_fault(r->s.proto, NODE_SIZE + i * PAGE_BYTES, DSM_READ, 1), 0);
	for (unsigned i = 0; i < 6; i++)
		fault(r, 1 + i / 3, NODE_SIZE + (32 + i / 3) * REGION_BYTES + i % 3 * PAGE_BYTES);
	assert_true(dsm_proto_unwanted(r->s.proto) > 0);
	assert_true(shard_takes_faults(&r->s));
	tear_down(r);
}

/* What there was no room for is asked for with a later fault. */
static void recall_is_made_up_for(void **state)
{
	struct rig *r = set_up();
	uint64_t first = NODE_SIZE + 32 * REGION_BYTES;
	unsigned before;

	for (unsigned i = 0; i < LOST; i++) {
		recall_lost(&r->s.recall, first + i * PAGE_BYTES);
		recall_fault(&r->s.recall, first + i * PAGE_BYTES, false);
		recall_lost(&r->s.recall, first + i * PAGE_BYTES);
	}
	for (unsigned i = 0; i < GUESSES - LOST / 4; i++)
		assert_int_equal(
			dsm_proto_prefetch(r->s.proto, NODE_SIZE + i * PAGE_BYTES, false, 1), 0);
	before = r->asked;
	fault(r, 1, NODE_SIZE + 60 * REGION_BYTES);
	assert_int_equal(r->asked - before, 1 + LOST / 4);
	answer_all(r);
	fault(r, 1, NODE_SIZE + 50 * REGION_BYTES);
	assert_int_equal(r->asked, 1 + LOST - LOST / 4);
	answer_all(r);
	fault(r, 1, NODE_SIZE + 40 * REGION_BYTES);
	assert_int_equal(r->asked, 1);
	tear_down(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_do_not_wait_for_guesses),
		cmocka_unit_test(guesses_do_not_take_the_last_room),
		cmocka_unit_test(recall_is_made_up_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
