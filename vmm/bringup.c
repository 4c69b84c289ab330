/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From configuration to a running guest, in named stages, one table.
 *
 * Stages that need peers run the control loop until what they wait for has come, so that a peer's
 * stop, a signal or a lost connection ends them at once.
 */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "vmm/machine.h"

#define PEERS_TIMEOUT_MS 60000

/* ---- what a vCPU asks for ---- */

static int vcpu_io(void *ctx, struct vcpu *v, struct vcpu_io *io)
{
	struct node *n = ctx;

	if (n->self != PLATFORM_NODE && platform_where(&n->platform, io) == PLATFORM_DEVICE_NODE)
		return forward_io(&n->forward, PLATFORM_NODE, v->index - n->topology.first[n->self],
				  io);
	platform_access(&n->platform, io, guest_clock_now(&n->clock).ns);
	return 0;
}

/* Are vCPUs of other nodes still here? */
static bool has_lodgers(const struct node *n)
{
	return n->vcpus > n->cfg->nodes[n->self].vcpus + atomic_load(&n->moving.left);
}

static void vcpu_send(void *ctx, struct vcpu *v, const struct irq_message *m)
{
	struct node *n = ctx;

	if (interrupts_send(&n->irq, v->index, m))
		pager_yield(n->pager);
	else if (has_lodgers(n))
		sched_yield(); /* to a lodger, perhaps: the sender will wait for it */
}

static void vcpu_eoi(void *ctx, struct vcpu *v, uint8_t vector)
{
	struct node *n = ctx;

	if (n->self == PLATFORM_NODE)
		platform_eoi(&n->platform, vector);
	else
		link_send(&n->link[PLATFORM_NODE],
			  (struct wire_hdr){.type = WIRE_EOI, .addr = vector}, NULL, 0);
}

/* The pager is told when the last vCPU has fallen asleep and when the first is awake again. */
static void vcpu_idle(void *ctx, struct vcpu *v, bool idle)
{
	struct node *n = ctx;

	pthread_mutex_lock(&n->idle_lock);
	if (idle)
		n->asleep++;
	else
		n->asleep--;
	pager_set_idle(n->pager, n->asleep == n->vcpus);
	pthread_mutex_unlock(&n->idle_lock);
}

static void vcpu_left(void *ctx, struct vcpu *v, const struct vcpu_image *image)
{
	struct node *n = ctx;

	moving_leave(&n->moving, v, image);
}

static void vcpu_pass(void *ctx, struct vcpu *v, enum irq_mode mode, uint8_t vector, bool level)
{
	struct node *n = ctx;

	interrupts_pass_on(&n->irq, v->index, mode, vector, level);
}

static void vcpu_failed(void *ctx, struct vcpu *v, const char *text)
{
	node_stop(ctx, WIRE_STOP_FAILED, -1, "%s", text);
}

static const struct vcpu_ops vcpu_ops = {
	.io = vcpu_io,
	.send = vcpu_send,
	.eoi = vcpu_eoi,
	.idle = vcpu_idle,
	.leave = vcpu_left,
	.pass_on = vcpu_pass,
	.failed = vcpu_failed,
};

static void on_power(void *ctx, bool reset)
{
	node_stop(ctx, reset ? WIRE_STOP_RESET : WIRE_STOP_POWEROFF, -1, "%s",
		  reset ? "the guest asked for a reset" : "the guest powered off");
}

static void on_pager_failure(void *ctx, int culprit, const char *text)
{
	struct node *n = ctx;

	if (culprit < 0)
		node_stop(n, WIRE_STOP_FAILED, -1, "%s", text);
	else
		node_stop(n, WIRE_STOP_FAILED, culprit,
			  "node %s was lost (%s): the guest cannot go on",
			  n->cfg->nodes[culprit].name, text);
}

/* ---- stages ---- */

static int up_memory(struct node *n, struct err *err)
{
	struct mem_layout layout;
	uint64_t size[MAX_NODES];

	for (unsigned i = 0; i < n->nodes; i++)
		size[i] = n->cfg->nodes[i].memory;
	int r = mem_layout_init(size, n->nodes, &layout, err);
	if (r == 0)
		r = topology_init(n->cfg, &n->topology, err);
	if (r == 0)
		r = ram_new(&layout, &n->ram, err);
	return r;
}

static int up_kvm(struct node *n, struct err *err)
{
	int r = kvm_open(&n->kvm, err);

	if (r == 0)
		r = kvm_map_ram(&n->kvm, n->ram, err);
	if (r < 0)
		return r;
	r = cpuid_words(&n->kvm, n->cpuid_own);
	if (r < 0)
		return err_set(err, r, "/dev/kvm: cannot read the supported CPUID: %s",
			       strerror(-r));
	return 0;
}

static void on_peer(void *ctx, unsigned peer, unsigned complete, unsigned peers)
{
	struct node *n = ctx;

	events_phase(&n->ev, "connected to %s (%u of %u)", n->cfg->nodes[peer].name, complete,
		     peers);
}

