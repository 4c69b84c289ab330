/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/probe.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "boot/bzimage.h"
#include "cpu/vcpu.h"

#define TABLES_GPA 0x1000 /* PML4, PDPT, page directory */
#define IDT_GPA	   0x4000
#define GDT_GPA	   0x5000
#define IDTR_GPA   0x5100
#define STACK_GPA  0xf000
#define CODE_GPA   0x10000
#define LOOPS	   200000
#define TIMER	   0x41 /* its vector */

enum { PORT_EXCHANGED = 0x10, PORT_COUNTED, PORT_DEADLINE, PORT_END };

/* Two instructions a loop: hardware needs under 1 ms, an emulator 100 times more. */
#define LIMIT_NS (60 * NSEC_PER_MSEC)
/* For a timer of 1 ms. */
#define PATIENCE_S 10

/*
 * The guest. A handler has no IRET: it ends at what R15 holds, with a fresh stack. RDI: the operand
 * of the cmpxchg16b. MSRs: 0x80b EOI, 0x80f SVR, 0x832 LVT timer, 0x838 its count, 0x83e divisor.
 */
__asm__(".pushsection .rodata\n"
	"probe_code:\n"
	"	mov $200000, %ecx\n"
	"0:	dec %ecx\n"
	"	jnz 0b\n"
	"	xor %eax, %eax\n"
	"	xor %edx, %edx\n"
	"	mov $1, %ebx\n"
	"	mov $0x20000, %edi\n"
	"	lock cmpxchg16b (%rdi)\n"
	"	setz %al\n"
	"	out %al, $0x10\n"
	"	lidt 0x5100\n"
	"	xor %edx, %edx\n"
	"	mov $0x80f, %ecx\n"
	"	mov $0x1ff, %eax\n"
	"	wrmsr\n"
	/* A count of 1 ms at 1 GHz. */
	"	lea 2f(%rip), %r15\n"
	"	mov $0x83e, %ecx\n"
	"	mov $0xb, %eax\n"
	"	wrmsr\n"
	"	mov $0x832, %ecx\n"
	"	mov $0x41, %eax\n"
	"	wrmsr\n"
	"	mov $0x838, %ecx\n"
	"	mov $1000000, %eax\n"
	"	wrmsr\n"
	"1:	sti\n"
	"	hlt\n"
	"	jmp 1b\n"
	"2:	out %al, $0x11\n"
	/* The TSC's deadline, if CPUID offers it. */
	"	mov $1, %eax\n"
	"	cpuid\n"
	"	test $0x1000000, %ecx\n"
	"	jz 5f\n"
	"	lea 4f(%rip), %r15\n"
	"	xor %edx, %edx\n"
	"	mov $0x832, %ecx\n"
	"	mov $0x40041, %eax\n"
	"	wrmsr\n"
	"	rdtsc\n"
	"	add $1000000, %eax\n"
	"	adc $0, %edx\n"
	"	mov $0x6e0, %ecx\n"
	"	wrmsr\n"
	"3:	sti\n"
	"	hlt\n"
	"	jmp 3b\n"
	"4:	out %al, $0x12\n"
	"5:	out %al, $0x13\n"
	"	hlt\n"
	"probe_handler:\n"
	"	xor %eax, %eax\n"
	"	xor %edx, %edx\n"
	"	mov $0x80b, %ecx\n"
	"	wrmsr\n"
	"	mov $0xf000, %esp\n"
	"	jmp *%r15\n"
	"probe_end:\n"
	".popsection\n");
extern const uint8_t probe_code[] __attribute__((visibility("hidden")));
extern const uint8_t probe_handler[] __attribute__((visibility("hidden")));
extern const uint8_t probe_end[] __attribute__((visibility("hidden")));
static_assert(LOOPS == 200000 && TIMER == 0x41 && IDTR_GPA == 0x5100 && STACK_GPA == 0xf000 &&
		      PORT_END == 0x13,
	      "the guest's text has these numbers");

struct probe {
	uint64_t start, exchanged_at;
	bool exchanged, counted, deadline, ended;
	char failure[200];
	pthread_mutex_t lock; /* the vCPU's thread tells, ours waits */
	pthread_cond_t changed;
	bool done;
};

