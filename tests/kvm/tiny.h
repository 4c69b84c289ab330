/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rig for tiny guests: one VM with 2 MiB of RAM and two vCPUs on this machine's /dev/kvm,
 * whatever it is. A guest is a few instructions; what it does with ports and MMIO is recorded.
 *
 * The guest's memory:
 *   0x01000  page tables: 0..2 MiB is RAM, 2..4 MiB is mapped and no RAM, that is, MMIO
 *   0x04000  IDT     0x05000  GDT     0x05100  operand of LIDT
 *   0x06000  a stub for every vector: writes the vector to PORT_VECTOR
 *   0x07000  real-mode code of the second vCPU
 *   0x08000  common end of all stubs: EOI, fresh stack, jump to what R15 holds
 *   0x0f000  end of the stack
 *   0x10000  code of the first vCPU, 64-bit
 * A second rig with a VM of its own can share the memory: the node that a vCPU moves to.
 * No stub ends in IRET: a KVM that emulates has none in protected mode.
 *
 * Threads: vCPU threads append to the record under `lock`; the test waits on `changed`.
 */
#ifndef SSIHV_TESTS_KVM_TINY_H
#define SSIHV_TESTS_KVM_TINY_H

#include "cpu/vcpu_move.h"

#define TINY_VCPUS   2
#define TINY_ENTRIES 128
#define TINY_MMIO    REGION_BYTES
#define TINY_AP_GPA  0x7000
#define TINY_OTHER   5 /* where a vCPU goes that is told to: means nothing to it */
#define PORT_VECTOR  0x20
#define PORT_GATE    0x21 /* a read waits until the test opens the gate */

/*
 * Instructions under a name: `tiny_NAME` to `tiny_NAME_end`. They are copied into the guest, so
 * they must not depend on where they are. @mode: .code16 or .code64.
 */
#define TINY_CODE(name, mode, text)                                                                \
	__asm__(".pushsection .rodata\n" mode "\ntiny_" #name ":\n" text "\ntiny_" #name           \
		"_end:\n.code64\n.popsection\n");                                                  \
	extern const uint8_t tiny_##name[] __attribute__((visibility("hidden")));                  \
	extern const uint8_t tiny_##name##_end[] __attribute__((visibility("hidden")))

/* At the start of a guest that takes interrupts: IDT, APIC on (SVR bit 8), R15 to label 9. */
#define TINY_PROLOGUE                                                                              \
	"lidt 0x5100\n"                                                                            \
	"mov $0x80f, %ecx\n xor %edx, %edx\n mov $0x1ff, %eax\n wrmsr\n"                           \
	"lea 9f(%rip), %r15\n"

/* Sets the APIC timer, vector 0x41, to the ticks that port 0x31 tells, from now on; EBX too. */
#define TINY_DEADLINE                                                                              \
	"mov $0x832, %ecx\n xor %edx, %edx\n mov $0x40041, %eax\n wrmsr\n"                         \
	"in $0x31, %eax\n mov %eax, %ebx\n"                                                        \
	"rdtsc\n shl $32, %rdx\n or %rdx, %rax\n add %rbx, %rax\n"                                 \
	"mov %rax, %rdx\n shr $32, %rdx\n mov $0x6e0, %ecx\n wrmsr\n"
/* The same by counting down, without a divider, where the other is not offered, too. */
#define TINY_COUNT                                                                                 \
	"mov $0x832, %ecx\n xor %edx, %edx\n mov $0x41, %eax\n wrmsr\n"                            \
	"mov $0x83e, %ecx\n mov $0xb, %eax\n wrmsr\n"                                              \
	"in $0x31, %eax\n mov %eax, %ebx\n mov $0x838, %ecx\n wrmsr\n"

enum tiny_timer {
	TINY_BY_DEADLINE,
	TINY_BY_COUNT,
};

enum tiny_kind {
	TINY_OUT,
	TINY_IN,
	TINY_STORE,
	TINY_LOAD,
	TINY_SEND,
	TINY_EOI,
	TINY_LEFT,   /* addr: where to */
	TINY_PASSED, /* addr: vector, value: delivery mode, size: 1 for level */
	TINY_STAYS,  /* value: the error, positive; 0: refused */
	TINY_CAME,
	TINY_REFUSE, /* value: the error, positive */
	TINY_RESET,
	TINY_FAILED,
};

