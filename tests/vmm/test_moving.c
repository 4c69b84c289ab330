/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPUs that move and the interrupts that follow them: three nodes of two vCPUs in this process,
 * with real connections and without KVM. A vCPU is its inbox; nothing runs.
 */
#include "tests/check.h"

#include "tests/vmm/moving_rig.h"

static int set_up(void **state)
{
	*state = world_new(false);
	return 0;
}

static int tear_down(void **state)
{
	world_free(*state);
	return 0;
}

static void send_vector(struct world *w, unsigned from, unsigned vcpu, uint8_t vector)
{
	const struct irq_message m = {.dest = w->topology.apic_id[vcpu], .vector = vector};

	interrupts_send(&w->node[from].irq, ROUTE_DEVICE, &m);
}

/* Has node @node the vector in its inbox of @vcpu? Takes it out. */
static bool has(struct world *w, unsigned node, unsigned vcpu, uint8_t vector)
{
	struct vcpu *v = w->node[node].vcpu[vcpu];
	uint64_t bit = UINT64_C(1) << (vector % 64);

	return v && (atomic_fetch_and(&v->inbox.vector[vector / 64], ~bit) & bit);
}

static struct wire_vcpu *image_of(unsigned index)
{
	struct wire_vcpu *image = malloc(sizeof(*image));

	assert_non_null(image);
	*image = (struct wire_vcpu){.index = index, .state = WIRE_VCPU_RUNNING};
	image->lapic.dfr = UINT32_MAX;
	for (size_t i = 0; i < sizeof(image->gpr); i++)
		((uint8_t *)image->gpr)[i] = (uint8_t)(i * 7 + index);
	for (size_t i = 0; i < sizeof(image->xsave); i++)
		image->xsave[i] = (uint8_t)(i * 11 + index);
	return image;
}

static void move_to(struct world *w, unsigned from, unsigned to, unsigned index)
{
	_cleanup_free_ struct wire_vcpu *image = image_of(index);

	assert_int_equal(moving_leave(&w->node[from].moving, w->node[from].vcpu[index], to, image),
			 0);
}

/* From node 0, where all are at first, to its own. */
static void move(struct world *w, unsigned index)
{
	move_to(w, 0, w->topology.node[index], index);
}

static struct where believed(const struct world *w, unsigned node, unsigned vcpu)
{
	return place_get(&w->node[node].irq.at[vcpu]);
}

static void all_believe(const struct world *w, unsigned vcpu, unsigned at, uint32_t generation)
{
	for (unsigned node = 0; node < NODES; node++) {
		assert_int_equal(believed(w, node, vcpu).node, at);
		assert_int_equal(believed(w, node, vcpu).generation, generation);
	}
}

/* ---- the way that it should go ---- */

static void an_interrupt_goes_where_the_vcpu_lodges(void **state)
{
	struct world *w = *state;

	send_vector(w, 1, 4, 0x50);
	send_vector(w, 0, 5, 0x51);
	send_vector(w, 2, 5, 0x52);
	pump_all(w);
	assert_true(has(w, 0, 4, 0x50));
	assert_true(has(w, 0, 5, 0x51));
	assert_true(has(w, 0, 5, 0x52));
	assert_false(has(w, 2, 4, 0x50) || has(w, 2, 5, 0x51) || has(w, 2, 5, 0x52));
}

static void a_vcpu_arrives_as_it_left(void **state)
{
	struct world *w = *state;
	_cleanup_free_ struct wire_vcpu *expected = image_of(4);

	move(w, 4);
	pump_all(w);
	struct vcpu *v = w->node[2].vcpu[4];
	assert_non_null(v->inbox.arrival);
	assert_memory_equal(v->inbox.arrival, expected, sizeof(*expected));
	assert_true(atomic_load(&v->inbox.events) & VCPU_EVENT_ARRIVE);
	assert_int_equal(atomic_load(&w->node[0].moving.left), 1);
	assert_int_equal(atomic_load(&w->node[2].moving.arrived), 1);
	assert_null(w->node[2].vcpu[5]->inbox.arrival);
	all_believe(w, 4, 2, 1);
	assert_int_equal(atomic_load(&w->node[0].moving.here), VCPUS - 1);
	assert_int_equal(atomic_load(&w->node[2].moving.here), 1);
}

