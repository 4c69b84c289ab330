/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table says what a header of each type may hold; wire_check() is its interpreter. What a type
 * does not use must be zero, so that a later version can give it a meaning.
 */
#include "wire/msg.h"

enum {
	/* The classes, short enough for the table. */
	CONTROL = WIRE_CLASS_CONTROL,
	EVENT = WIRE_CLASS_EVENT,
	PAGES = WIRE_CLASS_PAGE,
	ANY = WIRE_CLASSES,

	/* What `addr` may be. */
	ADDR_ZERO = 0,
	ADDR_PAGE,
	ADDR_BYTE,
	ADDR_ANY,

	/* Which generic fields may be non-zero. */
	NODE = 1,
	ACKS = 2,
	TICKET = 4,
	LENT = 8, /* `ticket_node` */
	STAMP = 16,
	MORE = 32,
	PAGED = NODE | MORE,
	ASKS = PAGED | TICKET,
	SHOWN = NODE | STAMP,
	GONE = PAGED | STAMP,
	GRANTS = PAGED | ACKS | STAMP,
	TURN = NODE | TICKET | LENT,
	TAKES = PAGED | TICKET | LENT,
	ALL = TAKES | ACKS,

	/* The largest value of `flags`. */
	GRANT_ALL = WIRE_GRANT_WRITE | WIRE_GRANT_DATA | WIRE_GRANT_ZERO,
	STOP_LAST = WIRE_STOP_ASKED,
	PHASE_LAST = WIRE_PHASE_RESUME,
};

struct rule {
	const char *name; /* NULL: no such type */
	uint8_t class_;
	uint8_t addr;
	uint8_t fields;
	uint8_t flags_min, flags_max;
	uint32_t len_min, len_max;
};

#define RUN   WIRE_PAYLOAD_MAX
#define MOST  WIRE_EVENT_MAX
#define TEXT  WIRE_TEXT_MAX
#define HELLO sizeof(struct wire_hello)
#define HOME  sizeof(struct wire_home)
#define IPI   sizeof(struct wire_ipi)
#define IO    sizeof(struct wire_io)
#define PART  sizeof(struct wire_part)
#define PLACE sizeof(struct wire_place)
#define JOIN  sizeof(struct wire_join)
#define START sizeof(struct wire_start)
#define PONG  sizeof(struct wire_pong)

/* clang-format off */
static const struct rule rules[] = {
	/* type              name          class    addr       fields  flags         payload */
	[WIRE_HELLO]      = {"HELLO",      ANY,     ADDR_ZERO, 0,      0, 0,         HELLO, HELLO},
	[WIRE_REFUSE]     = {"REFUSE",     ANY,     ADDR_ZERO, 0,      0, 1,         1, TEXT},
	[WIRE_MESHED]     = {"MESHED",     CONTROL, ADDR_ZERO, 0,      0, 0,         0, 0},
	[WIRE_GETS]       = {"GETS",       PAGES,   ADDR_PAGE, ASKS,   0, 0,         0, 0},
	[WIRE_GETM]       = {"GETM",       PAGES,   ADDR_PAGE, ASKS,   0, 0,         0, 0},
	[WIRE_FWD_GETS]   = {"FWD_GETS",   PAGES,   ADDR_PAGE, TAKES,  0, 0,         0, 0},
	[WIRE_FWD_GETM]   = {"FWD_GETM",   PAGES,   ADDR_PAGE, ALL,    0, 0,         0, 0},
	[WIRE_INV]        = {"INV",        PAGES,   ADDR_PAGE, TAKES,  0, 0,         0, 0},
	[WIRE_INV_ACK]    = {"INV_ACK",    PAGES,   ADDR_PAGE, GONE,   0, 0,         0, 0},
	[WIRE_DONE]       = {"DONE",       PAGES,   ADDR_PAGE, PAGED,  0, 0,         0, 0},
	[WIRE_URGE]       = {"URGE",       PAGES,   ADDR_PAGE, TURN,   0, 0,         0, 0},
	[WIRE_PUT]        = {"PUT",        PAGES,   ADDR_PAGE, PAGED,  0, 0,         0, 0},
	[WIRE_DROP]       = {"DROP",       PAGES,   ADDR_PAGE, TAKES,  0, 0,         0, 0},
	[WIRE_DROPPED]    = {"DROPPED",    PAGES,   ADDR_PAGE, GONE,   0, 0,         0, 0},
	[WIRE_REHOME]     = {"REHOME",     PAGES,   ADDR_PAGE, NODE,   0, 0,         0, 0},
	[WIRE_REHOME_ACK] = {"REHOME_ACK", PAGES,   ADDR_PAGE, NODE,   0, 1,         0, 0},
	[WIRE_HOME]       = {"HOME",       PAGES,   ADDR_PAGE, SHOWN,  0, 0,         HOME, HOME},
	[WIRE_GRANT]      = {"GRANT",      PAGES,   ADDR_PAGE, GRANTS, 0, GRANT_ALL, 0, RUN},
	[WIRE_IPI]        = {"IPI",        EVENT,   ADDR_ZERO, SHOWN,  0, 0,         IPI, IPI},
	[WIRE_EOI]        = {"EOI",        EVENT,   ADDR_BYTE, STAMP,  0, 0,         0, 0},
	[WIRE_IO_REQUEST] = {"IO_REQUEST", EVENT,   ADDR_ZERO, STAMP,  0, 0,         IO, MOST},
	[WIRE_IO_REPLY]   = {"IO_REPLY",   EVENT,   ADDR_ZERO, STAMP,  0, 0,         IO, MOST},
	[WIRE_VCPU_STATE] = {"VCPU_STATE", EVENT,   ADDR_ANY,  STAMP,  0, 0,         PART + 1, MOST},
	[WIRE_VCPU_AT]    = {"VCPU_AT",    EVENT,   ADDR_ANY,  0,      0, 0,         PLACE, PLACE},
	[WIRE_VCPU_REFUSED] = {"VCPU_REFUSED", EVENT, ADDR_ANY, 0,     0, 0,         PLACE, PLACE},
	[WIRE_JOIN]       = {"JOIN",       CONTROL, ADDR_ZERO, 0,      0, 0,         JOIN, JOIN},
	[WIRE_START]      = {"START",      CONTROL, ADDR_ZERO, 0,      0, 0,         START, START},
	[WIRE_PING]       = {"PING",       CONTROL, ADDR_ANY,  0,      0, 0,         0, 0},
	[WIRE_PONG]       = {"PONG",       CONTROL, ADDR_ANY,  0,      0, 0,         PONG, PONG},
	[WIRE_STOP]       = {"STOP",       CONTROL, ADDR_BYTE, 0,      1, STOP_LAST, 0, TEXT},
	[WIRE_READY]      = {"READY",      CONTROL, ADDR_ZERO, 0,      0, 0,         0, 0},
	[WIRE_PHASE]      = {"PHASE",      CONTROL, ADDR_ANY,  0,      1, PHASE_LAST, 0, 0},
	[WIRE_PHASE_DONE] = {"PHASE_DONE", CONTROL, ADDR_ZERO, 0,      1, PHASE_LAST, 0, 0},
};
/* clang-format on */