static int up_connections(struct node *n, struct err *err)
{
	const char *address[MAX_NODES], *name[MAX_NODES];
	struct mesh_config mesh = {
		.nodes = n->nodes,
		.self = n->self,
		.shards = n->cfg->pager.shards,
		.address = address,
		.name = name,
		.epoch = n->epoch,
		.timeout_ms = PEERS_TIMEOUT_MS,
		.cancel_fd = n->signals,
		.progress = on_peer,
		.progress_ctx = n,
	};

	if (n->nodes == 1) /* nobody to talk to, no port to open */
		return 0;
	for (unsigned i = 0; i < n->nodes; i++) {
		address[i] = n->cfg->nodes[i].address;
		name[i] = n->cfg->nodes[i].name;
	}
	int r = cluster_digest(n->cfg, &mesh.config_digest);
	if (r < 0)
		return err_set(err, r, "cluster: out of memory");
	r = mesh_listen(address[n->self], NULL, &n->listen_fd, err);
	if (r < 0)
		return r;
	mesh.listen_fd = n->listen_fd;
	r = mesh_connect(&mesh, &n->mesh, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n->nodes; i++) {
		n->link[i].conn = n->mesh.event[i];
		n->heard[i] = clock_now_ns();
	}
	return 0;
}

/* Runs the control loop until all bits of @want are in @*have. */
static int wait_for(struct node *n, const uint64_t *have, uint64_t want, const char *what,
		    struct err *err)
{
	uint64_t end = clock_now_ns() + PEERS_TIMEOUT_MS * NSEC_PER_MSEC;

	while ((*have & want) != want) {
		int r = control_step(n, 100);
		if (r < 0)
			return err_set(err, r, "polling: %s", strerror(-r));
		if (node_stopping(n))
			return -ECANCELED;
		if (clock_now_ns() > end)
			return err_set(err, -ETIMEDOUT, "node %s did not %s within %d s",
				       n->cfg->nodes[__builtin_ctzll(want & ~*have)].name, what,
				       PEERS_TIMEOUT_MS / 1000);
	}
	return 0;
}

static uint64_t unix_now_ns(void)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	return (uint64_t)wall.tv_sec * NSEC_PER_SEC + (uint64_t)wall.tv_nsec;
}

/* Can and shall all vCPUs start on this node? See cpu/vcpu_move.h. */
static bool start_together(const struct node *n)
{
	if (n->nodes == 1 || !n->cfg->boot.together)
		return false;
	if (n->kvm.saves_vcpus && n->topology.vcpus <= n->kvm.max_vcpus)
		return true;
	events_log(&n->ev, "warning",
		   "vCPUs start apart: this host's KVM cannot %s; the guest boots slower",
		   n->kvm.saves_vcpus ? "hold all of them" : "save their state");
	return false;
}

/*
 * Node 0 decides for all: the instruction set that every host has, the TSC's frequency, where
 * vCPUs start.
 */
static int up_agreement(struct node *n, struct err *err)
{
	int r;

	memcpy(n->cpuid_common, n->cpuid_own, sizeof(n->cpuid_own));
	n->clock.tsc_khz = n->kvm.tsc_khz;
	clock_sync_init(&n->sync, &n->clock);
	if (n->self == 0) {
		r = wait_for(n, &n->joined, node_peers(n), "join", err);
		if (r < 0)
			return r;
		clock_sync_start_reference(&n->sync);
		n->clock.unix_ns = unix_now_ns();
		n->together = start_together(n);
		struct wire_start start = {.tsc_khz = n->clock.tsc_khz,
					   .unix_ns = n->clock.unix_ns,
					   .together = n->together};
		memcpy(start.cpuid, n->cpuid_common, sizeof(start.cpuid));
		for (unsigned i = 1; i < n->nodes; i++)
			control_send(n, i, (struct wire_hdr){.type = WIRE_START}, &start,
				     sizeof(start));
		return 0;
	}

	struct wire_join join = {.tsc_khz = n->kvm.tsc_khz};
	memcpy(join.cpuid, n->cpuid_own, sizeof(join.cpuid));
	control_send(n, 0, (struct wire_hdr){.type = WIRE_JOIN}, &join, sizeof(join));
	while (!n->started) {
		r = control_step(n, 100);
		if (r < 0)
			return err_set(err, r, "polling: %s", strerror(-r));
		if (node_stopping(n))
			return -ECANCELED;
	}
	return 0;
}

/* Hosts whose TSCs run at other speeds need hardware that scales; calibration errs by less. */
static int check_tsc(const struct node *n, struct err *err)
{
	uint64_t own = n->kvm.tsc_khz, guest = n->clock.tsc_khz;
	uint64_t apart = own > guest ? own - guest : guest - own;

	if (n->kvm.tsc_scaling || apart * 50 < guest)
		return 0;
	return err_set(err, -ENOTSUP,
		       "this host's TSC runs at %llu kHz, node 0's at %llu, and this CPU cannot "
		       "scale it; use hosts of one TSC frequency",
		       (unsigned long long)own, (unsigned long long)guest);
}

