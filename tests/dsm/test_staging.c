/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that leave (dsm/staging.h), with a real userfaultfd: moved where the kernel can, copied
 * where it does not, and by a kernel that moves none. Guest addresses are offsets into the memory.
 */
#include "tests/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <fcntl.h>

#include "dsm/staging.h"
#include "dsm/uffd.h"

#define BYTES (2 * REGION_BYTES)
#define ADDS  20000

static bool can_move;

struct rig {
	int uffd, pagemap;
	uint8_t *memory;
	struct staging st;
};

static uint64_t hva(const struct rig *r, uint64_t gpa)
{
	return (uintptr_t)r->memory + gpa;
}

static uint64_t content(uint64_t gpa, unsigned word)
{
	return (gpa + word + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void put(struct rig *r, uint64_t gpa, unsigned pages)
{
	uint64_t page[PAGE_BYTES / sizeof(uint64_t)];

	for (unsigned i = 0; i < pages; i++, gpa += PAGE_BYTES) {
		for (unsigned w = 0; w < ARRAY_SIZE(page); w++)
			page[w] = content(gpa, w);
		assert_int_equal(uffd_copy(r->uffd, hva(r, gpa), page, PAGE_BYTES, false), 0);
		staging_came(&r->st, gpa, 1);
	}
}

static unsigned populated(const struct rig *r, uint64_t at, unsigned pages)
{
	uint64_t bits[REGION_PAGES / 64] = {0};
	unsigned n = 0;

	assert_int_equal(uffd_populated(r->pagemap, at, pages, bits), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
		n += (unsigned)__builtin_popcountll(bits[i]);
	return n;
}

/* Takes pages out: they are whole, and no longer here. Return: were all of them moved? */
static bool take(struct rig *r, uint64_t gpa, unsigned pages)
{
	const uint64_t *at;

	assert_int_equal(staging_take(&r->st, hva(r, gpa), gpa, pages, &at), 0);
	assert_int_equal(populated(r, hva(r, gpa), pages), 0);
	for (unsigned i = 0; i < pages; i++)
		for (unsigned w = 0; w < PAGE_BYTES / sizeof(*at); w++)
			assert_int_equal(at[i * PAGE_BYTES / sizeof(*at) + w],
					 content(gpa + i * PAGE_BYTES, w));
	return at != r->st.aside;
}

static struct rig *set_up(bool moves)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct err err;

	assert_non_null(r);
	r->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(r->memory != MAP_FAILED);
	r->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	assert_int_equal(uffd_open(&r->uffd, NULL, &err), 0);
	assert_int_equal(uffd_register(r->uffd, (uintptr_t)r->memory, BYTES), 0);
	assert_int_equal(staging_init(&r->st, r->uffd, moves, BYTES), 0);
	return r;
}

static void tear_down(struct rig *r)
{
	close(r->uffd);
	staging_free(&r->st);
	munmap(r->memory, BYTES);
	close(r->pagemap);
	free(r);
}

static void pages_leave_whole(void **state)
{
	for (unsigned moves = 0; moves <= can_move; moves++) {
		struct rig *r = set_up(moves);

		for (unsigned round = 0; round < 3; round++) {
			put(r, 0, 130);
			assert_int_equal(take(r, 0, 1), moves);
			assert_int_equal(take(r, PAGE_BYTES, 64), moves);
			assert_int_equal(take(r, 65 * PAGE_BYTES, 64), moves);
			assert_int_equal(take(r, 129 * PAGE_BYTES, 1), moves);
		}
		/* One that may only be read is none the worse for it. */
		put(r, 0, 1);
		assert_int_equal(uffd_protect(r->uffd, hva(r, 0), PAGE_BYTES, true), 0);
		assert_int_equal(take(r, 0, 1), moves);
		tear_down(r);
	}
}

/* What was sent takes no memory for long. */
static void what_was_sent_is_dropped(void **state)
{
	struct rig *r = set_up(can_move);

	put(r, 0, 192);
	for (unsigned i = 0; i < 192; i += 3) {
		take(r, i * PAGE_BYTES, 3);
		if (can_move)
			assert_in_range(populated(r, (uintptr_t)r->st.area, STAGING_AREA), 3, 66);
		assert_int_equal(staging_tidy(&r->st), 0);
	}
	assert_in_range(r->st.used, 0, 63);
	tear_down(r);
}

/* They may be of a huge page. */
static void unknown_pages_are_copied(void **state)
{
	struct rig *r = set_up(can_move);

	put(r, 0, 8);
	put(r, REGION_BYTES, 8);
	staging_plain(&r->st, REGION_BYTES + PAGE_BYTES);
	assert_false(take(r, REGION_BYTES, 8));
	assert_int_equal(take(r, 0, 8), can_move);
	/* One that is not known is enough. */
	put(r, 0, 8);
	staging_plain(&r->st, 0);
	staging_came(&r->st, 0, 7);
	assert_int_equal(take(r, 0, 7), can_move);
	assert_false(take(r, 7 * PAGE_BYTES, 1));
	put(r, 0, 8);
	if (can_move)
		r->st.small[0] &= ~UINT64_C(0x10);
	assert_false(take(r, 0, 8));
	tear_down(r);
}

struct other_process {
	pid_t pid; /* 0: there is none */
	int stop[2];
};

/* Another process has the pages, too. Of the first @pages @shared stays so: this one writes to the
 * others. */
static void share(struct rig *r, struct other_process *other, unsigned pages, unsigned shared)
{
	char token;

	assert_int_equal(pipe(other->stop), 0);
	other->pid = fork();
	assert_true(other->pid >= 0);
	if (!other->pid) {
		close(other->stop[1]);
		_exit(read(other->stop[0], &token, 1) != 0);
	}
	for (unsigned i = 0; i < pages; i++)
		if (i != shared)
			*(volatile uint64_t *)(r->memory + i * PAGE_BYTES) =
				content(i * PAGE_BYTES, 0);
}

static void end_sharing(struct other_process *other)
{
	int status;

	if (!other->pid)
		return;
	close(other->stop[0]);
	close(other->stop[1]);
	assert_int_equal(waitpid(other->pid, &status, 0), other->pid);
	assert_int_equal(status, 0);
}

static void shared_pages_are_copied(void **state)
{
	struct rig *r = set_up(can_move);
	struct other_process other;

	put(r, 0, 32);
	share(r, &other, 10, 10);
	assert_int_equal(take(r, 0, 5), can_move);
	assert_false(take(r, 5 * PAGE_BYTES, 20));
	assert_false(take(r, 25 * PAGE_BYTES, 7));
	end_sharing(&other);
	tear_down(r);
}

/* One page in a run: first, last, between others. */
static void pages_around_a_shared_one_are_whole(void **state)
{
	static const unsigned at[] = {0, 3, 7};

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		struct rig *r = set_up(can_move);
		struct other_process other;

		put(r, 0, 8);
		share(r, &other, 8, at[i]);
		assert_false(take(r, 0, 8));
		end_sharing(&other);
		/* What was moved beside it is dropped with the rest, and nothing else is there. */
		for (unsigned n = 0; n < 64; n++) {
			put(r, 0, 8);
			assert_int_equal(take(r, 0, 8), can_move);
		}
		tear_down(r);
	}
}

/*
 * Nobody would answer a fault of who takes the pages: a hole ends it, at the beginning of a run,
 * behind pages that were moved, and behind one that had to be copied.
 */
static void hole_is_an_error(void **state)
{
	static const struct {
		unsigned pages, hole, shared;
	} runs[] = {{1, 0, 1}, {8, 0, 8}, {8, 4, 8}, {8, 7, 8}, {8, 4, 2}, {8, 4, 3}};

	if (!can_move)
		skip();
	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
		struct rig *r = set_up(true);
		struct other_process other = {0};
		const uint64_t *at;

		put(r, 0, runs[i].pages);
		if (runs[i].shared < runs[i].pages)
			share(r, &other, runs[i].pages, runs[i].shared);
		assert_int_equal(uffd_drop(hva(r, runs[i].hole * PAGE_BYTES), PAGE_BYTES), 0);
		assert_int_equal(staging_take(&r->st, hva(r, 0), 0, runs[i].pages, &at), -ENOENT);
		end_sharing(&other);
		tear_down(r);
	}
}

