/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/futex.h>
#include <sys/syscall.h>

#include "vmm/forward.h"

struct message {
	struct wire_io head;
	uint8_t data[WIRE_IO_DATA_MAX];
};
static_assert(sizeof(struct message) <= WIRE_EVENT_MAX, "fits a message");

void forward_init(struct forward *f, struct link *links)
{
	f->links = links;
	pthread_mutex_init(&f->lock, NULL);
}

static size_t bytes_of(const struct wire_io *head)
{
	return (size_t)head->size * head->count;
}

static size_t encode(struct message *m, uint64_t cookie, const struct vcpu_io *io, bool with_data)
{
	m->head = (struct wire_io){
		.cookie = cookie,
		.addr = io->addr,
		.count = io->count,
		.size = io->size,
		.write = io->write,
		.mmio = io->mmio,
	};
	if (!with_data)
		return sizeof(m->head);
	memcpy(m->data, io->data, bytes_of(&m->head));
	return sizeof(m->head) + bytes_of(&m->head);
}

static void wait_for_end(struct forward_slot *slot)
{
	while (atomic_load(&slot->state) == FORWARD_WAITS)
		syscall(SYS_futex, &slot->state, FUTEX_WAIT_PRIVATE, FORWARD_WAITS, NULL, NULL, 0);
}

/* Under the lock. The word changes first: whoever is about to wait for it does not. */
static void end(struct forward_slot *slot, enum forward_state how)
{
	atomic_store(&slot->state, how);
	syscall(SYS_futex, &slot->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* One message's worth of an access. */
static int forward_part(struct forward *f, unsigned node, unsigned number, struct vcpu_io *io)
{
	struct forward_slot *slot = &f->slot[number];
	struct message m;

	pthread_mutex_lock(&f->lock);
	if (f->cancelled) {
		pthread_mutex_unlock(&f->lock);
		return -ECANCELED;
	}
	uint64_t cookie = ++f->sequence << 8 | number;
	slot->cookie = cookie;
	slot->io = io;
	atomic_store(&slot->state, FORWARD_WAITS);
	pthread_mutex_unlock(&f->lock);

	size_t len = encode(&m, cookie, io, io->write);
	link_send(&f->links[node], (struct wire_hdr){.type = WIRE_IO_REQUEST}, &m, len);
	wait_for_end(slot);

	pthread_mutex_lock(&f->lock);
	slot->cookie = 0;
	slot->io = NULL;
	pthread_mutex_unlock(&f->lock);
	return atomic_load(&slot->state) == FORWARD_ANSWERED ? 0 : -ECANCELED;
}

int forward_io(struct forward *f, unsigned node, unsigned number, struct vcpu_io *io)
{
	uint32_t most = (uint32_t)(WIRE_IO_DATA_MAX / io->size);

	if (number >= MAX_NODE_VCPUS)
		return -EINVAL;
	for (uint32_t done = 0; done < io->count;) {
		struct vcpu_io part = *io;
		part.count = MIN(io->count - done, most);
		part.data = (uint8_t *)io->data + (size_t)done * io->size;
		int r = forward_part(f, node, number, &part);
		if (r < 0)
			return r;
		done += part.count;
	}
	return 0;
}

/* Is this reply about @io, with as much data as that reads? */
static bool answers(const struct wire_hdr *h, const struct wire_io *head, const struct vcpu_io *io)
{
	return head->addr == io->addr && head->count == io->count && head->size == io->size &&
	       head->write == io->write && head->mmio == io->mmio && !head->reserved &&
	       h->len == sizeof(*head) + (io->write ? 0 : bytes_of(head));
}

int forward_answer(struct forward *f, const struct wire_hdr *h, const void *payload)
{
	struct wire_io head;
	int r = -EPROTO;

	memcpy(&head, payload, sizeof(head));
	unsigned number = head.cookie & 0xff;
	if (number >= MAX_NODE_VCPUS)
		return -EPROTO;

	struct forward_slot *slot = &f->slot[number];
	pthread_mutex_lock(&f->lock);
	if (head.cookie && slot->cookie == head.cookie && answers(h, &head, slot->io)) {
		memcpy(slot->io->data, (const uint8_t *)payload + sizeof(head),
		       h->len - sizeof(head));
		slot->cookie = 0;
		r = 0;
		end(slot, FORWARD_ANSWERED);
	}
	/* A vCPU that was told to stop does not wait for its answer: not the peer's fault. */
	if (f->cancelled)
		r = 0;
	pthread_mutex_unlock(&f->lock);
	return r;
}

void forward_cancel(struct forward *f)
{
	pthread_mutex_lock(&f->lock);
	f->cancelled = true;
	for (unsigned i = 0; i < MAX_NODE_VCPUS; i++) {
		if (!f->slot[i].cookie)
			continue;
		f->slot[i].cookie = 0;
		end(&f->slot[i], FORWARD_CANCELLED);
	}
	pthread_mutex_unlock(&f->lock);
}

/* What KVM asks for: 1 to 8 bytes of memory, since an access that crosses pages comes in parts. */
static bool is_access(const struct wire_io *head)
{
	if (head->write > 1 || head->mmio > 1 || head->reserved)
		return false;
	if (head->mmio)
		return head->size >= 1 && head->size <= 8 && head->count == 1;
	return (head->size == 1 || head->size == 2 || head->size == 4) && head->count >= 1 &&
	       head->count <= WIRE_IO_DATA_MAX / head->size && head->addr <= UINT16_MAX;
}

int forward_decode(const struct wire_hdr *h, const void *payload, void *data, struct vcpu_io *ret)
{
	struct wire_io head;

	memcpy(&head, payload, sizeof(head));
	if (!is_access(&head) || h->len != sizeof(head) + (head.write ? bytes_of(&head) : 0))
		return -EPROTO;
	if (head.write)
		memcpy(data, (const uint8_t *)payload + sizeof(head), bytes_of(&head));
	*ret = (struct vcpu_io){
		.addr = head.addr,
		.count = head.count,
		.size = head.size,
		.write = head.write,
		.mmio = head.mmio,
		.data = data,
	};
	return 0;
}

void forward_reply(struct link *to, const void *payload, const struct vcpu_io *io)
{
	struct message m;
	struct wire_io request;

	memcpy(&request, payload, sizeof(request));
	size_t len = encode(&m, request.cookie, io, !io->write);
	link_send(to, (struct wire_hdr){.type = WIRE_IO_REPLY}, &m, len);
}
