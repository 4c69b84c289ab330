/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all nodes must agree on before the guest starts, both sides of it. Every node tells node 0
 * what its host can do (JOIN); node 0 decides for all (START): the instruction set that every host
 * has, the TSC's frequency, where vCPUs start. Then each measures its clock against node 0's, and
 * says when it is READY. Over a network that delays the measurement may end while the guest runs; a
 * TSC that is too far off ends the VM then.
 *
 * Stages that need peers run the control loop until what they wait for has come, so that a peer's
 * stop, a signal or a lost connection ends them at once.
 *
 * Threads: the main thread.
 */
#include <math.h>

#include "base/clock.h"
#include "vmm/machine.h"

/* ---- what peers say ---- */

static_assert(WIRE_CPU_WORDS == CPU_IDENTITY_WORDS && WIRE_CPU_MSRS == CPU_IDENTITY_MSRS,
	      "an identity fits its message");

static struct wire_cpu cpu_to_wire(const struct cpu_identity *id)
{
	struct wire_cpu cpu = {0};

	memcpy(cpu.word, id->word, sizeof(cpu.word));
	memcpy(cpu.msr, id->msr, sizeof(cpu.msr));
	return cpu;
}

/* The rules are part of the wire's version: a peer that has another bit made it up. */
static int cpu_from_wire(const struct wire_cpu *cpu, struct cpu_identity *ret)
{
	struct cpu_identity id;

	memcpy(id.word, cpu->word, sizeof(id.word));
	memcpy(id.msr, cpu->msr, sizeof(id.msr));
	if (cpu->reserved || !cpu_identity_is_sound(&id))
		return -EPROTO;
	*ret = id;
	return 0;
}

int agreement_join(struct node *n, unsigned peer, const struct wire_join *join)
{
	uint64_t bit = UINT64_C(1) << peer;
	struct cpu_identity theirs;

	if (n->self != 0 || (n->joined & bit) || cpu_from_wire(&join->cpu, &theirs) < 0)
		return -EPROTO;
	if (cpu_identity_join(&n->cpu_common, &theirs) < 0)
		node_stop(n, WIRE_STOP_FAILED, -1,
			  "%s and %s have CPUs of different vendors: one guest cannot run on both",
			  n->cfg->nodes[0].name, n->cfg->nodes[peer].name);
	n->joined |= bit;
	return 0;
}

int agreement_start(struct node *n, unsigned peer, const struct wire_start *start)
{
	struct cpu_identity common;

	if (peer != 0 || n->started || start->tsc_khz == 0 || start->tsc_khz > UINT32_MAX ||
	    start->together > 1 || start->reserved || cpu_from_wire(&start->cpu, &common) < 0)
		return -EPROTO;
	/* A guest must not be promised what this host does not have. */
	if (!cpu_identity_covers(&n->cpu_own, &common))
		return -EPROTO;
	n->cpu_common = common;
	n->clock.tsc_khz = start->tsc_khz;
	n->clock.unix_ns = start->unix_ns;
	n->together = start->together;
	n->started = true;
	return 0;
}

/* ---- stages ---- */

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

/* Can and shall all vCPUs start on this node? See vmm/policy.h. */
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

/* Client CPUs address less than servers: some 39 bits, 512 GiB. */
static int check_width(const struct node *n, struct err *err)
{
	unsigned bits = cpu_identity_phys_bits(&n->cpu_common);

	if (bits >= 64 || mem_end(&n->ram->layout) <= UINT64_C(1) << bits)
		return 0;
	return err_set(err, -E2BIG,
		       "the guest's memory ends above %u bits of address, which is all that one of "
		       "the hosts' CPUs has; give the guest less memory",
		       bits);
}

/*
 * Node 0 decides for all: the instruction set that every host has, the TSC's frequency, where
 * vCPUs start.
 */
