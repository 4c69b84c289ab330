/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory sweep: nearly all memory of the guest is written on one node and read back on the next.
 *
 * One private anonymous mapping as large as MemTotal is claimed in chunks: each party (a thread on
 * each node) takes the next chunk, writes it, and stops when free memory is down to the reserve,
 * so what is swept is what the kernel could possibly give away. Then
 *
 *   pass 0:  the owner has written its chunks (the first touch);  the next party verifies them;
 *   pass 1:  the next party rewrites them;                        the owner verifies them.
 *
 * All parties write, then all verify, so both directions are busy at once and every page crosses
 * in both. Each 8-byte word depends on its address and the pass; a page's words are an arithmetic
 * series from a hashed start, so that the loops are a compare and an addition and every byte is
 * covered. A bad page is classified by its first bad word: zero, stale (the other pass's
 * value) or alien, and located by its page frame.
 *
 * Room: the kernel's watermarks and protections are lowered for the time of the sweep, and what
 * they still hold back (/proc/zoneinfo) is the reserve, with some slack. The check is a child of
 * process 1 with the highest OOM score: where the reserve was too small the child dies, and process
 * 1 reports a failed sweep. Pages are small (MADV_NOHUGEPAGE), so that the last megabytes can be
 * used. swept_fraction is swept bytes / MemTotal.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "tests/guest/proof.h"

#define CHUNK_PAGES 64
#define CHUNK_BYTES (CHUNK_PAGES * PAGE_BYTES)
#define PAGE_WORDS  (PAGE_BYTES / sizeof(uint64_t))
#define UNCLAIMED   0xff
#define MAX_REPORTS 4U
#define SLACK	    MIB /* the kernel's own needs while the sweep runs */

enum bad_kind { BAD_ZERO, BAD_STALE, BAD_ALIEN, BAD_KINDS };

struct bad_word {
	uint64_t *address;
	uint64_t got, want, frame;
	unsigned pass, verifier;
};

struct sweep {
	struct barrier barrier;
	char *base;
	uint64_t salt;
	size_t n_chunks;
	uint64_t reserve;
	_Atomic size_t next;
	_Atomic uint64_t verified;
	_Atomic uint64_t bad[BAD_KINDS];
	_Atomic unsigned reports;
	struct bad_word report[MAX_REPORTS];
	uint8_t *owner; /* of each chunk */
};

#define WORD_STEP UINT64_C(0x9e3779b97f4a7c15)

/* The first word of a page's series: a finaliser of 64 bits over address, pass and salt. */
static uint64_t page_start(const struct sweep *s, const void *page, unsigned pass)
{
	uint64_t x = (uint64_t)(uintptr_t)page ^ s->salt ^ ((uint64_t)pass + 1) << 56;

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static void write_page(const struct sweep *s, uint64_t *page, unsigned pass)
{
	uint64_t want = page_start(s, page, pass);

	for (size_t i = 0; i < PAGE_WORDS; i++, want += WORD_STEP)
		page[i] = want;
}

static bool page_good(const struct sweep *s, const uint64_t *page, unsigned pass)
{
	uint64_t want = page_start(s, page, pass), difference = 0;

	for (size_t i = 0; i < PAGE_WORDS; i++, want += WORD_STEP)
		difference |= page[i] ^ want;
	return !difference;
}

static uint64_t page_frame(const void *address)
{
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd >= 0 && pread(fd, &entry, sizeof(entry),
			     (off_t)((uintptr_t)address / PAGE_BYTES * sizeof(entry))) < 0)
		entry = 0;
	return entry & ((UINT64_C(1) << 55) - 1);
}

static void report_page(struct worker *w, uint64_t *page, unsigned pass)
{
	struct sweep *s = w->shared;
	uint64_t want = page_start(s, page, pass), stale = page_start(s, page, !pass);
	enum bad_kind kind = BAD_ALIEN;
	size_t i = 0;
	unsigned slot;

	while (i < PAGE_WORDS - 1 && page[i] == want + i * WORD_STEP)
		i++;
	if (!page[i])
		kind = BAD_ZERO;
	else if (page[i] == stale + i * WORD_STEP)
		kind = BAD_STALE;
	atomic_fetch_add(&s->bad[kind], 1);
	slot = atomic_fetch_add(&s->reports, 1);
	if (slot < MAX_REPORTS)
		s->report[slot] = (struct bad_word){.address = page + i,
						    .got = page[i],
						    .want = want + i * WORD_STEP,
						    .frame = page_frame(page),
						    .pass = pass,
						    .verifier = w->index};
}

