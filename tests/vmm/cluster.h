/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole nodes in this process: each in a thread of its own, connected by TCP on loopback, on this
 * machine's /dev/kvm, whatever it is. The guest is a few instructions in a bzImage of our own.
 *
 * What node 0's guest prints goes to a pipe, what the nodes tell is kept. Waits are bounded by
 * CLUSTER_PATIENCE_S and end in a failure that shows what was seen; nothing depends on speed.
 */
#ifndef SSIHV_TESTS_VMM_CLUSTER_H
#define SSIHV_TESTS_VMM_CLUSTER_H

#include "tests/check.h"

#include "vmm/machine.h"
#include "vmm/node.h"

#define CLUSTER_NODES_MAX  3
#define CLUSTER_PATIENCE_S 60

struct member {
	struct cluster *c;
	struct node_options options;
	struct node_port port;
	struct node *node;
	pthread_t thread;
	bool runs;
	int result;
	int commands; /* our end of its stream */
};

struct cluster {
	struct cluster_config *cfg;
	unsigned nodes;
	char kernel[64]; /* path of the image */
	int console;	 /* our end */
	char printed[4096];
	size_t printed_len;
	struct member member[CLUSTER_NODES_MAX];

	pthread_mutex_t lock; /* of events and replies */
	pthread_cond_t changed;
	json_t *events; /* array */
	unsigned replies;
	json_t *reply; /* the last one */
};

/* Instructions for a guest, 64-bit, as in tests/kvm/tiny.h: guest_NAME to guest_NAME_end. */
#define GUEST_CODE(name, text)                                                                     \
	__asm__(".pushsection .rodata\n.code64\nguest_" #name ":\n" text "\nguest_" #name          \
		"_end:\n.popsection\n");                                                           \
	extern const uint8_t guest_##name[] __attribute__((visibility("hidden")));                 \
	extern const uint8_t guest_##name##_end[] __attribute__((visibility("hidden")))

/* One character to the console. */
#define GUEST_PUT(c) "mov $0x3f8, %dx\n mov $'" c "', %al\n out %al, %dx\n"
/* The machine off: S5 (dev/ports.h). */
#define GUEST_OFF "mov $0x604, %dx\n mov $0x3400, %ax\n out %ax, %dx\n 77: hlt\n jmp 77b\n"

/** cluster_usable() - can nodes run here? Prints why not. */
bool cluster_usable(void);

/** cluster_make() - @nodes nodes of one vCPU each, the vCPUs apart; nothing runs. Asserts. */
struct cluster *cluster_make(unsigned nodes, const uint8_t *code, const uint8_t *end);

#define CLUSTER_MAKE(nodes, name) cluster_make(nodes, guest_##name, guest_##name##_end)

/** cluster_start() - start the nodes in @set (bits). */
void cluster_start(struct cluster *c, unsigned set);

/** cluster_join() - wait until all that were started have ended. */
void cluster_join(struct cluster *c);

/** cluster_destroy() - stop what runs, free. */
void cluster_destroy(struct cluster *c);

/** cluster_await_text() - until the guest has printed @text; what comes before is dropped. */
void cluster_await_text(struct cluster *c, const char *text);
void cluster_await_bytes(struct cluster *c, const char *bytes, size_t len);

/** cluster_await_event() - until node @node told @event. Return: it, borrowed. */
const json_t *cluster_await_event(struct cluster *c, unsigned node, const char *event);

/** cluster_await_warning() - until node @node has warned with a line in which @text is. */
void cluster_await_warning(struct cluster *c, unsigned node, const char *text);

/** cluster_ask() - give node @node the command @name, wait for the reply. Return: it, borrowed. */
const json_t *cluster_ask(struct cluster *c, unsigned node, const char *name);

/** cluster_expect_ok() - cluster_ask(), and it was done; shows what happened if not. */
void cluster_expect_ok(struct cluster *c, unsigned node, const char *name);

/** cluster_send_line() - a line on the command stream of node @node. */
void cluster_send_line(struct cluster *c, unsigned node, const char *line);

/** cluster_expect_end() - node @node has ended with this reason; @text is part of why. */
void cluster_expect_end(struct cluster *c, unsigned node, const char *reason, const char *text);

#endif
