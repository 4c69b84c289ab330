/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/moving.h"

struct part {
	struct wire_part head;
	uint8_t bytes[WIRE_PART_MAX];
};
static_assert(sizeof(struct part) == WIRE_PAYLOAD_MAX, "fits a message");

void moving_init(struct moving *m, struct interrupts *irq)
{
	m->irq = irq;
}

void moving_free(struct moving *m)
{
	for (unsigned k = 0; k < MAX_NODE_VCPUS; k++)
		free(m->arriving[k].image);
}

static void send_image(struct link *to, const struct vcpu_image *image)
{
	const struct wire_hdr hdr = {.type = WIRE_VCPU_STATE, .addr = image->index};
	struct part part;

	for (size_t done = 0; done < sizeof(*image);) {
		size_t len = MIN(sizeof(*image) - done, WIRE_PART_MAX);
		part.head = (struct wire_part){.offset = (uint32_t)done};
		memcpy(part.bytes, (const uint8_t *)image + done, len);
		link_send(to, hdr, &part, sizeof(part.head) + len);
		done += len;
	}
}

void moving_leave(struct moving *m, struct vcpu *v, const struct vcpu_image *image)
{
	send_image(&m->irq->links[m->irq->topology->node[v->index]], image);
	/* Not before: what is sent from now on goes behind it. */
	interrupts_moved(m->irq, v->index);
	atomic_fetch_add(&m->left, 1);
}

static void announce(struct moving *m, unsigned index)
{
	const struct wire_hdr hdr = {.type = WIRE_VCPU_HOME, .addr = index};

	for (unsigned node = 1; node < m->irq->topology->nodes; node++)
		if (node != m->irq->self)
			link_send(&m->irq->links[node], hdr, NULL, 0);
}

/* The vCPU's number on this node; negative for one that cannot come from @from. */
static int expected(const struct moving *m, unsigned from, uint64_t index)
{
	const struct topology *t = m->irq->topology;

	if (from != 0 || index >= t->vcpus || t->node[index] != m->irq->self ||
	    atomic_load(&m->irq->at[index]) == m->irq->self)
		return -EPROTO;
	return (int)(index - t->first[m->irq->self]);
}

int moving_state(struct moving *m, unsigned from, const struct wire_hdr *h, const void *payload)
{
	int number = expected(m, from, h->addr);
	size_t len = h->len - sizeof(struct wire_part);
	struct wire_part head;

	if (number < 0)
		return number;
	struct vcpu_image **image = &m->arriving[number].image;
	size_t *had = &m->arriving[number].len;
	memcpy(&head, payload, sizeof(head));
	if (head.offset != *had || head.reserved || len > sizeof(**image) - *had)
		return -EPROTO;
	if (!*image && !(*image = malloc(sizeof(**image))))
		return -ENOMEM;
	memcpy((uint8_t *)*image + *had, (const uint8_t *)payload + sizeof(head), len);
	*had += len;
	if (*had < sizeof(**image))
		return 0;

	unsigned index = (unsigned)h->addr;
	vcpu_arrive(m->irq->vcpus[index], TAKE_PTR(*image));
	interrupts_moved(m->irq, index);
	atomic_fetch_add(&m->arrived, 1);
	announce(m, index);
	return 1;
}

int moving_home(struct moving *m, unsigned from, const struct wire_hdr *h)
{
	const struct topology *t = m->irq->topology;

	/* Node 0 knew it first. */
	if (m->irq->self == 0 || h->addr >= t->vcpus || t->node[h->addr] != from)
		return -EPROTO;
	interrupts_moved(m->irq, (unsigned)h->addr);
	return 0;
}