static _Atomic unsigned looking;

/* As a debugger does that copies all of a process. */
static void *look(void *arg)
{
	const struct rig *r = arg;
	uint64_t sum = 0;

	for (unsigned i = 0; i < STAGING_AREA; i++)
		sum += *(volatile uint64_t *)(r->st.area + i * PAGE_BYTES);
	looking--;
	return (void *)sum;
}

static void who_looks_into_the_area_does_no_harm(void **state)
{
	struct rig *r = set_up(can_move);
	struct uffd_fault fault;
	pthread_t thread[2];
	unsigned outside = 0;
	void *sum;

	assert_int_equal(staging_outside(&r->st, hva(r, 0)), 0);
	if (!can_move) {
		tear_down(r);
		skip();
	}
	assert_int_equal(staging_outside(&r->st, (uintptr_t)r->st.area - 1), 0);
	assert_int_equal(staging_outside(&r->st, (uintptr_t)r->st.area + STAGING_AREA * PAGE_BYTES),
			 0);
	looking = 2;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, look, r), 0);
	while (looking) {
		int n = uffd_read(r->uffd, &fault, 1);

		assert_in_range(n, 0, 1);
		if (n == 0)
			continue;
		assert_int_equal(staging_outside(&r->st, fault.hva), 1);
		/* What leaves meanwhile finds its place. */
		if (outside++ % 32 == 0) {
			put(r, 0, 64);
			assert_true(take(r, 0, 64));
			assert_int_equal(staging_tidy(&r->st), 0);
		}
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], &sum), 0);
	for (unsigned i = 0; i < 8; i++) {
		put(r, 0, 64);
		assert_true(take(r, 0, 64));
	}
	assert_true(outside > 0);
	tear_down(r);
}

