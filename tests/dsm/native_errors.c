/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's calls fail on node 1: for good, then it says why, node 0 blames it, and nobody hangs
 * or reads a wrong page, and the same without memory for the directory; or a few times with EAGAIN,
 * or because a page cannot be moved, then nobody notices. And a kernel that is older. The linker
 * puts these functions before the C library's (--wrap).
 */
#include "tests/dsm/native_tests.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "dsm/directory.h"
#include "dsm/staging.h"
#include "dsm/uffd.h"

#define SUCCEED 20  /* calls of the kind that fails, before one does */
#define AGAIN	3   /* times that EAGAIN is answered in a row */
#define OUTSIDE 10  /* times that each node's area is looked at */
#define ROUNDS	400 /* of a run that goes on */

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __real_madvise(void *at, size_t len, int advice);
int __wrap_madvise(void *at, size_t len, int advice);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

/* Of this process, which is one node; NULL: nothing fails. */
static _Atomic(const struct native_errors *) failing;
static _Atomic unsigned calls;

bool native_old_kernel;
static _Atomic unsigned moves;
static uint64_t staging_area; /* 0: there is none */

/* Does nobody notice? */
static bool is_harmless(const struct native_errors *e)
{
	return !e->text;
}

/* Is this call to fail? Then errno says how. */
static bool fails(unsigned long request)
{
	const struct native_errors *e = failing;
	unsigned n;

	if (!e || e->request != request)
		return false;
	n = calls++;
	errno = e->error;
	if (is_harmless(e))
		return n % SUCCEED < AGAIN;
	/* A region's part comes but once. */
	return request == UFFDIO_REGISTER || request == NATIVE_TRACK || request == NATIVE_TOUCH ||
	       n >= SUCCEED;
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	struct uffdio_api *api = arg;
	const struct uffdio_register *reg = arg;
	int r = fails(request) ? -1 : __real_ioctl(fd, request, arg);

	moves += request == NATIVE_MOVE;
	if (request == UFFDIO_REGISTER && reg->range.len == STAGING_AREA * PAGE_BYTES)
		staging_area = reg->range.start;
	if (request == UFFDIO_API && native_old_kernel)
		api->features &= ~NATIVE_FEATURE_MOVE;
	return r;
}

bool native_kernel_moves(void)
{
	struct err err;
	bool can;
	int fd, r = uffd_open(&fd, &can, &err);

	if (r == 0)
		close(fd);
	return r == 0 && can;
}

int __wrap_madvise(void *at, size_t len, int advice)
{
	return advice == MADV_DONTNEED && fails(NATIVE_DONTNEED) ? -1
								 : __real_madvise(at, len, advice);
}

void *__wrap_calloc(size_t count, size_t size)
{
	unsigned long request = size == sizeof(struct home_entry) ? NATIVE_TRACK : NATIVE_TOUCH;

	return count == REGION_PAGES && fails(request) ? NULL : __real_calloc(count, size);
}

/*
 * Where it is harmless: have both nodes done their part? Neither stops before, or the other would
 * have the pages to itself, and no call that can fail. They tell each other by words of the first
 * page.
 */
static bool finished(struct native_node *n, uint64_t i)
{
	uint64_t *done = native_at(n, 0, 64);

	if (i < ROUNDS || i % 64)
		return false;
	if (n->self == 0 || calls > AGAIN)
		__atomic_store_n(&done[n->self], 1, __ATOMIC_RELAXED);
	return __atomic_load_n(&done[0], __ATOMIC_RELAXED) &&
	       __atomic_load_n(&done[1], __ATOMIC_RELAXED);
}

/* Each node adds to words of both nodes' pages; nobody else does to its own words. */
static void *adder(void *arg)
{
	struct native_thread *t = arg;
	struct native_node *n = t->node;
	const struct native_errors *e = n->cfg->ctx;
	uint64_t count[64] = {0};

	for (uint64_t i = 0; !n->told && !(is_harmless(e) && finished(n, i)); i++) {
		uint64_t *page = native_at(n, i & 1, i % 64 * PAGE_BYTES), got = page[n->self];

		if (n->told) /* the pages are what they are by now */
			break;
		NATIVE_CHECK(n, got == count[i & 63], "page %u: %llu", (unsigned)i & 63,
			     (unsigned long long)got);
		page[n->self] = ++count[i & 63];
	}
	return NULL;
}

void errors_body(struct native_node *n)
{
	const struct native_errors *e = n->cfg->ctx;
	struct native_thread t = {.node = n};

	if (n->self == 1)
		failing = e;
	/* A region is tracked once, and node 0's first fault would do. */
	native_barrier(n);
	native_thread_start(&t, adder);
	while (!is_harmless(e) && !n->told)
		usleep(1000);
	if (is_harmless(e)) {
		pthread_join(t.id, NULL);
		NATIVE_CHECK(n, !n->told && (n->self == 0 || calls > AGAIN), "%s", n->fatal_text);
		native_barrier(n);
		return;
	}
	NATIVE_CHECK(n, n->culprit == (n->self ? -1 : 1), "%d: %s", n->culprit, n->fatal_text);
	NATIVE_CHECK(n, n->self == 0 || strstr(n->fatal_text, e->text), "%s", n->fatal_text);
	pager_stop(n->pager);
	NATIVE_CHECK(n, pthread_join(t.id, NULL) == 0, "join");
}

/* A thread that has no business there looks at where pages lie before they are sent. */
static void look_outside(void)
{
	for (unsigned i = 0; staging_area && i < STAGING_AREA; i++)
		(void)*(volatile uint64_t *)(staging_area + i * PAGE_BYTES);
}

/* Pages go to and fro, and leave in the way that the kernel has. */
void moves_body(struct native_node *n)
{
	uint64_t *turns = native_at(n, 0, PAGE_BYTES);

	totals_body(n);
	NATIVE_CHECK(n, (moves > 0) == native_kernel_moves(), "%u moves", moves);
	NATIVE_CHECK(n, !staging_area == !native_kernel_moves(), "no area");
	for (unsigned i = 0; i < 2 * OUTSIDE; i++) {
		if (i % 2 == n->self)
			++*turns;
		else
			look_outside();
		native_barrier(n);
	}
	NATIVE_CHECK(n, *turns == 2 * OUTSIDE && !n->told, "%s", n->fatal_text);
}
