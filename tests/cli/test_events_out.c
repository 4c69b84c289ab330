/* SPDX-License-Identifier: Apache-2.0 */
/* Events for somebody who does not read, reads late, or has gone. */
#include "tests/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "cli/events_out.h"

#define FOREVER_MS 60000 /* a test that waits for it has failed */
#define THREADS	   4
#define EACH	   500

/* The other end of the pipe counts what it takes, line by line. */
struct rig {
	int pipe[2];
	struct events_out *out;
	FILE *from;
	pthread_t reader;
	unsigned next[THREADS]; /* number that is expected of a thread's events */
	_Atomic unsigned events;
	unsigned lost, bad;
	char last[16]; /* event */
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	*state = r;
	return pipe2(r->pipe, O_CLOEXEC) < 0 || events_out_new(r->pipe[1], &r->out) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	closep(&r->pipe[0]);
	closep(&r->pipe[1]);
	free(r);
	return 0;
}

static void put(struct rig *r, const char *what, unsigned thread, unsigned number, const char *text)
{
	json_t *event = json_pack("{s:f, s:s, s:s, s:i, s:i, s:s}", "t", 1.5, "node", "n0", "event",
				  what, "thread", (int)thread, "number", (int)number, "text", text);

	events_out_put(r->out, event);
	json_decref(event);
}

/* So many that neither the pipe nor the queue has room. */
static unsigned fill(struct rig *r)
{
	char text[1001] = "";
	const unsigned count = 2 * EVENTS_OUT_QUEUE / sizeof(text);

	memset(text, 'x', sizeof(text) - 1);
	for (unsigned i = 0; i < count; i++)
		put(r, "log", 0, i, text);
	return count;
}

static bool is(const json_t *event, const char *key, const char *text)
{
	return strcmp(json_string_value(json_object_get(event, key)) ?: "", text) == 0;
}

/* Return: is it as it should be? */
static bool take(struct rig *r, const json_t *event)
{
	const char *text = json_string_value(json_object_get(event, "text")) ?: "";
	const json_t *number = json_object_get(event, "number");
	const json_int_t thread = json_integer_value(json_object_get(event, "thread"));
	unsigned lost;

	if (!number) {
		if (sscanf(text, "%u events before this one were dropped", &lost) != 1)
			return false;
		r->lost += lost;
		return is(event, "event", "log") && is(event, "level", "warning") &&
		       is(event, "node", "n0");
	}
	if (thread < 0 || thread >= THREADS || json_integer_value(number) < r->next[thread])
		return false;
	r->next[thread] = (unsigned)json_integer_value(number) + 1;
	r->events++;
	snprintf(r->last, sizeof(r->last), "%s",
		 json_string_value(json_object_get(event, "event")));
	return true;
}

static void *read_all(void *arg)
{
	struct rig *r = arg;
	char line[4096];

	while (fgets(line, sizeof(line), r->from)) {
		json_t *event = json_loads(line, 0, NULL); /* of a part of a line: NULL */

		r->bad += !event || !take(r, event);
		json_decref(event);
	}
	return NULL;
}

static void start_reading(struct rig *r)
{
	r->from = fdopen(TAKE_FD(r->pipe[0]), "r");
	assert_non_null(r->from);
	assert_int_equal(pthread_create(&r->reader, NULL, read_all, r), 0);
}

/* Of @count events each was read or is in the number of those that were not. */
static void ends_with_all_accounted_for(struct rig *r, unsigned count)
{
	events_out_free(r->out, FOREVER_MS);
	closep(&(int){TAKE_FD(r->pipe[1])});
	pthread_join(r->reader, NULL);
	fclose(r->from);
	assert_int_equal(r->bad, 0);
	assert_int_equal(r->events + r->lost, count);
}

static void what_was_dropped_is_counted(void **state)
{
	struct rig *r = *state;
	const unsigned count = fill(r);

	/* What a node says at its end has room. */
	put(r, "report", 0, count, "");
	put(r, "stopped", 0, count + 1, "");
	start_reading(r);
	ends_with_all_accounted_for(r, count + 2);
	assert_true(r->lost > 0);
	assert_string_equal(r->last, "stopped");
}

static void who_reads_again_hears_what_comes_then(void **state)
{
	struct rig *r = *state;
	const unsigned filled = fill(r);
	unsigned count = filled;

	start_reading(r);
	while (r->events < filled) /* more than was kept before */
		put(r, "log", 0, count++, "");
	put(r, "stopped", 0, count++, "");
	ends_with_all_accounted_for(r, count);
	assert_true(r->lost > 0);
}

struct teller {
	struct rig *rig;
	unsigned number;
	pthread_t thread;
};

static void *tell(void *arg)
{
	const struct teller *t = arg;

	for (unsigned i = 0; i < EACH; i++)
		put(t->rig, "log", t->number, i, "");
	return NULL;
}

/* They all fit. */
static void lines_of_threads_are_whole_and_in_order(void **state)
{
	struct rig *r = *state;
	struct teller teller[THREADS];

	start_reading(r);
	for (unsigned i = 0; i < THREADS; i++) {
		teller[i] = (struct teller){.rig = r, .number = i};
		assert_int_equal(pthread_create(&teller[i].thread, NULL, tell, &teller[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(teller[i].thread, NULL);
	ends_with_all_accounted_for(r, THREADS * EACH);
	assert_int_equal(r->lost, 0);
}

/* Whoever shares the open file has made it so. */
static void a_stream_that_does_not_block_will_do(void **state)
{
	struct rig *r = *state;

	assert_int_equal(fcntl(r->pipe[1], F_SETFL, O_NONBLOCK), 0);
	const unsigned count = fill(r);
	put(r, "stopped", 0, count, "");
	start_reading(r);
	ends_with_all_accounted_for(r, count + 1);
}

/* It would hang if it did. */
static void the_end_does_not_wait_for_ever(void **state)
{
	struct rig *r = *state;

	fill(r);
	events_out_free(r->out, 1);
}

static void nobody_is_there_any_more(void **state)
{
	struct rig *r = *state;

	closep(&(int){TAKE_FD(r->pipe[0])});
	fill(r);
	events_out_free(r->out, FOREVER_MS);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(what_was_dropped_is_counted),
		CASE(who_reads_again_hears_what_comes_then),
		CASE(lines_of_threads_are_whole_and_in_order),
		CASE(a_stream_that_does_not_block_will_do),
		CASE(the_end_does_not_wait_for_ever),
		CASE(nobody_is_there_any_more),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("events-out", tests, NULL, NULL);
}