static _Atomic bool added;

static void *add(void *arg)
{
	uint64_t *word = arg;

	for (unsigned i = 0; i < ADDS; i++)
		__atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) + 1,
				 __ATOMIC_RELAXED);
	added = true;
	return NULL;
}

/* A page comes and goes while a thread writes to it: what it wrote goes along. */
static void nothing_that_is_written_is_lost(void **state)
{
	for (unsigned moves = 0; moves <= can_move; moves++) {
		struct rig *r = set_up(moves);
		uint64_t page[PAGE_BYTES / sizeof(uint64_t)] = {0};
		struct uffd_fault fault;
		unsigned taken = 0;
		const uint64_t *at;
		pthread_t thread;

		added = false;
		assert_int_equal(pthread_create(&thread, NULL, add, r->memory), 0);
		while (!added) {
			int n = uffd_read(r->uffd, &fault, 1);

			assert_in_range(n, 0, 1);
			if (n == 0)
				continue;
			assert_int_equal(fault.hva, hva(r, 0));
			assert_int_equal(uffd_copy(r->uffd, hva(r, 0), page, PAGE_BYTES, false), 0);
			staging_came(&r->st, 0, 1);
			assert_int_equal(staging_take(&r->st, hva(r, 0), 0, 1, &at), 0);
			assert_true(at[0] >= page[0]);
			memcpy(page, at, sizeof(page));
			assert_int_equal(staging_tidy(&r->st), 0);
			taken++;
			/* Let it do something. */
			if (taken % 8 == 0) {
				assert_int_equal(
					uffd_copy(r->uffd, hva(r, 0), page, PAGE_BYTES, false), 0);
				while (!added && __atomic_load_n((uint64_t *)r->memory,
								 __ATOMIC_RELAXED) == page[0])
					;
				staging_came(&r->st, 0, 1);
				assert_int_equal(staging_take(&r->st, hva(r, 0), 0, 1, &at), 0);
				memcpy(page, at, sizeof(page));
			}
		}
		pthread_join(thread, NULL);
		assert_true(taken > 0);
		assert_int_equal(page[0], ADDS);
		tear_down(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_leave_whole),
		cmocka_unit_test(what_was_sent_is_dropped),
		cmocka_unit_test(unknown_pages_are_copied),
		cmocka_unit_test(shared_pages_are_copied),
		cmocka_unit_test(pages_around_a_shared_one_are_whole),
		cmocka_unit_test(hole_is_an_error),
		cmocka_unit_test(who_looks_into_the_area_does_no_harm),
		cmocka_unit_test(nothing_that_is_written_is_lost),
	};
	struct err err;
	int fd, r = uffd_open(&fd, &can_move, &err);

	if (r < 0) {
		printf("1..0 # SKIP %s\n", err.text);
		return 0;
	}
	close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
