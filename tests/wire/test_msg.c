/* SPDX-License-Identifier: Apache-2.0 */
/* wire_check(): each type's good headers pass, and each single thing wrong with one does not. */
#include "tests/check.h"

#include "wire/msg.h"

#define ANY_CLASS -1

/* Written from the comments of wire/msg.h, not from msg.c. */
static const struct type_case {
	uint8_t type;
	const char *name;
	int class_;
	uint32_t len_min, len_max;
	bool node, acks, ticket; /* may be non-zero */
	uint64_t addr;		 /* a good one */
	uint64_t bad_addr;	 /* 0: any is good */
	uint8_t flags, bad_flags;
	bool lent; /* a ticket has a node */
	bool stamp;
} types[] = {
	{WIRE_HELLO, "HELLO", ANY_CLASS, 32, 32, false, false, false, 0, 1, 0, 1},
	{WIRE_REFUSE, "REFUSE", ANY_CLASS, 1, 512, false, false, false, 0, 1, 1, 2},
	{WIRE_MESHED, "MESHED", WIRE_CLASS_CONTROL, 0, 0, false, false, false, 0, 1, 0, 1},
	{WIRE_GETS, "GETS", WIRE_CLASS_PAGE, 0, 0, true, false, true, 0x7000, 0x7001, 0, 1},
	{WIRE_GETM, "GETM", WIRE_CLASS_PAGE, 0, 0, true, false, true, 0x7000, 0x7800, 0, 1},
	{WIRE_FWD_GETS, "FWD_GETS", WIRE_CLASS_PAGE, 0, 0, true, false, true, 0x7000, 0x7008, 0, 1,
	 true},
	{WIRE_FWD_GETM, "FWD_GETM", WIRE_CLASS_PAGE, 0, 0, true, true, true, 0x7000, 0x6fff, 0, 1,
	 true},
	{WIRE_INV, "INV", WIRE_CLASS_PAGE, 0, 0, true, false, true, 0x7000, 0x7001, 0, 1, true},
	{WIRE_INV_ACK, "INV_ACK", WIRE_CLASS_PAGE, 0, 0, true, false, false, 0x7000, 0x7001, 0, 128,
	 false, true},
	{WIRE_DONE, "DONE", WIRE_CLASS_PAGE, 0, 0, true, false, false, 0x7000, 0x7001, 0, 2},
	{WIRE_URGE, "URGE", WIRE_CLASS_PAGE, 0, 0, true, false, true, 0x7000, 0x7001, 0, 1, true},
	{WIRE_PUT, "PUT", WIRE_CLASS_PAGE, 0, 0, true, false, false, 0x7000, 0x7001, 0, 1},
	{WIRE_DROP, "DROP", WIRE_CLASS_PAGE, 0, 0, true, false, true, 0x7000, 0x7001, 0, 1, true},
	{WIRE_DROPPED, "DROPPED", WIRE_CLASS_PAGE, 0, 0, true, false, false, 0x7000, 0x7001, 0, 1,
	 false, true},
	{WIRE_REHOME, "REHOME", WIRE_CLASS_PAGE, 0, 0, true, false, false, 0x200000, 0x1ff800, 0,
	 1},
	{WIRE_REHOME_ACK, "REHOME_ACK", WIRE_CLASS_PAGE, 0, 0, true, false, false, 0x200000,
	 0x1ff800, WIRE_REHOME_REFUSED, 2},
	{WIRE_HOME, "HOME", WIRE_CLASS_PAGE, 2304, 2304, true, false, false, 0x300000, 0x2ff800, 0,
	 1, false, true},
	{WIRE_GRANT, "GRANT", WIRE_CLASS_PAGE, 0, 0, true, true, false, 0x7000, 0x7001,
	 WIRE_GRANT_WRITE, WIRE_GRANT_WRITE | 8, false, true},
	{WIRE_GRANT, "GRANT", WIRE_CLASS_PAGE, 4096, 4096, true, true, false, 0x7000, 0x7001,
	 WIRE_GRANT_WRITE | WIRE_GRANT_DATA, WIRE_GRANT_WRITE | WIRE_GRANT_DATA | WIRE_GRANT_ZERO,
	 false, true},
	{WIRE_GRANT, "GRANT", WIRE_CLASS_PAGE, 4096, 4096, true, false, false, 0x7000, 0x7001,
	 WIRE_GRANT_DATA, WIRE_GRANT_DATA | WIRE_GRANT_ZERO, false, true},
	{WIRE_GRANT, "GRANT", WIRE_CLASS_PAGE, 0, 0, true, true, false, 0x7000, 0x7001,
	 WIRE_GRANT_WRITE | WIRE_GRANT_ZERO, WIRE_GRANT_DATA, false, true},
	{WIRE_IPI, "IPI", WIRE_CLASS_EVENT, 16, 16, true, false, false, 0, 1, 0, 1, false, true},
	{WIRE_EOI, "EOI", WIRE_CLASS_EVENT, 0, 0, false, false, false, 0xff, 0x100, 0, 1, false,
	 true},
	{WIRE_IO_REQUEST, "IO_REQUEST", WIRE_CLASS_EVENT, 24, 4096, false, false, false, 0, 1, 0, 1,
	 false, true},
	{WIRE_IO_REPLY, "IO_REPLY", WIRE_CLASS_EVENT, 24, 4096, false, false, false, 0, 1, 0, 1,
	 false, true},
	{WIRE_VCPU_STATE, "VCPU_STATE", WIRE_CLASS_EVENT, 9, 4096, false, false, false, 1023, 0, 0,
	 1, false, true},
	{WIRE_VCPU_AT, "VCPU_AT", WIRE_CLASS_EVENT, 8, 8, false, false, false, 1023, 0, 0, 1},
	{WIRE_VCPU_REFUSED, "VCPU_REFUSED", WIRE_CLASS_EVENT, 8, 8, false, false, false, 1023, 0, 0,
	 1},
	{WIRE_JOIN, "JOIN", WIRE_CLASS_CONTROL, 336, 336, false, false, false, 0, 1, 0, 1},
	{WIRE_START, "START", WIRE_CLASS_CONTROL, 352, 352, false, false, false, 0, 1, 0, 1},
	{WIRE_PING, "PING", WIRE_CLASS_CONTROL, 0, 0, false, false, false, 12345, 0, 0, 1},
	{WIRE_PONG, "PONG", WIRE_CLASS_CONTROL, 8, 8, false, false, false, 12345, 0, 0, 1},
	{WIRE_STOP, "STOP", WIRE_CLASS_CONTROL, 0, 512, false, false, false, 64, 0x100,
	 WIRE_STOP_POWEROFF, 0},
	{WIRE_STOP, "STOP", WIRE_CLASS_CONTROL, 0, 512, false, false, false, 0, 0x100,
	 WIRE_STOP_ASKED, 5},
	{WIRE_READY, "READY", WIRE_CLASS_CONTROL, 0, 0, false, false, false, 0, 1, 0, 1},
	{WIRE_PHASE, "PHASE", WIRE_CLASS_CONTROL, 0, 0, false, false, false, 12345, 0,
	 WIRE_PHASE_PAUSE, 0},
	{WIRE_PHASE_DONE, "PHASE_DONE", WIRE_CLASS_CONTROL, 0, 0, false, false, false, 0, 1,
	 WIRE_PHASE_RESUME, 5},
};

