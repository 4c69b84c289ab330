/* SPDX-License-Identifier: Apache-2.0 */
/* make_guest FILE: the echoing guest of tests/vmm/guests.h as a bzImage, for tests of the program.
 */
#include <stdio.h>

#include "tests/boot/image.h"
#include "tests/vmm/guests.h"

int main(int argc, char **argv)
{
	static uint8_t image[IMAGE_BYTES];
	FILE *f = argc == 2 ? fopen(argv[1], "we") : NULL;

	if (!f)
		return 2;
	image_make(image);
	/* The 64-bit entry is 0x200 behind the start: boot.rst. */
	memcpy(image + IMAGE_START + 0x200, guest_echo, (size_t)(guest_echo_end - guest_echo));
	return fwrite(image, sizeof(image), 1, f) == 1 && fclose(f) == 0 ? 0 : 1;
}
