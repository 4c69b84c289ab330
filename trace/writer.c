/* SPDX-License-Identifier: Apache-2.0 */
#include "trace/writer.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "base/text.h"
#include "wire/msg.h"

static_assert(sizeof(struct trace_header) + MAX_SHARDS * sizeof(struct trace_chunk) <
		      TRACE_FILE_LEAST,
	      "a head, and the end of each shard");

struct trace_writer {
	int fd, stop;
	unsigned shards;
	uint64_t room; /* bytes that the file may still grow by */
	pthread_t thread;
	uint64_t lost[MAX_SHARDS]; /* taken, and not written */
	uint64_t written;
	int error;
	struct trace_ring ring[MAX_SHARDS];
};

/* All of it, or the file takes nothing more. */
static void put(struct trace_writer *w, struct iovec *part, int parts)
{
	while (!w->error && parts) {
		ssize_t n = writev(w->fd, part, parts);

		if (n < 0 && errno != EINTR)
			w->error = -errno;
		for (; n > 0 && parts; part++, parts--) {
			size_t took = MIN((size_t)n, part->iov_len);

			n -= (ssize_t)took;
			part->iov_base = (uint8_t *)part->iov_base + took;
			part->iov_len -= took;
			if (part->iov_len)
				break;
		}
	}
}

/* How many records of a chunk the file has room for. */
static uint64_t fitting(const struct trace_writer *w)
{
	return w->room < sizeof(struct trace_chunk)
		       ? 0
		       : (w->room - sizeof(struct trace_chunk)) / sizeof(struct trace_record);
}

/* Once something of a shard was left out, all that follows is: the file is a whole beginning. */
static void put_chunk(struct trace_writer *w, unsigned shard, const struct trace_record *from,
		      uint64_t count)
{
	uint64_t fit = w->lost[shard] ? 0 : MIN(count, fitting(w));
	struct trace_chunk chunk = {
		.magic = TRACE_CHUNK, .shard = (uint16_t)shard, .count = (uint32_t)fit};
	struct iovec part[] = {{&chunk, sizeof(chunk)},
			       {(void *)from, fit * sizeof(struct trace_record)}};

	if (fit) {
		w->room -= part[0].iov_len + part[1].iov_len;
		put(w, part, ARRAY_SIZE(part));
	}
	if (w->error)
		fit = 0;
	w->written += fit;
	w->lost[shard] += count - fit;
}

static void drain(struct trace_writer *w)
{
	for (unsigned i = 0; i < w->shards; i++) {
		const struct trace_record *from;
		uint64_t count;

		while ((count = trace_ring_look(&w->ring[i], &from)) > 0) {
			count = MIN(count, (uint64_t)TRACE_CHUNK_MOST);
			put_chunk(w, i, from, count);
			trace_ring_took(&w->ring[i], count);
		}
	}
}

static void *writer_main(void *arg)
{
	struct trace_writer *w = arg;
	struct pollfd fd = {.fd = w->stop, .events = POLLIN};

	while (poll(&fd, 1, TRACE_DRAIN_MS) <= 0)
		drain(w);
	drain(w);
	return NULL;
}

static void put_ends(struct trace_writer *w)
{
	for (unsigned i = 0; i < w->shards; i++) {
		struct trace_chunk chunk = {.magic = TRACE_CHUNK,
					    .shard = (uint16_t)i,
					    .end = 1,
					    .lost = w->lost[i] + w->ring[i].lost};

		put(w, &(struct iovec){&chunk, sizeof(chunk)}, 1);
	}
}

static int put_header(struct trace_writer *w, const struct trace_writer_config *cfg)
{
	struct trace_header h = {
		.magic = TRACE_MAGIC,
		.version = TRACE_VERSION,
		.wire_version = wire_version(),
		.epoch = cfg->epoch,
		.self = (uint16_t)cfg->self,
		.nodes = (uint16_t)cfg->nodes,
		.shards = (uint16_t)cfg->shards,
		.record_bytes = sizeof(struct trace_record),
		.ticks_khz = cfg->ticks_khz,
	};

	memcpy(h.name, cfg->name, strnlen(cfg->name, sizeof(h.name) - 1));
	put(w, &(struct iovec){&h, sizeof(h)}, 1);
	return w->error;
}

static void writer_free(struct trace_writer *w)
{
	for (unsigned i = 0; i < w->shards; i++)
		trace_ring_free(&w->ring[i]);
	closep(&w->fd);
	closep(&w->stop);
	free(w);
}

/* With all signals blocked: they are for other threads. */
static int start(struct trace_writer *w)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&w->thread, NULL, writer_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		pthread_setname_np(w->thread, "trace");
	return r;
}

static int set_up(struct trace_writer *w, const struct trace_writer_config *cfg, const char *path)
{
	uint64_t ring = cfg->ring ?: TRACE_RING;
	int r = 0;

	w->stop = eventfd(0, EFD_CLOEXEC);
	w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (w->fd < 0 || w->stop < 0)
		return -errno;
	for (unsigned i = 0; r == 0 && i < w->shards; i++)
		r = trace_ring_init(&w->ring[i], ring, cfg->clock, cfg->ctx);
	if (r == 0)
		r = put_header(w, cfg);
	return r < 0 ? r : start(w);
}

int trace_writer_new(const struct trace_writer_config *cfg, struct trace_writer **ret,
		     struct err *err)
{
	_cleanup_free_ char *path = text_printf("%s/%s" TRACE_SUFFIX, cfg->dir, cfg->name);
	struct trace_writer *w = NULL;
	int r;

	if (cfg->size < TRACE_FILE_LEAST || !cfg->shards || cfg->shards > MAX_SHARDS)
		return err_set(err, -EINVAL,
			       "trace: a file needs at least %d bytes, and 1 to %d shards",
			       TRACE_FILE_LEAST, MAX_SHARDS);
	if (!path || posix_memalign((void **)&w, 64, sizeof(*w)) != 0)
		return err_set(err, -ENOMEM, "trace: out of memory");
	memset(w, 0, sizeof(*w));
	w->shards = cfg->shards;
	w->room =
		cfg->size - sizeof(struct trace_header) - cfg->shards * sizeof(struct trace_chunk);
	w->fd = w->stop = -1;
	r = set_up(w, cfg, path);
	if (r < 0) {
		writer_free(w);
		return err_set(err, r, "trace: %s cannot be written: %s", path, strerror(-r));
	}
	*ret = w;
	return 0;
}

struct trace_ring *trace_writer_ring(struct trace_writer *w, unsigned shard)
{
	return &w->ring[shard];
}

void trace_writer_close(struct trace_writer *w, struct trace_outcome *ret)
{
	const uint64_t one = 1;
	struct trace_outcome outcome;

	if (!w)
		return;
	/* An eventfd takes this write: the counter is 0. */
	if (write(w->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(w->thread, NULL);
	put_ends(w);
	outcome = (struct trace_outcome){.written = w->written, .error = w->error};
	for (unsigned i = 0; i < w->shards; i++)
		outcome.lost += w->lost[i] + w->ring[i].lost;
	if (ret)
		*ret = outcome;
	writer_free(w);
}