struct tiny_entry {
	enum tiny_kind kind;
	unsigned vcpu;
	uint64_t addr; /* port, address, vector */
	unsigned size;
	uint64_t value;
	struct irq_message message; /* TINY_SEND */
};

struct tiny {
	struct kvm kvm;
	struct guest_clock clock;
	struct rendezvous rendezvous; /* of both vCPUs */
	struct ram *ram;
	struct cpu_identity identity; /* what its guest sees of the CPU */
	struct vcpu *vcpu[TINY_VCPUS];
	uint64_t answer;	/* what a read of a port or of MMIO gives */
	struct tiny *host;	/* whose memory and clock this rig uses; NULL: its own */
	struct wire_vcpu image; /* of the vCPU that left */
	/* How the vCPUs are run; the first may be told to go. Set before the start. */
	uint64_t slice_ns, slack_ns;
	bool goes; /* until it has stayed: with user code, or after goes_after_ns of a CPU */
	uint64_t goes_after_ns;
	int leave_error; /* what leaving is answered with; 0: it works */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool gate;
	unsigned taken, count; /* entries: those that the test has seen, all */
	struct tiny_entry entry[TINY_ENTRIES];
	char failure[160];
};

/** tiny_usable() - can /dev/kvm be used here? Tells why not, as TAP. @saves: and save a vCPU? */
bool tiny_usable(bool saves);

/** tiny_new() - VM, memory, vCPUs; nothing runs. Asserts. */
struct tiny *tiny_new(void);

/** tiny_new_scaled() - tiny_new() with a TSC of @khz; KVM must be able to scale it. */
struct tiny *tiny_new_scaled(uint32_t khz);

/** tiny_new_as() - tiny_new() whose guest sees a CPU of @identity, which this host must cover. */
struct tiny *tiny_new_as(const struct cpu_identity *identity);

/** tiny_other() - a second VM with @host's memory, whose one vCPU is away. It runs already. */
struct tiny *tiny_other(struct tiny *host);

/** tiny_free() - stop both vCPUs and free everything. */
void tiny_free(struct tiny *t);

/** tiny_load() - put instructions at @gpa. */
void tiny_load(struct tiny *t, uint64_t gpa, const uint8_t *code, const uint8_t *end);

/** tiny_start() - start both vCPUs; the first at its 64-bit code, at privilege level @level. */
void tiny_start(struct tiny *t, unsigned level);

/* As most tests begin. */
#define TINY_RUN(t, name)                                                                          \
	do {                                                                                       \
		tiny_load(t, 0x10000, tiny_##name, tiny_##name##_end);                             \
		tiny_start(t, 0);                                                                  \
	} while (0)

/**
 * tiny_next() - the next entry of the record; waits for it up to 10 s
 *
 * Asserts that it is of @kind, and says what the vCPU failed of when it is not.
 */
struct tiny_entry tiny_next(struct tiny *t, enum tiny_kind kind);

/** tiny_peek() - the kind of the next entry, which stays; waits for it like tiny_next(). */
enum tiny_kind tiny_peek(struct tiny *t);

/** tiny_expect() - tiny_next() with this address and value. */
void tiny_expect(struct tiny *t, enum tiny_kind kind, uint64_t addr, uint64_t value);

/** tiny_open_gate() - let the vCPU go on that reads PORT_GATE. */
void tiny_open_gate(struct tiny *t);

/** tiny_timer_offered() - is a guest offered this kind of timer here? */
bool tiny_timer_offered(const struct tiny *t, enum tiny_timer timer);

/** tiny_timer_ticks() - @ms in the unit of the timer. */
uint64_t tiny_timer_ticks(const struct tiny *t, enum tiny_timer timer, uint64_t ms);

/** tiny_timer_now() - the time by which the timer goes, in its unit. */
uint64_t tiny_timer_now(const struct tiny *t, enum tiny_timer timer);

/** tiny_wait_asleep() - until @vcpu sleeps in HLT, or waits for its SIPI. */
void tiny_wait_asleep(struct tiny *t, unsigned vcpu);

#endif
