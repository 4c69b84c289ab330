/* SPDX-License-Identifier: Apache-2.0 */
/* A synthetic bzImage with the same header as a Debian kernel has, as small as it can be. */
#ifndef SSIHV_TESTS_BOOT_IMAGE_H
#define SSIHV_TESTS_BOOT_IMAGE_H

#include "boot/bzimage.h"

#define IMAGE_SECTS 3
#define IMAGE_START ((IMAGE_SECTS + 1) * 512)
#define IMAGE_CODE  4096
#define IMAGE_BYTES (IMAGE_START + IMAGE_CODE)
#define IMAGE_END   0x26c /* of the setup header */

static inline struct setup_header *image_header(uint8_t *image)
{
	return (struct setup_header *)(image + offsetof(struct boot_params, hdr));
}

/* Fills @image; every byte of the code is the low byte of its place times 7. */
static inline void image_make(uint8_t image[IMAGE_BYTES])
{
	struct setup_header *header = image_header(image);

	memset(image, 0xff, IMAGE_START); /* what a loader must not hand over */
	memset(header, 0, sizeof(*header));
	header->setup_sects = IMAGE_SECTS;
	header->syssize = IMAGE_CODE / 16;
	header->boot_flag = 0xaa55;
	header->jump = 0xeb | (IMAGE_END - 0x202) << 8;
	memcpy(&header->header, "HdrS", 4);
	header->version = 0x020f;
	header->loadflags = LOADED_HIGH | CAN_USE_HEAP;
	header->initrd_addr_max = 0x7fffffff;
	header->kernel_alignment = 2 * MIB;
	header->relocatable_kernel = 1;
	header->xloadflags = XLF_KERNEL_64;
	header->cmdline_size = 2047;
	header->pref_address = 16 * MIB;
	header->init_size = 40 * MIB;
	header->setup_data = 0xdeadbeef;
	for (size_t i = 0; i < IMAGE_CODE; i++)
		image[IMAGE_START + i] = (uint8_t)(i * 7);
}

#endif
