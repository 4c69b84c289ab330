/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/platform.h"

#include "dev/ports.h"

/* ---- callbacks of the devices; all run with `lock` held ---- */

static void send_all(struct platform *p, const struct ioapic_output *out)
{
	for (unsigned i = 0; i < out->count; i++)
		interrupts_send(p->irq, ROUTE_DEVICE, &out->message[i]);
}

static void set_line(struct platform *p, unsigned pin, bool asserted)
{
	struct ioapic_output out;

	if (ioapic_set_line(&p->ioapic, pin, asserted, &out) == 0)
		send_all(p, &out);
}

static void serial_line(void *ctx, bool asserted)
{
	set_line(ctx, SERIAL_IRQ, asserted);
}

static void on_sci(void *ctx, bool asserted)
{
	set_line(ctx, ACPI_SCI_IRQ, asserted);
}

static void on_power_off(void *ctx)
{
	struct platform *p = ctx;

	p->power(p->ctx, false);
}

static void on_reset(void *ctx)
{
	struct platform *p = ctx;

	p->power(p->ctx, true);
}

/*
 * Room for one more byte? What was taken leaves a gap in front. It is closed only when what has to
 * move is no longer than what was taken, so that a byte costs the same however much waits.
 */
static bool make_room(struct printed *out)
{
	if (out->start + out->len < out->room)
		return true;
	if (out->start >= out->len && out->start > 0) {
		memcpy(out->data, out->data + out->start, out->len);
		out->start = 0;
		return true;
	}
	if (out->room >= CONSOLE_OUTPUT_MAX)
		return false;
	size_t room = out->room ? 2 * out->room : 4096;
	char *data = realloc(out->data, room);
	if (!data)
		return false;
	out->data = data;
	out->room = room;
	return true;
}

static void serial_transmit(void *ctx, uint8_t byte)
{
	struct platform *p = ctx;
	struct printed *out = &p->printed;
	const uint64_t one = 1;

	if (!make_room(out)) {
		out->lost++;
		return;
	}
	out->data[out->start + out->len++] = (char)byte;
	/* The main thread also looks now and then: it is woken for lines, not for characters. */
	if (byte == '\n' && write(p->wake, &one, sizeof(one)) < 0)
		return;
}

static uint64_t ioapic_bus_read(struct bus_device *dev, uint64_t offset, unsigned size,
				uint64_t now)
{
	struct platform *p = container_of(dev, struct platform, ioapic_dev);

	return ioapic_read(&p->ioapic, offset, size);
}

static void ioapic_bus_write(struct bus_device *dev, uint64_t offset, unsigned size, uint64_t value,
			     uint64_t now)
{
	struct platform *p = container_of(dev, struct platform, ioapic_dev);
	struct ioapic_output out;

	ioapic_write(&p->ioapic, offset, size, value, &out);
	send_all(p, &out);
}

static const struct serial_ops serial_ops = {.transmit = serial_transmit, .line = serial_line};
static const struct acpi_pm_ops pm_ops = {.power_off = on_power_off, .sci = on_sci};
static const struct bus_ops ioapic_ops = {
	.read = ioapic_bus_read, .write = ioapic_bus_write, .size_max = 4};

/* ---- the map ---- */

static int add_devices(struct platform *p)
{
	const struct {
		uint64_t port, count;
		struct bus_device *dev;
	} ports[] = {
		{SERIAL_PORT, SERIAL_PORTS, &p->serial.dev},
		{RTC_PORT, RTC_PORTS, &p->rtc.dev},
		{PIT_PORT, PIT_PORTS, &p->pit.dev},
		{PIT_PORT_B, 1, &p->pit.port_b},
		{ACPI_PM1_EVT_PORT, ACPI_PM1_EVT_BYTES, &p->pm.event},
		{ACPI_PM1_CNT_PORT, ACPI_PM1_CNT_BYTES, &p->pm.control},
		{ACPI_PM_TMR_PORT, ACPI_PM_TMR_BYTES, &p->pm.timer},
		{RESET_PORT, 1, &p->reset.control},
		{I8042_COMMAND_PORT, 1, &p->reset.i8042},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		int r = bus_add_pio(&p->bus, ports[i].port, ports[i].count, ports[i].dev);
		if (r < 0)
			return r;
	}
	return bus_add_mmio(&p->bus, IOAPIC_BASE, IOAPIC_BYTES, &p->ioapic_dev);
}