static void interrupts_follow_it(void **state)
{
	struct world *w = *state;

	/* Sent before it left, not yet taken by node 0; sent by who does not know yet. */
	send_vector(w, 1, 4, 0x60);
	move(w, 4);
	send_vector(w, 1, 4, 0x61);
	/* What was in its inbox when it left. */
	interrupts_pass_on(&w->node[0].irq, 4, IRQ_FIXED, 0x62, false);
	send_vector(w, 0, 4, 0x63);
	pump_all(w);
	for (unsigned vector = 0x60; vector <= 0x63; vector++)
		assert_true(has(w, 2, 4, (uint8_t)vector));

	/* By now all know: node 0 has nothing to do with it. */
	send_vector(w, 1, 4, 0x64);
	assert_int_equal(pump(w, 1, 2), 0);
	assert_true(has(w, 2, 4, 0x64));
	send_vector(w, 2, 4, 0x65);
	assert_true(has(w, 2, 4, 0x65));
	for (unsigned vector = 0x60; vector <= 0x65; vector++)
		assert_false(has(w, 0, 4, (uint8_t)vector));
}

static void init_and_sipi_follow_it_too(void **state)
{
	struct world *w = *state;

	move(w, 3);
	interrupts_pass_on(&w->node[0].irq, 3, IRQ_INIT, 0, false);
	interrupts_pass_on(&w->node[0].irq, 3, IRQ_SIPI, 0x9a, false);
	interrupts_pass_on(&w->node[0].irq, 3, IRQ_NMI, 0, false);
	interrupts_pass_on(&w->node[0].irq, 3, IRQ_FIXED, 0x77, true);
	pump_all(w);
	struct vcpu_inbox *inbox = &w->node[1].vcpu[3]->inbox;
	uint32_t all = VCPU_EVENT_ARRIVE | VCPU_EVENT_INIT | VCPU_EVENT_SIPI | VCPU_EVENT_NMI |
		       VCPU_EVENT_VECTOR;
	assert_int_equal(atomic_load(&inbox->events), all);
	assert_int_equal(atomic_load(&inbox->sipi), 0x9a);
	assert_true(atomic_load(&inbox->level[1]) >> (0x77 - 64) & 1);
}

static void a_broadcast_reaches_each_where_it_is(void **state)
{
	struct world *w = *state;
	const struct irq_message m = {.vector = 0x44, .shorthand = IRQ_TO_OTHERS};

	move(w, 4);
	move(w, 3);
	pump_all(w);
	assert_true(interrupts_send(&w->node[1].irq, 3, &m));
	pump_all(w);
	static const unsigned at[VCPUS] = {0, 0, 0, NODES, 2, 0};
	for (unsigned v = 0; v < VCPUS; v++)
		for (unsigned node = 0; node < NODES; node++)
			assert_int_equal(has(w, node, v, 0x44), node == at[v]);
}

/* ---- back, and refused ---- */

static void take_arrival(struct world *w, unsigned node, unsigned vcpu)
{
	struct vcpu *v = w->node[node].vcpu[vcpu];

	assert_non_null(v->inbox.arrival);
	atomic_store(&v->inbox.events, 0);
	free(TAKE_PTR(v->inbox.arrival));
}

