/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel image. What is taken lies in its file, is placed in node 0's memory below 3 GiB above
 * the low area, beside and not over the initrd, and the zero page tells what was planned.
 *
 * Input: 2 bytes of node 0's memory (4 MiB each), 4 of the initrd's length, then the image.
 */
#include "boot/bzimage.h"
#include "tests/boot/image.h"
#include "tests/fuzz/fuzz.h"

static void check_image(const struct bzimage *image, const uint8_t *data, size_t len)
{
	fuzz_check(image->code >= data && image->code_len > BOOT_ENTRY_OFFSET);
	fuzz_check(image->code_len <= len);
	fuzz_check((size_t)(image->code - data) <= len - image->code_len);
	fuzz_check(image->room >= image->code_len && image->load_gpa >= BOOT_HIGH_START);
}

static void check_plan(const struct boot_plan *plan, const struct boot_source *source,
		       const struct mem_layout *layout)
{
	uint64_t end = layout->range[0].size;
	static struct boot_params params;

	fuzz_check(end <= MEM_HOLE_START);
	fuzz_check(plan->kernel_gpa == source->kernel->load_gpa && plan->kernel_gpa <= end);
	fuzz_check(plan->kernel_room <= end - plan->kernel_gpa);
	fuzz_check(plan->initrd_len == source->initrd_len);
	if (plan->initrd_len) {
		fuzz_check(plan->initrd_gpa >= plan->kernel_gpa + plan->kernel_room);
		fuzz_check(plan->initrd_gpa % PAGE_BYTES == 0 && plan->initrd_gpa <= end);
		fuzz_check(plan->initrd_len <= end - plan->initrd_gpa);
	}
	boot_params_fill(source, plan, layout, &params);
	fuzz_check(params.hdr.ramdisk_image == (uint32_t)plan->initrd_gpa);
	fuzz_check(params.hdr.ramdisk_size == (uint32_t)plan->initrd_len);
	fuzz_check(params.e820_entries >= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	uint64_t memory = (1 + fuzz_take(&in, 2)) * 4 * MIB;
	struct bzimage image;
	struct boot_source source = {.kernel = &image,
				     .initrd_name = "initrd",
				     .initrd = "",
				     .initrd_len = fuzz_take(&in, 4),
				     .cmdline = "console=ttyS0"};
	struct mem_layout layout;
	struct boot_plan plan;
	struct err err = {0};
	int r = bzimage_parse(in.at, fuzz_left(&in), "image", &image, &err);

	fuzz_check(r == 0 || r == -ENOEXEC || r == -EINVAL);
	fuzz_check(r == 0 || strstr(err.text, "image"));
	if (r < 0)
		return 0;
	check_image(&image, in.at, fuzz_left(&in));
	fuzz_check(mem_layout_init(&memory, 1, &layout, &err) == 0);
	r = boot_place(&source, &layout, &plan, &err);
	fuzz_check(r == 0 || r == -E2BIG);
	if (r == 0)
		check_plan(&plan, &source, &layout);
	return 0;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	static const uint16_t versions[] = {0x020b, 0x020c, 0x020f};
	uint64_t dice = fuzz_random(random);
	/* Aligned: the header is written field by field. */
	static uint8_t image[IMAGE_BYTES] __attribute__((aligned(16)));
	size_t len = 6;

	image_make(image);
	struct setup_header *header = image_header(image);
	header->version = versions[dice % 3];
	header->relocatable_kernel = dice >> 8 & 1;
	header->kernel_alignment = 1u << (dice >> 9 & 31);
	header->pref_address = (dice >> 16 & 0xff) * 16 * MIB;
	if (dice >> 24 & 1)
		header->setup_sects = 0;
	/* Short code keeps the input short. */
	header->syssize = 0x21;
	data[0] = (uint8_t)(dice >> 32);
	data[1] = (uint8_t)(dice >> 60);
	memcpy(data + 2, &(uint32_t){(uint32_t)(dice >> 36)}, 4);
	memcpy(data + len, image, IMAGE_START + 0x210);
	return len + IMAGE_START + 0x210;
}
