/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vCPUs of a node: what they ask of the machine while the guest runs (each function here is on
 * the path of an exit, in the vCPU's own thread), and how they are made, run, paused and
 * ended.
 */
#include <sched.h>

#include "base/clock.h"
#include "cpu/vcpu_image.h"
#include "vmm/machine.h"
#include "vmm/platform_image.h"

/* ---- what a vCPU asks for ---- */

static int vcpu_io(void *ctx, struct vcpu *v, struct vcpu_io *io)
{
	struct node *n = ctx;
	int r;

	/* No lodger's: these are on node 0. Another's would have no slot, and be refused. */
	if (n->self != PLATFORM_NODE && platform_where(&n->platform, io) == PLATFORM_DEVICE_NODE) {
		vcpu_rest(&v->spent, VCPU_REST_DEVICE, true);
		r = forward_io(&n->forward, PLATFORM_NODE, v->index - n->topology.first[n->self],
			       io);
		vcpu_rest(&v->spent, VCPU_REST_DEVICE, false);
		return r;
	}
	platform_access(&n->platform, io, guest_clock_now(&n->clock).ns);
	return 0;
}

static void vcpu_send(void *ctx, struct vcpu *v, const struct irq_message *m)
{
	struct node *n = ctx;

	if (interrupts_send(&n->irq, v->index, m))
		pager_yield(n->pager);
	else if (policy_yields(&n->policy))
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

	policy_is_asleep(&n->policy, v->index, idle);
	pthread_mutex_lock(&n->idle_lock);
	if (idle)
		n->asleep++;
	else
		n->asleep--;
	pager_set_idle(n->pager, n->asleep == n->vcpus);
	pthread_mutex_unlock(&n->idle_lock);
}

static uint64_t vcpu_slice(void *ctx, struct vcpu *v)
{
	struct node *n = ctx;

	return policy_slice(&n->policy);
}

static uint64_t vcpu_slack(void *ctx, struct vcpu *v)
{
	struct node *n = ctx;

	return policy_slack(&n->policy, v->index);
}

static int vcpu_look(void *ctx, struct vcpu *v)
{
	struct node *n = ctx;
	struct vcpu_usage usage;

	if (!policy_looks(&n->policy, v->index))
		return -1;
	vcpu_usage(v, &usage);
	unsigned to = policy_where(&n->policy, v->index, &usage);
	return to == n->self ? -1 : (int)to;
}

/* Noted before it is sent: it may be back at once. */
static int vcpu_left(void *ctx, struct vcpu *v, int to, const struct wire_vcpu *image)
{
	struct node *n = ctx;

	policy_is_here(&n->policy, v->index, false);
	surveyor_left(&n->surveyor, image);
	int r = moving_leave(&n->moving, v, (unsigned)to, image);
	if (r < 0)
		policy_is_here(&n->policy, v->index, true);
	return r;
}

static void vcpu_came(void *ctx, struct vcpu *v)
{
	struct node *n = ctx;

	policy_is_here(&n->policy, v->index, true);
}

static void vcpu_stays(void *ctx, struct vcpu *v, int error)
{
	struct node *n = ctx;

	policy_is_here(&n->policy, v->index, true);
	policy_has_stayed(&n->policy, v->index);
	if (error)
		events_log(&n->ev, "warning", "vCPU %u stays here, its state cannot be sent: %s",
			   v->index, strerror(-error));
}

static void vcpu_refuse(void *ctx, struct vcpu *v, int error)
{
	struct node *n = ctx;

	moving_refuse(&n->moving, v, error);
}

static void vcpu_pass(void *ctx, struct vcpu *v, enum irq_mode mode, uint8_t vector, bool level)
{
	struct node *n = ctx;

	interrupts_pass_on(&n->irq, v->index, mode, vector, level);
}

static void vcpu_reset(void *ctx, struct vcpu *v, const char *text)
{
	node_stop(ctx, WIRE_STOP_RESET, -1, "the guest reset itself: %s", text);
}

static void vcpu_parked(void *ctx, struct vcpu *v)
{
	node_wake(ctx);
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
	.slice = vcpu_slice,
	.slack = vcpu_slack,
	.look = vcpu_look,
	.leave = vcpu_left,
	.came = vcpu_came,
	.stays = vcpu_stays,
	.refuse = vcpu_refuse,
	.pass_on = vcpu_pass,
	.reset = vcpu_reset,
	.parked = vcpu_parked,
	.failed = vcpu_failed,
};

/* ---- making them ---- */

static void on_power(void *ctx, bool reset)
{
	node_stop(ctx, reset ? WIRE_STOP_RESET : WIRE_STOP_POWEROFF, -1, "%s",
		  reset ? "the guest asked for a reset" : "the guest powered off");
}

static int add_vcpu(struct node *n, unsigned index, bool away, struct err *err)
{
	unsigned home = n->topology.node[index], number = index - n->topology.first[home];
	const struct cluster_node *node = &n->cfg->nodes[home];
	bool pinned = home == n->self && number < node->cpus_count;
	const struct vcpu_config cfg = {
		.kvm = &n->kvm,
		.clock = &n->clock,
		.rendezvous = &n->rendezvous,
		.ram = n->ram,
		.ops = &vcpu_ops,
		.ctx = n,
		.index = index,
		.bsp = index == 0,
		.away = away,
		.host_cpu = pinned ? (int)node->cpus[number] : -1,
		.topology = {.apic_id = n->topology.apic_id[index],
			     .node_shift = n->topology.node_shift,
			     .node_vcpus = node->vcpus,
			     .tsc_khz = n->clock.tsc_khz},
		.identity = &n->cpu_common,
	};
	int r = vcpu_new(&cfg, &n->vcpu[index], err);

	if (r == 0)
		n->vcpus++;
	return r;
}

int devices_up(struct node *n, struct err *err)
{
	interrupts_init(&n->irq, n->self, &n->topology, n->link, n->vcpu, n->together);
	return platform_init(&n->platform, &n->irq, n->wake, n->clock.unix_ns, on_power, n, err);
}

void devices_down(struct node *n)
{
	node_console_flush(n);
	if (n->platform.printed.lost)
		events_log(&n->ev, "warning", "%llu bytes of console output were not taken in time",
			   (unsigned long long)n->platform.printed.lost);
	platform_free(&n->platform);
}

int devices_save(struct node *n, struct blob *to)
{
	struct platform_image image;

	platform_save(&n->platform, &image);
	return blob_put(to, &image, sizeof(image));
}

int devices_load(struct node *n, struct blob *from)
{
	struct platform_image image;
	int r = blob_take(from, &image, sizeof(image));

	if (r == 0)
		platform_load(&n->platform, &image);
	return r;
}

int vcpus_up(struct node *n, struct err *err)
{
	int r = 0;

	moving_init(&n->moving, &n->irq);
	policy_init(&n->policy, n->self, &n->topology, n->together);
	forward_init(&n->forward, n->link);
	for (unsigned i = 0; r == 0 && i < n->topology.vcpus; i++) {
		if (n->topology.node[i] == n->self)
			r = add_vcpu(n, i, n->together && n->self != 0, err);
		else if (n->together && n->self == 0)
			r = add_vcpu(n, i, false, err);
	}
	n->platform_up = r == 0;
	return r;
}

void vcpus_down(struct node *n)
{
	n->platform_up = false;
	for (unsigned i = 0; i < n->topology.vcpus; i++)
		vcpu_free(TAKE_PTR(n->vcpu[i]));
	moving_free(&n->moving);
}

/* Those that are here, each behind its number in the cluster; MAX_VCPUS ends them. */
int vcpus_save(struct node *n, struct blob *to)
{
	_cleanup_free_ struct wire_vcpu *image = malloc(sizeof(*image));
	const uint32_t end = MAX_VCPUS;

	if (!image)
		return -ENOMEM;
	for (uint32_t i = 0; i < n->topology.vcpus; i++) {
		if (place_get(&n->irq.at[i]).node != n->self)
			continue;
		int r = vcpu_save(n->vcpu[i], image);
		if (r == 0)
			r = blob_put(to, &i, sizeof(i));
		if (r == 0)
			r = blob_put(to, image, sizeof(*image));
		if (r < 0)
			return r;
	}
	return blob_put(to, &end, sizeof(end));
}

int vcpus_load(struct node *n, struct blob *from)
{
	_cleanup_free_ struct wire_vcpu *image = malloc(sizeof(*image));
	uint32_t i;

	if (!image)
		return -ENOMEM;
	for (;;) {
		int r = blob_take(from, &i, sizeof(i));
		if (r < 0 || i == MAX_VCPUS)
			return r;
		if (i >= n->topology.vcpus || place_get(&n->irq.at[i]).node != n->self)
			return -EBADMSG;
		r = blob_take(from, image, sizeof(*image));
		if (r == 0)
			r = vcpu_load(n->vcpu[i], image);
		if (r < 0)
			return r;
	}
}

/* ---- running them ---- */

int guest_up(struct node *n, struct err *err)
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

/*
 * What a vCPU may wait for is taken away: accesses that were forwarded, then pages. Closing the
 * userfaultfd lets a fault go on, but the vCPU leaves KVM before it enters the guest again: its
 * stop is pending.
 */
void guest_down(struct node *n)
{
	for (unsigned i = 0; i < n->topology.vcpus; i++)
		if (n->vcpu[i])
			vcpu_signal(n->vcpu[i], VCPU_EVENT_STOP, 0);
	forward_cancel(&n->forward);
	surveyor_cancel(&n->surveyor);
	pager_stop(n->pager);
	surveyor_join(&n->surveyor);
	for (unsigned i = 0; i < n->topology.vcpus; i++)
		if (n->vcpu[i])
			vcpu_join(n->vcpu[i]);
	n->report = node_report(n);
}

int guest_pause(struct node *n)
{
	int r = 0;

	for (unsigned i = 0; i < n->topology.vcpus; i++) {
		if (!n->vcpu[i])
			continue;
		vcpu_pause(n->vcpu[i]);
		if (!vcpu_is_parked(n->vcpu[i]))
			r = -EINPROGRESS;
	}
	return r;
}

void guest_resume(struct node *n)
{
	for (unsigned i = 0; i < n->topology.vcpus; i++)
		if (n->vcpu[i])
			vcpu_resume(n->vcpu[i]);
}

void guest_survey(struct node *n)
{
	_cleanup_free_ struct wire_vcpu *image = malloc(sizeof(*image));

	if (!image || !surveyor_may(&n->surveyor))
		return;
	for (unsigned i = 0; i < n->topology.vcpus; i++)
		if (place_get(&n->irq.at[i]).node == n->self && vcpu_save(n->vcpu[i], image) == 0)
			surveyor_add(&n->surveyor, image);
	surveyor_begin(&n->surveyor);
}
