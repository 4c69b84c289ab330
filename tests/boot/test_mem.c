/* SPDX-License-Identifier: Apache-2.0 */
/* The guest-physical map and the accessor to guest memory. */
#include "tests/check.h"

#include <stdio.h>
#include <sys/mman.h>

#include "mem/ram.h"

static void a_small_guest_is_one_range_a_node(void **state)
{
	const uint64_t size[] = {512 * MIB, 2 * MIB, 1 * GIB};
	struct mem_layout layout;
	struct err err;
	uint64_t n;

	assert_int_equal(mem_layout_init(size, 3, &layout, &err), 0);
	assert_int_equal(layout.nranges, 3);
	assert_int_equal(mem_total(&layout), 1538 * MIB);
	assert_int_equal(mem_end(&layout), 1538 * MIB);
	assert_int_equal(mem_home(&layout, 0), 0);
	assert_int_equal(mem_home(&layout, 512 * MIB - 1), 0);
	assert_int_equal(mem_home(&layout, 512 * MIB), 1);
	assert_int_equal(mem_home(&layout, 514 * MIB), 2);
	assert_int_equal(mem_home(&layout, 1538 * MIB - 1), 2);
	assert_int_equal(mem_home(&layout, 1538 * MIB), -1);
	assert_int_equal(mem_home(&layout, 4 * GIB), -1);
	assert_int_equal(mem_home(&layout, UINT64_MAX), -1);
	/* A node's border is none in the backing. */
	assert_int_equal(mem_offset(&layout, 512 * MIB - 8, 16, &n), 0);
	assert_int_equal(n, 512 * MIB - 8);
}

static void the_hole_splits_a_node(void **state)
{
	const uint64_t size[] = {2 * GIB, 2 * GIB, 4 * MIB};
	struct mem_layout layout;
	struct err err;
	uint64_t n = 77;

	assert_int_equal(mem_layout_init(size, 3, &layout, &err), 0);
	assert_int_equal(layout.nranges, 4);
	assert_int_equal(layout.range[1].node, 1);
	assert_int_equal(layout.range[1].gpa + layout.range[1].size, 3 * GIB);
	assert_int_equal(layout.range[2].node, 1);
	assert_int_equal(layout.range[2].gpa, 4 * GIB);
	assert_int_equal(layout.range[2].size, 1 * GIB);
	assert_int_equal(mem_end(&layout), 5 * GIB + 4 * MIB);
	assert_int_equal(mem_home(&layout, 3 * GIB - 1), 1);
	assert_int_equal(mem_home(&layout, 3 * GIB), -1);
	assert_int_equal(mem_home(&layout, 4 * GIB - 1), -1);
	assert_int_equal(mem_home(&layout, 4 * GIB), 1);
	assert_int_equal(mem_home(&layout, 5 * GIB), 2);
	assert_int_equal(mem_offset(&layout, 3 * GIB - 1, 2, &n), -EFAULT);
	assert_int_equal(mem_offset(&layout, 3 * GIB - 1, 2 * GIB, &n), -EFAULT);
	assert_int_equal(mem_offset(&layout, 4 * GIB - 1, 2, &n), -EFAULT);
	assert_int_equal(mem_offset(&layout, 0, UINT64_MAX, &n), -EFAULT);
	assert_int_equal(mem_offset(&layout, UINT64_MAX, 2, &n), -EFAULT);
	assert_int_equal(mem_offset(&layout, 4096, UINT64_MAX - 100, &n), -EFAULT);
	assert_int_equal(mem_offset(&layout, 4 * GIB + 1, UINT64_MAX, &n), -EFAULT);
	assert_int_equal(mem_offset(&layout, 5 * GIB + 4 * MIB, 0, &n), -EFAULT);
	assert_int_equal(n, 77);
	assert_int_equal(mem_offset(&layout, 4 * GIB, 1 * GIB + 4 * MIB, &n), 0);
	assert_int_equal(n, 3 * GIB);
	assert_int_equal(mem_gpa(&layout, 4 * GIB + 4 * MIB, &n), -EFAULT);
}

static void a_node_that_ends_at_the_hole_is_whole(void **state)
{
	const uint64_t size[] = {3 * GIB, 2 * MIB};
	struct mem_layout layout;
	struct err err;

	assert_int_equal(mem_layout_init(size, 2, &layout, &err), 0);
	assert_int_equal(layout.nranges, 2);
	assert_int_equal(layout.range[1].gpa, 4 * GIB);
	assert_int_equal(layout.range[1].offset, 3 * GIB);
}

/* Random machines: gpa -> offset -> gpa is the identity, ranges and homes agree. */
static void addresses_and_offsets_agree(void **state)
{
	unsigned seed = 1;

	for (unsigned round = 0; round < 500; round++) {
		unsigned nodes = 1 + (unsigned)rand_r(&seed) % MAX_NODES;
		uint64_t size[MAX_NODES], offset, gpa, sum = 0;
		struct mem_layout layout;
		struct err err;

		for (unsigned i = 0; i < nodes; i++)
			size[i] = (1 + (unsigned)rand_r(&seed) % 1024) * REGION_BYTES;
		assert_int_equal(mem_layout_init(size, nodes, &layout, &err), 0);
		for (unsigned i = 0; i < layout.nranges; i++) {
			const struct mem_range *r = &layout.range[i];

			assert_int_equal(r->offset, sum);
			sum += r->size;
			for (unsigned k = 0; k < 3; k++) {
				uint64_t at = k == 0   ? 0
					      : k == 1 ? r->size - 1
						       : (uint64_t)rand_r(&seed) % r->size;

				assert_int_equal(mem_home(&layout, r->gpa + at), r->node);
				assert_int_equal(mem_home_offset(&layout, r->offset + at), r->node);
				assert_int_equal(mem_offset(&layout, r->gpa + at, 1, &offset), 0);
				assert_int_equal(offset, r->offset + at);
				assert_int_equal(mem_gpa(&layout, offset, &gpa), 0);
				assert_int_equal(gpa, r->gpa + at);
			}
		}
		assert_int_equal(sum, mem_total(&layout));
		assert_int_equal(mem_home_offset(&layout, sum), -1);
	}
}

