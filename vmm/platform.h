/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine around the CPUs: bus, I/O APIC, serial console, RTC, PIT, ACPI registers.
 *
 * Every node builds the same platform, so that each knows which addresses exist. The devices are
 * alive on node 0; the others use theirs as a map (platform_where) and forward the access. What is
 * only a function of the guest's time, the ACPI PM timer, is answered on every node; what nobody
 * claims reads as ones, also without a message.
 *
 * Locks: `lock` serialises all devices; held for one access. Interrupts that a device raises are
 * sent while it is held (link locks come after it, nothing comes before it).
 */
#ifndef SSIHV_VMM_PLATFORM_H
#define SSIHV_VMM_PLATFORM_H

#include "acpi/acpi.h"
#include "bus/bus.h"
#include "cpu/vcpu.h"
#include "dev/acpi_pm.h"
#include "dev/pit.h"
#include "dev/reset.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "irq/ioapic.h"
#include "vmm/interrupts.h"

#define PLATFORM_NODE	   0 /* where the devices live */
#define CONSOLE_OUTPUT_MAX (16 * MIB)

/* Console bytes that the guest wrote and nobody has taken yet. */
struct printed {
	char *data;
	size_t start, len, room; /* data[start] is the oldest byte */
	uint64_t lost;		 /* bytes that did not fit CONSOLE_OUTPUT_MAX */
};

struct platform {
	pthread_mutex_t lock;
	struct bus bus;
	struct bus_device ioapic_dev;
	struct ioapic ioapic;
	struct serial serial;
	struct rtc rtc;
	struct pit pit;
	struct acpi_pm pm;
	struct reset reset;
	struct printed printed;
	struct interrupts *irq;
	int wake; /* eventfd of the main thread: console output waits */
	void (*power)(void *ctx, bool reset);
	void *ctx;
};

enum platform_where { PLATFORM_NOWHERE, PLATFORM_ANY_NODE, PLATFORM_DEVICE_NODE };

/**
 * platform_init() - build the devices
 * @unix_ns: wall clock at guest time 0
 * @power:   the guest switched itself off, or asked for a reset; called with `lock` held
 */
int platform_init(struct platform *p, struct interrupts *irq, int wake, uint64_t unix_ns,
		  void (*power)(void *ctx, bool reset), void *ctx, struct err *err);
void platform_free(struct platform *p);

/** platform_where() - who answers an access to this address. Any thread, no lock. */
enum platform_where platform_where(const struct platform *p, const struct vcpu_io *io);

/** platform_access() - carry out an access here. @now: guest time, ns. */
void platform_access(struct platform *p, struct vcpu_io *io, uint64_t now);

/** platform_eoi() - a level-triggered interrupt has ended at a LAPIC. */
void platform_eoi(struct platform *p, uint8_t vector);

/** platform_input() - bytes typed at the console. Return: how many the UART took. */
size_t platform_input(struct platform *p, const char *data, size_t len);

/** platform_output() - take up to @len bytes of console output. Return: how many. */
size_t platform_output(struct platform *p, char *data, size_t len);

/** platform_describe() - fill in what the ACPI tables say of the devices. */
void platform_describe(struct acpi_machine *machine);

#endif
