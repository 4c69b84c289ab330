/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices' state, apart from what connects them to this node. It is data of this program and no
 * format: what goes to a file or to a peer needs a layout and checks of its own.
 */
#ifndef SSIHV_VMM_PLATFORM_IMAGE_H
#define SSIHV_VMM_PLATFORM_IMAGE_H

#include "vmm/platform.h"

/* Pointers in these are NULL. */
struct platform_image {
	struct ioapic ioapic;
	struct serial serial;
	struct rtc rtc;
	struct pit pit;
	struct acpi_pm pm;
	struct reset reset;
};

/** platform_save() - all devices as they are between two accesses. */
void platform_save(struct platform *p, struct platform_image *ret);

/**
 * platform_load() - make the devices what platform_save() has seen
 *
 * Lines are as they were: nobody is interrupted again. What the guest had printed is not theirs.
 */
void platform_load(struct platform *p, const struct platform_image *image);

#endif
