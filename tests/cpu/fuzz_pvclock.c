/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM clock's MSRs in the hands of a hostile guest: any MSR, any value, any order. What is
 * written are the structure's bytes and where they belong, and nothing else: but for the pages that
 * the structure is to lie on, the guest's memory is read-only and has none beside it. Which vCPU
 * writes makes no difference to the code.
 */
#include <sys/mman.h>

#include "cpu/pvclock.h"
#include "tests/fuzz/fuzz.h"

#define NODES 3

/* The guest's memory with a region on each side that nobody may touch. */
static void map(struct ram *ram)
{
	const size_t size = mem_total(&ram->layout);
	uint8_t *area = mmap(NULL, size + 2 * REGION_BYTES, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	fuzz_check(area != MAP_FAILED);
	ram->base = area + REGION_BYTES;
	fuzz_check(mprotect(ram->base, size, PROT_READ) == 0);
}

static void unmap(struct ram *ram)
{
	munmap(ram->base - REGION_BYTES, mem_total(&ram->layout) + 2 * REGION_BYTES);
}

/* One to three nodes: below the hole, up to it, with one node on both sides of it, above it. */
static void lay_out(struct fuzz_input *in, struct mem_layout *ret)
{
	const unsigned nodes = 1 + (unsigned)fuzz_take(in, 1) % NODES;
	uint64_t size[NODES];
	struct err err;

	for (unsigned i = 0; i < nodes; i++) {
		uint64_t how = fuzz_take(in, 1);

		size[i] = (1 + (how & 63)) * REGION_BYTES;
		if (how & 64)
			size[i] += MEM_HOLE_START - 32 * REGION_BYTES;
	}
	fuzz_check(mem_layout_init(size, nodes, ret, &err) == 0);
}

/* Where the byte at @gpa is, looked for range by range; -1: it is no RAM. */
static int64_t place(const struct mem_layout *l, uint64_t gpa)
{
	for (unsigned i = 0; i < l->nranges; i++)
		if (gpa >= l->range[i].gpa && gpa - l->range[i].gpa < l->range[i].size)
			return (int64_t)(l->range[i].offset + gpa - l->range[i].gpa);
	return -1;
}

/* A structure is far smaller than what separates two parts of memory: its ends tell of all of it.
 */
static int64_t place_all(const struct mem_layout *l, uint64_t gpa, unsigned len)
{
	const int64_t first = place(l, gpa), last = place(l, gpa + len - 1);

	return first >= 0 && last == first + len - 1 ? first : -1;
}

static void protect(const struct ram *ram, uint64_t at, unsigned len, int how)
{
	const uint64_t first = at & ~(uint64_t)(PAGE_BYTES - 1);

	fuzz_check(mprotect(ram->base + first, at + len - first, how) == 0);
}

/* An address, mostly one where memory begins or ends. */
static uint64_t any_address(struct fuzz_input *in, const struct mem_layout *l)
{
	const uint64_t how = fuzz_take(in, 1);
	const struct mem_range *r = &l->range[how / 4 % l->nranges];

	switch (how % 4) {
	case 0:
		return fuzz_value(in);
	case 1:
		return r->gpa + r->size - fuzz_take(in, 1);
	case 2:
		return r->gpa + fuzz_take(in, 2) - 64;
	default:
		return r->gpa + fuzz_take(in, 4) % r->size;
	}
}

/* A second's ticks are a second, but for what is rounded down. */
static void check_scale(const struct guest_clock *c, const struct pvclock_time *time)
{
	unsigned __int128 ticks = (unsigned __int128)c->tsc_khz * 1000;

	fuzz_check(time->tsc_shift > -32 && time->tsc_shift < 32);
	ticks = time->tsc_shift < 0 ? ticks >> -time->tsc_shift : ticks << time->tsc_shift;
	const uint64_t ns = (uint64_t)(ticks * time->tsc_to_system_mul >> 32);
	fuzz_check(ns <= NSEC_PER_SEC && ns >= NSEC_PER_SEC - 2);
}

static void check_written(const struct guest_clock *c, const uint8_t *at, bool is_wall)
{
	struct pvclock_wall wall;
	struct pvclock_time time;

	memcpy(&wall, at, sizeof(wall));
	fuzz_check(wall.version == 2);
	if (is_wall) {
		fuzz_check(wall.sec == (uint32_t)(c->unix_ns / NSEC_PER_SEC));
		fuzz_check(wall.nsec == c->unix_ns % NSEC_PER_SEC);
		return;
	}
	memcpy(&time, at, sizeof(time));
	fuzz_check(time.tsc_timestamp == 0 && time.system_time == 0);
	check_scale(c, &time);
}

static void step(const struct guest_clock *c, struct ram *ram, struct fuzz_input *in)
{
	const uint64_t how = fuzz_take(in, 1);
	const uint32_t msr =
		how & 64 ? (uint32_t)fuzz_value(in) : MSR_KVM_WALL_CLOCK_NEW + (uint32_t)(how & 1);
	const uint64_t value = any_address(in, &ram->layout) | (how >> 1 & 1);
	const bool is_wall = msr == MSR_KVM_WALL_CLOCK_NEW,
		   is_time = msr == MSR_KVM_SYSTEM_TIME_NEW;
	const unsigned len = is_wall ? sizeof(struct pvclock_wall) : sizeof(struct pvclock_time);
	const uint64_t gpa = is_wall ? value : value & ~UINT64_C(1);
	const bool writes = is_wall || (is_time && value & 1);
	const int64_t at = writes ? place_all(&ram->layout, gpa, len) : -1;
	uint8_t before[PAGE_BYTES * 2];
	const uint64_t page = (uint64_t)at & ~(uint64_t)(PAGE_BYTES - 1);
	const unsigned in_page = (unsigned)((uint64_t)at - page);

	if (at < 0) {
		fuzz_check(pvclock_write(c, ram, msr, value) == (is_time && !writes ? 0 : -EINVAL));
		return;
	}
	const unsigned around = (unsigned)ALIGN_UP(in_page + len, PAGE_BYTES);
	memcpy(before, ram->base + page, around);
	protect(ram, (uint64_t)at, len, PROT_READ | PROT_WRITE);
	fuzz_check(pvclock_write(c, ram, msr, value) == 0);
	protect(ram, (uint64_t)at, len, PROT_READ);
	check_written(c, ram->base + at, is_wall);
	memcpy(before + in_page, ram->base + at, len);
	fuzz_check(memcmp(before, ram->base + page, around) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	struct guest_clock clock = {0};
	struct ram ram;

	lay_out(&in, &ram.layout);
	clock.tsc_khz = (uint32_t)MAX(fuzz_value(&in) & UINT32_MAX, UINT64_C(1));
	clock.unix_ns = fuzz_value(&in);
	map(&ram);
	while (fuzz_left(&in))
		step(&clock, &ram, &in);
	unmap(&ram);
	return 0;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	return fuzz_noise(random, data, 20 + fuzz_random(random) % 500);
}