static void a_vcpu_moves_there_and_back(void **state)
{
	struct world *w = *state;

	for (uint32_t round = 0; round < 3; round++) {
		move(w, 4);
		/* Node 1 knows nothing of it yet: two hops in the end. */
		send_vector(w, 1, 4, 0x60);
		pump(w, 0, 2);
		take_arrival(w, 2, 4);
		move_to(w, 2, 0, 4);
		pump_all(w);
		take_arrival(w, 0, 4);
		all_believe(w, 4, 0, 2 * round + 2);
		assert_true(has(w, 0, 4, 0x60));
		assert_false(has(w, 2, 4, 0x60));
	}
	assert_int_equal(atomic_load(&w->node[0].moving.here), VCPUS);
}

static void a_refused_vcpu_goes_on_where_it_was(void **state)
{
	struct world *w = *state;

	move(w, 4);
	send_vector(w, 0, 4, 0x60);
	assert_int_equal(pump(w, 0, 2), 0);
	take_arrival(w, 2, 4);
	/* In the inbox of a vCPU that cannot run there: its thread passes it on. */
	assert_true(has(w, 2, 4, 0x60));
	moving_refuse(&w->node[2].moving, w->node[2].vcpu[4], -EIO);
	interrupts_pass_on(&w->node[2].irq, 4, IRQ_FIXED, 0x60, false);
	send_vector(w, 2, 4, 0x61);
	send_vector(w, 1, 4, 0x62);
	pump_all(w);
	all_believe(w, 4, 0, 2);
	assert_true(atomic_load(&w->node[0].vcpu[4]->inbox.events) & VCPU_EVENT_RETURN);
	for (unsigned vector = 0x60; vector <= 0x62; vector++)
		assert_true(has(w, 0, 4, (uint8_t)vector));
	assert_int_equal(atomic_load(&w->node[0].moving.here), VCPUS);
	assert_int_equal(atomic_load(&w->node[2].moving.here), 0);
}

/* ---- what no peer may send ---- */

static void send_bytes(struct world *w, unsigned from, unsigned to, uint64_t index,
		       uint32_t generation, uint32_t offset, const void *bytes, size_t len)
{
	uint8_t part[WIRE_EVENT_MAX];
	const struct wire_part head = {.offset = offset, .generation = generation};

	memcpy(part, &head, sizeof(head));
	memcpy(part + sizeof(head), bytes, len);
	link_send(&w->node[from].link[to],
		  (struct wire_hdr){.type = WIRE_VCPU_STATE, .addr = index}, part,
		  sizeof(head) + len);
}

static void send_part(struct world *w, unsigned from, unsigned to, uint64_t index,
		      uint32_t generation, uint32_t offset, size_t len)
{
	static const uint8_t zero[WIRE_PART_MAX];

	send_bytes(w, from, to, index, generation, offset, zero, len);
}

static void send_place(struct world *w, unsigned from, unsigned to, enum wire_type type,
		       uint64_t index, struct wire_place place)
{
	link_send(&w->node[from].link[to], (struct wire_hdr){.type = (uint8_t)type, .addr = index},
		  &place, sizeof(place));
}

