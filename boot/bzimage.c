/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of a bzImage (boot.rst, "The real-mode kernel header").
 *
 * The file is a boot sector and real-mode setup code, (setup_sects + 1) sectors together, followed
 * by the protected-mode code of syssize paragraphs. The setup header lies at 0x1f1 and ends at
 * 0x202 plus the byte at 0x201; what a signing tool appends to the file is not loaded.
 */
#include "boot/bzimage.h"

#include <inttypes.h>

#define SECTOR_BYTES	512u
#define PARAGRAPH_BYTES UINT64_C(16)
#define HEADER_AT	offsetof(struct boot_params, hdr)
#define HEADER_FIELD_END(field)                                                                    \
	(offsetof(struct boot_params, hdr.field) + sizeof(((struct setup_header *)0)->field))
/* Up to here, every image has a boot sector and the header's magic. */
#define HEADER_MAGIC_END HEADER_FIELD_END(version)
#define HEADER_END_BASE	 0x202u
#define MAGIC_HDRS	 0x53726448u /* "HdrS" */
#define BOOT_FLAG	 0xaa55
#define PROTOCOL_MIN	 0x020c /* xloadflags, and with them the 64-bit entry */
#define DEFAULT_SETUP	 4	/* what 0 setup sectors stand for */
#define ELF_MAGIC	 "\177ELF"
#define LOAD_LOWEST	 ((uint64_t)BOOT_HIGH_START)
#define ALIGNMENT_MAX	 GIB

static_assert(HEADER_AT == 0x1f1, "boot.rst: offset of the setup header");
static_assert(offsetof(struct boot_params, hdr.header) == 0x202, "boot.rst: offset of HdrS");
static_assert(offsetof(struct boot_params, hdr.xloadflags) == 0x236, "boot.rst: xloadflags");
static_assert(offsetof(struct boot_params, hdr.init_size) == 0x260, "boot.rst: init_size");
static_assert(sizeof(struct boot_params) == PAGE_BYTES, "the zero page is one page");

/* Tells a bzImage from other files, whatever its version. */
static int check_magic(const uint8_t *data, size_t len, const char *name, struct err *err)
{
	struct setup_header header;

	if (len >= 4 && !memcmp(data, ELF_MAGIC, 4))
		return err_set(err, -ENOEXEC,
			       "%s is an ELF file, not a bzImage: give the compressed kernel "
			       "(vmlinuz, or arch/x86/boot/bzImage of a kernel tree)",
			       name);
	if (len < HEADER_MAGIC_END)
		return err_set(err, -ENOEXEC,
			       "%s is not a Linux bzImage: it has only %zu bytes; give a vmlinuz",
			       name, len);
	memcpy(&header, data + HEADER_AT, HEADER_MAGIC_END - HEADER_AT);
	if (header.boot_flag != BOOT_FLAG || header.header != MAGIC_HDRS)
		return err_set(err, -ENOEXEC,
			       "%s is not a Linux bzImage (no HdrS at 0x202): give a vmlinuz",
			       name);
	if (header.version < PROTOCOL_MIN)
		return err_set(err, -ENOEXEC,
			       "%s speaks boot protocol %u.%02u, 2.12 is needed: give a kernel of "
			       "version 3.8 or later",
			       name, header.version >> 8, header.version & 0xff);
	return 0;
}

/* Copies the header as far as the image has it; the rest is 0. */
static int copy_header(const uint8_t *data, size_t len, const char *name,
		       struct setup_header *header, struct err *err)
{
	size_t end = HEADER_END_BASE + data[HEADER_END_BASE - 1];

	if (end < HEADER_FIELD_END(init_size))
		return err_set(err, -ENOEXEC,
			       "%s is damaged: its setup header ends at 0x%zx; copy it again", name,
			       end);
	if (len < end)
		return err_set(err, -EINVAL,
			       "%s is truncated: it has %zu bytes and ends within the setup "
			       "header; copy it again",
			       name, len);
	memset(header, 0, sizeof(*header));
	memcpy(header, data + HEADER_AT, MIN(end - HEADER_AT, sizeof(*header)));
	return 0;
}

static int check_kind(const struct setup_header *header, const char *name, struct err *err)
{
	uint32_t align = header->kernel_alignment;

	if (!(header->loadflags & LOADED_HIGH))
		return err_set(err, -ENOEXEC, "%s is a zImage, not a bzImage: give a vmlinuz",
			       name);
	if (!(header->xloadflags & XLF_KERNEL_64))
		return err_set(err, -ENOEXEC,
			       "%s has no 64-bit entry: give an x86-64 kernel (amd64)", name);
	if (header->init_size == 0)
		return err_set(err, -ENOEXEC, "%s is damaged: its init_size is 0; copy it again",
			       name);
	if (header->relocatable_kernel &&
	    (align == 0 || (align & (align - 1)) || align > ALIGNMENT_MAX))
		return err_set(err, -ENOEXEC,
			       "%s is damaged: its kernel_alignment is 0x%x; copy it again", name,
			       align);
	return 0;
}

/* Finds the protected-mode code, and that all of it is in the file. */
static int find_code(const uint8_t *data, size_t len, struct bzimage *image, struct err *err)
{
	const struct setup_header *header = &image->header;
	unsigned sects = header->setup_sects ? header->setup_sects : DEFAULT_SETUP;
	uint64_t start = (uint64_t)(sects + 1) * SECTOR_BYTES;

	image->code_len = header->syssize * PARAGRAPH_BYTES;
	if (image->code_len <= BOOT_ENTRY_OFFSET)
		return err_set(err, -ENOEXEC,
			       "%s is damaged: it says that it has %" PRIu64
			       " bytes of code; copy it again",
			       image->name, image->code_len);
	if (len < start + image->code_len)
		return err_set(err, -EINVAL,
			       "%s is truncated: it has %zu bytes and its header says %" PRIu64
			       "; copy it again",
			       image->name, len, start + image->code_len);
	image->code = data + start;
	return 0;
}

/*
 * A relocatable kernel that is put below its preferred address moves itself up to it, and needs its
 * room there anyway (boot.rst, "init_size"): so that is where it is loaded.
 */
static int find_load_address(struct bzimage *image, struct err *err)
{
	const struct setup_header *header = &image->header;
	uint64_t wanted = header->pref_address;

	if (wanted >= MEM_HOLE_START || (!header->relocatable_kernel && wanted < LOAD_LOWEST))
		return err_set(err, -ENOEXEC,
			       "%s wants to be loaded at 0x%" PRIx64
			       ", where no kernel can be: give a relocatable kernel",
			       image->name, wanted);
	wanted = MAX(wanted, LOAD_LOWEST);
	if (header->relocatable_kernel)
		wanted = ALIGN_UP(wanted, header->kernel_alignment);
	image->load_gpa = wanted;
	image->room = MAX((uint64_t)header->init_size, image->code_len);
	return 0;
}

int bzimage_parse(const void *data, size_t len, const char *name, struct bzimage *ret,
		  struct err *err)
{
	struct bzimage image = {.name = name};
	int r;

	r = check_magic(data, len, name, err);
	if (r < 0)
		return r;
	r = copy_header(data, len, name, &image.header, err);
	if (r < 0)
		return r;
	r = check_kind(&image.header, name, err);
	if (r < 0)
		return r;
	r = find_code(data, len, &image, err);
	if (r < 0)
		return r;
	r = find_load_address(&image, err);
	if (r < 0)
		return r;
	*ret = image;
	return 0;
}
