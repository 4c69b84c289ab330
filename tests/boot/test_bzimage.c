/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of bzImages: good, wrong, truncated and mutated ones. */
#include "tests/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/boot/image.h"

/* Parses a copy of @len bytes that ends right before an inaccessible page. */
static int parse_at_edge(const uint8_t *image, size_t len, struct bzimage *ret, struct err *err)
{
	size_t whole = ALIGN_UP(len, PAGE_BYTES) + PAGE_BYTES;
	uint8_t *area =
		mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *copy = area + whole - PAGE_BYTES - len;
	int r;

	assert_ptr_not_equal(area, MAP_FAILED);
	assert_int_equal(mprotect(area + whole - PAGE_BYTES, PAGE_BYTES, PROT_NONE), 0);
	memcpy(copy, image, len);
	r = bzimage_parse(copy, len, "vmlinuz", ret, err);
	if (r == 0) {
		assert_true(ret->code >= copy);
		assert_true(ret->code_len > BOOT_ENTRY_OFFSET);
		assert_true(ret->code_len <= len - (size_t)(ret->code - copy));
		assert_true(ret->load_gpa >= BOOT_HIGH_START);
		assert_true(ret->room >= ret->code_len);
		ret->code = NULL; /* goes with the copy */
	} else {
		assert_non_null(strstr(err->text, "vmlinuz"));
	}
	munmap(area, whole);
	return r;
}

static void a_good_image_is_understood(void **state)
{
	uint8_t image[IMAGE_BYTES];
	struct bzimage parsed;
	struct err err;

	image_make(image);
	assert_int_equal(bzimage_parse(image, sizeof(image), "vmlinuz", &parsed, &err), 0);
	assert_ptr_equal(parsed.code, image + IMAGE_START);
	assert_int_equal(parsed.code_len, IMAGE_CODE);
	assert_int_equal(parsed.load_gpa, 16 * MIB);
	assert_int_equal(parsed.room, 40 * MIB);
	/* 0 setup sectors stand for 4. */
	image_header(image)->setup_sects = 0;
	image_header(image)->syssize = (IMAGE_CODE - 512) / 16;
	assert_int_equal(bzimage_parse(image, sizeof(image), "vmlinuz", &parsed, &err), 0);
	assert_ptr_equal(parsed.code, image + 5 * 512);
	/* A header that is shorter than ours leaves the rest 0. */
	image_make(image);
	image_header(image)->kernel_info_offset = 0x1234;
	image_header(image)->jump = 0xeb | (0x268 - 0x202) << 8;
	assert_int_equal(bzimage_parse(image, sizeof(image), "vmlinuz", &parsed, &err), 0);
	assert_int_equal(parsed.header.kernel_info_offset, 0);
}

static void every_truncation_is_refused(void **state)
{
	uint8_t image[IMAGE_BYTES];
	struct bzimage parsed;
	struct err err;

	image_make(image);
	for (size_t len = 0; len < sizeof(image); len++) {
		assert_true(parse_at_edge(image, len, &parsed, &err) < 0);
		if (len >= 0x208)
			assert_non_null(strstr(err.text, "truncated"));
	}
	assert_int_equal(parse_at_edge(image, sizeof(image), &parsed, &err), 0);
}

struct wrong {
	const char *says;
	void (*make)(struct setup_header *header);
};

static void no_magic(struct setup_header *h)
{
	h->header ^= 1;
}
static void no_boot_flag(struct setup_header *h)
{
	h->boot_flag = 0;
}
static void old(struct setup_header *h)
{
	h->version = 0x020b;
}
static void zimage(struct setup_header *h)
{
	h->loadflags = 0;
}
static void only_32_bit(struct setup_header *h)
{
	h->xloadflags = 0;
}
static void no_init_size(struct setup_header *h)
{
	h->init_size = 0;
}
static void odd_alignment(struct setup_header *h)
{
	h->kernel_alignment = 3 * MIB;
}
static void no_alignment(struct setup_header *h)
{
	h->kernel_alignment = 0;
}
static void short_header(struct setup_header *h)
{
	h->jump = 0xeb | (0x263 - 0x202) << 8;
}
static void no_code(struct setup_header *h)
{
	h->syssize = 0x200 / 16;
}
static void much_code(struct setup_header *h)
{
	h->syssize = UINT32_MAX;
}
static void high_address(struct setup_header *h)
{
	h->pref_address = UINT64_MAX - 4095;
}
static void fixed_low_address(struct setup_header *h)
{
	h->relocatable_kernel = 0;
	h->pref_address = 0x10000;
}

