/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual CPU: its thread, its local APIC, its exits.
 *
 * THEORY. The thread runs the guest until an exit, handles it, and looks at its inbox before it
 * enters again. Everything that others want of a vCPU goes through the inbox: bits that are set
 * atomically (interrupt vectors, NMI, INIT, SIPI, stop), then a kick. The local APIC is plain data
 * that only this thread touches; the inbox's vectors are given to it before each entry (the same
 * shape as hardware posted interrupts).
 *
 * KICK. `mode` says where the thread is: in user space (it will look at the inbox), in the guest (a
 * signal takes it out) or asleep in HLT (a futex wakes it). The thread publishes its mode before
 * it looks at the inbox the last time, the kicker sets its bit before it looks at the mode, so one
 * of the two sees the other. A signal between that look and KVM_RUN sets immediate_exit.
 *
 * TIMER. The LAPIC's next deadline is kept by a POSIX timer that signals this very thread while the
 * guest runs, and by the futex's timeout while it sleeps. No timer thread exists.
 *
 * INTERRUPTS. Without an in-kernel irqchip a vector is injected with KVM_INTERRUPT when the guest
 * can take it, else an interrupt window is asked for.
 *
 * PAUSE. Any thread may ask for it; the vCPU's thread parks between two entries into the guest,
 * when no exit is half done, also when it was asleep. Until it is resumed nothing of the vCPU
 * changes but its inbox, which keeps what comes; a timer that is due fires after that. A STOP ends
 * a pause.
 *
 * MOVING. See cpu/vcpu_move.h.
 *
 * LIMITS. A thread that waits inside KVM_RUN for a page (userfaultfd) is kicked out by Linux 6.2
 * and later only: it then enters again and waits again. Before, and where KVM itself reads guest
 * memory, it sees its inbox when the page has come. An instruction that exited is finished by a
 * KVM_RUN of its own, with kicks blocked: where KVM itself reads guest memory a pending signal
 * turns such a wait into a busy one.
 */
#ifndef SSIHV_CPU_VCPU_H
#define SSIHV_CPU_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "cpu/cpuid.h"
#include "cpu/guest_clock.h"
#include "cpu/kvm.h"
#include "cpu/pvclock.h"
#include "cpu/rendezvous.h"
#include "cpu/vcpu_msrs.h"
#include "cpu/vcpu_times.h"
#include "irq/lapic.h"
#include "wire/vcpu.h"

#define VCPU_KICK_SIGNAL SIGUSR1

struct vcpu;

/* An access to a port or to memory that is no RAM. */
struct vcpu_io {
	uint64_t addr;
	uint32_t count; /* more than 1 for string I/O on a port */
	uint8_t size;	/* a port: 1, 2 or 4; memory: 1 to 8, an access across pages is split */
	bool write, mmio;
	void *data; /* size * count bytes */
};

/* What a vCPU has done. */
struct vcpu_usage {
	uint64_t cpu_ns; /* of a host's CPU, used by its thread */
	bool user;	 /* it has just run user code */
};

