/* SPDX-License-Identifier: Apache-2.0 */
/* How much guest memory a node takes of its host (vmm/limit.h). */
#include "dsm/pager_config.h"
#include "tests/check.h"
#include "vmm/limit.h"

static struct cluster_config *three_nodes(enum cluster_placement placement)
{
	struct cluster_config *cfg;
	struct err err;

	assert_int_equal(cluster_default(CLUSTER_LOCAL, 3, GIB, 1, &cfg, &err), 0);
	cfg->placement = placement;
	strcpy(cfg->nodes[0].address, "alpha:1");
	strcpy(cfg->nodes[1].address, "alpha:2");
	strcpy(cfg->nodes[2].address, "beta:1");
	return cfg;
}

static struct limit choose(const struct cluster_config *cfg, unsigned self, uint64_t free)
{
	struct limit l;

	limit_choose(cfg, self, free, &l);
	return l;
}

static void what_is_configured_counts(void **state)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = three_nodes(CLUSTER_HOSTS);
	struct limit l;

	cfg->nodes[1].limit = GIB + 512 * MIB;
	l = choose(cfg, 1, 100 * MIB);
	assert_int_equal(l.bytes, GIB + 512 * MIB);
	assert_int_equal(l.copies, 512 * MIB);
	assert_false(l.tight);
}

static void a_host_with_room_for_all_has_no_limit(void **state)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = three_nodes(CLUSTER_HOSTS);
	struct limit l = choose(cfg, 2, UINT64_MAX);

	assert_int_equal(l.copies, 0);
	assert_int_equal(l.bytes, 3 * GIB);
	cfg->nodes[2].limit = 4 * GIB;
	assert_int_equal(choose(cfg, 2, 0).copies, 0);
}

/* 2 GiB free: alone on the host it has nearly all of them, else its share. */
static void nodes_of_one_host_share_what_is_free(void **state)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = three_nodes(CLUSTER_HOSTS);
	const uint64_t free = 2 * GIB + 64 * MIB;
	const uint64_t pager = PAGER_SHARD_BYTES + 2 * CONN_BYTES;
	const uint64_t alone = free - free / 32 - 32 * MIB - pager;

	assert_int_equal(choose(cfg, 2, free).bytes, alone);
	assert_int_equal(choose(cfg, 2, free).copies, alone - GIB);
	assert_int_equal(choose(cfg, 0, 2 * free).bytes, alone);
	cfg->placement = CLUSTER_LOCAL;
	assert_int_equal(choose(cfg, 2, 3 * free).bytes, alone);
	cfg->placement = CLUSTER_LAB; /* each has an emulated host of its own */
	assert_int_equal(choose(cfg, 0, free).bytes, alone);
}

/* Each shard has buffers of its own, and one for each peer; what it records has one, too. */
static void connections_take_their_part(void **state)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = three_nodes(CLUSTER_LAB);
	_cleanup_(cluster_freep) struct cluster_config *large;
	const uint64_t free = 2 * GIB, rest = free - free / 32 - 32 * MIB;
	struct err err;

	cfg->pager.shards = 4;
	assert_int_equal(choose(cfg, 0, free).bytes, rest - 4 * PAGER_SHARD_BYTES - 8 * CONN_BYTES);
	cfg->trace.dir = strdup("/traces");
	assert_int_equal(choose(cfg, 0, free).bytes,
			 rest - 4 * PAGER_SHARD_BYTES - 8 * CONN_BYTES - 4 * TRACE_RING_BYTES);
	assert_int_equal(cluster_default(CLUSTER_LAB, MAX_NODES, 64 * MIB, 1, &large, &err), 0);
	large->pager.shards = MAX_SHARDS;
	assert_int_equal(choose(large, 0, free).bytes,
			 rest - MAX_SHARDS * (PAGER_SHARD_BYTES + (MAX_NODES - 1) * CONN_BYTES));
}

static void too_little_is_told(void **state)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = three_nodes(CLUSTER_HOSTS);
	struct limit l = choose(cfg, 2, GIB);

	assert_true(l.tight);
	assert_int_equal(l.copies, MIN_NODE_COPIES);
	assert_int_equal(choose(cfg, 2, 0).bytes, GIB + MIN_NODE_COPIES);
	cfg->nodes_count = 1; /* has no copies at all */
	assert_false(choose(cfg, 0, 0).tight);
	assert_int_equal(choose(cfg, 0, 0).copies, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_configured_counts),
		cmocka_unit_test(a_host_with_room_for_all_has_no_limit),
		cmocka_unit_test(nodes_of_one_host_share_what_is_free),
		cmocka_unit_test(connections_take_their_part),
		cmocka_unit_test(too_little_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
