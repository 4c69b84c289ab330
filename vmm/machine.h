/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a node and what the files of vmm/ do for each other. See vmm/node.h.
 *
 * It is below all that works on a whole node: no header that this one includes belongs to a file
 * that includes it.
 */
#ifndef SSIHV_VMM_MACHINE_H
#define SSIHV_VMM_MACHINE_H

#include "base/blob.h"
#include "base/file.h"
#include "boot/bzimage.h"
#include "cpu/cpuid.h"
#include "dsm/pager.h"
#include "transport/mesh.h"
#include "vmm/clock_sync.h"
#include "vmm/commands.h"
#include "vmm/events.h"
#include "vmm/forward.h"
#include "vmm/limit.h"
#include "vmm/moving.h"
#include "vmm/platform.h"
#include "vmm/policy.h"
#include "vmm/surveyor.h"

#define TYPED_ENOUGH	 4096  /* above that commands wait until the guest has read */
#define SILENCE_MS	 20000 /* a peer that says nothing for longer is lost */
#define PEERS_TIMEOUT_MS 60000 /* for peers to connect, and for each step of starting */

/* Why the VM ends. The first to call node_stop() decides. */
struct stop {
	pthread_mutex_t lock;
	_Atomic int reason; /* enum wire_stop, 0 while it runs */
	int culprit;	    /* the node that was lost, -1 for none */
	char text[WIRE_TEXT_MAX + 1];
};

/* What all nodes do together, see vmm/phase.h. */
struct phases {
	enum wire_phase now;  /* under way; 0 for none */
	enum wire_phase last; /* that this node carried out; 0: none yet */
	bool own;	      /* `now` is that one */
	/* Node 0: */
	uint64_t end;	       /* ns; by then all must have carried out `now`; 0: not set yet */
	uint64_t missing;      /* who has not carried it out. Bit i: node i */
	struct command *asked; /* who waits for the end of it */
	uint64_t count;	       /* pauses that were complete */
};

/* Node 0: what the guest is made of, from the start until it is in memory. */
struct guest_input {
	struct file kernel, initrd;
	struct bzimage image;
	char *cmdline;
};

struct node_options;

struct node {
	const struct node_options *options;
	const struct node_port *port;
	const struct cluster_config *cfg;
	unsigned self, nodes;
	uint32_t epoch;
	struct events ev;
	struct stop stop;
	int wake;   /* eventfd: something for the main thread */
	int ending; /* eventfd: readable once node_stop() was called */
	struct commands commands;
	struct phases phase;
	unsigned components; /* of the table, those that are up or half up */

	struct guest_input input;
	struct topology topology;
	struct ram *ram;
	struct kvm kvm;
	struct guest_clock clock;
	struct clock_sync sync;
	bool tsc_holds;		      /* can follow node 0's, as its measured frequency has shown */
	struct rendezvous rendezvous; /* of the vCPUs, for a step of the clock */
	struct cpu_identity cpu_own, cpu_common; /* of this host; of all hosts */

	struct listener *listener;
	struct mesh mesh;
	struct link link[MAX_NODES];
	struct pager *pager;
	struct trace_writer *trace; /* NULL: there is none */
	struct surveyor surveyor;
	struct limit limit; /* of the guest's memory on this host */

	struct interrupts irq;
	struct forward forward;
	struct platform platform;
	struct moving moving;
	struct policy policy;
	bool together;		      /* all vCPUs start on node 0 */
	struct vcpu *vcpu[MAX_VCPUS]; /* by index in the cluster; NULL: never here */
	unsigned vcpus;		      /* of them, those that are not NULL */
	pthread_mutex_t idle_lock;    /* of `asleep` and of telling the pager */
	unsigned asleep; /* vCPUs that wait for an interrupt, are parked or elsewhere */

	/* Main thread: what has been heard. Bit i: of node i. */
	uint64_t joined, ready, stopped, lost;
	bool started;		   /* WIRE_START is in */
	uint64_t heard[MAX_NODES]; /* when, ns */
	uint64_t next_ping;	   /* ns */
	uint64_t run_ns;	   /* when the guest started */
	bool platform_up;	   /* devices and vCPUs exist */
	json_t *report;		   /* made when the vCPUs have stopped */
	/* Typed, and not yet taken by the UART. */
	char typed[TYPED_ENOUGH + COMMAND_LINE_MAX];
	size_t typed_len;
	char printed[4096]; /* output that the port has not taken */
	size_t printed_len;
};

