/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/dsm/rig.h"

const char page_data[PAGE_BYTES];

int rig_home(void *ctx, uint64_t gpa)
{
	return (int)(gpa >> REGION_SHIFT);
}

int rig_record(void *ctx, const struct dsm_action *a)
{
	struct rig *r = ctx;

	assert_in_range(r->count, 0, LOG_ACTIONS - 1);
	r->log[r->count++] = *a;
	if (a->type == DSM_TRACK)
		a->track.populated[0] = r->populated;
	return r->error;
}

void rig_open(struct rig *r, unsigned self, uint64_t hold_ns)
{
	struct dsm_proto_config cfg = {
		.self = self,
		.nodes = NODES,
		.epoch = EPOCH,
		.hold_ns = hold_ns,
		.max_pending = PENDING,
		.home = rig_home,
		.emit = rig_record,
		.ctx = r,
		.gpa_end = NODES * REGION_BYTES,
	};

	*r = (struct rig){.self = self};
	assert_int_equal(dsm_proto_new(&cfg, &r->p), 0);
}

void rig_close(struct rig *r)
{
	assert_int_equal(r->count, 0);
	dsm_proto_free(r->p);
}

struct wire_hdr message(enum wire_type type, unsigned from, unsigned node, uint64_t gpa)
{
	return (struct wire_hdr){.type = (uint8_t)type,
				 .from = (uint8_t)from,
				 .node = (uint8_t)node,
				 .epoch = EPOCH,
				 .addr = gpa};
}

int take(struct rig *r, enum wire_type type, unsigned from, unsigned node, uint64_t gpa)
{
	struct wire_hdr h = message(type, from, node, gpa);

	return dsm_proto_message(r->p, &h, NULL, r->now);
}

int take_grant(struct rig *r, unsigned from, uint64_t gpa, unsigned flags, unsigned acks)
{
	struct wire_hdr h = message(WIRE_GRANT, from, r->self, gpa);

	h.flags = (uint8_t)flags;
	h.acks = (uint8_t)acks;
	h.len = flags & WIRE_GRANT_DATA ? PAGE_BYTES : 0;
	return dsm_proto_message(r->p, &h, h.len ? page_data : NULL, r->now);
}

/* The oldest recorded action; fails when there is none. */
struct dsm_action rig_next(struct rig *r)
{
	struct dsm_action a;

	assert_int_not_equal(r->count, 0);
	a = r->log[0];
	memmove(r->log, r->log + 1, --r->count * sizeof(r->log[0]));
	return a;
}

void expect_action(struct rig *r, enum dsm_action_type type, uint64_t gpa)
{
	struct dsm_action a = rig_next(r);

	assert_int_equal(a.type, type);
	assert_int_equal(a.gpa, gpa);
}

void expect_map(struct rig *r, uint64_t gpa, const void *data, bool writable)
{
	struct dsm_action a = rig_next(r);

	assert_int_equal(a.type, DSM_MAP);
	assert_int_equal(a.gpa, gpa);
	assert_ptr_equal(a.map.data, data);
	assert_int_equal(a.map.writable, writable);
}

struct wire_hdr expect_send(struct rig *r, enum wire_type type, unsigned to, unsigned node,
			    uint64_t gpa)
{
	const unsigned gives = WIRE_GRANT_DATA | WIRE_GRANT_WRITE;
	struct dsm_action a = rig_next(r);

	/* What leaves for a new owner is taken out, too. */
	assert_int_equal(a.type, (a.send.hdr.flags & gives) == gives ? DSM_GIVE : DSM_SEND);
	assert_int_equal(a.send.hdr.type, type);
	assert_int_equal(a.send.to, to);
	assert_int_equal(a.send.hdr.node, node);
	assert_int_equal(a.send.hdr.addr, gpa);
	assert_int_equal(a.send.hdr.from, r->self);
	assert_int_equal(a.send.hdr.epoch, EPOCH);
	return a.send.hdr;
}

void expect_grant(struct rig *r, unsigned to, uint64_t gpa, unsigned flags, unsigned acks)
{
	struct wire_hdr h = expect_send(r, WIRE_GRANT, to, to, gpa);

	assert_int_equal(h.flags, flags);
	assert_int_equal(h.acks, acks);
	assert_int_equal(h.len, flags & WIRE_GRANT_DATA ? PAGE_BYTES : 0);
}

void expect_copy(const struct rig *r, uint64_t gpa, enum dsm_copy copy)
{
	struct dsm_page_info info;

	dsm_proto_page(r->p, gpa, &info);
	assert_int_equal(info.copy, copy);
}

/* This node, which is not the home 0, reads the page; it runs from r->now on. */
void get_shared(struct rig *r, uint64_t gpa)
{
	assert_int_equal(dsm_proto_fault(r->p, gpa, false, r->now), 0);
	expect_send(r, WIRE_GETS, 0, r->self, gpa);
	assert_int_equal(take_grant(r, 0, gpa, WIRE_GRANT_DATA, 0), 0);
	expect_map(r, gpa, page_data, false);
	expect_copy(r, gpa, DSM_SHARED);
}

void get_owned(struct rig *r, uint64_t gpa)
{
	assert_int_equal(dsm_proto_fault(r->p, gpa, true, r->now), 0);
	expect_send(r, WIRE_GETM, 0, r->self, gpa);
	assert_int_equal(take_grant(r, 0, gpa, WIRE_GRANT_ZERO | WIRE_GRANT_WRITE, 0), 0);
	expect_map(r, gpa, NULL, true);
	expect_copy(r, gpa, DSM_OWNED);
}
