/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "boot/bzimage.h"
#include "cpu/vcpu_impl.h"
#include "tests/kvm/tiny.h"

#define TABLES_GPA  0x1000
#define IDT_GPA	    0x4000
#define GDT_GPA	    0x5000
#define IDTR_GPA    0x5100
#define STUBS_GPA   0x6000
#define STUB_BYTES  16
#define COMMON_GPA  0x8000
#define STACK_GPA   0xf000
#define CODE_GPA    0x10000
#define PATIENCE_NS (10 * NSEC_PER_SEC)

TINY_CODE(common, ".code64",
	  "mov $0x80b, %ecx\n"
	  "xor %eax, %eax\n"
	  "xor %edx, %edx\n"
	  "wrmsr\n"
	  "mov $0xf000, %esp\n"
	  "jmp *%r15");

/* ---- what the vCPUs ask for ---- */

static void record(struct tiny *t, const struct tiny_entry *entry)
{
	pthread_mutex_lock(&t->lock);
	if (t->count < TINY_ENTRIES)
		t->entry[t->count++] = *entry;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static void wait_at_gate(struct tiny *t)
{
	pthread_mutex_lock(&t->lock);
	while (!t->gate)
		pthread_cond_wait(&t->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

void tiny_open_gate(struct tiny *t)
{
	pthread_mutex_lock(&t->lock);
	t->gate = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static int on_io(void *ctx, struct vcpu *v, struct vcpu_io *io)
{
	static const enum tiny_kind kinds[2][2] = {{TINY_IN, TINY_OUT}, {TINY_LOAD, TINY_STORE}};
	struct tiny *t = ctx;

	for (uint32_t i = 0; i < io->count; i++) {
		uint8_t *data = (uint8_t *)io->data + i * io->size;
		struct tiny_entry entry = {.kind = kinds[io->mmio][io->write],
					   .vcpu = v->index,
					   .addr = io->addr,
					   .size = io->size};

		if (io->write)
			memcpy(&entry.value, data, io->size);
		else
			memcpy(data, &t->answer, io->size);
		record(t, &entry);
	}
	if (io->addr == PORT_GATE)
		wait_at_gate(t);
	return 0;
}

/* Routes as vmm/ does: INIT and SIPI to vCPU `dest`, all else is only recorded. */
static void on_send(void *ctx, struct vcpu *v, const struct irq_message *m)
{
	struct tiny *t = ctx;

	record(t, &(struct tiny_entry){.kind = TINY_SEND,
				       .vcpu = v->index,
				       .addr = m->dest,
				       .value = m->vector,
				       .message = *m});
	if (m->dest < TINY_VCPUS && m->mode == IRQ_INIT)
		vcpu_signal(t->vcpu[m->dest], VCPU_EVENT_INIT, 0);
	if (m->dest < TINY_VCPUS && m->mode == IRQ_SIPI)
		vcpu_signal(t->vcpu[m->dest], VCPU_EVENT_SIPI, m->vector);
}

static void on_eoi(void *ctx, struct vcpu *v, uint8_t vector)
{
	record(ctx, &(struct tiny_entry){.kind = TINY_EOI, .vcpu = v->index, .addr = vector});
}

static void on_failed(void *ctx, struct vcpu *v, const char *text)
{
	struct tiny *t = ctx;

	snprintf(t->failure, sizeof(t->failure), "%s", text);
	record(t, &(struct tiny_entry){.kind = TINY_FAILED, .vcpu = v->index});
}

static void on_reset(void *ctx, struct vcpu *v, const char *text)
{
	struct tiny *t = ctx;

	snprintf(t->failure, sizeof(t->failure), "%s", text);
	record(t, &(struct tiny_entry){.kind = TINY_RESET, .vcpu = v->index});
}

static void on_idle(void *ctx, struct vcpu *v, bool idle)
{
}

static uint64_t on_slice(void *ctx, struct vcpu *v)
{
	struct tiny *t = ctx;

	return t->slice_ns;
}

static uint64_t on_slack(void *ctx, struct vcpu *v)
{
	struct tiny *t = ctx;

	return t->slack_ns;
}

static int on_look(void *ctx, struct vcpu *v)
{
	struct tiny *t = ctx;
	struct vcpu_usage usage;

	if (v->index != 0 || !t->goes)
		return -1;
	vcpu_usage(v, &usage);
	return usage.user || usage.cpu_ns > t->goes_after_ns ? TINY_OTHER : -1;
}

static int on_leave(void *ctx, struct vcpu *v, int to, const struct wire_vcpu *image)
{
	struct tiny *t = ctx;

	t->image = *image;
	if (t->leave_error)
		return t->leave_error;
	record(t, &(struct tiny_entry){.kind = TINY_LEFT, .vcpu = v->index, .addr = (uint64_t)to});
	return 0;
}

static void on_came(void *ctx, struct vcpu *v)
{
	record(ctx, &(struct tiny_entry){.kind = TINY_CAME, .vcpu = v->index});
}

static void on_stays(void *ctx, struct vcpu *v, int error)
{
	struct tiny *t = ctx;

	t->goes = false;
	record(t, &(struct tiny_entry){
			  .kind = TINY_STAYS, .vcpu = v->index, .value = (uint64_t)-error});
}

static void on_refuse(void *ctx, struct vcpu *v, int error)
{
	record(ctx, &(struct tiny_entry){
			    .kind = TINY_REFUSE, .vcpu = v->index, .value = (uint64_t)-error});
}

static void on_pass(void *ctx, struct vcpu *v, enum irq_mode mode, uint8_t vector, bool level)
{
	record(ctx, &(struct tiny_entry){.kind = TINY_PASSED,
					 .vcpu = v->index,
					 .addr = vector,
					 .value = mode,
					 .size = level});
}

static const struct vcpu_ops ops = {
	.io = on_io,
	.send = on_send,
	.eoi = on_eoi,
	.idle = on_idle,
	.slice = on_slice,
	.slack = on_slack,
	.look = on_look,
	.leave = on_leave,
	.came = on_came,
	.stays = on_stays,
	.refuse = on_refuse,
	.pass_on = on_pass,
	.reset = on_reset,
	.failed = on_failed,
};

/* ---- the guest's memory ---- */

static void put(struct tiny *t, uint64_t gpa, const void *data, size_t len)
{
	assert_int_equal(ram_write(t->ram, gpa, data, len), 0);
}

static void put_tables(struct tiny *t)
{
	/* Present, writable, for user code, too; two 2 MiB pages. */
	const uint64_t pml4 = (TABLES_GPA + 0x1000) | 7, pdpt = (TABLES_GPA + 0x2000) | 7,
		       pages[] = {0x87, TINY_MMIO | 0x87};
	/* Null, null, 64-bit code, data: as the boot protocol has them. */
	const uint64_t gdt[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};

	put(t, TABLES_GPA, &pml4, sizeof(pml4));
	put(t, TABLES_GPA + 0x1000, &pdpt, sizeof(pdpt));
	put(t, TABLES_GPA + 0x2000, pages, sizeof(pages));
	put(t, GDT_GPA, gdt, sizeof(gdt));
}

/* A stub: mov $vector, %al; out %al, $PORT_VECTOR; jmp common. */
static void put_vector(struct tiny *t, unsigned vector)
{
	const uint32_t stub_gpa = STUBS_GPA + vector * STUB_BYTES;
	const uint32_t distance = COMMON_GPA - (stub_gpa + 9);
	/* Interrupt gate, present: SDM vol. 3, 6.14.1. */
	const uint64_t gate[2] = {(uint64_t)(stub_gpa & 0xffff) | (uint64_t)BOOT_CS << 16 |
				  UINT64_C(0x8e) << 40};
	uint8_t stub[9] = {0xb0, (uint8_t)vector, 0xe6, PORT_VECTOR, 0xe9};

	memcpy(stub + 5, &distance, sizeof(distance));
	put(t, stub_gpa, stub, sizeof(stub));
	put(t, IDT_GPA + vector * sizeof(gate), gate, sizeof(gate));
}

static void put_interrupts(struct tiny *t)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {256 * 16 - 1, IDT_GPA};

	for (unsigned vector = 0; vector < 256; vector++)
		put_vector(t, vector);
	put(t, IDTR_GPA, &idtr, sizeof(idtr));
	tiny_load(t, COMMON_GPA, tiny_common, tiny_common_end);
}

/* ---- interface ---- */

bool tiny_usable(bool saves)
{
	struct err err = {"/dev/kvm cannot save a vCPU"};
	struct kvm kvm;
	bool usable = kvm_open(&kvm, &err) == 0;

	if (usable) {
		usable = kvm.saves_vcpus || !saves;
		kvm_close(&kvm);
	}
	if (!usable)
		printf("1..0 # SKIP %s\n", err.text);
	return usable;
}

static void make_vcpu(struct tiny *t, unsigned index, bool away)
{
	const struct vcpu_config cfg = {
		.kvm = &t->kvm,
		.clock = &t->clock,
		.rendezvous = &t->rendezvous,
		.ram = t->ram,
		.ops = &ops,
		.ctx = t,
		.index = index,
		.bsp = index == 0,
		.away = away,
		.host_cpu = -1,
		.topology = {.apic_id = index,
			     .node_shift = 1,
			     .node_vcpus = TINY_VCPUS,
			     .tsc_khz = t->clock.tsc_khz},
		.identity = &t->identity,
	};
	struct err err = {""};

	if (vcpu_new(&cfg, &t->vcpu[index], &err) < 0)
		fail_msg("%s", err.text);
}

/* Guest time starts at 0 now. A KVM that emulates may take an offset and ignore it. */
static void start_clock(struct tiny *t)
{
	int64_t kept = 0;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&kept,
	};

	guest_clock_set(&t->clock,
			-(int64_t)guest_clock_scale(t->clock.ratio, t->clock.frac_bits, __rdtsc()));
	assert_int_equal(vcpu_sync_tsc(t->vcpu[0]), 0);
	assert_int_equal(ioctl(t->vcpu[0]->fd, KVM_GET_DEVICE_ATTR, &attr), 0);
	if (kept != atomic_load(&t->clock.offset))
		guest_clock_set(&t->clock, 0);
}

static struct tiny *new_rig(void)
{
	struct tiny *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	rendezvous_init(&t->rendezvous, &t->clock);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	return t;
}

static struct tiny *new_whole_rig(uint32_t khz, const struct cpu_identity *identity)
{
	const uint64_t size = REGION_BYTES;
	struct tiny *t = new_rig();
	struct mem_layout layout;
	struct err err = {""};

	if (kvm_open(&t->kvm, &err) < 0 || mem_layout_init(&size, 1, &layout, &err) < 0 ||
	    ram_new(&layout, &t->ram, &err) < 0 || kvm_map_ram(&t->kvm, t->ram, &err) < 0)
		fail_msg("%s", err.text);
	t->clock.tsc_khz = khz ? khz : t->kvm.tsc_khz;
	t->clock.frac_bits = t->kvm.tsc_frac_bits;
	if (khz)
		t->clock.ratio = guest_clock_ratio(khz, (uint32_t)t->kvm.tsc_khz,
						   t->kvm.tsc_tolerance_ppm, t->clock.frac_bits);
	if (identity)
		t->identity = *identity;
	else
		assert_int_equal(cpu_identity_read(&t->kvm, &t->identity), 0);
	put_tables(t);
	put_interrupts(t);
	make_vcpu(t, 0, false);
	make_vcpu(t, 1, false);
	start_clock(t);
	return t;
}

struct tiny *tiny_new(void)
{
	return new_whole_rig(0, NULL);
}

struct tiny *tiny_new_scaled(uint32_t khz)
{
	return new_whole_rig(khz, NULL);
}

struct tiny *tiny_new_as(const struct cpu_identity *identity)
{
	return new_whole_rig(0, identity);
}

struct tiny *tiny_other(struct tiny *host)
{
	struct tiny *t = new_rig();
	struct err err = {""};

	t->host = host;
	t->ram = host->ram;
	t->clock = host->clock;
	t->identity = host->identity;
	if (kvm_open(&t->kvm, &err) < 0 || kvm_map_ram(&t->kvm, t->ram, &err) < 0)
		fail_msg("%s", err.text);
	make_vcpu(t, 0, true);
	assert_int_equal(vcpu_start(t->vcpu[0]), 0);
	return t;
}

void tiny_free(struct tiny *t)
{
	tiny_open_gate(t);
	for (unsigned i = 0; i < TINY_VCPUS; i++)
		if (t->vcpu[i])
			vcpu_signal(t->vcpu[i], VCPU_EVENT_STOP, 0);
	for (unsigned i = 0; i < TINY_VCPUS; i++) {
		if (t->vcpu[i])
			vcpu_join(t->vcpu[i]);
		vcpu_free(t->vcpu[i]);
	}
	kvm_close(&t->kvm);
	if (!t->host)
		ram_free(t->ram);
	free(t);
}

void tiny_load(struct tiny *t, uint64_t gpa, const uint8_t *code, const uint8_t *end)
{
	put(t, gpa, code, (size_t)(end - code));
}

/* With interrupts on, as user code has them: without, Bochs does not leave it (lab/README.md). */
static void set_level(struct tiny *t, unsigned level)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	assert_int_equal(ioctl(t->vcpu[0]->fd, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.dpl = sregs.ss.dpl = (uint8_t)level;
	sregs.cs.selector |= (uint16_t)level;
	sregs.ss.selector |= (uint16_t)level;
	assert_int_equal(ioctl(t->vcpu[0]->fd, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(ioctl(t->vcpu[0]->fd, KVM_GET_REGS, &regs), 0);
	regs.rflags |= 1 << 9;
	assert_int_equal(ioctl(t->vcpu[0]->fd, KVM_SET_REGS, &regs), 0);
}

void tiny_start(struct tiny *t, unsigned level)
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

	assert_int_equal(vcpu_set_entry(t->vcpu[0], &entry), 0);
	if (level)
		set_level(t, level);
	for (unsigned i = 0; i < TINY_VCPUS; i++)
		assert_int_equal(vcpu_start(t->vcpu[i]), 0);
}

/* The entry that comes next; waits for it. */
static struct tiny_entry await_entry(struct tiny *t)
{
	struct tiny_entry entry = {0};
	struct timespec end;
	bool found;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_NS / NSEC_PER_SEC;
	pthread_mutex_lock(&t->lock);
	while (t->taken == t->count && r == 0)
		r = pthread_cond_timedwait(&t->changed, &t->lock, &end);
	found = t->taken < t->count;
	if (found)
		entry = t->entry[t->taken];
	pthread_mutex_unlock(&t->lock);
	if (!found)
		fail_msg("the guest did nothing for 10 s");
	return entry;
}

enum tiny_kind tiny_peek(struct tiny *t)
{
	return await_entry(t).kind;
}

struct tiny_entry tiny_next(struct tiny *t, enum tiny_kind kind)
{
	struct tiny_entry entry = await_entry(t);

	t->taken++; /* only the test's thread takes */
	if (entry.kind == TINY_FAILED && kind != TINY_FAILED)
		fail_msg("%s", t->failure);
	assert_int_equal(entry.kind, kind);
	return entry;
}

void tiny_expect(struct tiny *t, enum tiny_kind kind, uint64_t addr, uint64_t value)
{
	struct tiny_entry entry = tiny_next(t, kind);

	assert_int_equal(entry.addr, addr);
	assert_int_equal(entry.value, value);
}

bool tiny_timer_offered(const struct tiny *t, enum tiny_timer timer)
{
	return timer == TINY_BY_COUNT || t->kvm.trial.deadline_exits;
}

uint64_t tiny_timer_ticks(const struct tiny *t, enum tiny_timer timer, uint64_t ms)
{
	return ms * (timer == TINY_BY_COUNT ? LAPIC_TIMER_HZ / 1000 : t->clock.tsc_khz);
}

uint64_t tiny_timer_now(const struct tiny *t, enum tiny_timer timer)
{
	struct lapic_clock now = guest_clock_now(&t->clock);

	return timer == TINY_BY_COUNT ? now.ns : now.tsc;
}

void tiny_wait_asleep(struct tiny *t, unsigned vcpu)
{
	uint64_t end = clock_now_ns() + PATIENCE_NS;

	while (atomic_load(&t->vcpu[vcpu]->inbox.mode) != VCPU_ASLEEP) {
		if (clock_now_ns() > end)
			fail_msg("vCPU %u does not sleep", vcpu);
		usleep(100);
	}
}