static uint64_t free_bytes(void)
{
	struct sysinfo info;

	return sysinfo(&info) ? 0 : (uint64_t)info.freeram * info.mem_unit;
}

static uint64_t *chunk_page(const struct sweep *s, size_t chunk, size_t page)
{
	return (uint64_t *)(s->base + chunk * CHUNK_BYTES + page * PAGE_BYTES);
}

static void write_chunk(struct worker *w, size_t chunk, unsigned pass)
{
	struct sweep *s = w->shared;

	for (size_t i = 0; i < CHUNK_PAGES; i++)
		write_page(s, chunk_page(s, chunk, i), pass);
	if (check_sabotaged(w->c) && chunk == s->n_chunks / 2 && !pass)
		chunk_page(s, chunk, CHUNK_PAGES / 2)[PAGE_WORDS / 2] ^= UINT64_C(1) << 33;
}

static void verify_chunk(struct worker *w, size_t chunk, unsigned pass)
{
	struct sweep *s = w->shared;

	for (size_t i = 0; i < CHUNK_PAGES; i++)
		if (!page_good(s, chunk_page(s, chunk, i), pass))
			report_page(w, chunk_page(s, chunk, i), pass);
	atomic_fetch_add(&s->verified, CHUNK_PAGES);
}

/* Progress over both passes; the claimed total is only known once pass 0 is written. */
static void show_progress(struct worker *w, unsigned phase, size_t done, size_t of)
{
	if (!w->index)
		w->c->progress = phase * 250 + (unsigned)(250 * done / of);
}

static void claim_and_write(struct worker *w)
{
	struct sweep *s = w->shared;

	while (free_bytes() > s->reserve) {
		size_t chunk = atomic_fetch_add(&s->next, 1);

		if (chunk >= s->n_chunks)
			return;
		s->owner[chunk] = (uint8_t)w->index;
		write_chunk(w, chunk, 0);
		show_progress(w, 0, chunk, s->n_chunks);
	}
}

/* Calls @fn for every chunk that @owner claimed. */
static void for_owned(struct worker *w, unsigned owner, unsigned phase,
		      void (*fn)(struct worker *, size_t, unsigned))
{
	struct sweep *s = w->shared;
	size_t end = MIN(atomic_load(&s->next), s->n_chunks);

	for (size_t chunk = 0; chunk < end; chunk++)
		if (s->owner[chunk] == owner) {
			fn(w, chunk, phase / 2);
			show_progress(w, phase, chunk, end);
		}
}

static void sweep_worker(struct worker *w)
{
	struct sweep *s = w->shared;
	unsigned previous = (w->index + w->n - 1) % w->n;

	claim_and_write(w);
	barrier_wait(&s->barrier, w->n);
	for_owned(w, previous, 1, verify_chunk);
	if (w->c->config->sweep_passes == 1)
		return;
	barrier_wait(&s->barrier, w->n);
	for_owned(w, previous, 2, write_chunk);
	barrier_wait(&s->barrier, w->n);
	for_owned(w, w->index, 3, verify_chunk);
}

/*
 * What makes the kernel keep memory back, at its smallest for the time of the sweep: the watermarks
 * and their boost, the share of the lowest zone, and automatic migration, which needs free memory.
 */
static const struct setting {
	const char *path, *value;
} settings[] = {
	{"/proc/sys/vm/min_free_kbytes", "512"},
	{"/proc/sys/vm/watermark_boost_factor", "0"},
	{"/proc/sys/vm/watermark_scale_factor", "1"},
	{"/proc/sys/vm/lowmem_reserve_ratio", "0 0 0 0 0"},
	{"/proc/sys/kernel/numa_balancing", "0"},
};

struct saved {
	char value[ARRAY_SIZE(settings)][64];
};

static void set_kernel(const char *path, const char *value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	/* A kernel without the setting keeps what it keeps: the reserve is read back after. */
	if (fd >= 0)
		dprintf(fd, "%s", value);
}

static void settings_apply(struct saved *saved)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		read_file(settings[i].path, saved->value[i], sizeof(saved->value[i]));
		set_kernel(settings[i].path, settings[i].value);
	}
	set_kernel("/proc/self/oom_score_adj", "1000");
}

