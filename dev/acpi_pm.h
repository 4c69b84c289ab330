/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware: PM1a event and control registers and the power-management timer
 * (ACPI specification 6.5, section 4.8.3).
 *
 * The machine is always in ACPI mode (FADT SMI_CMD is 0): SCI_EN reads as 1. Sleeping means S5; any
 * other type is ignored. The power button is the only event; as nobody presses it yet, the FADT
 * says that there is none. The timer is a pure function of guest time, so each node answers it by
 * itself; it has 32 bits (FADT TMR_VAL_EXT) and its carry event is never raised: nobody would be
 * there to raise it, and guests use it as a clock only.
 *
 * Thread: the caller of the bus; acpi_pm_power_button() is serialised with it. The callbacks run
 * inside of these calls.
 */
#ifndef SSIHV_DEV_ACPI_PM_H
#define SSIHV_DEV_ACPI_PM_H

#include "bus/bus.h"

#define ACPI_PM1_EVT_BYTES 4
#define ACPI_PM1_CNT_BYTES 2
#define ACPI_PM_TMR_BYTES  4
#define ACPI_PM_TMR_HZ	   UINT64_C(3579545)

/**
 * struct acpi_pm_ops - what the registers move
 * @power_off: the guest has entered S5
 * @sci:       the SCI line (level-triggered) changes; called on changes only
 */
struct acpi_pm_ops {
	void (*power_off)(void *ctx);
	void (*sci)(void *ctx, bool asserted);
};

/* @event, @control and @timer go to their own ports; @timer may be used without the others. */
struct acpi_pm {
	struct bus_device event;
	struct bus_device control;
	struct bus_device timer;
	const struct acpi_pm_ops *ops;
	void *ctx;
	uint16_t status, enable, control_value;
	bool asserted;
};

void acpi_pm_init(struct acpi_pm *pm, const struct acpi_pm_ops *ops, void *ctx);

/** acpi_pm_power_button() - press it: sets PWRBTN_STS and, when enabled, raises the SCI. */
void acpi_pm_power_button(struct acpi_pm *pm);

/** acpi_pm_timer() - counter value at guest time @now_ns. */
uint32_t acpi_pm_timer(uint64_t now_ns);

#endif