static void a_wrong_state_is_refused(void **state)
{
	static const struct {
		unsigned from, to;
		uint64_t index;
		uint32_t generation, offset;
	} wrong[] = {
		{0, 2, 3, 1, 0},	  /* another node's vCPU */
		{0, 2, VCPUS, 1, 0},	  /* nobody's */
		{0, 2, UINT64_MAX, 1, 0}, /* nobody's */
		{0, 2, 4, 1, 100},	  /* a gap */
		{0, 2, 4, 1, UINT32_MAX}, /* a gap */
		{0, 2, 4, 0, 0},	  /* no move */
		{0, 2, 4, UINT32_MAX, 0}, /* no move could follow */
		{1, 0, 0, 1, 0},	  /* it is there */
		{1, 2, 4, 1, 0},	  /* it is on node 0 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct world *w = world_new(false);

		send_part(w, wrong[i].from, wrong[i].to, wrong[i].index, wrong[i].generation,
			  wrong[i].offset, 64);
		assert_int_equal(pump(w, wrong[i].from, wrong[i].to), -EPROTO);
		world_free(w);
	}
}

static void a_state_in_parts_of_two_is_refused(void **state)
{
	static const struct {
		unsigned from;
		uint32_t generation;
	} second[] = {{1, 1}, {0, 2}};

	for (size_t i = 0; i < ARRAY_SIZE(second); i++) {
		struct world *w = world_new(false);

		send_part(w, 0, 2, 4, 1, 0, 64);
		assert_int_equal(pump(w, 0, 2), 0);
		send_part(w, second[i].from, 2, 4, second[i].generation, 64, 64);
		assert_int_equal(pump(w, second[i].from, 2), -EPROTO);
		world_free(w);
	}
}

static void a_state_that_is_too_long_is_refused(void **state)
{
	struct world *w = *state;
	const size_t whole = sizeof(struct wire_vcpu) / WIRE_PART_MAX * WIRE_PART_MAX;

	for (size_t done = 0; done < whole; done += WIRE_PART_MAX)
		send_part(w, 0, 2, 4, 1, (uint32_t)done, WIRE_PART_MAX);
	assert_int_equal(pump(w, 0, 2), 0);
	send_part(w, 0, 2, 4, 1, (uint32_t)whole, sizeof(struct wire_vcpu) - whole + 1);
	assert_int_equal(pump(w, 0, 2), -EPROTO);
	assert_null(w->node[2].vcpu[4]->inbox.arrival);
}

static void a_state_that_no_vcpu_has_is_refused(void **state)
{
	static const struct {
		size_t offset;
		uint32_t value;
	} wrong[] = {
		{offsetof(struct wire_vcpu, state), 0},
		{offsetof(struct wire_vcpu, index), 5},
		{offsetof(struct wire_vcpu, nmsrs), WIRE_VCPU_MSRS + 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_free_ struct wire_vcpu *image = image_of(4);
		struct world *w = world_new(false);

		memcpy((uint8_t *)image + wrong[i].offset, &wrong[i].value, sizeof(uint32_t));
		for (size_t done = 0; done < sizeof(*image); done += WIRE_PART_MAX)
			send_bytes(w, 0, 2, 4, 1, (uint32_t)done, (const uint8_t *)image + done,
				   MIN(sizeof(*image) - done, WIRE_PART_MAX));
		assert_int_equal(pump(w, 0, 2), -EPROTO);
		assert_null(w->node[2].vcpu[4]->inbox.arrival);
		world_free(w);
	}
}

static void a_vcpu_arrives_once(void **state)
{
	struct world *w = *state;

	move(w, 4);
	pump_all(w);
	send_part(w, 0, 2, 4, 1, 0, 64);
	assert_int_equal(pump(w, 0, 2), -EPROTO);
	send_part(w, 0, 2, 4, 2, 0, 64);
	assert_int_equal(pump(w, 0, 2), -EPROTO);
}

static void a_wrong_place_is_refused(void **state)
{
	static const struct {
		unsigned from, to;
		uint64_t index;
		struct wire_place place;
	} wrong[] = {
		{2, 1, 4, {.generation = 0}},	       /* another node has this generation */
		{2, 1, 3, {.generation = 1000}},       /* neither node 0 nor its own */
		{2, 1, 0, {.generation = 1}},	       /* neither node 0 nor its own */
		{2, 0, 4, {.generation = 1}},	       /* it is there */
		{2, 1, VCPUS, {.generation = 1}},      /* nobody's */
		{2, 1, UINT64_MAX, {.generation = 1}}, /* nobody's */
		{2, 1, 4, {1, -EIO}},		       /* not what it is for */
		{2, 1, 4, {UINT32_MAX, 0}},	       /* no move could follow */
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct world *w = world_new(false);

		send_place(w, wrong[i].from, wrong[i].to, WIRE_VCPU_AT, wrong[i].index,
			   wrong[i].place);
		assert_int_equal(pump(w, wrong[i].from, wrong[i].to), -EPROTO);
		world_free(w);
	}
}

