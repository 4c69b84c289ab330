/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Litmus tests between hosts, in batches.
 *
 * A batch is an array of independent instances of one test. All threads are released by a barrier
 * and run freely over the same order of instances, so barriers cost once a batch and the accesses
 * of the threads drift over each other; pages migrate by nature, in the middle of it. Batches
 * alternate between
 *   - sequential order over all instances (many accesses for each transfer of a page),
 *   - random order over a part of them (nearly each access to a page the other has just taken),
 *   - random order over one page of them (one page, or one of x and one of y, fought for),
 * with random delays at the start and between instances. Where pages cross slowly, whoever has them
 * would be through with the batch before the other gets to begin: so a batch is stretched to
 * CROSSINGS times what a barrier took at most, which needs pages from both sides, as far as the
 * time of the check goes.
 *
 * Layouts: "same" puts x and y of an instance in two lines of one page; "diff" in two pages.
 *
 * The variables are zeroed by another thread each batch, so that they start on every host in turn.
 * Thread 0 sorts the outcomes after the batch, from registers that each thread keeps in pages of
 * its own, and checks that no store was lost: at the end of an instance its variables must hold
 * what was stored. Values that no thread wrote are counted as corrupt.
 *
 * A batch whose instances do not all end alike is "mixed": its threads did overlap. The count is
 * reported as the measure of how hard a run tried.
 *
 * With two nodes the threads of the test are on different nodes; with more, every neighbouring
 * pair takes its share of the time. IRIW takes one slot after the other, which go round the nodes.
 */
#include "tests/guest/litmus.h"

#define INSTANCES    256
#define PART	     48U
#define CROSSINGS    6
#define LINE_BYTES   64
#define PAGE_LINES   (PAGE_BYTES / LINE_BYTES)
#define ROUNDS	     300U /* batches of a layout and pair */
#define BUDGET_SHARE 0.45
#define SLOW_NS	     1000000 /* batches that are shorter need not be stretched */
#define OUTCOMES     81	     /* three values in four digits */
#define NAME_PREFIX  "litmus-"

enum layout { SAME_PAGE, DIFFERENT_PAGES, LAYOUTS };

static const char *const layout_name[LAYOUTS] = {"same", "diff"};

#define AREA_PAGES (2 * INSTANCES / PAGE_LINES)

struct outcomes {
	uint64_t count[OUTCOMES], corrupt, lost, batches, mixed;
};

struct litmus_run {
	struct barrier barrier;
	const struct litmus_test *test;
	enum layout layout;
	uint64_t rounds, seed;
	double share; /* of the time budget */
	struct outcomes outcomes;
	_Atomic bool stop;
	_Alignas(PAGE_BYTES) char area[AREA_PAGES * PAGE_BYTES];
	struct {
		_Alignas(PAGE_BYTES) struct litmus_registers of[INSTANCES];
	} out[LITMUS_THREADS];
};

/* The instances of one batch in their order; the same on every thread. */
struct batch {
	unsigned n, order[INSTANCES];
};

static uint64_t *variable(struct litmus_run *run, unsigned instance, bool y)
{
	unsigned line;

	if (run->layout == SAME_PAGE)
		line = 2 * instance + y;
	else
		line = instance + (y ? INSTANCES : 0);
	return (uint64_t *)(run->area + line * LINE_BYTES);
}

