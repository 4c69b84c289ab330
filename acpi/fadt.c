/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FADT and FACS (ACPI 6.3, 5.2.9 and 5.2.10).
 *
 * The machine has the fixed hardware of a PC, as far as a guest needs it to power off, to reset
 * and to read the PM timer. There is no SMI command port, so ACPI mode is on from the start; no
 * general-purpose events; no sleeping processor states but C1.
 */
#include "acpi/tables.h"

/* ACPI 6.3, 5.2.3.2 "Generic Address Structure". */
struct gas {
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access;
	uint64_t address;
} __attribute__((packed));
static_assert(sizeof(struct gas) == 12, "ACPI 6.3, 5.2.3.2");

struct fadt_body {
	uint32_t firmware_ctrl;
	uint32_t dsdt;
	uint8_t reserved0;
	uint8_t preferred_pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable;
	uint8_t acpi_disable;
	uint8_t s4bios_req;
	uint8_t pstate_cnt;
	uint32_t pm1a_evt_blk;
	uint32_t pm1b_evt_blk;
	uint32_t pm1a_cnt_blk;
	uint32_t pm1b_cnt_blk;
	uint32_t pm2_cnt_blk;
	uint32_t pm_tmr_blk;
	uint32_t gpe0_blk;
	uint32_t gpe1_blk;
	uint8_t pm1_evt_len;
	uint8_t pm1_cnt_len;
	uint8_t pm2_cnt_len;
	uint8_t pm_tmr_len;
	uint8_t gpe0_blk_len;
	uint8_t gpe1_blk_len;
	uint8_t gpe1_base;
	uint8_t cst_cnt;
	uint16_t p_lvl2_lat;
	uint16_t p_lvl3_lat;
	uint16_t flush_size;
	uint16_t flush_stride;
	uint8_t duty_offset;
	uint8_t duty_width;
	uint8_t day_alrm;
	uint8_t mon_alrm;
	uint8_t century;
	uint16_t iapc_boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_firmware_ctrl;
	uint64_t x_dsdt;
	struct gas x_pm1a_evt_blk;
	struct gas x_pm1b_evt_blk;
	struct gas x_pm1a_cnt_blk;
	struct gas x_pm1b_cnt_blk;
	struct gas x_pm2_cnt_blk;
	struct gas x_pm_tmr_blk;
	struct gas x_gpe0_blk;
	struct gas x_gpe1_blk;
	struct gas sleep_control_reg;
	struct gas sleep_status_reg;
	uint64_t hypervisor_vendor;
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) + sizeof(struct fadt_body) == 276, "ACPI 6.3, 5.2.9");
static_assert(offsetof(struct fadt_body, flags) == 112 - 36, "ACPI 6.3, 5.2.9");
static_assert(offsetof(struct fadt_body, x_dsdt) == 140 - 36, "ACPI 6.3, 5.2.9");

#define FADT_MAJOR 6
#define FADT_MINOR 3

#define SPACE_IO     1
#define ACCESS_BYTE  1
#define ACCESS_WORD  2
#define ACCESS_DWORD 3

#define PROFILE_ENTERPRISE_SERVER 4
/* Latencies beyond 100 and 1000 us say that there are no C2 and C3. */
#define NO_C2 101
#define NO_C3 1001

/* 5.2.9, "Fixed ACPI Description Table Fixed Feature Flags" */
#define FLAG_WBINVD	   (1u << 0)
#define FLAG_PROC_C1	   (1u << 2)
#define FLAG_PWR_BUTTON	   (1u << 4) /* no fixed power button */
#define FLAG_SLP_BUTTON	   (1u << 5) /* no fixed sleep button */
#define FLAG_FIX_RTC	   (1u << 6) /* the RTC cannot wake by fixed hardware */
#define FLAG_TMR_VAL_EXT   (1u << 8) /* PM timer of 32 bits */
#define FLAG_RESET_REG_SUP (1u << 10)

/* 5.2.9.3 "IA-PC Boot Architecture Flags": no bit for ISA devices, the DSDT names them all. */
#define BOOT_NO_VGA	 (1u << 2)
#define BOOT_NO_CMOS_RTC (1u << 5)

#define FACS_VERSION 2

struct facs {
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature;
	uint32_t waking_vector;
	uint32_t global_lock;
	uint32_t flags;
	uint64_t x_waking_vector;
	uint8_t version;
	uint8_t reserved[31];
} __attribute__((packed));
static_assert(sizeof(struct facs) == 64, "ACPI 6.3, 5.2.10");

static struct gas io_register(uint16_t port, uint8_t bits, uint8_t access)
{
	return (struct gas){
		.space = SPACE_IO,
		.bit_width = bits,
		.access = access,
		.address = port,
	};
}

void acpi_facs(struct enc *enc)
{
	struct facs facs = {.length = sizeof(facs), .version = FACS_VERSION};

	memcpy(facs.signature, "FACS", 4);
	enc_bytes(enc, &facs, sizeof(facs));
}

void acpi_fadt(struct enc *enc, const struct acpi_machine *machine, uint32_t facs_gpa,
	       uint32_t dsdt_gpa)
{
	struct fadt_body body = {
		/* Only one of FIRMWARE_CTRL and X_FIRMWARE_CTRL may be set. */
		.firmware_ctrl = facs_gpa,
		.dsdt = dsdt_gpa,
		.x_dsdt = dsdt_gpa,
		.minor_version = FADT_MINOR,
		.preferred_pm_profile = PROFILE_ENTERPRISE_SERVER,
		.sci_int = machine->sci_irq,
		.pm1a_evt_blk = machine->pm1_event_port,
		.pm1_evt_len = 4,
		.x_pm1a_evt_blk = io_register(machine->pm1_event_port, 32, ACCESS_WORD),
		.pm1a_cnt_blk = machine->pm1_control_port,
		.pm1_cnt_len = 2,
		.x_pm1a_cnt_blk = io_register(machine->pm1_control_port, 16, ACCESS_WORD),
		.reset_reg = io_register(machine->reset_port, 8, ACCESS_BYTE),
		.reset_value = machine->reset_value,
		.p_lvl2_lat = NO_C2,
		.p_lvl3_lat = NO_C3,
		.century = machine->rtc_century,
		.iapc_boot_arch = BOOT_NO_VGA | (machine->rtc_port ? 0 : BOOT_NO_CMOS_RTC),
		.flags = FLAG_WBINVD | FLAG_PROC_C1 | FLAG_PWR_BUTTON | FLAG_SLP_BUTTON |
			 FLAG_FIX_RTC | FLAG_RESET_REG_SUP,
	};
	size_t start = enc_table_begin(enc, "FACP", FADT_MAJOR);

	if (machine->pm_timer_port) {
		body.pm_tmr_blk = machine->pm_timer_port;
		body.pm_tmr_len = 4;
		body.x_pm_tmr_blk = io_register(machine->pm_timer_port, 32, ACCESS_DWORD);
		body.flags |= FLAG_TMR_VAL_EXT;
	}
	memcpy(&body.hypervisor_vendor, "SSI-HV", 6);
	enc_bytes(enc, &body, sizeof(body));
	enc_table_end(enc, start);
}