static void a_wrong_refusal_is_refused(void **state)
{
	static const struct {
		unsigned from, to;
		uint64_t index;
		struct wire_place place;
	} wrong[] = {
		{2, 0, 3, {2, -EIO}},	       /* it is there, and never left */
		{1, 0, 4, {2, -EIO}},	       /* it was sent to another */
		{2, 0, 4, {3, -EIO}},	       /* not the move that it was sent with */
		{2, 0, 4, {1, -EIO}},	       /* not the move that it was sent with */
		{2, 0, 4, {2, 0}},	       /* why? */
		{2, 0, 4, {2, INT32_MIN}},     /* no error */
		{2, 0, 4, {2, -4096}},	       /* no error */
		{2, 0, VCPUS, {2, -EIO}},      /* nobody's */
		{2, 0, UINT64_MAX, {2, -EIO}}, /* nobody's */
		{2, 1, 4, {2, -EIO}},	       /* never there */
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct world *w = world_new(false);

		move(w, 4);
		send_place(w, wrong[i].from, wrong[i].to, WIRE_VCPU_REFUSED, wrong[i].index,
			   wrong[i].place);
		assert_int_equal(pump(w, wrong[i].from, wrong[i].to), -EPROTO);
		world_free(w);
	}
}

static void a_refusal_counts_once(void **state)
{
	struct world *w = *state;

	move(w, 4);
	send_place(w, 2, 0, WIRE_VCPU_REFUSED, 4, (struct wire_place){2, -EIO});
	assert_int_equal(pump(w, 2, 0), 0);
	send_place(w, 2, 0, WIRE_VCPU_REFUSED, 4, (struct wire_place){2, -EIO});
	assert_int_equal(pump(w, 2, 0), -EPROTO);
}

static void an_interrupt_that_would_go_in_a_circle_is_refused(void **state)
{
	static const struct {
		unsigned to;
		uint8_t node;
		uint32_t generation;
		uint64_t vcpus;
	} wrong[] = {
		{1, 1, 0, 1},	  /* still on node 0, and nobody was told otherwise */
		{1, 2, 0, 1},	  /* never here */
		{1, 0, 0, 1},	  /* never here */
		{0, 0, 0, 4},	  /* node 0 has two */
		{0, 0, 1, 1},	  /* a move that was never made */
		{0, NODES, 0, 1}, /* no such node */
		{1, MAX_NODES - 1, 0, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const struct wire_ipi ipi = {
			.vector = 0x40, .generation = wrong[i].generation, .vcpus = wrong[i].vcpus};
		struct world *w = world_new(false);

		link_send(&w->node[2].link[wrong[i].to],
			  (struct wire_hdr){.type = WIRE_IPI, .node = wrong[i].node}, &ipi,
			  sizeof(ipi));
		assert_int_equal(pump(w, 2, wrong[i].to), -EPROTO);
		world_free(w);
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(an_interrupt_goes_where_the_vcpu_lodges),
		CASE(a_vcpu_arrives_as_it_left),
		CASE(interrupts_follow_it),
		CASE(init_and_sipi_follow_it_too),
		CASE(a_broadcast_reaches_each_where_it_is),
		CASE(a_vcpu_moves_there_and_back),
		CASE(a_refused_vcpu_goes_on_where_it_was),
		cmocka_unit_test(a_wrong_state_is_refused),
		cmocka_unit_test(a_state_in_parts_of_two_is_refused),
		CASE(a_state_that_is_too_long_is_refused),
		cmocka_unit_test(a_state_that_no_vcpu_has_is_refused),
		CASE(a_vcpu_arrives_once),
		cmocka_unit_test(a_wrong_place_is_refused),
		cmocka_unit_test(a_wrong_refusal_is_refused),
		CASE(a_refusal_counts_once),
		cmocka_unit_test(an_interrupt_that_would_go_in_a_circle_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
