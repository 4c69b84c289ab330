/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/events_out.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"

struct line {
	struct line *next;
	size_t len;
	char *text; /* ends with a newline, not with NUL */
};

struct events_out {
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;	/* of what follows */
	pthread_cond_t changed; /* a line more, the end, or the thread's end */
	struct line *first, **last;
	size_t bytes;  /* of all lines */
	unsigned lost; /* since the last line */
	bool ending, done;
};

/* A line is one write(2) where that takes it all, so lines of several processes do not mix. */
static void write_line(int fd, const struct line *line)
{
	for (size_t at = 0; at < line->len;) {
		ssize_t n = write(fd, line->text + at, line->len - at);

		if (n >= 0)
			at += (size_t)n;
		else if (errno == EAGAIN) /* whoever shares the open file wants it so */
			poll(&(struct pollfd){fd, POLLOUT, 0}, 1, -1);
		else if (errno != EINTR)
			return; /* nobody is left to tell */
	}
}

static void free_line(struct line *line)
{
	free(line->text);
	free(line);
}

/* Takes the first line out. */
static void forget_first(struct events_out *o)
{
	struct line *line = o->first;

	o->first = line->next;
	if (!o->first)
		o->last = &o->first;
	o->bytes -= line->len;
	free_line(line);
}

/* It may be cancelled while it writes, and only then: without the lock, owning nothing. */
static void *writer(void *arg)
{
	struct events_out *o = arg;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_mutex_lock(&o->lock);
	while (o->first || !o->ending) {
		if (!o->first) {
			pthread_cond_wait(&o->changed, &o->lock);
			continue;
		}
		/* It stays the first meanwhile: others only append. */
		const struct line *line = o->first;
		pthread_mutex_unlock(&o->lock);
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
		write_line(o->fd, line);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		pthread_mutex_lock(&o->lock);
		forget_first(o);
	}
	o->done = true;
	pthread_cond_broadcast(&o->changed);
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

int events_out_new(int fd, struct events_out **ret)
{
	struct events_out *o = calloc(1, sizeof(*o));
	pthread_condattr_t attr;

	if (!o)
		return -ENOMEM;
	o->fd = fd;
	o->last = &o->first;
	pthread_mutex_init(&o->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->changed, &attr);
	pthread_condattr_destroy(&attr);
	int r = -pthread_create(&o->thread, NULL, writer, o);
	if (r < 0)
		free(o);
	else
		*ret = o;
	return r;
}

static struct line *line_of(const json_t *event)
{
	struct line *line = calloc(1, sizeof(*line));

	if (!line)
		return NULL;
	line->text = json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
	if (!line->text) {
		free(line);
		return NULL;
	}
	line->len = strlen(line->text) + 1;
	line->text[line->len - 1] = '\n'; /* in place of the final NUL */
	return line;
}

/* What stands in place of @lost lines before @event. */
static struct line *notice(const json_t *event, unsigned lost)
{
	char text[80];

	snprintf(text, sizeof(text), "%u events before this one were dropped: nobody took them",
		 lost);
	json_t *o = json_pack("{s:O?, s:O?, s:s, s:s, s:s}", "t", json_object_get(event, "t"),
			      "node", json_object_get(event, "node"), "event", "log", "text", text,
			      "level", "warning");
	struct line *line = o ? line_of(o) : NULL;

	json_decref(o);
	return line;
}

static void append(struct events_out *o, struct line *line)
{
	*o->last = line;
	o->last = &line->next;
	o->bytes += line->len;
}

/* The last two, each once: what is asked of a node that has ended. */
static bool is_kept(const json_t *event)
{
	const char *what = json_string_value(json_object_get(event, "event")) ?: "";

	return strcmp(what, "report") == 0 || strcmp(what, "stopped") == 0;
}

void events_out_put(void *ctx, const json_t *event)
{
	struct events_out *o = ctx;
	struct line *line = line_of(event), *before = NULL;

	pthread_mutex_lock(&o->lock);
	if (!line || (o->bytes + line->len > EVENTS_OUT_QUEUE && !is_kept(event))) {
		o->lost++;
		pthread_mutex_unlock(&o->lock);
		if (line)
			free_line(line);
		return;
	}
	if (o->lost)
		before = notice(event, o->lost);
	if (before) {
		append(o, before);
		o->lost = 0;
	}
	append(o, line);
	pthread_cond_broadcast(&o->changed);
	pthread_mutex_unlock(&o->lock);
}

void events_out_free(struct events_out *o, unsigned patience_ms)
{
	const uint64_t end = clock_now_ns() + patience_ms * NSEC_PER_MSEC;
	const struct timespec until = {.tv_sec = (time_t)(end / NSEC_PER_SEC),
				       .tv_nsec = (long)(end % NSEC_PER_SEC)};
	int r = 0;

	pthread_mutex_lock(&o->lock);
	o->ending = true;
	pthread_cond_broadcast(&o->changed);
	while (!o->done && r == 0)
		r = pthread_cond_timedwait(&o->changed, &o->lock, &until);
	if (!o->done)
		pthread_cancel(o->thread);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	while (o->first)
		forget_first(o);
	pthread_cond_destroy(&o->changed);
	pthread_mutex_destroy(&o->lock);
	free(o);
}
