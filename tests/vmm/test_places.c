/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts for vCPUs that move all the time: three nodes, messages that wait on each connection
 * as long as a seed likes, moves from any node to any, some of them refused. Every interrupt
 * arrives exactly once, at the one node that has the vCPU, and no message goes in a circle.
 */
#include "tests/check.h"

#include "cpu/vcpu_impl.h"
#include "tests/vmm/moving_rig.h"

#define STEPS 4000
#define SEEDS 40

struct run {
	struct world *w;
	uint64_t seed;
	uint64_t under_way[VCPUS][4]; /* bit v: vector v was sent and has not arrived */
	unsigned sent, arrived, moves, refusals;
};

/* Xorshift: the same run for a seed, everywhere. */
static unsigned below(struct run *r, unsigned n)
{
	r->seed ^= r->seed << 13;
	r->seed ^= r->seed >> 7;
	r->seed ^= r->seed << 17;
	return (unsigned)(r->seed >> 20) % n;
}

static void send_one(struct run *r)
{
	unsigned vcpu = below(r, VCPUS), vector = 32 + below(r, 224);
	const struct irq_message m = {.dest = r->w->topology.apic_id[vcpu],
				      .vector = (uint8_t)vector};

	/* Two of one vector may become one, as on hardware: not here, where they are counted. */
	if (r->under_way[vcpu][vector / 64] >> vector % 64 & 1)
		return;
	r->under_way[vcpu][vector / 64] |= UINT64_C(1) << vector % 64;
	r->sent++;
	interrupts_send(&r->w->node[below(r, NODES)].irq, ROUTE_DEVICE, &m);
}

static void take_one(struct run *r, unsigned vcpu, unsigned vector)
{
	uint64_t bit = UINT64_C(1) << vector % 64;

	assert_true(r->under_way[vcpu][vector / 64] & bit);
	r->under_way[vcpu][vector / 64] &= ~bit;
	r->arrived++;
}

static bool is_at(const struct run *r, unsigned node, unsigned vcpu)
{
	return r->w->node[node].vcpu[vcpu]->state != VCPU_AWAY;
}

static void arrive(struct run *r, unsigned node, unsigned vcpu)
{
	struct half *half = &r->w->node[node];

	free(TAKE_PTR(half->vcpu[vcpu]->inbox.arrival));
	if (below(r, 4) == 0) {
		moving_refuse(&half->moving, half->vcpu[vcpu], -EIO);
		r->refusals++;
		return;
	}
	half->vcpu[vcpu]->state = VCPU_RUNNING;
}

/* What the thread of a vCPU does with its inbox: cpu/vcpu.c, without the vCPU. */
static void look(struct run *r, unsigned node, unsigned vcpu)
{
	struct half *half = &r->w->node[node];
	struct vcpu *v = half->vcpu[vcpu];
	uint32_t events = atomic_exchange(&v->inbox.events, 0);

	if (events & VCPU_EVENT_ARRIVE)
		arrive(r, node, vcpu);
	if (events & VCPU_EVENT_RETURN)
		v->state = VCPU_RUNNING;
	for (unsigned word = 0; word < 4; word++) {
		uint64_t level, bits = vcpu_take_vectors(v, word, &level);
		for (; bits; bits &= bits - 1) {
			unsigned vector = word * 64 + (unsigned)__builtin_ctzll(bits);
			if (v->state == VCPU_AWAY)
				interrupts_pass_on(&half->irq, vcpu, IRQ_FIXED, (uint8_t)vector,
						   false);
			else
				take_one(r, vcpu, vector);
		}
	}
}

static void move(struct run *r, unsigned node, unsigned vcpu)
{
	static const struct wire_vcpu nothing = {.state = WIRE_VCPU_RUNNING,
						 .lapic.dfr = UINT32_MAX};
	struct half *half = &r->w->node[node];
	struct wire_vcpu image = nothing;

	image.index = vcpu;
	half->vcpu[vcpu]->state = VCPU_AWAY;
	assert_int_equal(moving_leave(&half->moving, half->vcpu[vcpu],
				      (node + 1 + below(r, NODES - 1)) % NODES, &image),
			 0);
	r->moves++;
}

static void only_one_has_it(const struct run *r, unsigned vcpu)
{
	unsigned nodes = 0;

	for (unsigned node = 0; node < NODES; node++)
		nodes += is_at(r, node, vcpu);
	assert_in_range(nodes, 0, 1);
}

static void step(struct run *r)
{
	unsigned node = below(r, NODES), vcpu = below(r, VCPUS);

	switch (below(r, 8)) {
	case 0:
		if (is_at(r, node, vcpu))
			move(r, node, vcpu);
		break;
	case 1:
	case 2:
		look(r, node, vcpu);
		break;
	case 3:
		assert_int_equal(pump(r->w, node, (node + 1 + below(r, NODES - 1)) % NODES), 0);
		break;
	default:
		send_one(r);
	}
	only_one_has_it(r, vcpu);
}

/* Nobody moves any more: a bounded number of rounds brings all to where it belongs. */
static void settle(struct run *r)
{
	for (unsigned round = 0; round < 4 * NODES; round++) {
		pump_all(r->w);
		for (unsigned node = 0; node < NODES; node++)
			for (unsigned vcpu = 0; vcpu < VCPUS; vcpu++)
				look(r, node, vcpu);
	}
}

static void check_end(const struct run *r)
{
	unsigned here = 0;

	assert_int_equal(r->arrived, r->sent);
	for (unsigned vcpu = 0; vcpu < VCPUS; vcpu++) {
		uint64_t first = place_word(place_get(&r->w->node[0].irq.at[vcpu]));
		for (unsigned node = 0; node < NODES; node++) {
			struct where at = place_get(&r->w->node[node].irq.at[vcpu]);
			assert_int_equal(place_word(at), first);
			assert_int_equal(is_at(r, node, vcpu), at.node == node);
		}
	}
	for (unsigned node = 0; node < NODES; node++)
		here += atomic_load(&r->w->node[node].moving.here);
	assert_int_equal(here, VCPUS);
}

static void every_interrupt_arrives_once(void **state)
{
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		struct run r = {.w = world_new(true), .seed = seed * 0x9e3779b97f4a7c15};

		for (unsigned node = 1; node < NODES; node++)
			for (unsigned vcpu = 0; vcpu < VCPUS; vcpu++)
				r.w->node[node].vcpu[vcpu]->state = VCPU_AWAY;
		for (unsigned i = 0; i < STEPS; i++)
			step(&r);
		settle(&r);
		check_end(&r);
		assert_true(r.moves > 20 && r.refusals > 5 && r.sent > 500);
		world_free(r.w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_interrupt_arrives_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