/* Every thread derives the batch from its number, so that no page carries it. */
static void batch_plan(const struct litmus_run *run, uint64_t number, struct batch *batch)
{
	unsigned in_page = run->layout == SAME_PAGE ? PAGE_LINES / 2 : PAGE_LINES;
	uint64_t random = run->seed ^ (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
	unsigned first = 0, span = INSTANCES;

	random |= 1;
	batch->n = number % 3 == 0 ? INSTANCES : PART;
	if (number % 3 == 2) {
		span = in_page;
		first = (unsigned)(next_random(&random) % (INSTANCES / in_page)) * in_page;
		batch->n = MIN(PART, in_page);
	}
	for (unsigned i = 0; i < span; i++)
		batch->order[i] = first + i;
	for (unsigned i = 0; number % 3 && i < batch->n; i++) {
		unsigned j = i + (unsigned)(next_random(&random) % (span - i));
		unsigned swap = batch->order[i];

		batch->order[i] = batch->order[j];
		batch->order[j] = swap;
	}
}

static void random_delay(struct worker *w, unsigned most)
{
	for (uint64_t n = next_random(&w->random) % most; n; n--)
		cpu_pause();
}

static void wait_until(uint64_t ns)
{
	while (clock_now_ns() < ns)
		cpu_pause();
}

/* @length: ns that the batch is to last at least, about. */
static void batch_execute(struct worker *w, const struct batch *batch, uint64_t length)
{
	struct litmus_run *run = w->shared;
	litmus_role role = run->test->role[w->index];
	struct litmus_registers *out = run->out[w->index].of;

	uint64_t begun = clock_now_ns(), step = length > SLOW_NS ? length / batch->n : 0;

	random_delay(w, 64);
	for (unsigned i = 0; i < batch->n; i++) {
		unsigned k = batch->order[i];

		role(variable(run, k, false), variable(run, k, true), &out[k]);
		if (next_random(&w->random) % 8 == 0)
			random_delay(w, 32);
		/* By the clock: a thread that had to wait for a page catches up with the other. */
		if (step)
			wait_until(begun + i * step + next_random(&w->random) % (2 * step));
	}
}

static uint64_t value_of(struct litmus_run *run, const struct litmus_value *value, unsigned k)
{
	switch (value->from) {
	case LITMUS_REGISTER:
		return run->out[value->thread].of[k].r[value->index];
	case LITMUS_FINAL_X:
		return *variable(run, k, false);
	case LITMUS_FINAL_Y:
		return *variable(run, k, true);
	case LITMUS_NONE:
		break;
	}
	return 0;
}

static unsigned n_values(const struct litmus_test *test)
{
	unsigned n = 0;

	while (n < LITMUS_VALUES && test->value[n].from != LITMUS_NONE)
		n++;
	return n;
}

/* Digits of an outcome, most significant first, from its place in the table of counts. */
static void outcome_text(const struct litmus_test *test, unsigned outcome, char *text)
{
	unsigned n = n_values(test);

	text[n] = 0;
	while (n) {
		text[--n] = (char)('0' + outcome % 3);
		outcome /= 3;
	}
}

/* Counts one instance; returns its outcome, or OUTCOMES for values that nobody wrote. */
static unsigned classify(struct litmus_run *run, unsigned k)
{
	const struct litmus_test *test = run->test;
	uint64_t x = *variable(run, k, false), y = *variable(run, k, true);
	unsigned outcome = 0;

	run->outcomes.lost += x < test->final_x || y < test->final_y;
	for (unsigned i = 0; i < n_values(test); i++) {
		uint64_t value = value_of(run, &test->value[i], k);

		if (value > 2 || x > 2 || y > 2) {
			run->outcomes.corrupt++;
			return OUTCOMES;
		}
		outcome = outcome * 3 + (unsigned)value;
	}
	run->outcomes.count[outcome]++;
	return outcome;
}

static bool forbidden(const struct litmus_test *test, const char *outcome)
{
	return strstr(test->forbidden, outcome) != NULL;
}

/* Adds one outcome that must not be: the first forbidden one, or a lost store where none is. */
static void spoil(struct litmus_run *run)
{
	char text[LITMUS_VALUES + 1];

	for (unsigned i = 0; i < OUTCOMES; i++) {
		outcome_text(run->test, i, text);
		if (forbidden(run->test, text)) {
			run->outcomes.count[i]++;
			return;
		}
	}
	run->outcomes.lost++;
}

static void batch_collect(struct worker *w, const struct batch *batch, uint64_t deadline)
{
	struct litmus_run *run = w->shared;

	unsigned first = classify(run, batch->order[0]);
	bool mixed = false;

	for (unsigned i = 1; i < batch->n; i++)
		mixed |= classify(run, batch->order[i]) != first;
	run->outcomes.mixed += mixed;
	run->outcomes.batches++;
	if (run->outcomes.batches == run->rounds || clock_now_ns() > deadline)
		atomic_store(&run->stop, true);
}

/* Return: the longest that a barrier has taken so far, ns. */
static uint64_t timed_barrier(struct worker *w, uint64_t longest)
{
	struct litmus_run *run = w->shared;
	uint64_t begun = clock_now_ns();

	barrier_wait(&run->barrier, w->n);
	return MAX(longest, clock_now_ns() - begun);
}

/* How long a batch is to last at least, ns. */
static uint64_t batch_length(uint64_t deadline, uint64_t longest)
{
	uint64_t now = clock_now_ns();

	return now < deadline ? MIN(CROSSINGS * longest, deadline - now) : 0;
}

static void litmus_worker(struct worker *w)
{
	struct litmus_run *run = w->shared;
	struct batch batch;
	uint64_t longest = 0, deadline = barrier_start(w, &run->barrier, run->share);

	for (uint64_t number = 0; !atomic_load(&run->stop); number++) {
		batch_plan(run, number, &batch);
		if (number % w->n == w->index)
			memset(run->area, 0, sizeof(run->area));
		longest = timed_barrier(w, longest);
		batch_execute(w, &batch, batch_length(deadline, longest));
		barrier_wait(&run->barrier, w->n);
		if (!w->index)
			batch_collect(w, &batch, deadline);
		barrier_wait(&run->barrier, w->n);
	}
}

static void outcomes_add(struct outcomes *to, const struct outcomes *from)
{
	for (unsigned i = 0; i < OUTCOMES; i++)
		to->count[i] += from->count[i];
	to->corrupt += from->corrupt;
	to->lost += from->lost;
	to->batches += from->batches;
	to->mixed += from->mixed;
}

/* Runs one layout on every pair of neighbours (IRIW: on the first four slots) and sums up. */
static void run_layout(struct check *c, const struct litmus_test *test, enum layout layout,
		       struct outcomes *sum)
{
	unsigned pair[PROOF_MAX_NODES][2], n = 1;
	struct litmus_run *run = map_pages(ALIGN_UP(sizeof(*run), PAGE_BYTES) / PAGE_BYTES);

	if (test->n_threads == 2)
		n = party_pairs(c->topo, pair);
	for (unsigned i = 0; i < n; i++) {
		memset(run, 0, sizeof(*run));
		run->test = test;
		run->layout = layout;
		run->seed = clock_now_ns();
		run->rounds = check_rounds(c, MAX(ROUNDS / n, 1U));
		run->share = BUDGET_SHARE / LAYOUTS / n;
		run_workers(c, test->n_threads == 2 ? pair[i] : NULL, test->n_threads,
			    litmus_worker, run);
		if (check_sabotaged(c))
			spoil(run);
		outcomes_add(sum, &run->outcomes);
	}
}

static void layout_result(struct check *c, const struct litmus_test *test, enum layout layout,
			  const struct outcomes *sum)
{
	uint64_t total = sum->corrupt, bad = sum->corrupt + sum->lost;
	char text[LITMUS_VALUES + 1], line[512] = "", json[1024] = "";
	size_t at = 0, json_at = 0;

	for (unsigned i = 0; i < OUTCOMES; i++) {
		if (!sum->count[i])
			continue;
		outcome_text(test, i, text);
		total += sum->count[i];
		bad += forbidden(test, text) ? sum->count[i] : 0;
		at += (size_t)snprintf(line + at, sizeof(line) - at, " %s%s:%lu",
				       forbidden(test, text) ? "FORBIDDEN " : "", text,
				       sum->count[i]);
		json_at += (size_t)snprintf(json + json_at, sizeof(json) - json_at, "%s\"%s\": %lu",
					    json_at ? ", " : "", text, sum->count[i]);
	}
	check_note(c, "%s%s (%lu of %lu batches mixed)", layout_name[layout], line, sum->mixed,
		   sum->batches);
	if (sum->corrupt || sum->lost)
		check_note(c, "%lu corrupt, %lu stores lost", sum->corrupt, sum->lost);
	if (bad || !total)
		check_fail(c, "%lu forbidden of %lu", bad, total);
	check_json(c,
		   "\"%s.%s\": {\"outcomes\": {%s}, \"runs\": %lu, \"batches\": %lu, "
		   "\"mixed\": %lu, \"forbidden\": %lu}",
		   test->name, layout_name[layout], json, total, sum->batches, sum->mixed, bad);
}

void check_litmus(struct check *c)
{
	const struct litmus_test *test = litmus_tests;

	while (strcmp(test->name, c->name + strlen(NAME_PREFIX)))
		test++;
	if (!check_needs_cpus(c, test->n_threads))
		return;
	for (enum layout layout = 0; layout < LAYOUTS; layout++) {
		struct outcomes sum = {0};

		run_layout(c, test, layout, &sum);
		layout_result(c, test, layout, &sum);
		c->progress = 1000 * (layout + 1) / LAYOUTS;
	}
}