static const struct rule *rule_of(uint8_t type)
{
	return type < ARRAY_SIZE(rules) && rules[type].name ? &rules[type] : NULL;
}

/* What the table cannot say: the fields of a grant depend on each other. */
static bool grant_is_consistent(const struct wire_hdr *h)
{
	bool data = h->flags & WIRE_GRANT_DATA;

	if (data && (h->flags & WIRE_GRANT_ZERO))
		return false;
	if (h->acks && !(h->flags & WIRE_GRANT_WRITE))
		return false;
	return h->len == (data ? (h->more + 1) * PAGE_BYTES : 0);
}

/* All pages of a run lie in one region; it has at most WIRE_RUN_PAGES. */
static bool run_is_allowed(const struct wire_hdr *h)
{
	return h->more < WIRE_RUN_PAGES &&
	       h->addr % REGION_BYTES + h->more * PAGE_BYTES < REGION_BYTES;
}

static bool addr_is_allowed(const struct rule *r, uint64_t addr)
{
	switch (r->addr) {
	case ADDR_PAGE:
		return addr % PAGE_BYTES == 0;
	case ADDR_BYTE:
		return addr <= UINT8_MAX;
	case ADDR_ANY:
		return true;
	default:
		return addr == 0;
	}
}

int wire_check(const struct wire_hdr *h, enum wire_class class_)
{
	const struct rule *r = rule_of(h->type);

	if (!r || (r->class_ != ANY && r->class_ != class_))
		return -EBADMSG;
	if (h->len < r->len_min || h->len > r->len_max)
		return -EBADMSG;
	if (h->flags < r->flags_min || h->flags > r->flags_max)
		return -EBADMSG;
	if (h->from >= MAX_NODES || h->node >= ((r->fields & NODE) ? MAX_NODES : 1))
		return -EBADMSG;
	if (h->acks >= ((r->fields & ACKS) ? MAX_NODES : 1))
		return -EBADMSG;
	if ((h->ticket && !(r->fields & TICKET)) || (h->stamp && !(r->fields & STAMP)))
		return -EBADMSG;
	if (h->ticket_node >= ((r->fields & LENT) && h->ticket ? MAX_NODES : 1))
		return -EBADMSG;
	if (!addr_is_allowed(r, h->addr))
		return -EBADMSG;
	if (h->more && (!(r->fields & MORE) || !run_is_allowed(h)))
		return -EBADMSG;
	if (h->type == WIRE_GRANT && !grant_is_consistent(h))
		return -EBADMSG;
	return 0;
}

bool wire_may_run(uint8_t type)
{
	const struct rule *r = rule_of(type);

	return r && (r->fields & MORE);
}

bool wire_has_stamp(uint8_t type)
{
	const struct rule *r = rule_of(type);

	return r && (r->fields & STAMP);
}

const char *wire_type_name(uint8_t type)
{
	const struct rule *r = rule_of(type);

	return r ? r->name : "?";
}
