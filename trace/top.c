/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/top.h"

#include "wire/msg.h"

#define BUCKETS 65536

struct table {
	struct trace_top *top;
	struct trace_hot_page *bucket[BUCKETS];
	size_t pages;
};

static struct trace_hot_page *page_of(struct table *t, uint64_t gpa)
{
	struct trace_hot_page **bucket = &t->bucket[(gpa / PAGE_BYTES) % BUCKETS], *p;

	for (p = *bucket; p; p = p->next)
		if (p->page == gpa)
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct trace_hot_page){.page = gpa, .next = *bucket};
	*bucket = p;
	t->pages++;
	return p;
}

static int moved(struct trace_hot_page *p, unsigned from, unsigned to, bool taken)
{
	struct trace_pair *more;

	for (unsigned i = 0; i < p->pairs; i++)
		if (p->pair[i].from == from && p->pair[i].to == to && p->pair[i].taken == taken) {
			p->pair[i].times++;
			return 0;
		}
	more = reallocarray(p->pair, p->pairs + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	p->pair = more;
	p->pair[p->pairs++] = (struct trace_pair){(uint8_t)from, (uint8_t)to, taken, 1};
	return 0;
}

/* ---- one record ---- */

static uint64_t bit(unsigned node)
{
	return UINT64_C(1) << node;
}

static void on_fault(struct trace_node_sum *n, struct trace_hot_page *p, unsigned node, bool write)
{
	n->reads += !write;
	n->writes += write;
	p->reads += !write;
	p->writes += write;
	if (p->guessed & bit(node)) {
		n->joined++;
		p->joined++;
	}
	p->guessed &= ~bit(node);
}

static void on_loss(struct trace_node_sum *n, struct trace_hot_page *p, unsigned node)
{
	if (p->guessed & bit(node)) {
		n->unseen++;
		p->unseen++;
	}
	p->guessed &= ~bit(node);
}

static void on_wait(struct trace_node_sum *n, struct trace_hot_page *p, uint64_t ns)
{
	if (!ns)
		return;
	n->waits++;
	n->waited_ns += ns;
	p->waits++;
	p->waited_ns += ns;
}

/* The answer tells for whom the page left: with the page, or after its copy was dropped. */
static int on_sent(struct trace_node_sum *n, struct trace_hot_page *p, unsigned node,
		   const struct trace_record *r)
{
	bool grant = r->what == WIRE_GRANT, data = grant && r->flags & WIRE_GRANT_DATA;
	bool answers = grant || r->what == WIRE_INV_ACK || r->what == WIRE_DROPPED;
	bool dropped = answers && p->dropped & bit(node);

	n->gave += data;
	if (data && r->flags & WIRE_GRANT_WRITE)
		on_loss(n, p, node);
	if (dropped)
		p->dropped &= ~bit(node);
	/* A copy that was put back is nobody else's. */
	if (data || (dropped && r->what != WIRE_DROPPED))
		return moved(p, node, r->node, dropped || r->flags & WIRE_GRANT_WRITE);
	return 0;
}

static int on_page(struct trace_node_sum *n, struct trace_hot_page *p, unsigned node,
		   const struct trace_record *r)
{
	switch (r->kind) {
	case TRACE_FAULT:
		on_fault(n, p, node, r->flags & TRACE_WRITE);
		break;
	case TRACE_MAP:
	case TRACE_UNPROTECT:
		on_wait(n, p, r->value);
		break;
	case TRACE_DROP:
		on_loss(n, p, node);
		p->dropped |= bit(node);
		break;
	case TRACE_GUESS:
		n->recalls += r->what == TRACE_RECALL;
		n->aheads += r->what == TRACE_AHEAD;
		p->guesses++;
		p->guessed |= bit(node);
		break;
	case TRACE_SENT:
		return on_sent(n, p, node, r);
	case TRACE_RECEIVED:
		n->got += r->what == WIRE_GRANT && r->flags & WIRE_GRANT_DATA;
		break;
	default:
		break;
	}
	return 0;
}

/* What is about no page, or about many. Return: whether it was. */
static bool on_node(struct trace_node_sum *n, const struct trace_record *r)
{
	switch (r->kind) {
	case TRACE_TURN_END:
		n->turns[r->what]++;
		n->turns_ns += r->value;
		return true;
	case TRACE_JUDGED:
		n->right += r->value & UINT32_MAX;
		n->wrong += r->value >> 32;
		return true;
	case TRACE_CAME:
		n->came++;
		return true;
	case TRACE_LEFT:
		n->left++;
		return true;
	case TRACE_TRACK:
	case TRACE_UNTRACK:
	case TRACE_GAP:
	case TRACE_TURN_BEGIN:
		return true;
	default:
		return false;
	}
}

/* ---- all of them ---- */

static int count_shard(struct table *t, const struct trace_file *f, unsigned node, unsigned shard)
{
	struct trace_node_sum *n = &t->top->node[node];
	struct trace_cursor c = {f, shard};
	uint64_t first = 0, last = 0;
	struct trace_record r;
	int error = 0;

	while (error == 0 && trace_cursor_next(&c, &r)) {
		struct trace_hot_page *p;

		first = c.index == 1 ? r.time : MIN(first, r.time);
		last = MAX(last, r.time);
		n->records++;
		if (on_node(n, &r))
			continue;
		p = page_of(t, r.addr);
		error = p ? on_page(n, p, node, &r) : -ENOMEM;
	}
	n->ticks = MAX(n->ticks, last - first);
	return error;
}

static int by_times(const void *a, const void *b)
{
	const struct trace_pair *x = a, *y = b;

	return x->times == y->times ? 0 : x->times < y->times ? 1 : -1;
}

static uint64_t moves(const struct trace_hot_page *p)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < p->pairs; i++)
		sum += p->pair[i].times;
	return sum;
}

