/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/vcpu_times.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "base/clock.h"

/* Return: 0; -ENOENT when the thread has ended, or the kernel does not count. */
static int scheduled(uint32_t tid, uint64_t *ran, uint64_t *descheduled)
{
	char path[64], text[96];
	unsigned long long on, off;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%u/schedstat", tid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -ENOENT;
	text[n] = '\0';
	if (sscanf(text, "%llu %llu", &on, &off) != 2)
		return -ENOENT;
	*ran = on;
	*descheduled = off;
	return 0;
}

void vcpu_times_begin(struct vcpu_spent *s)
{
	atomic_store(&s->tid, (uint32_t)syscall(SYS_gettid));
	atomic_store(&s->began, clock_now_ns());
}

void vcpu_times_end(struct vcpu_spent *s)
{
	uint64_t ran = 0, descheduled = 0;

	scheduled(atomic_load(&s->tid), &ran, &descheduled);
	atomic_store(&s->ran, ran);
	atomic_store(&s->descheduled, descheduled);
	atomic_store(&s->ended, clock_now_ns());
}

void vcpu_rest(struct vcpu_spent *s, enum vcpu_rest kind, bool begins)
{
	int64_t now = (int64_t)clock_now_ns();
	int64_t sum = atomic_load_explicit(&s->rested[kind], memory_order_relaxed);

	atomic_store_explicit(&s->rested[kind], begins ? sum - now : sum + now,
			      memory_order_relaxed);
}

void vcpu_times(const struct vcpu_spent *s, struct vcpu_times *ret)
{
	uint64_t began = atomic_load(&s->began), ended;

	*ret = (struct vcpu_times){0};
	if (!began)
		return;
	/* One that ends meanwhile has left its figures. */
	if (!atomic_load(&s->ended))
		scheduled(atomic_load(&s->tid), &ret->ran, &ret->descheduled);
	ended = atomic_load(&s->ended);
	if (ended) {
		ret->ran = atomic_load(&s->ran);
		ret->descheduled = atomic_load(&s->descheduled);
	}
	for (unsigned kind = 0; kind < VCPU_RESTS; kind++) {
		int64_t sum = atomic_load(&s->rested[kind]);

		ret->rested[kind] = (uint64_t)(sum < 0 ? sum + (int64_t)clock_now_ns() : sum);
	}
	ret->alive = (ended ?: clock_now_ns()) - began;
}