static void settings_restore(const struct saved *saved)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (*saved->value[i])
			set_kernel(settings[i].path, saved->value[i]);
}

/* The pages that the allocator holds back in all zones: high watermark and largest protection. */
static uint64_t kernel_reserve(void)
{
	FILE *zones = fopen("/proc/zoneinfo", "re");
	uint64_t pages = 0, high;
	char line[512];

	while (zones && fgets(line, sizeof(line), zones)) {
		unsigned protection[16], n, most = 0;

		if (sscanf(line, " high %lu", &high) == 1)
			pages += high;
		if (!strstr(line, "protection: ("))
			continue;
		n = list_numbers(line, ARRAY_SIZE(protection), protection);
		for (unsigned i = 0; i < n; i++)
			most = MAX(most, protection[i]);
		pages += most;
	}
	if (zones)
		fclose(zones);
	return pages * PAGE_BYTES;
}

static uint64_t memory_total(void)
{
	struct sysinfo info;

	return sysinfo(&info) ? 0 : (uint64_t)info.totalram * info.mem_unit;
}

static void sweep_result(struct check *c, struct sweep *s, uint64_t total)
{
	size_t chunks = MIN(atomic_load(&s->next), s->n_chunks);
	uint64_t swept = chunks * CHUNK_BYTES;
	uint64_t bad = s->bad[BAD_ZERO] + s->bad[BAD_STALE] + s->bad[BAD_ALIEN];
	unsigned passes = c->config->sweep_passes == 1 ? 1 : 2;
	double fraction = (double)swept / (double)total;

	check_note(c, "%.1f %% of %lu MiB, %lu pages checked %s, %lu bad", fraction * 100,
		   total / MIB, chunks * CHUNK_PAGES, passes == 2 ? "both ways" : "one way", bad);
	if (c->config->sweep_mib)
		check_note(c, "limited to %u MiB", c->config->sweep_mib);
	else if (fraction * 100 <= c->config->sweep_percent)
		check_fail(c, "not more than %u %%", c->config->sweep_percent);
	if (s->verified != passes * chunks * CHUNK_PAGES || !chunks)
		check_fail(c, "only %lu pages verified", s->verified);
	if (bad)
		check_fail(c, "bad: %lu zero, %lu stale, %lu alien", s->bad[BAD_ZERO],
			   s->bad[BAD_STALE], s->bad[BAD_ALIEN]);
	for (unsigned i = 0; i < MIN(atomic_load(&s->reports), MAX_REPORTS); i++)
		check_note(c, "%p (frame %#lx) pass %u slot %u: %#lx instead of %#lx",
			   (void *)s->report[i].address, s->report[i].frame, s->report[i].pass,
			   s->report[i].verifier, s->report[i].got, s->report[i].want);
	check_json(c, "\"swept_bytes\": %lu, \"swept_fraction\": %.4f", swept, fraction);
	check_json(c, "\"sweep_passes\": %u, \"bad_pages\": %lu", passes, bad);
}

void check_sweep(struct check *c)
{
	struct sweep *s = map_pages(ALIGN_UP(sizeof(*s), PAGE_BYTES) / PAGE_BYTES);
	uint64_t total = memory_total(), size = total;
	struct saved saved = {0};

	if (c->config->sweep_mib)
		size = MIN(size, c->config->sweep_mib * MIB);
	s->n_chunks = size / CHUNK_BYTES;
	s->salt = clock_now_ns() * WORD_STEP;
	s->base = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	s->owner = malloc(s->n_chunks);
	if (s->base == MAP_FAILED || !s->owner) {
		check_fail(c, "no address space for %lu bytes", size);
		return;
	}
	memset(s->owner, UNCLAIMED, s->n_chunks);
	madvise(s->base, size, MADV_NOHUGEPAGE);
	if (!c->config->native)
		settings_apply(&saved);
	s->reserve = kernel_reserve() + SLACK + c->topo->n_parties * CHUNK_BYTES;
	if (c->config->reserve_kib)
		s->reserve = c->config->reserve_kib * KIB;
	run_workers(c, NULL, c->topo->n_parties, sweep_worker, s);
	sweep_result(c, s, total);
	munmap(s->base, size);
	settings_restore(&saved);
}