static enum wire_class class_of(const struct type_case *t)
{
	return t->class_ == ANY_CLASS ? WIRE_CLASS_EVENT : (enum wire_class)t->class_;
}

static bool runs(const struct type_case *t)
{
	static const uint8_t types_that_run[] = {
		WIRE_GETS, WIRE_GETM, WIRE_FWD_GETS, WIRE_FWD_GETM, WIRE_INV,  WIRE_INV_ACK,
		WIRE_DONE, WIRE_PUT,  WIRE_DROP,     WIRE_DROPPED,  WIRE_GRANT};

	return memchr(types_that_run, t->type, sizeof(types_that_run)) != NULL;
}

static struct wire_hdr good(const struct type_case *t)
{
	return (struct wire_hdr){
		.len = t->len_min,
		.type = t->type,
		.flags = t->flags,
		.from = 3,
		.epoch = 9,
		.addr = t->addr,
	};
}

static void expect(const struct type_case *t, struct wire_hdr h, int result, const char *what)
{
	int r = wire_check(&h, class_of(t));

	if (r != result)
		fail_msg("%s, %s: %d, expected %d", t->name, what, r, result);
}

static void good_headers_pass(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const struct type_case *t = &types[i];
		struct wire_hdr h = good(t);

		expect(t, h, 0, "plain");
		h.len = t->len_max;
		h.from = MAX_NODES - 1;
		h.epoch = UINT32_MAX;
		h.node = t->node ? MAX_NODES - 1 : 0;
		h.acks = t->acks ? MAX_NODES - 1 : 0;
		h.ticket = t->ticket ? UINT8_MAX : 0;
		h.ticket_node = t->lent ? MAX_NODES - 1 : 0;
		h.stamp = t->stamp ? UINT64_MAX : 0;
		expect(t, h, 0, "everything at its end");
		h.more = WIRE_RUN_PAGES - 1;
		h.len *= WIRE_RUN_PAGES;
		h.addr = REGION_BYTES - WIRE_RUN_PAGES * PAGE_BYTES;
		expect(t, h, runs(t) ? 0 : -EBADMSG, "a run of the largest size");
	}
}

