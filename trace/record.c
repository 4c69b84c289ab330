/* SPDX-License-Identifier: Apache-2.0 */
/* One table says what a record of each kind may hold, as for messages (wire/msg.c). */
#include "trace/record.h"

#include <stdio.h>

#include "wire/msg.h"

enum {
	ADDR_ZERO,
	ADDR_PAGE,
	ADDR_PAGES, /* 64 of them */
	ADDR_REGION,
};

struct rule {
	const char *name;
	uint8_t addr;
	bool value;	   /* may be other than 0 */
	uint8_t whats;	   /* `what` is below that */
	uint8_t flags_max; /* the largest value of `flags` */
	bool ticket;
};

/* clang-format off */
static const struct rule rules[TRACE_KINDS] = {
	[TRACE_GAP]        = {"gap",        ADDR_ZERO,   true,  1, 0, false},
	[TRACE_FAULT]      = {"fault",      ADDR_PAGE,   true,  1, TRACE_WRITE, false},
	[TRACE_SENT]       = {"sent",       ADDR_PAGE,   false, 0, 0, false}, /* see below */
	[TRACE_RECEIVED]   = {"received",   ADDR_PAGE,   false, 0, 0, false},
	[TRACE_MAP]        = {"map",        ADDR_PAGE,   true,  1, TRACE_WRITE | TRACE_ZERO, false},
	[TRACE_UNPROTECT]  = {"unprotect",  ADDR_PAGE,   true,  1, 0, false},
	[TRACE_PROTECT]    = {"protect",    ADDR_PAGE,   false, 1, 0, false},
	[TRACE_DROP]       = {"drop",       ADDR_PAGE,   false, 1, 0, false},
	[TRACE_WAKE]       = {"wake",       ADDR_PAGE,   false, 1, 0, false},
	[TRACE_TRACK]      = {"track",      ADDR_PAGES,  true,  1, 0, false},
	[TRACE_UNTRACK]    = {"untrack",    ADDR_REGION, false, 1, 0, false},
	[TRACE_CAME]       = {"came",       ADDR_REGION, false, 1, 0, false},
	[TRACE_LEFT]       = {"left",       ADDR_REGION, false, 1, 0, false},
	[TRACE_GUESS]      = {"guess",      ADDR_PAGE,   false, TRACE_GUESSES, TRACE_WRITE, false},
	[TRACE_JUDGED]     = {"judged",     ADDR_PAGE,   true,  1, 0, false},
	[TRACE_TURN_BEGIN] = {"turn begins", ADDR_ZERO,  false, 1, 0, true},
	[TRACE_TURN_END]   = {"turn ends",  ADDR_ZERO,   true,  TRACE_TURNS, 0, true},
};
/* clang-format on */

static bool is_message(const struct trace_record *r)
{
	return r->kind == TRACE_SENT || r->kind == TRACE_RECEIVED;
}

static bool addr_is_good(uint8_t rule, uint64_t addr)
{
	static const uint64_t unit[] = {
		[ADDR_PAGE] = PAGE_BYTES,
		[ADDR_PAGES] = 64 * PAGE_BYTES,
		[ADDR_REGION] = REGION_BYTES,
	};

	return rule == ADDR_ZERO ? addr == 0 : addr < GPA_LIMIT && addr % unit[rule] == 0;
}

/* The same header as it was on its way; wire_check() knows the rest. */
static bool message_is_good(const struct trace_record *r, unsigned nodes)
{
	struct wire_hdr h = {
		.type = r->what,
		.flags = r->flags,
		.node = r->node,
		.acks = r->acks,
		.ticket = r->ticket,
		.ticket_node = r->ticket_node,
		.addr = r->addr,
	};

	if (r->peer >= nodes || r->node >= nodes || r->ticket_node >= nodes)
		return false;
	if (h.type == WIRE_HOME)
		h.len = sizeof(struct wire_home);
	else if (h.flags & WIRE_GRANT_DATA)
		h.len = PAGE_BYTES;
	return h.type != WIRE_HELLO && h.type != WIRE_REFUSE &&
	       wire_check(&h, WIRE_CLASS_PAGE) == 0;
}

int trace_record_check(const struct trace_record *r, unsigned nodes)
{
	const struct rule *rule = r->kind < TRACE_KINDS ? &rules[r->kind] : NULL;

	if (!rule || !rule->name || !addr_is_good(rule->addr, r->addr) ||
	    (r->value && !rule->value))
		return -EBADMSG;
	if (is_message(r))
		return message_is_good(r, nodes) ? 0 : -EBADMSG;
	if (r->what >= rule->whats || r->flags > rule->flags_max || r->peer || r->node || r->acks ||
	    r->ticket_node || (r->ticket && !rule->ticket))
		return -EBADMSG;
	return 0;
}

const char *trace_turn_name(enum trace_turn why)
{
	static const char *const names[TRACE_TURNS] = {
		[TRACE_TURN_IDLE] = "idle",	      [TRACE_TURN_RAN] = "ran",
		[TRACE_TURN_YIELDED] = "yielded",     [TRACE_TURN_RAN_OUT] = "ran_out",
		[TRACE_TURN_NEVER_RAN] = "never_ran",
	};

	return why < TRACE_TURNS ? names[why] : "?";
}

static void message_text(const struct trace_record *r, char *buf, size_t len)
{
	snprintf(buf, len, "%s %s%s%s%s %s node %u for node %u%s", rules[r->kind].name,
		 wire_type_name(r->what),
		 r->what == WIRE_GRANT && r->flags & WIRE_GRANT_WRITE ? " write" : "",
		 r->what == WIRE_GRANT && r->flags & WIRE_GRANT_DATA ? " data" : "",
		 r->what == WIRE_GRANT && r->flags & WIRE_GRANT_ZERO ? " zero" : "",
		 r->kind == TRACE_SENT ? "to" : "from", r->peer, r->node,
		 r->acks ? ", acknowledgements to come" : "");
}

const char *trace_record_text(const struct trace_record *r, char *buf, size_t len)
{
	const char *name = r->kind < TRACE_KINDS ? rules[r->kind].name : NULL;

	if (is_message(r))
		message_text(r, buf, len);
	else if (r->kind == TRACE_TURN_END)
		snprintf(buf, len, "%s: %s", name, trace_turn_name((enum trace_turn)r->what));
	else
		snprintf(buf, len, "%s%s%s", name ?: "?",
			 r->kind != TRACE_TURN_BEGIN && r->flags & TRACE_WRITE ? " to write" : "",
			 r->kind == TRACE_MAP && r->flags & TRACE_ZERO ? ", zero" : "");
	return buf;
}