/* What a vCPU asks of the machine; called by the vCPU's thread. */
struct vcpu_ops {
	/* Carry out @io and fill its data for a read. May sleep. Negative: the VM is stopping. */
	int (*io)(void *ctx, struct vcpu *v, struct vcpu_io *io);
	/* Route an interrupt message; @v is the sender. */
	void (*send)(void *ctx, struct vcpu *v, const struct irq_message *m);
	/* Tell the IOAPIC that a level-triggered interrupt has ended. */
	void (*eoi)(void *ctx, struct vcpu *v, uint8_t vector);
	/* The vCPU goes to sleep until an interrupt or parks, or is awake again. */
	void (*idle)(void *ctx, struct vcpu *v, bool idle);
	/* A pause that was asked for has begun. May be NULL. */
	void (*parked)(void *ctx, struct vcpu *v);
	/*
	 * How it is run. May be NULL: for as long as it likes; woken on time; always here.
	 *
	 * slice: ns after which it comes out of the guest and lets other threads go first; 0: none
	 * slack: by how many ns its timer may wake it late
	 * look: it has come out of the guest and would go on. Return: where to move, which leave()
	 * is told; -1: it goes on here.
	 */
	uint64_t (*slice)(void *ctx, struct vcpu *v);
	uint64_t (*slack)(void *ctx, struct vcpu *v);
	int (*look)(void *ctx, struct vcpu *v);
	/* It moves to @to as @image. Negative errno: it cannot, and stays. */
	int (*leave)(void *ctx, struct vcpu *v, int to, const struct wire_vcpu *image);
	/* It was to move and goes on here, by @error; 0: it had left, and was refused there. */
	void (*stays)(void *ctx, struct vcpu *v, int error);
	/* It has arrived, and goes on here. */
	void (*came)(void *ctx, struct vcpu *v);
	/* One that arrived cannot run here: where it came from, it goes on. */
	void (*refuse)(void *ctx, struct vcpu *v, int error);
	/* What still comes here for a vCPU that is elsewhere. */
	void (*pass_on)(void *ctx, struct vcpu *v, enum irq_mode mode, uint8_t vector, bool level);
	/* The guest asked for a reset by a triple fault; @text says where. The thread ends. */
	void (*reset)(void *ctx, struct vcpu *v, const char *text);
	/* The vCPU cannot go on; @text names why. Its thread ends. */
	void (*failed)(void *ctx, struct vcpu *v, const char *text);
};

enum vcpu_mode { VCPU_OUTSIDE, VCPU_IN_GUEST, VCPU_ASLEEP };
enum vcpu_run_state { VCPU_RUNNING, VCPU_HALTED, VCPU_WAIT_SIPI, VCPU_AWAY };

enum vcpu_event {
	VCPU_EVENT_NMI = 1,
	VCPU_EVENT_INIT = 2,
	VCPU_EVENT_SIPI = 4,
	VCPU_EVENT_STOP = 8,
	VCPU_EVENT_VECTOR = 16,	 /* `vector` is not empty */
	VCPU_EVENT_ARRIVE = 32,	 /* `arrival` is complete */
	VCPU_EVENT_PAUSE = 64,	 /* look at `pause` */
	VCPU_EVENT_RETURN = 128, /* the node that it was sent to has refused it */
};

struct vcpu_inbox {
	_Atomic uint32_t events; /* enum vcpu_event */
	_Atomic uint32_t mode;	 /* enum vcpu_mode; also the futex */
	_Atomic uint32_t sipi;	 /* vector of the SIPI */
	_Atomic uint32_t pause;	 /* see cpu/vcpu_pause.c; a futex */
	_Atomic uint64_t vector[4], level[4];
	struct wire_vcpu *arrival; /* the thread takes it with its event */
};

enum vcpu_exit {
	VCPU_EXIT_IO,
	VCPU_EXIT_MMIO,
	VCPU_EXIT_MSR,
	VCPU_EXIT_HALT,
	VCPU_EXIT_WINDOW,
	VCPU_EXIT_KICK,
	VCPU_EXIT_KINDS,
};

struct vcpu {
	/* Shared: any thread. */
	struct vcpu_inbox inbox __attribute__((aligned(64)));
	struct rendezvous_member member;

	/* Constant after vcpu_new(). */
	const struct kvm *kvm __attribute__((aligned(64)));
	struct guest_clock *clock;
	struct rendezvous *rendezvous; /* may be NULL */
	struct ram *ram;
	const struct vcpu_ops *ops;
	void *ctx;
	unsigned index; /* in the cluster */
	int host_cpu;	/* to pin to, -1 for none */
	int fd;
	struct kvm_run *run;