static void a_type_has_one_class(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct wire_hdr h = good(&types[i]);

		for (int c = 0; c < WIRE_CLASSES; c++) {
			bool ok = types[i].class_ == ANY_CLASS || types[i].class_ == c;

			assert_int_equal(wire_check(&h, (enum wire_class)c), ok ? 0 : -EBADMSG);
		}
	}
}

static void each_single_violation_is_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const struct type_case *t = &types[i];
		struct wire_hdr h = good(t);

		h.from = MAX_NODES;
		expect(t, h, -EBADMSG, "from");
		h = good(t);
		h.node = t->node ? MAX_NODES : 1;
		expect(t, h, -EBADMSG, "node");
		h = good(t);
		h.acks = t->acks ? MAX_NODES : 1;
		expect(t, h, -EBADMSG, "acks");
		h = good(t);
		h.ticket = 1;
		expect(t, h, t->ticket ? 0 : -EBADMSG, "ticket");
		h.ticket_node = t->lent ? MAX_NODES : 1;
		expect(t, h, -EBADMSG, "ticket_node");
		h.ticket = 0;
		h.ticket_node = 1;
		expect(t, h, -EBADMSG, "ticket_node without a ticket");
		h = good(t);
		h.stamp = 1;
		expect(t, h, t->stamp ? 0 : -EBADMSG, "stamp");
		h = good(t);
		h.flags = t->bad_flags;
		expect(t, h, -EBADMSG, "flags");
		h = good(t);
		h.addr = t->bad_addr;
		expect(t, h, t->bad_addr ? -EBADMSG : 0, "addr");
		h = good(t);
		h.more = 1;
		h.len *= 2;
		expect(t, h, runs(t) ? 0 : -EBADMSG, "more");
		h.addr = REGION_BYTES - PAGE_BYTES;
		expect(t, h, -EBADMSG, "a run of two regions");
		h.addr = -PAGE_BYTES;
		expect(t, h, -EBADMSG, "a run over the end of all addresses");
		h = good(t);
		h.addr = 0;
		h.more = WIRE_RUN_PAGES;
		h.len *= WIRE_RUN_PAGES + 1;
		expect(t, h, -EBADMSG, "a long run");
		h.more = UINT8_MAX;
		h.len = t->len_min * (UINT8_MAX + 1);
		expect(t, h, -EBADMSG, "the longest run");
		h = good(t);
		h.len = t->len_max + 1;
		expect(t, h, -EBADMSG, "too long");
		h.len = UINT32_MAX;
		expect(t, h, -EBADMSG, "absurdly long");
		h.len = t->len_min - 1;
		expect(t, h, -EBADMSG, "too short, or absurdly long");
	}
}

static void a_grant_carries_its_pages_or_nothing(void **state)
{
	struct wire_hdr h = {.type = WIRE_GRANT};

	for (h.more = 0; h.more < WIRE_RUN_PAGES; h.more++)
		for (unsigned i = 0; i < 3 * (WIRE_RUN_PAGES + 2); i++) {
			h.len = i / 3 * 4096 + i % 3 - 1;
			h.flags = WIRE_GRANT_DATA;
			assert_int_equal(wire_check(&h, WIRE_CLASS_PAGE),
					 h.len == 4096 * (h.more + 1u) ? 0 : -EBADMSG);
			h.flags = 0;
			assert_int_equal(wire_check(&h, WIRE_CLASS_PAGE),
					 h.len == 0 ? 0 : -EBADMSG);
		}
}

static void other_types_do_not_exist(void **state)
{
	for (unsigned type = 0; type < 256; type++) {
		const char *name = "?";

		for (size_t i = 0; i < ARRAY_SIZE(types); i++)
			if (types[i].type == type)
				name = types[i].name;
		assert_string_equal(wire_type_name((uint8_t)type), name);
		/* No length, flag or class makes a message of what is no type. */
		for (uint32_t len = 0; name[0] == '?' && len <= WIRE_PAYLOAD_MAX; len += 8)
			for (int c = 0; c < WIRE_CLASSES; c++) {
				struct wire_hdr h = {.type = (uint8_t)type, .len = len};

				assert_int_equal(wire_check(&h, (enum wire_class)c), -EBADMSG);
			}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_headers_pass),
		cmocka_unit_test(a_type_has_one_class),
		cmocka_unit_test(each_single_violation_is_refused),
		cmocka_unit_test(a_grant_carries_its_pages_or_nothing),
		cmocka_unit_test(other_types_do_not_exist),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
