/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node whose memory nobody else wants, beside a process with no distributed memory at all.
 *
 * Both map memory as a node does (mem/ram.h), write it for the first time, and then read and write
 * words of it in no order; the time of either is compared, and whether huge pages back it. The
 * other process is forked before there is a pager, on the same CPU, and works in turns with node 0.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "tests/dsm/native_usage.h"

#define PAGES_EACH 16  /* of a round, for each that is counted */
#define WORDS_EACH 512 /* touched in a page, on average */

struct part {
	double fill_ms, work_ms, huge; /* huge: share of all that is resident */
};

static uint64_t part_bytes(const struct bench *b)
{
	return ALIGN_UP((uint64_t)b->count * PAGES_EACH * PAGE_BYTES, REGION_BYTES);
}

/* Part @i of all of @ram. */
static struct part work(struct native_node *n, const struct ram *ram, uint64_t i)
{
	uint64_t bytes = part_bytes(n->cfg->ctx), words = bytes / sizeof(uint64_t), state = 1;
	uint8_t *area = ram->base + i * bytes; /* of node 0, whose memory is the first */
	uint64_t start = clock_now_ns(), filled, end, resident, huge;

	for (uint64_t at = 0; at < bytes; at += PAGE_BYTES)
		*(volatile uint64_t *)(area + at) = at;
	filled = clock_now_ns();
	for (uint64_t left = bytes / PAGE_BYTES * WORDS_EACH; left; left--) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		++((volatile uint64_t *)area)[(state >> 32) % words];
	}
	end = clock_now_ns();
	native_resident(n, ram->base, mem_total(&ram->layout), &resident, &huge);
	return (struct part){.fill_ms = (double)(filled - start) / 1e6,
			     .work_ms = (double)(end - filled) / 1e6,
			     .huge = (double)huge / (double)resident};
}

/* Does one part for each byte that it is sent. */
static _Noreturn void plain_process(struct native_node *n, int fd, pid_t parent)
{
	const struct bench *b = n->cfg->ctx;
	struct mem_layout layout;
	struct ram *ram;
	struct err err;
	char token;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (mem_layout_init(&b->memory, 1, &layout, &err) < 0 || ram_new(&layout, &ram, &err) < 0)
		native_die(n, "%s", err.text);
	for (uint64_t i = 0; read(fd, &token, 1) == 1; i++) {
		struct part part = work(n, ram, i);

		NATIVE_CHECK(n, write(fd, &part, sizeof(part)) == sizeof(part), "telling");
	}
	_exit(0);
}

static void populate_alone(struct native_node *n)
{
	struct bench *b = n->cfg->ctx;
	pid_t parent = getpid();
	int fd[2];

	if (n->self != ASKER)
		return;
	NATIVE_CHECK(n, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) == 0, "pair");
	b->plain.pid = fork();
	NATIVE_CHECK(n, b->plain.pid >= 0, "fork");
	if (b->plain.pid == 0) {
		close(fd[0]);
		plain_process(n, fd[1], parent);
	}
	close(fd[1]);
	b->plain.fd = fd[0];
}

static struct part plain_part(struct asker *a)
{
	struct part part;

	NATIVE_CHECK(a->n, write(a->b->plain.fd, "", 1) == 1, "the plain process");
	NATIVE_CHECK(a->n, read(a->b->plain.fd, &part, sizeof(part)) == sizeof(part),
		     "the plain process");
	return part;
}

static void add_part(struct figures *f, const char *side, const struct part *p)
{
	figures_add2(f, UNIT_MS, p->fill_ms, side, "fill");
	figures_add2(f, UNIT_MS, p->work_ms, side, "work");
	figures_add2(f, UNIT_SHARE, p->huge, side, "huge");
}

static void run_alone(struct asker *a)
{
	struct figures *f = &a->b->figures;
	int status;

	for (unsigned round = 0; round < a->b->rounds; round++) {
		struct part raw = plain_part(a), ours;

		ours = work(a->n, a->n->ram, round);
		add_part(f, "raw", &raw);
		add_part(f, "ours", &ours);
		figures_add(f, UNIT_RATIO, ours.fill_ms / raw.fill_ms, "ratio.fill");
		figures_add(f, UNIT_RATIO, ours.work_ms / raw.work_ms, "ratio.work");
	}
	close(a->b->plain.fd);
	NATIVE_CHECK(a->n, waitpid(a->b->plain.pid, &status, 0) > 0 && status == 0,
		     "the plain process: %#x", (unsigned)status);
}

static void setup_alone(struct bench *b)
{
	b->memory = b->rounds * part_bytes(b);
}

const struct measure alone_measures[] = {
	{"alone", 2, .setup = setup_alone, .populate = populate_alone, .run = run_alone},
	{NULL},
};