int platform_init(struct platform *p, struct interrupts *irq, int wake, uint64_t unix_ns,
		  void (*power)(void *ctx, bool reset), void *ctx, struct err *err)
{
	p->irq = irq;
	p->wake = wake;
	p->power = power;
	p->ctx = ctx;
	pthread_mutex_init(&p->lock, NULL);
	p->ioapic_dev = (struct bus_device){.ops = &ioapic_ops, .name = "ioapic"};
	ioapic_reset(&p->ioapic, 0);
	serial_init(&p->serial, &serial_ops, p);
	rtc_init(&p->rtc, unix_ns / NSEC_PER_SEC);
	pit_init(&p->pit);
	acpi_pm_init(&p->pm, &pm_ops, p);
	reset_init(&p->reset, on_reset, p);
	int r = add_devices(p);
	return r < 0 ? err_set(err, r, "platform: device addresses collide") : 0;
}

void platform_free(struct platform *p)
{
	free(p->printed.data);
	p->printed = (struct printed){0};
}

enum platform_where platform_where(const struct platform *p, const struct vcpu_io *io)
{
	const struct bus_space *space = io->mmio ? &p->bus.mmio : &p->bus.pio;

	for (unsigned i = 0; i < io->size; i++) {
		const struct bus_range *range = bus_find(space, io->addr + i);
		if (range)
			return range->dev == &p->pm.timer ? PLATFORM_ANY_NODE
							  : PLATFORM_DEVICE_NODE;
	}
	return PLATFORM_NOWHERE;
}

void platform_access(struct platform *p, struct vcpu_io *io, uint64_t now)
{
	uint8_t *data = io->data;

	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < io->count; i++, data += io->size) {
		uint64_t value = 0;

		if (io->write)
			memcpy(&value, data, io->size);
		if (io->mmio)
			bus_mmio(&p->bus, io->addr, io->size, io->write, &value, now);
		else
			bus_pio(&p->bus, (uint16_t)io->addr, io->size, io->write, &value, now);
		if (!io->write)
			memcpy(data, &value, io->size);
	}
	pthread_mutex_unlock(&p->lock);
}

void platform_eoi(struct platform *p, uint8_t vector)
{
	struct ioapic_output out;

	pthread_mutex_lock(&p->lock);
	ioapic_eoi(&p->ioapic, vector, &out);
	send_all(p, &out);
	pthread_mutex_unlock(&p->lock);
}

size_t platform_input(struct platform *p, const char *data, size_t len)
{
	pthread_mutex_lock(&p->lock);
	size_t took = serial_receive(&p->serial, (const uint8_t *)data, len);
	pthread_mutex_unlock(&p->lock);
	return took;
}

size_t platform_output(struct platform *p, char *data, size_t len)
{
	struct printed *out = &p->printed;

	pthread_mutex_lock(&p->lock);
	len = MIN(len, out->len);
	if (len) {
		memcpy(data, out->data + out->start, len);
		out->len -= len;
		out->start = out->len ? out->start + len : 0;
	}
	pthread_mutex_unlock(&p->lock);
	return len;
}

void platform_describe(struct acpi_machine *machine)
{
	/* The SCI is level-triggered; ISA interrupts keep their numbers. */
	static const struct acpi_override overrides[] = {
		{.source = ACPI_SCI_IRQ, .gsi = ACPI_SCI_IRQ, .level = true},
	};

	machine->lapic_gpa = (uint32_t)LAPIC_BASE_DEFAULT;
	machine->ioapic_gpa = (uint32_t)IOAPIC_BASE;
	machine->ioapic_id = 0;
	machine->nmi_lint = 1;
	machine->noverrides = ARRAY_SIZE(overrides);
	machine->override = overrides;
	machine->pm1_event_port = ACPI_PM1_EVT_PORT;
	machine->pm1_control_port = ACPI_PM1_CNT_PORT;
	machine->pm_timer_port = ACPI_PM_TMR_PORT;
	machine->reset_port = RESET_PORT;
	machine->reset_value = RESET_VALUE;
	machine->sci_irq = ACPI_SCI_IRQ;
	machine->s5_type = ACPI_SLP_TYP_S5;
	machine->com1_port = SERIAL_PORT;
	machine->com1_irq = SERIAL_IRQ;
	machine->rtc_port = RTC_PORT;
	machine->rtc_irq = 8;
	machine->rtc_century = RTC_CENTURY_REG;
}