	/* The vCPU's thread only. */
	struct lapic lapic;
	enum vcpu_run_state state;
	enum vcpu_run_state left_in; /* state with which it went elsewhere */
	bool nmi;		     /* pending */
	bool has_tsc;		     /* KVM was given an offset; a new vCPU has one of KVM's */
	int64_t tsc_offset;	     /* that one */
	uint64_t pvclock[2]; /* what the guest last wrote to the two MSRs of the KVM clock */
	uint64_t armed_ns;   /* host time for which `timer` is set, 0 for none */
	timer_t timer;
	bool has_timer;
	struct kvm_sregs reset_sregs;
	struct kvm_regs reset_regs;
	struct kvm_debugregs reset_debugregs;
	struct kvm_vcpu_events reset_events;
	struct vcpu_msrs *msrs;			 /* as they were at first */
	_Atomic uint64_t exits[VCPU_EXIT_KINDS]; /* others may read, a count behind */
	struct vcpu_spent spent;
	pthread_t thread;
	bool started;
};

struct vcpu_config {
	const struct kvm *kvm;
	struct guest_clock *clock;
	struct rendezvous *rendezvous; /* of the node's vCPUs; NULL: the clock makes no steps */
	struct ram *ram;
	const struct vcpu_ops *ops;
	void *ctx;
	unsigned index;
	bool bsp;
	bool away; /* on another node, until it moves here */
	int host_cpu;
	struct cpuid_topology topology;
	const struct cpu_identity *identity; /* common to all hosts */
};

/* First state of the boot processor: 64-bit mode, flat segments, the GDT in guest memory. */
struct vcpu_entry {
	uint64_t rip, rsi, rsp, rflags, cr0, cr3, cr4, efer, gdt_base;
	uint16_t gdt_limit, cs, ds;
};

/**
 * vcpu_new() - create a vCPU in its reset state: the APIC in x2APIC mode as firmware leaves it,
 * the boot processor ready to run, the others waiting for their SIPI; one that is away for its
 * image
 *
 * Return: 0; negative errno with @err.
 */
int vcpu_new(const struct vcpu_config *cfg, struct vcpu **ret, struct err *err);

/** vcpu_set_entry() - where the boot processor starts; before vcpu_start(). */
int vcpu_set_entry(struct vcpu *v, const struct vcpu_entry *entry);

/** vcpu_start() - start the thread. */
int vcpu_start(struct vcpu *v);

/** vcpu_join() - wait for the thread, which must have been told to stop. Idempotent. */
void vcpu_join(struct vcpu *v);

/** vcpu_free() - NULL is allowed; the thread must have been joined. */
void vcpu_free(struct vcpu *v);

/** vcpu_kick() - take the vCPU out of the guest or out of its sleep. Any thread. */
void vcpu_kick(struct vcpu *v);

/** vcpu_post() - an interrupt for this vCPU's APIC. Any thread. */
void vcpu_post(struct vcpu *v, uint8_t vector, bool level);

/** vcpu_signal() - NMI, INIT, SIPI (@vector) or STOP. Any thread. */
void vcpu_signal(struct vcpu *v, enum vcpu_event event, uint8_t vector);

/**
 * vcpu_pause() - ask the vCPU to park; does not wait
 *
 * A vCPU that waits for a page or a device parks when it has got that, one that was not started
 * when it starts. Pauses do not nest. Any thread but the vCPU's.
 */
void vcpu_pause(struct vcpu *v);

/** vcpu_resume() - end a pause, or one that was asked for; harmless without. Any thread. */
void vcpu_resume(struct vcpu *v);

/** vcpu_is_parked() - has the pause begun? Then it lasts until vcpu_resume() or a STOP. */
bool vcpu_is_parked(const struct vcpu *v);

/**
 * vcpu_wait_parked() - wait until the pause that was asked for has begun
 *
 * Not for a thread whose work the vCPU may wait for: ops->parked is for that.
 *
 * Return: 0; -ECANCELED when it was resumed or none was asked for, or the vCPU's thread has ended.
 */
int vcpu_wait_parked(struct vcpu *v);

#endif
