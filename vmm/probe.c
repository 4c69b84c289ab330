/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/probe.h"

#include <stdio.h>

#include "base/clock.h"
#include "boot/bzimage.h"
#include "cpu/vcpu.h"

#define CODE_GPA   0x10000
#define DATA_GPA   0x20000 /* the cmpxchg16b's operand */
#define TABLES_GPA 0x1000  /* PML4, PDPT, page directory */
#define LOOPS	   200000
#define DONE_PORT  0x10
/* Two instructions a loop: hardware needs under 1 ms, an emulator 100 times more. */
#define LIMIT_NS (60 * NSEC_PER_MSEC)

/*
 *   mov ecx, LOOPS ; again: dec ecx ; jnz again
 *   xor eax, eax ; xor edx, edx ; mov ebx, 1 ; xor ecx, ecx
 *   mov edi, DATA_GPA ; lock cmpxchg16b [rdi] ; setz al ; out DONE_PORT, al ; hlt
 */
static const uint8_t code[] = {
	0xb9,
	LOOPS & 0xff,
	LOOPS >> 8 & 0xff,
	LOOPS >> 16,
	0x00,
	0xff,
	0xc9,
	0x75,
	0xfc,
	0x31,
	0xc0,
	0x31,
	0xd2,
	0xbb,
	0x01,
	0x00,
	0x00,
	0x00,
	0x31,
	0xc9,
	0xbf,
	DATA_GPA & 0xff,
	DATA_GPA >> 8 & 0xff,
	DATA_GPA >> 16,
	0x00,
	0xf0,
	0x48,
	0x0f,
	0xc7,
	0x0f,
	0x0f,
	0x94,
	0xc0,
	0xe6,
	DONE_PORT,
	0xf4,
};

struct probe {
	uint64_t start, end;
	bool exchanged;
	char failure[200];
};

static int on_io(void *ctx, struct vcpu *v, struct vcpu_io *io)
{
	struct probe *p = ctx;

	p->end = clock_now_ns();
	p->exchanged = io->addr == DONE_PORT && io->write && *(uint8_t *)io->data == 1;
	return -ECANCELED;
}

static void on_failed(void *ctx, struct vcpu *v, const char *text)
{
	struct probe *p = ctx;

	snprintf(p->failure, sizeof(p->failure), "%s", text);
}

static void on_send(void *ctx, struct vcpu *v, const struct irq_message *m)
{
}

static void on_eoi(void *ctx, struct vcpu *v, uint8_t vector)
{
}

static void on_idle(void *ctx, struct vcpu *v, bool idle)
{
}

static const struct vcpu_ops ops = {.io = on_io,
				    .send = on_send,
				    .eoi = on_eoi,
				    .idle = on_idle,
				    .reset = on_failed,
				    .failed = on_failed};

static int write_guest(struct ram *ram)
{
	/* Present and writable; the directory's first entry is a 2 MiB page at 0. */
	const uint64_t pml4 = (TABLES_GPA + 0x1000) | 3, pdpt = (TABLES_GPA + 0x2000) | 3,
		       page = 0x83;
	int r = ram_write(ram, TABLES_GPA, &pml4, sizeof(pml4));

	if (r == 0)
		r = ram_write(ram, TABLES_GPA + 0x1000, &pdpt, sizeof(pdpt));
	if (r == 0)
		r = ram_write(ram, TABLES_GPA + 0x2000, &page, sizeof(page));
	if (r == 0)
		r = ram_write(ram, CODE_GPA, code, sizeof(code));
	return r;
}

static int run_guest(struct probe *p, const struct kvm *kvm, struct ram *ram, struct err *err)
{
	static const struct vcpu_entry entry = {
		.rip = CODE_GPA,
		.rflags = 2,
		.cr0 = 0x80000011, /* PG, ET, PE */
		.cr3 = TABLES_GPA,
		.cr4 = 0x20,   /* PAE */
		.efer = 0x500, /* LMA, LME */
		.cs = BOOT_CS,
		.ds = BOOT_DS,
	};
	struct guest_clock clock = {.tsc_khz = kvm->tsc_khz};
	struct cpu_identity identity;
	struct vcpu_config cfg = {.kvm = kvm,
				  .clock = &clock,
				  .ram = ram,
				  .ops = &ops,
				  .ctx = p,
				  .bsp = true,
				  .host_cpu = -1,
				  .topology = {.node_vcpus = 1, .tsc_khz = clock.tsc_khz},
				  .identity = &identity};
	struct vcpu *v;

	int r = cpu_identity_read(kvm, &identity);
	if (r < 0)
		return err_set(err, r, "/dev/kvm: cannot read the supported CPUID: %s",
			       strerror(-r));
	r = vcpu_new(&cfg, &v, err);
	if (r < 0)
		return r;
	r = vcpu_set_entry(v, &entry);
	p->start = clock_now_ns();
	if (r == 0)
		r = vcpu_start(v);
	vcpu_join(v);
	vcpu_free(v);
	return r < 0 ? err_set(err, r, "/dev/kvm: a vCPU cannot start: %s", strerror(-r)) : 0;
}

static int probe(struct probe *p, struct err *err)
{
	const uint64_t size = REGION_BYTES;
	struct mem_layout layout;
	struct ram *ram = NULL;
	struct kvm kvm;

	int r = kvm_open(&kvm, err);
	if (r < 0)
		return r;
	r = mem_layout_init(&size, 1, &layout, err);
	if (r == 0)
		r = ram_new(&layout, &ram, err);
	if (r == 0)
		r = kvm_map_ram(&kvm, ram, err);
	if (r == 0 && write_guest(ram) < 0)
		r = err_set(err, -EFAULT, "probe: no memory for its guest");
	if (r == 0)
		r = run_guest(p, &kvm, ram, err);
	kvm_close(&kvm);
	ram_free(ram);
	return r;
}

int vmm_probe_kvm(char *why, size_t len)
{
	struct probe p = {0};
	struct err err;
	int r = probe(&p, &err);

	if (r < 0) {
		snprintf(why, len, "%s", err.text);
		return r;
	}
	if (!p.end || !p.exchanged) {
		snprintf(why, len, "a tiny 64-bit guest failed: %s",
			 p.failure[0] ? p.failure : "cmpxchg16b gave a wrong result");
		return -ENOTSUP;
	}
	unsigned us = (unsigned)((p.end - p.start) / NSEC_PER_USEC);
	if (p.end - p.start > LIMIT_NS) {
		snprintf(why, len,
			 "it emulates: %u loops took %u us, which hardware does in under 1000",
			 LOOPS, us);
		return -ENOTSUP;
	}
	snprintf(why, len, "a tiny 64-bit guest ran %u loops and a cmpxchg16b in %u us", LOOPS, us);
	return 0;
}
