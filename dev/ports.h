/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the platform devices are, and the values that the ACPI tables must repeat. acpi/ does not
 * include this: vmm/ hands the values over, so that the tables and the devices cannot disagree.
 */
#ifndef SSIHV_DEV_PORTS_H
#define SSIHV_DEV_PORTS_H

#define SERIAL_PORT 0x3f8
#define SERIAL_IRQ  4

#define RTC_PORT	0x70
#define RTC_CENTURY_REG 0x32 /* FADT CENTURY */

#define PIT_PORT   0x40
#define PIT_PORT_B 0x61 /* system control port B: gate and output of channel 2 */

/* FADT PM1a_EVT_BLK (4 bytes), PM1a_CNT_BLK (2 bytes), PM_TMR_BLK (4 bytes), SCI_INT. */
#define ACPI_PM1_EVT_PORT 0x600
#define ACPI_PM1_CNT_PORT 0x604
#define ACPI_PM_TMR_PORT  0x608
#define ACPI_SCI_IRQ	  9 /* level-triggered */
#define ACPI_SLP_TYP_S5	  5 /* first element of \_S5 in the DSDT */

/* FADT RESET_REG (one byte of system I/O) and RESET_VALUE. */
#define RESET_PORT  0xcf9
#define RESET_VALUE 0x0e

/* Keyboard controller: none, but its reset command works. FADT must not announce an 8042. */
#define I8042_DATA_PORT	   0x60
#define I8042_COMMAND_PORT 0x64

#endif