/** node_stop() - end the VM. Any thread; only the first call counts. @culprit: -1 for no node. */
void node_stop(struct node *n, enum wire_stop reason, int culprit, const char *fmt, ...)
	_printf_(4, 5);

/** node_wake() - the main thread has something to look at. Any thread. */
static inline void node_wake(struct node *n)
{
	const uint64_t one = 1;

	/* An eventfd whose counter is full wakes its reader just as well. */
	if (write(n->wake, &one, sizeof(one)) < 0)
		return;
}

static inline bool node_stopping(const struct node *n)
{
	return atomic_load(&n->stop.reason) != 0;
}

static inline uint64_t node_peers(const struct node *n)
{
	uint64_t all = n->nodes == 64 ? UINT64_MAX : (UINT64_C(1) << n->nodes) - 1;

	return all & ~(UINT64_C(1) << n->self);
}

/** node_down() - tell the peers, take all components down. Also after a start that failed. */
void node_down(struct node *n);

/**
 * control_step() - wait up to @timeout_ms for messages, commands, console and handle them
 *
 * Return: 0, also when the VM was stopped by what came; negative errno when polling failed.
 */
int control_step(struct node *n, int timeout_ms);

/** node_console_feed() - offer typed bytes to the UART; what it does not take stays for the next
 * time.
 */
void node_console_feed(struct node *n);

/** node_console_flush() - write console output as far as the port takes it. */
void node_console_flush(struct node *n);

/** control_send() - send on the control connection to @peer; a broken one is found by receiving. */
void control_send(struct node *n, unsigned peer, struct wire_hdr hdr, const void *payload,
		  size_t len);

/** peers_serve() - send and receive on @peer's control and event connections. */
void peers_serve(struct node *n, unsigned peer, bool control, bool event);

/** peers_time() - pings, and whether anybody is silent for too long. @now: clock_now_ns(). */
void peers_time(struct node *n, uint64_t now);

/* A message of class CONTROL or EVENT came; see conn_recv_fn. */
int messages_control(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload);
int messages_event(void *ctx, struct conn *c, const struct wire_hdr *h, const void *payload);

/* WIRE_JOIN and WIRE_START came. Return: 0; -EPROTO. */
int agreement_join(struct node *n, unsigned peer, const struct wire_join *join);
int agreement_start(struct node *n, unsigned peer, const struct wire_start *start);

/* The components, see vmm/component.h. */
int memory_up(struct node *n, struct err *err);
void memory_down(struct node *n);
int kvm_up(struct node *n, struct err *err);
void kvm_down(struct node *n);
int input_up(struct node *n, struct err *err);
void input_down(struct node *n);
int peers_up(struct node *n, struct err *err);
void peers_down(struct node *n);
int agreement_up(struct node *n, struct err *err);
int clock_up(struct node *n, struct err *err);
void clock_check(struct node *n); /* while the guest runs, until its frequency is known */
int pager_up(struct node *n, struct err *err);
void pager_down(struct node *n);
int devices_up(struct node *n, struct err *err);
void devices_down(struct node *n);
int devices_save(struct node *n, struct blob *to);
int devices_load(struct node *n, struct blob *from);
int vcpus_up(struct node *n, struct err *err);
void vcpus_down(struct node *n);
int vcpus_save(struct node *n, struct blob *to);
int vcpus_load(struct node *n, struct blob *from);
int ready_up(struct node *n, struct err *err);
int boot_up(struct node *n, struct err *err);
int guest_up(struct node *n, struct err *err);
void guest_down(struct node *n);
int guest_pause(struct node *n);
void guest_resume(struct node *n);

/** guest_survey() - begin a survey of the guest, if one is wanted; its vCPUs here are parked. */
void guest_survey(struct node *n);

/** node_report() - this node's statistics for the "report" event. */
json_t *node_report(struct node *n);

#endif