static void bad_sizes_are_named(void **state)
{
	uint64_t size[MAX_NODES + 1] = {2 * MIB, 3 * MIB};
	struct mem_layout layout = {.nodes = 99};
	struct err err;

	assert_int_equal(mem_layout_init(size, 2, &layout, &err), -EINVAL);
	assert_non_null(strstr(err.text, "node 1"));
	assert_non_null(strstr(err.text, "3 MiB"));
	size[1] = 0;
	assert_int_equal(mem_layout_init(size, 2, &layout, &err), -EINVAL);
	size[1] = UINT64_MAX & ~(REGION_BYTES - 1);
	assert_int_equal(mem_layout_init(size, 2, &layout, &err), -ERANGE);
	size[0] = size[1] = UINT64_C(1) << 45;
	assert_int_equal(mem_layout_init(size, 2, &layout, &err), -ERANGE);
	assert_int_equal(mem_layout_init(size, 0, &layout, &err), -EINVAL);
	assert_int_equal(mem_layout_init(size, MAX_NODES + 1, &layout, &err), -EINVAL);
	assert_int_equal(layout.nodes, 99);
}

static void ram_is_reached_within_bounds(void **state)
{
	const uint64_t size[] = {3 * GIB, 1 * GIB};
	_cleanup_(ram_freep) struct ram *ram = NULL;
	struct mem_layout layout;
	uint8_t buf[16] = "0123456789abcde", back[16];
	struct err err;

	assert_int_equal(mem_layout_init(size, 2, &layout, &err), 0);
	assert_int_equal(ram_new(&layout, &ram, &err), 0);
	assert_int_equal((uintptr_t)ram->base % REGION_BYTES, 0);
	assert_int_equal(ram_write(ram, 4 * GIB, buf, sizeof(buf)), 0);
	assert_memory_equal(ram->base + 3 * GIB, buf, sizeof(buf));
	assert_int_equal(ram_write(ram, 5 * GIB - sizeof(buf), buf, sizeof(buf)), 0);
	assert_int_equal(ram_read(ram, 5 * GIB - sizeof(buf), back, sizeof(back)), 0);
	assert_memory_equal(back, buf, sizeof(buf));
	assert_int_equal(ram_write(ram, 5 * GIB - 15, buf, sizeof(buf)), -EFAULT);
	assert_int_equal(ram_write(ram, 3 * GIB - 15, buf, sizeof(buf)), -EFAULT);
	assert_int_equal(ram_read(ram, 3 * GIB, back, 1), -EFAULT);
	assert_int_equal(ram_read(ram, UINT64_MAX, back, 16), -EFAULT);
	assert_int_equal(ram_read(ram, 3 * GIB - 15, back, 15), 0);
	assert_int_equal(back[0], 0);
	assert_ptr_equal(ram_ptr(ram, 4 * GIB, 1 * GIB), ram->base + 3 * GIB);
	assert_null(ram_ptr(ram, 4 * GIB, 1 * GIB + 1));
}

/* The flags of the mapping as the kernel shows them (proc(5), VmFlags: dd, hg, nr). */
static void ram_is_mapped_as_promised(void **state)
{
	const uint64_t size[] = {64 * MIB};
	_cleanup_(ram_freep) struct ram *ram = NULL;
	struct mem_layout layout;
	struct err err;
	char line[512], start[32];
	bool inside = false, seen = false;
	FILE *smaps;

	assert_int_equal(mem_layout_init(size, 1, &layout, &err), 0);
	assert_int_equal(ram_new(&layout, &ram, &err), 0);
	snprintf(start, sizeof(start), "%lx-%lx", (unsigned long)ram->base,
		 (unsigned long)(ram->base + 64 * MIB));
	smaps = fopen("/proc/self/smaps", "r");
	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		if (!strncmp(line, start, strlen(start)))
			inside = true;
		if (inside && !strncmp(line, "VmFlags:", 8)) {
			assert_non_null(strstr(line, " dd"));
			assert_non_null(strstr(line, " nr"));
			seen = true;
			break;
		}
	}
	fclose(smaps);
	assert_true(seen);
	/* Nothing is left behind: the pages are not mapped any more. */
	uint8_t *base = ram->base;
	unsigned char vec[1];

	ram_free(TAKE_PTR(ram));
	assert_int_equal(mincore(base, PAGE_BYTES, vec), -1);
	assert_int_equal(errno, ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_guest_is_one_range_a_node),
		cmocka_unit_test(the_hole_splits_a_node),
		cmocka_unit_test(a_node_that_ends_at_the_hole_is_whole),
		cmocka_unit_test(addresses_and_offsets_agree),
		cmocka_unit_test(bad_sizes_are_named),
		cmocka_unit_test(ram_is_reached_within_bounds),
		cmocka_unit_test(ram_is_mapped_as_promised),
	};

	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
