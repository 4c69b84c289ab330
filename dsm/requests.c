/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/requests.h"

int requests_init(struct request_pool *p, unsigned nodes, unsigned per_node)
{
	uint32_t count = nodes * per_node;

	p->per_node = per_node;
	p->slot = calloc((size_t)count + 1, sizeof(p->slot[0]));
	if (!p->slot)
		return -ENOMEM;
	for (uint32_t i = 1; i <= count; i++)
		p->slot[i].next = i < count ? i + 1 : 0;
	p->unused = 1;
	return 0;
}

void requests_free(struct request_pool *p)
{
	free(p->slot);
}

/* At most one step a node of the cluster. */
static bool has_node(const struct request_pool *p, uint32_t queue, unsigned node)
{
	uint32_t at = queue;

	if (!queue)
		return false;
	do {
		if (p->slot[at].node == node)
			return true;
		at = p->slot[at].next;
	} while (at != queue);
	return false;
}

int requests_push(struct request_pool *p, uint32_t *queue, const struct request *request)
{
	unsigned node = request->node;
	uint32_t at = p->unused;
	struct request *r = &p->slot[at];

	if (p->waiting[node] >= p->per_node || has_node(p, *queue, node))
		return -EPROTO;
	p->unused = r->next;
	p->waiting[node]++;
	*r = *request;
	r->next = at;
	if (*queue) {
		r->next = p->slot[*queue].next;
		p->slot[*queue].next = at;
	}
	*queue = at;
	return 0;
}

uint64_t requests_nodes(const struct request_pool *p, uint32_t queue, bool readers)
{
	uint64_t nodes = 0;
	uint32_t at = queue;

	if (!queue)
		return 0;
	do {
		if (!readers || !p->slot[at].write)
			nodes |= UINT64_C(1) << p->slot[at].node;
		at = p->slot[at].next;
	} while (at != queue);
	return nodes;
}

struct ticket requests_oldest(const struct request_pool *p, uint32_t queue, struct ticket ticket)
{
	uint32_t at = queue;

	if (!queue)
		return ticket;
	do {
		ticket = ticket_oldest(ticket, request_ticket(&p->slot[at]));
		at = p->slot[at].next;
	} while (at != queue);
	return ticket;
}

bool requests_pop(struct request_pool *p, uint32_t *queue, struct request *ret)
{
	uint32_t first;

	if (!*queue)
		return false;
	first = p->slot[*queue].next;
	*ret = p->slot[first];
	if (first == *queue)
		*queue = 0;
	else
		p->slot[*queue].next = ret->next;
	p->waiting[ret->node]--;
	p->slot[first].next = p->unused;
	p->unused = first;
	return true;
}
