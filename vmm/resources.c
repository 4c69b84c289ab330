/* SPDX-License-Identifier: Apache-2.0 */
/* What a node takes from its host: memory, KVM, the pager. */
#include <sys/stat.h>

#include "base/clock.h"
#include "base/size.h"
#include "vmm/host_memory.h"
#include "vmm/machine.h"

/* Much longer than any phase of a guest's program in which it touches what others use, too. */
#define QUIET_NS (2 * NSEC_PER_SEC)

/* Two nodes that use a region in turns of less than that, in the end, leave it where it is. */
#define HOMES_REST_NS NSEC_PER_SEC

int memory_up(struct node *n, struct err *err)
{
	struct mem_layout layout;
	int r = cluster_layout(n->cfg, &layout, err);

	if (r == 0)
		r = topology_init(n->cfg, &n->topology, err);
	if (r == 0)
		r = ram_new(&layout, &n->ram, err);
	return r;
}

void memory_down(struct node *n)
{
	ram_free(TAKE_PTR(n->ram));
}

int kvm_up(struct node *n, struct err *err)
{
	int r = kvm_open(&n->kvm, err);

	if (r == 0)
		r = kvm_map_ram(&n->kvm, n->ram, err);
	if (r < 0)
		return r;
	r = cpu_identity_read(&n->kvm, &n->cpu_own);
	if (r < 0)
		return err_set(err, r, "/dev/kvm: cannot read the supported CPUID: %s",
			       strerror(-r));
	return 0;
}

void kvm_down(struct node *n)
{
	kvm_close(&n->kvm);
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

static uint64_t clock_now(void *ctx)
{
	const struct node *n = ctx;

	return guest_clock_tsc(&n->clock);
}

static int clock_reach(void *ctx, unsigned peer, uint64_t stamp)
{
	struct node *n = ctx;

	return guest_clock_reach(&n->clock, peer, stamp);
}

/* Before the guest's memory is touched: what it will take of this host is free still. */
static void choose_limit(struct node *n)
{
	uint64_t free;
	char size[32];

	if (host_memory_free("", &free) < 0)
		free = UINT64_MAX;
	limit_choose(n->cfg, n->self, free, &n->limit);
	if (n->limit.tight)
		events_log(&n->ev, "warning",
			   "this host has %s free, which is little for this node: give it less "
			   "memory, or set nodes[%u].limit",
			   size_format(free, size, sizeof(size)), n->self);
}

/* What the boot loader and the ACPI tables have put low, where all vCPUs start, is for everybody.
 */
static bool is_pinned(void *ctx, uint64_t gpa)
{
	return gpa < REGION_BYTES;
}

/* The time in it is the guest's, which all nodes keep. */
static int start_trace(struct node *n, struct err *err)
{
	const struct trace_writer_config cfg = {
		.dir = n->cfg->trace.dir,
		.name = n->cfg->nodes[n->self].name,
		.self = n->self,
		.nodes = n->nodes,
		.shards = n->cfg->pager.shards,
		.epoch = n->epoch,
		.size = n->cfg->trace.size,
		.ticks_khz = n->clock.tsc_khz,
		.clock = clock_now,
		.ctx = n,
	};

	n->surveyor.ram = n->ram;
	n->surveyor.events = &n->ev;
	n->surveyor.dir = cfg.dir;
	n->surveyor.name = cfg.name;
	n->surveyor.epoch = n->epoch;
	n->surveyor.symbols = n->self == PLATFORM_NODE;
	surveyor_init(&n->surveyor);
	if (!cfg.dir)
		return 0;
	/* On another host nobody may have made it; if it cannot be made, the file tells. */
	mkdir(cfg.dir, 0777);
	return trace_writer_new(&cfg, &n->trace, err);
}

static void end_trace(struct node *n)
{
	struct trace_outcome outcome = {0};

	trace_writer_close(TAKE_PTR(n->trace), &outcome);
	if (outcome.error)
		events_log(&n->ev, "warning", "the trace could not be written: %s",
			   strerror(-outcome.error));
	else if (outcome.lost)
		events_log(&n->ev, "warning", "the trace lacks %llu of %llu records; raise %s",
			   (unsigned long long)outcome.lost,
			   (unsigned long long)(outcome.lost + outcome.written),
			   "pager.trace_size (--trace-size)");
}

int pager_up(struct node *n, struct err *err)
{
	int r;

	choose_limit(n);
	r = start_trace(n, err);
	if (r < 0)
		return r;
	const struct pager_config cfg = {
		.self = n->self,
		.nodes = n->nodes,
		.shards = n->cfg->pager.shards,
		.epoch = n->epoch,
		.quiet_ns = QUIET_NS,
		.hold_ns = n->cfg->pager.hold_us * NSEC_PER_USEC,
		.spin_ns = n->cfg->pager.spin_us * NSEC_PER_USEC,
		.copies = n->limit.copies,
		.homes = n->cfg->pager.homes,
		.homes_rest_ns = HOMES_REST_NS,
		.pinned = is_pinned,
		.ram = n->ram,
		.conn = n->mesh.page,
		.clock = n->cfg->lab.free_clocks < 2 ? clock_now : NULL,
		.reach = clock_reach,
		.fatal = on_pager_failure,
		.trace = n->trace,
		.ctx = n,
	};
	r = pager_new(&cfg, &n->pager, err);
	if (r < 0)
		return r;
	r = pager_start(n->pager);
	return r < 0 ? err_set(err, r, "pager: cannot start its threads: %s", strerror(-r)) : 0;
}

void pager_down(struct node *n)
{
	pager_free(TAKE_PTR(n->pager));
	end_trace(n);
}
