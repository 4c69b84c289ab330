/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/moving.h"

#define ERRNO_LAST 4095 /* as Linux has it */

struct part {
	struct wire_part head;
	uint8_t bytes[WIRE_PART_MAX];
};
static_assert(sizeof(struct part) == WIRE_EVENT_MAX, "fits a message");

void moving_init(struct moving *m, struct interrupts *irq)
{
	m->irq = irq;
	for (unsigned i = 0; i < irq->topology->vcpus; i++)
		if (place_get(&irq->at[i]).node == irq->self)
			atomic_fetch_add(&m->here, 1);
}

void moving_free(struct moving *m)
{
	for (unsigned i = 0; i < MAX_VCPUS; i++)
		free(m->arriving[i].image);
}

/* The newest that this node knows, a state that is just leaving included. */
static struct where newest(const struct moving *m, uint64_t index)
{
	struct where at = place_get(&m->irq->at[index]), sent = place_get(&m->sent[index]);

	return sent.generation > at.generation ? sent : at;
}

/* Tells node @to, or all others, of a place. */
static void tell(struct moving *m, unsigned to, enum wire_type type, unsigned index,
		 const struct wire_place *place)
{
	const struct wire_hdr hdr = {.type = (uint8_t)type, .addr = index};

	link_send(&m->irq->links[to], hdr, place, sizeof(*place));
}

static void announce(struct moving *m, unsigned index, uint32_t generation)
{
	const struct wire_place place = {.generation = generation};

	for (unsigned node = 0; node < m->irq->topology->nodes; node++)
		if (node != m->irq->self)
			tell(m, node, WIRE_VCPU_AT, index, &place);
}

static void send_image(struct link *to, uint32_t generation, const struct wire_vcpu *image)
{
	const struct wire_hdr hdr = {.type = WIRE_VCPU_STATE, .addr = image->index};
	struct part part;

	for (size_t done = 0; done < sizeof(*image);) {
		size_t len = MIN(sizeof(*image) - done, WIRE_PART_MAX);
		part.head = (struct wire_part){(uint32_t)done, generation};
		memcpy(part.bytes, (const uint8_t *)image + done, len);
		link_send(to, hdr, &part, sizeof(part.head) + len);
		done += len;
	}
}

int moving_leave(struct moving *m, struct vcpu *v, unsigned to, const struct wire_vcpu *image)
{
	struct where next = {to, place_get(&m->irq->at[v->index]).generation + 1};

	/* One is left for a refusal. */
	if (next.generation >= PLACE_GENERATION_MAX - 1)
		return -EOVERFLOW;
	place_learn(&m->sent[v->index], next);
	atomic_fetch_sub(&m->here, 1);
	atomic_fetch_add(&m->left, 1);
	send_image(&m->irq->links[to], next.generation, image);
	/* Not before: what is sent from now on goes behind it. No news if it is back already. */
	place_learn(&m->irq->at[v->index], next);
	return 0;
}

void moving_refuse(struct moving *m, struct vcpu *v, int error)
{
	const struct arrival *a = &m->arriving[v->index];
	struct where back = {a->from, a->here.generation + 1};
	const struct wire_place place = {back.generation, error};

	place_learn(&m->sent[v->index], back);
	atomic_fetch_sub(&m->here, 1);
	tell(m, back.node, WIRE_VCPU_REFUSED, v->index, &place);
	place_learn(&m->irq->at[v->index], back);
}

/*
 * May node @node have this vCPU? Whoever believed a third one would take the true move of the two
 * that may for a breach of the protocol.
 */
static bool may_have(const struct moving *m, unsigned node, uint64_t index)
{
	return m->anywhere || node == 0 || node == m->irq->topology->node[index];
}

/* May this vCPU, which is elsewhere, come here from node @from with this generation? */
static bool may_come(const struct moving *m, unsigned from, uint64_t index, uint32_t generation)
{
	if (index >= m->irq->topology->vcpus || !m->irq->vcpus[index] || !may_have(m, from, index))
		return false;
	struct where at = newest(m, index);
	return at.node != m->irq->self && generation > at.generation &&
	       generation < PLACE_GENERATION_MAX;
}

/* The vCPU is here; its thread was told. */
static void arrived(struct moving *m, unsigned index, uint32_t generation)
{
	place_learn(&m->irq->at[index], (struct where){m->irq->self, generation});
	atomic_fetch_add(&m->here, 1);
	announce(m, index, generation);
}

int moving_state(struct moving *m, unsigned from, const struct wire_hdr *h, const void *payload)
{
	size_t len = h->len - sizeof(struct wire_part);
	struct wire_part head;

	memcpy(&head, payload, sizeof(head));
	if (!may_come(m, from, h->addr, head.generation))
		return -EPROTO;
	struct arrival *a = &m->arriving[h->addr];
	if (head.offset != a->len || len > sizeof(*a->image) - a->len ||
	    (a->len && (a->from != from || a->here.generation != head.generation)))
		return -EPROTO;
	if (!a->image && !(a->image = malloc(sizeof(*a->image))))
		return -ENOMEM;
	a->from = from;
	a->here = (struct where){m->irq->self, head.generation};
	memcpy((uint8_t *)a->image + a->len, (const uint8_t *)payload + sizeof(head), len);
	a->len += len;
	if (a->len < sizeof(*a->image))
		return 0;

	a->len = 0;
	if (wire_vcpu_check(a->image) < 0 || a->image->index != h->addr)
		return -EPROTO;
	vcpu_arrive(m->irq->vcpus[h->addr], TAKE_PTR(a->image));
	arrived(m, (unsigned)h->addr, head.generation);
	atomic_fetch_add(&m->arrived, 1);
	return 1;
}

int moving_refused(struct moving *m, unsigned from, const struct wire_hdr *h, const void *payload)
{
	struct wire_place place;

	memcpy(&place, payload, sizeof(place));
	if (place.error >= 0 || place.error < -ERRNO_LAST ||
	    !may_come(m, from, h->addr, place.generation))
		return -EPROTO;
	/* Only the move that it was sent away with. */
	struct where sent = place_get(&m->sent[h->addr]);
	if (sent.node != from || sent.generation != place.generation - 1)
		return -EPROTO;
	vcpu_return(m->irq->vcpus[h->addr]);
	arrived(m, (unsigned)h->addr, place.generation);
	atomic_fetch_add(&m->returned, 1);
	return 0;
}

int moving_at(struct moving *m, unsigned from, const struct wire_hdr *h, const void *payload)
{
	struct wire_place place;

	memcpy(&place, payload, sizeof(place));
	if (h->addr >= m->irq->topology->vcpus || place.error ||
	    place.generation >= PLACE_GENERATION_MAX || !may_have(m, from, h->addr))
		return -EPROTO;
	/* What is here is nowhere else. */
	struct where at = newest(m, h->addr);
	if (at.node == m->irq->self && place.generation > at.generation)
		return -EPROTO;
	int r = place_learn(&m->irq->at[h->addr], (struct where){from, place.generation});
	return MIN(r, 0);
}