static void wrong_images_are_named(void **state)
{
	static const struct wrong wrongs[] = {
		{"not a Linux bzImage", no_magic},
		{"not a Linux bzImage", no_boot_flag},
		{"2.11", old},
		{"zImage", zimage},
		{"64-bit", only_32_bit},
		{"init_size", no_init_size},
		{"alignment", odd_alignment},
		{"alignment", no_alignment},
		{"setup header", short_header},
		{"code", no_code},
		{"truncated", much_code},
		{"relocatable", high_address},
		{"relocatable", fixed_low_address},
	};
	uint8_t image[IMAGE_BYTES];
	struct bzimage parsed = {.room = 77};
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
		image_make(image);
		wrongs[i].make(image_header(image));
		assert_true(bzimage_parse(image, sizeof(image), "vmlinuz", &parsed, &err) < 0);
		assert_non_null(strstr(err.text, wrongs[i].says));
		assert_non_null(strstr(err.text, "vmlinuz"));
		assert_null(strchr(err.text, '\n'));
	}
	memcpy(image, "\177ELF", 4);
	assert_int_equal(bzimage_parse(image, sizeof(image), "vmlinux", &parsed, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "ELF"));
	assert_int_equal(parsed.room, 77);
}

/* Seeded damage to the header: never out of bounds, never an error without a name. */
static void mutated_headers_stay_in_bounds(void **state)
{
	const uint64_t size[] = {256 * MIB};
	unsigned seed = 20, good = 0, bad = 0, placed = 0;
	struct mem_layout layout;
	struct err err;

	assert_int_equal(mem_layout_init(size, 1, &layout, &err), 0);
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t image[IMAGE_BYTES];
		size_t len = sizeof(image);
		struct bzimage parsed;
		struct boot_plan plan;

		image_make(image);
		for (unsigned n = 1 + (unsigned)rand_r(&seed) % 4; n > 0; n--)
			image[0x1f1 + (unsigned)rand_r(&seed) % 0x80] =
				(uint8_t)(rand_r(&seed) >> 7);
		if (rand_r(&seed) % 4 == 0)
			len = (size_t)rand_r(&seed) % sizeof(image);
		if (parse_at_edge(image, len, &parsed, &err) < 0) {
			bad++;
			continue;
		}
		good++;
		struct boot_source source = {
			.kernel = &parsed,
			.initrd_name = "initrd",
			.initrd_len = (unsigned)rand_r(&seed) % (300 * MIB),
			.cmdline = "quiet",
		};
		if (boot_place(&source, &layout, &plan, &err) < 0)
			continue;
		placed++;
		assert_true(plan.kernel_gpa >= BOOT_HIGH_START);
		assert_true(plan.kernel_room <= size[0] - plan.kernel_gpa);
		assert_true(plan.initrd_len == 0 ||
			    plan.initrd_gpa >= plan.kernel_gpa + plan.kernel_room);
		assert_true(plan.initrd_len <= size[0] - plan.initrd_gpa);
	}
	/* The mutations reach both sides. */
	assert_true(good > 1000);
	assert_true(bad > 1000);
	assert_true(placed > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_image_is_understood),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(wrong_images_are_named),
		cmocka_unit_test(mutated_headers_stay_in_bounds),
	};

	return cmocka_run_group_tests_name("bzimage", tests, NULL, NULL);
}
