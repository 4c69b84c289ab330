/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All tables in one buffer. What is pointed to is encoded before what points to it, so that one
 * pass knows every address; only the RSDP, which must come first to be found by a scan, has its
 * room kept and is filled in at the end.
 */
#include "acpi/tables.h"

#include <inttypes.h>

#define TABLE_ALIGN   16
#define FACS_ALIGN    64 /* ACPI 6.3, 5.2.10 */
#define RSDP_REVISION 2
#define XSDT_REVISION 1
#define RSDP_V1_BYTES 20

/* ACPI 6.3, 5.2.5.3. */
struct rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_gpa;
	uint32_t length;
	uint64_t xsdt_gpa;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
static_assert(sizeof(struct rsdp) == 36, "ACPI 6.3, 5.2.5.3");

struct placer {
	const struct acpi_machine *machine;
	struct enc enc;
	uint64_t base;
	struct acpi_placed placed;
};

static uint64_t table_gpa(const struct placer *p, enum acpi_table_id id)
{
	return p->base + p->placed.table[id].offset;
}

/* There is no RSDT: who reads revision 2 reads the XSDT. */
static struct rsdp make_rsdp(uint64_t xsdt_gpa)
{
	struct rsdp rsdp = {
		.revision = RSDP_REVISION,
		.length = sizeof(rsdp),
		.xsdt_gpa = xsdt_gpa,
	};

	memcpy(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature));
	memcpy(rsdp.oem_id, ACPI_OEM_ID, sizeof(rsdp.oem_id));
	rsdp.checksum = enc_checksum(&rsdp, RSDP_V1_BYTES);
	rsdp.extended_checksum = enc_checksum(&rsdp, sizeof(rsdp));
	return rsdp;
}

/* ACPI 6.3, 5.2.8: the FADT first; DSDT and FACS are reached through it. */
static void xsdt(struct placer *p)
{
	static const enum acpi_table_id listed[] = {ACPI_FADT, ACPI_MADT, ACPI_SRAT, ACPI_SLIT};
	size_t start = enc_table_begin(&p->enc, "XSDT", XSDT_REVISION);

	for (size_t i = 0; i < ARRAY_SIZE(listed); i++) {
		uint64_t gpa = table_gpa(p, listed[i]);

		enc_bytes(&p->enc, &gpa, sizeof(gpa));
	}
	enc_table_end(&p->enc, start);
}

static void encode(struct placer *p, enum acpi_table_id id)
{
	const struct rsdp room = {0};

	switch (id) {
	case ACPI_RSDP:
		enc_bytes(&p->enc, &room, sizeof(room));
		break;
	case ACPI_FACS:
		acpi_facs(&p->enc);
		break;
	case ACPI_DSDT:
		acpi_dsdt(&p->enc, p->machine);
		break;
	case ACPI_FADT:
		acpi_fadt(&p->enc, p->machine, (uint32_t)table_gpa(p, ACPI_FACS),
			  (uint32_t)table_gpa(p, ACPI_DSDT));
		break;
	case ACPI_MADT:
		acpi_madt(&p->enc, p->machine);
		break;
	case ACPI_SRAT:
		acpi_srat(&p->enc, p->machine);
		break;
	case ACPI_SLIT:
		acpi_slit(&p->enc, p->machine);
		break;
	case ACPI_XSDT:
		xsdt(p);
		break;
	case ACPI_TABLES:
		break;
	}
}

const char *acpi_table_name(enum acpi_table_id id)
{
	static const char *const name[ACPI_TABLES] = {
		[ACPI_RSDP] = "rsdp", [ACPI_FACS] = "facs", [ACPI_DSDT] = "dsdt",
		[ACPI_FADT] = "fadt", [ACPI_MADT] = "madt", [ACPI_SRAT] = "srat",
		[ACPI_SLIT] = "slit", [ACPI_XSDT] = "xsdt",
	};

	return name[id];
}

int acpi_place(const struct acpi_machine *machine, uint64_t gpa_base, void *buf, size_t max_len,
	       struct acpi_placed *ret, struct err *err)
{
	struct placer p = {
		.machine = machine,
		.enc = {.data = buf, .max = max_len},
		.base = gpa_base,
	};
	struct rsdp rsdp;
	int r = acpi_machine_check(machine, err);

	if (r < 0)
		return r;
	if (gpa_base % FACS_ALIGN || gpa_base >= 4 * GIB - ACPI_MAX_BYTES)
		return err_set(err, -EINVAL, "ACPI tables cannot be at 0x%" PRIx64, gpa_base);
	for (unsigned id = 0; id < ACPI_TABLES; id++) {
		enc_align(&p.enc, id == ACPI_FACS ? FACS_ALIGN : TABLE_ALIGN);
		p.placed.table[id].offset = p.enc.len;
		encode(&p, id);
		p.placed.table[id].len = p.enc.len - p.placed.table[id].offset;
	}
	if (p.enc.full)
		return err_set(err, -ENOSPC, "the ACPI tables do not fit in %zu bytes", max_len);
	rsdp = make_rsdp(table_gpa(&p, ACPI_XSDT));
	memcpy(p.enc.data, &rsdp, sizeof(rsdp));
	p.placed.rsdp_gpa = gpa_base;
	p.placed.len = p.enc.len;
	*ret = p.placed;
	return 0;
}