int agreement_up(struct node *n, struct err *err)
{
	int r;

	n->cpu_common = n->cpu_own;
	n->clock.tsc_khz = n->kvm.tsc_khz;
	n->clock.free = n->cfg->lab.free_clocks;
	clock_sync_init(&n->sync, &n->clock, &n->rendezvous, n->kvm.tsc_khz);
	if (n->self == 0) {
		r = wait_for(n, &n->joined, node_peers(n), "join", err);
		if (r < 0)
			return r;
		clock_sync_start_reference(&n->sync);
		n->clock.unix_ns = unix_now_ns();
		n->together = start_together(n);
		r = check_width(n, err);
		if (r < 0)
			return r;
		struct wire_start start = {.cpu = cpu_to_wire(&n->cpu_common),
					   .tsc_khz = n->clock.tsc_khz,
					   .unix_ns = n->clock.unix_ns,
					   .together = n->together};
		for (unsigned i = 1; i < n->nodes; i++)
			control_send(n, i, (struct wire_hdr){.type = WIRE_START}, &start,
				     sizeof(start));
		return 0;
	}

	const struct wire_join join = {.cpu = cpu_to_wire(&n->cpu_own), .tsc_khz = n->kvm.tsc_khz};

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

/* One ping and its answer, then the time until the next. */
static int ping_once(struct node *n, struct err *err)
{
	unsigned had = n->sync.samples;
	uint64_t start = clock_now_ns(), next = start;
	int r = clock_sync_ping(n->mesh.control[0]);

	while (r == 0 && (n->sync.samples == had || clock_now_ns() < next)) {
		r = control_step(n, n->sync.samples == had ? 100 : 1);
		if (node_stopping(n))
			return -ECANCELED;
		next = start + servo_ping_ms(&n->sync.servo) * NSEC_PER_MSEC;
		if (clock_now_ns() - start > PEERS_TIMEOUT_MS * NSEC_PER_MSEC)
			r = -ETIMEDOUT;
	}
	return r < 0 ? err_set(err, r, "clock: node 0 does not answer: %s", strerror(-r)) : 0;
}

/* What the hosts' calibration says of their TSCs is off by more than what matters here. */
static int check_tsc(struct node *n, struct err *err)
{
	double ppm, mhz = (double)n->clock.tsc_khz / 1000;
	enum servo_verdict verdict = servo_judge(&n->sync.servo, &ppm);

	n->tsc_holds = verdict == SERVO_HOLDS;
	if (verdict != SERVO_TOO_FAR)
		return 0;
	ppm = -ppm; /* of the TSC, no longer of the offset */
	return err_set(err, -ENOTSUP,
		       "this host's TSC runs at %.3f MHz, node 0's at %.3f MHz (measured, %.0f ppm "
		       "apart); more than %d ppm cannot be held together%s",
		       mhz * (1 + ppm / 1e6), mhz, fabs(ppm), SERVO_MAX_PPM,
		       n->kvm.tsc_scaling
			       ? ", and KVM does not scale it: is kvm.tsc_tolerance_ppm raised?"
			       : ": use hosts of one TSC frequency, or CPUs that scale the TSC");
}

/* The guest's TSC runs as node 0's; the rest of the difference is measured and followed. */
int clock_up(struct node *n, struct err *err)
{
	uint64_t end = clock_now_ns() + SERVO_PATIENCE_MS * NSEC_PER_MSEC;
	int r = 0;

	if (n->self == 0)
		return 0;
	if (n->kvm.tsc_scaling)
		n->clock.ratio =
			guest_clock_ratio((uint32_t)n->clock.tsc_khz, (uint32_t)n->kvm.tsc_khz,
					  n->kvm.tsc_tolerance_ppm, n->kvm.tsc_frac_bits);
	n->clock.frac_bits = n->kvm.tsc_frac_bits;
	clock_sync_init(&n->sync, &n->clock, &n->rendezvous, n->kvm.tsc_khz);
	while (r == 0 && !(n->tsc_holds && servo_is_steady(&n->sync.servo)) &&
	       (clock_now_ns() < end || !servo_is_ready(&n->sync.servo))) {
		r = ping_once(n, err);
		if (r == 0)
			r = check_tsc(n, err);
	}
	return r;
}

void clock_check(struct node *n)
{
	struct err err;

	if (n->self != 0 && !n->tsc_holds && check_tsc(n, &err) < 0)
		node_stop(n, WIRE_STOP_FAILED, -1, "%s: %s", n->cfg->nodes[n->self].name, err.text);
}

int ready_up(struct node *n, struct err *err)
{
	if (n->self == 0)
		return wait_for(n, &n->ready, node_peers(n), "get ready", err);
	/* Nothing of the guest has run: the clock may jump to what is known by now. */
	int r = clock_sync_settle(&n->sync, !n->cfg->lab.free_clocks);
	if (r < 0)
		return err_set(err, r, "clock: node 0's has not been measured");
	control_send(n, 0, (struct wire_hdr){.type = WIRE_READY}, NULL, 0);
	return 0;
}
