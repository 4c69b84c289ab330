/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware. The registers are little-endian and may be accessed in any part: a write of
 * some bytes of a register leaves its other bytes alone (status: writes zeros there, which clear
 * nothing).
 */
#include "dev/acpi_pm.h"
#include "dev/ports.h"

#define EVENT_POWER_BUTTON (1u << 8)
/* Timer, global lock, power and sleep button, RTC: what a guest may enable. */
#define EVENT_ENABLES 0x0721u

#define CONTROL_SCI_EN	      (1u << 0)
#define CONTROL_BM_RLD	      (1u << 1)
#define CONTROL_SLP_TYP(v)    ((v) >> 10 & 7)
#define CONTROL_SLP_TYP_FIELD (7u << 10)
#define CONTROL_SLP_EN	      (1u << 13)

static void update_sci(struct acpi_pm *pm)
{
	bool asserted = pm->status & pm->enable;

	if (asserted == pm->asserted)
		return;
	pm->asserted = asserted;
	pm->ops->sci(pm->ctx, asserted);
}

static uint64_t event_read(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now)
{
	const struct acpi_pm *pm = container_of(dev, struct acpi_pm, event);

	return ((uint32_t)pm->enable << 16 | pm->status) >> (offset * 8);
}

static void event_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
			uint64_t now)
{
	struct acpi_pm *pm = container_of(dev, struct acpi_pm, event);
	uint32_t written = (uint32_t)value << (offset * 8);
	uint32_t mask = (uint32_t)((UINT64_C(1) << (size * 8)) - 1) << (offset * 8);

	pm->status &= (uint16_t)~written; /* write one to clear */
	pm->enable = (uint16_t)((pm->enable & ~(mask >> 16)) | (written >> 16 & EVENT_ENABLES));
	update_sci(pm);
}

static uint64_t control_read(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now)
{
	const struct acpi_pm *pm = container_of(dev, struct acpi_pm, control);

	return (pm->control_value | CONTROL_SCI_EN) >> (offset * 8);
}

static void control_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
			  uint64_t now)
{
	struct acpi_pm *pm = container_of(dev, struct acpi_pm, control);
	uint32_t written = (uint32_t)value << (offset * 8);
	uint32_t mask = ((1u << (size * 8)) - 1) << (offset * 8);
	uint32_t result = (pm->control_value & ~mask) | written;

	/* SLP_EN is write-only. */
	pm->control_value = result & (CONTROL_BM_RLD | CONTROL_SLP_TYP_FIELD);
	if ((written & CONTROL_SLP_EN) && CONTROL_SLP_TYP(result) == ACPI_SLP_TYP_S5)
		pm->ops->power_off(pm->ctx);
}

uint32_t acpi_pm_timer(uint64_t now_ns)
{
	return (uint32_t)((unsigned __int128)now_ns * ACPI_PM_TMR_HZ / NSEC_PER_SEC);
}

static uint64_t timer_read(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t now)
{
	return acpi_pm_timer(now) >> (offset * 8);
}

static void timer_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
			uint64_t now)
{
	/* Read-only. */
}

void acpi_pm_init(struct acpi_pm *pm, const struct acpi_pm_ops *ops, void *ctx)
{
	static const struct bus_ops event_ops = {event_read, event_write, ACPI_PM1_EVT_BYTES};
	static const struct bus_ops control_ops = {control_read, control_write, ACPI_PM1_CNT_BYTES};
	static const struct bus_ops timer_ops = {timer_read, timer_write, ACPI_PM_TMR_BYTES};

	*pm = (struct acpi_pm){
		.event = {&event_ops, "acpi-event"},
		.control = {&control_ops, "acpi-control"},
		.timer = {&timer_ops, "acpi-timer"},
		.ops = ops,
		.ctx = ctx,
	};
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
	pm->status |= EVENT_POWER_BUTTON;
	update_sci(pm);
}