static void tell_done(struct probe *p)
{
	pthread_mutex_lock(&p->lock);
	p->done = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static int on_io(void *ctx, struct vcpu *v, struct vcpu_io *io)
{
	struct probe *p = ctx;

	switch (io->addr) {
	case PORT_EXCHANGED:
		p->exchanged_at = clock_now_ns();
		p->exchanged = *(uint8_t *)io->data == 1;
		return 0;
	case PORT_COUNTED:
		p->counted = true;
		return 0;
	case PORT_DEADLINE:
		p->deadline = true;
		return 0;
	case PORT_END:
		p->ended = true;
	}
	tell_done(p);
	return -ECANCELED;
}

static void on_failed(void *ctx, struct vcpu *v, const char *text)
{
	struct probe *p = ctx;

	snprintf(p->failure, sizeof(p->failure), "%s", text);
	tell_done(p);
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
	/* As the boot protocol has them: 64-bit code, data. */
	const uint64_t gdt[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};
	const uint32_t handler = CODE_GPA + (uint32_t)(probe_handler - probe_code);
	/* Interrupt gate, present: SDM vol. 3, 6.14.1. */
	const uint64_t gate[2] = {(uint64_t)(handler & 0xffff) | (uint64_t)BOOT_CS << 16 |
				  UINT64_C(0x8e) << 40 | (uint64_t)(handler >> 16) << 48};
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {256 * 16 - 1, IDT_GPA};
	const struct {
		uint64_t gpa;
		const void *data;
		size_t len;
	} parts[] = {
		{TABLES_GPA, &pml4, sizeof(pml4)},
		{TABLES_GPA + 0x1000, &pdpt, sizeof(pdpt)},
		{TABLES_GPA + 0x2000, &page, sizeof(page)},
		{GDT_GPA, gdt, sizeof(gdt)},
		{IDT_GPA + TIMER * sizeof(gate), gate, sizeof(gate)},
		{IDTR_GPA, &idtr, sizeof(idtr)},
		{CODE_GPA, probe_code, (size_t)(probe_end - probe_code)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (ram_write(ram, parts[i].gpa, parts[i].data, parts[i].len) < 0)
			return -EFAULT;
	return 0;
}

/* Until the guest has ended, or has waited too long for an interrupt. */
static void wait_done(struct probe *p)
{
	struct timespec end;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&p->lock);
	while (!p->done && r == 0)
		r = pthread_cond_clockwait(&p->changed, &p->lock, CLOCK_MONOTONIC, &end);
	pthread_mutex_unlock(&p->lock);
}

static int run_guest(struct probe *p, const struct kvm *kvm, struct ram *ram, struct err *err)
{
	static const struct vcpu_entry entry = {
		.rip = CODE_GPA,
		.rsp = STACK_GPA,
		.rflags = 2,
		.cr0 = 0x80000011, /* PG, ET, PE */
		.cr3 = TABLES_GPA,
		.cr4 = 0x20,   /* PAE */
		.efer = 0x500, /* LMA, LME */
		.gdt_base = GDT_GPA,
		.gdt_limit = 4 * 8 - 1,
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
	if (r == 0)
		wait_done(p);
	vcpu_signal(v, VCPU_EVENT_STOP, 0);
	vcpu_join(v);
	vcpu_free(v);
	return r < 0 ? err_set(err, r, "/dev/kvm: a vCPU cannot start: %s", strerror(-r)) : 0;
}

static int probe(struct probe *p, bool *walks_read, struct err *err)
{
	const uint64_t size = REGION_BYTES;
	struct mem_layout layout;
	struct ram *ram = NULL;
	struct kvm kvm;

	int r = kvm_open(&kvm, err);
	if (r < 0)
		return r;
	*walks_read = kvm.trial.walks_read;
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

/* What the guest did, as a line for the user. */
static int judge(const struct probe *p, char *why, size_t len)
{
	if (!p->exchanged_at || !p->exchanged) {
		snprintf(why, len, "a tiny 64-bit guest failed: %s",
			 p->failure[0] ? p->failure : "cmpxchg16b gave a wrong result");
		return -ENOTSUP;
	}
	unsigned us = (unsigned)((p->exchanged_at - p->start) / NSEC_PER_USEC);
	if (p->exchanged_at - p->start > LIMIT_NS) {
		snprintf(why, len,
			 "it emulates: %u loops took %u us, which hardware does in under 1000",
			 LOOPS, us);
		return -ENOTSUP;
	}
	if (!p->ended) {
		snprintf(why, len, "a tiny 64-bit guest failed: %s",
			 p->failure[0] ? p->failure
			 : p->counted  ? "no timer interrupt came at the TSC's deadline"
				       : "no timer interrupt came after a count");
		return -ENOTSUP;
	}
	snprintf(
		why, len,
		"a tiny 64-bit guest ran %u loops and a cmpxchg16b in %u us; timer interrupts come "
		"by a count%s",
		LOOPS, us,
		p->deadline ? " and by the TSC's deadline"
			    : ", while KVM keeps the TSC's deadline for itself");
	return 0;
}

/* Two hosts have a page table at the same time only where walks read it. */
static const char *tables(bool walks_read)
{
	if (walks_read)
		return "the guest's page tables can be shared by hosts: walks of them only read";
	if (__builtin_cpu_is("intel"))
		return "the guest's page tables cannot be shared by hosts: load kvm_intel with "
		       "eptad=0, so that walks of them only read";
	return "the guest's page tables cannot be shared by hosts: walks of them write, as on all "
	       "CPUs of AMD";
}

int vmm_probe_kvm(struct probe_result *ret)
{
	struct probe p = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	struct err err;

	*ret = (struct probe_result){0};
	int r = probe(&p, &ret->walks_read, &err);
	if (r < 0) {
		snprintf(ret->why, sizeof(ret->why), "%.*s", (int)sizeof(ret->why) - 1, err.text);
		return r;
	}
	r = judge(&p, ret->why, sizeof(ret->why));
	if (r == 0)
		snprintf(ret->tables, sizeof(ret->tables), "%s", tables(ret->walks_read));
	return r;
}