static int by_heat(const void *a, const void *b)
{
	const struct trace_hot_page *x = *(struct trace_hot_page *const *)a;
	const struct trace_hot_page *y = *(struct trace_hot_page *const *)b;
	uint64_t left = x->waited_ns, right = y->waited_ns;

	if (left == right) {
		left = moves(x);
		right = moves(y);
	}
	if (left == right) {
		left = y->page;
		right = x->page;
	}
	return left == right ? 0 : left < right ? 1 : -1;
}

static int sort(struct table *t)
{
	struct trace_top *top = t->top;

	top->page = calloc(t->pages ?: 1, sizeof(*top->page));
	if (!top->page)
		return -ENOMEM;
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct trace_hot_page *p = t->bucket[i]; p; p = p->next) {
			if (p->pairs)
				qsort(p->pair, p->pairs, sizeof(*p->pair), by_times);
			top->page[top->pages++] = p;
		}
	qsort(top->page, top->pages, sizeof(*top->page), by_heat);
	return 0;
}

static void page_free(struct trace_hot_page *p)
{
	free(p->pair);
	free(p);
}

/* The pages are the table's as long as they are in no order. */
static void table_free(struct table *t, bool pages)
{
	for (unsigned i = 0; pages && i < BUCKETS; i++)
		for (struct trace_hot_page *p = t->bucket[i], *next; p; p = next) {
			next = p->next;
			page_free(p);
		}
	free(t);
}

int trace_top(const struct trace_set *set, struct trace_top *ret)
{
	struct trace_top top = {.nodes = set->nodes};
	struct table *t = calloc(1, sizeof(*t));
	int r = 0;

	if (!t)
		return -ENOMEM;
	t->top = &top;
	for (unsigned node = 0; node < set->nodes; node++)
		for (unsigned shard = 0; r == 0 && shard < set->shards; shard++)
			r = count_shard(t, set->node[node], node, shard);
	if (r == 0)
		r = sort(t);
	table_free(t, r < 0);
	if (r == 0)
		*ret = top;
	return r;
}

void trace_top_free(struct trace_top *top)
{
	for (size_t i = 0; i < top->pages; i++)
		page_free(top->page[i]);
	free(top->page);
}
