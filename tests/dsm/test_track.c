/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions that are registered and plain again in any order (dsm/track.h), with a real userfaultfd:
 * what is counted as islands is what is registered, however often, with many mappings and with few.
 */
#include "tests/check.h"

#include <stdio.h>

#include "dsm/track.h"
#include "dsm/uffd.h"

#define REGIONS 24
#define STEPS	600

struct rig {
	struct pager_config cfg;
	struct mappings mappings;
	struct tracker t;
	int uffd;
	uint64_t random;
	bool tracked[REGIONS];
};

static struct rig *set_up(unsigned islands_max, uint64_t seed)
{
	const uint64_t size = REGIONS * REGION_BYTES;
	struct rig *r = calloc(1, sizeof(*r));
	struct mem_layout layout;
	struct err err;

	assert_non_null(r);
	r->random = seed;
	r->cfg.nodes = r->cfg.shards = 1;
	assert_int_equal(mem_layout_init(&size, 1, &layout, &err), 0);
	assert_int_equal(ram_new(&layout, &r->cfg.ram, &err), 0);
	assert_int_equal(uffd_open(&r->uffd, NULL, &err), 0);
	mappings_init(&r->mappings);
	r->mappings.islands_max = islands_max;
	assert_int_equal(track_init(&r->t, &r->cfg, 0, r->uffd, &r->mappings), 0);
	return r;
}

static void tear_down(struct rig *r)
{
	track_free(&r->t);
	mappings_free(&r->mappings);
	close(r->uffd);
	ram_free(r->cfg.ram);
	free(r);
}

static bool is_registered(const struct rig *r, unsigned region)
{
	return r->t.registered[0] >> region & 1;
}

static unsigned runs(const struct rig *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < REGIONS; i++)
		n += is_registered(r, i) && (i == 0 || !is_registered(r, i - 1));
	return n;
}

static void change(struct rig *r, unsigned region)
{
	uint64_t gpa = region * REGION_BYTES;
	int rc = r->tracked[region] ? track_forget(&r->t, gpa) : track_region(&r->t, gpa);

	assert_int_equal(rc, 0);
	r->tracked[region] = !r->tracked[region];
	assert_true(!r->tracked[region] || is_registered(r, region));
	assert_int_equal(r->mappings.islands, runs(r));
}

static void islands_are_counted(void **state)
{
	static const unsigned most[] = {1000, 4, 1};

	for (unsigned i = 0; i < ARRAY_SIZE(most); i++) {
		struct rig *r = set_up(most[i], i + 1);

		for (unsigned step = 0; step < STEPS; step++) {
			r->random = r->random * UINT64_C(6364136223846793005) + 1442695040888963407;
			change(r, (unsigned)(r->random >> 33) % REGIONS);
			/* With none registered even the first run is more than `most`. */
			assert_true(r->mappings.islands <= MAX(most[i], 1u));
		}
		tear_down(r);
	}
}

/* It was counted once more each time, until there seemed to be no mappings left. */
static void a_region_between_two_comes_and_goes(void **state)
{
	struct rig *r = set_up(1000, 1);

	change(r, 3);
	change(r, 5);
	for (unsigned i = 0; i < 100; i++)
		change(r, 4);
	assert_int_equal(r->mappings.islands, 2);
	tear_down(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(islands_are_counted),
		cmocka_unit_test(a_region_between_two_comes_and_goes),
	};
	struct err err;
	int fd;

	if (uffd_open(&fd, NULL, &err) < 0) {
		printf("1..0 # SKIP %s\n", err.text);
		return 0;
	}
	close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