static int up_clock(struct node *n, struct err *err)
{
	if (n->self == 0)
		return 0;
	int r = check_tsc(n, err);
	for (unsigned i = 1; r == 0 && i <= CLOCK_SYNC_FIRST; i++) {
		r = clock_sync_ping(n->mesh.control[0]);
		while (r == 0 && n->sync.samples < i && !node_stopping(n))
			r = control_step(n, 100);
		if (r < 0)
			return err_set(err, r, "clock: %s", strerror(-r));
		if (node_stopping(n))
			return -ECANCELED;
	}
	if (r == 0 && clock_sync_settle(&n->sync) < 0)
		return err_set(err, -ENODATA, "clock: node 0 did not answer");
	return r;
}

static int up_pager(struct node *n, struct err *err)
{
	const struct pager_config cfg = {
		.self = n->self,
		.nodes = n->nodes,
		.shards = n->cfg->pager.shards,
		.epoch = n->epoch,
		.hold_ns = n->cfg->pager.hold_us * NSEC_PER_USEC,
		.spin_ns = n->cfg->pager.spin_us * NSEC_PER_USEC,
		.ram = n->ram,
		.conn = n->mesh.page,
		.fatal = on_pager_failure,
		.ctx = n,
	};
	int r = pager_new(&cfg, &n->pager, err);

	if (r < 0)
		return r;
	r = pager_start(n->pager);
	return r < 0 ? err_set(err, r, "pager: cannot start its threads: %s", strerror(-r)) : 0;
}

static int add_vcpu(struct node *n, unsigned index, enum vcpu_start start, struct err *err)
{
	unsigned home = n->topology.node[index], number = index - n->topology.first[home];
	const struct cluster_node *node = &n->cfg->nodes[home];
	bool pinned = home == n->self && number < node->cpus_count;
	const struct vcpu_config cfg = {
		.kvm = &n->kvm,
		.clock = &n->clock,
		.ram = n->ram,
		.ops = &vcpu_ops,
		.ctx = n,
		.lodgers = &n->lodgers,
		.index = index,
		.bsp = index == 0,
		.start = start,
		.host_cpu = pinned ? (int)node->cpus[number] : -1,
		.topology = {.apic_id = n->topology.apic_id[index],
			     .node_shift = n->topology.node_shift,
			     .node_vcpus = node->vcpus,
			     .tsc_khz = n->clock.tsc_khz},
		.cpuid_words = n->cpuid_common,
	};
	int r = vcpu_new(&cfg, &n->vcpu[index], err);

	if (r == 0)
		n->vcpus++;
	return r;
}

static int up_vcpus(struct node *n, struct err *err)
{
	interrupts_init(&n->irq, n->self, &n->topology, n->link, n->vcpu, n->together);
	moving_init(&n->moving, &n->irq);
	forward_init(&n->forward, n->link);
	int r = platform_init(&n->platform, &n->irq, n->wake, n->clock.unix_ns, on_power, n, err);

	for (unsigned i = 0; r == 0 && i < n->topology.vcpus; i++) {
		if (n->topology.node[i] == n->self)
			r = add_vcpu(n, i,
				     n->together && n->self != 0 ? VCPU_AWAITED : VCPU_AT_HOME,
				     err);
		else if (n->together && n->self == 0)
			r = add_vcpu(n, i, VCPU_LODGES, err);
	}
	n->platform_up = r == 0;
	return r;
}

static int up_ready(struct node *n, struct err *err)
{
	if (n->self == 0)
		return wait_for(n, &n->ready, node_peers(n), "get ready", err);
	control_send(n, 0, (struct wire_hdr){.type = WIRE_READY}, NULL, 0);
	return 0;
}

static int up_boot(struct node *n, struct err *err)
{
	return n->self == 0 ? node_boot(n, err) : 0;
}

static int up_run(struct node *n, struct err *err)
{
	n->run_ns = clock_now_ns();
	for (unsigned i = 0; i < n->topology.vcpus; i++) {
		int r = n->vcpu[i] ? vcpu_start(n->vcpu[i]) : 0;
		if (r < 0)
			return err_set(err, r, "vCPU %u: cannot start its thread: %s", i,
				       strerror(-r));
	}
	events_emit(&n->ev, "ready", NULL);
	return 0;
}

static const struct stage {
	const char *phase;
	int (*up)(struct node *n, struct err *err);
} stages[] = {
	{"reserving guest memory", up_memory}, {"opening KVM", up_kvm},
	{"connecting", up_connections},	       {"agreeing on CPU features", up_agreement},
	{"agreeing on time", up_clock},	       {"starting the pager", up_pager},
	{"creating vCPUs", up_vcpus},	       {"waiting for all nodes", up_ready},
	{"loading the guest", up_boot},	       {"running", up_run},
};

int node_up(struct node *n)
{
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		struct err err = {.text = "failed"};

		events_phase(&n->ev, "%s", stages[i].phase);
		int r = stages[i].up(n, &err);
		if (r < 0) {
			/* Keeps the first reason, when a stop is why the stage gave up. */
			node_stop(n, WIRE_STOP_FAILED, -1, "%s: %s", n->cfg->nodes[n->self].name,
				  err.text);
			return r;
		}
	}
	return 0;
}
