/* SPDX-License-Identifier: Apache-2.0 */
/* What goes to a node's standard input: a bounded queue of whole lines. */
#include <sys/epoll.h>

#include "cluster/member.h"

static_assert(6 * CLUSTER_INPUT_MAX + 64 < sizeof(((struct member *)NULL)->queue), "it fits");

/* A node that does not read is seen by the queue; one that is gone, by its process. */
static void watch(struct member *m)
{
	struct epoll_event ev = {.events = EPOLLOUT, .data.u32 = UINT32_MAX};

	if (m->child.in >= 0)
		epoll_ctl(m->run->epoll, EPOLL_CTL_ADD, m->child.in, &ev);
}

void member_flush(struct member *m)
{
	ssize_t n;

	if (!m->queue_len || m->child.in < 0)
		return;
	n = write(m->child.in, m->queue, m->queue_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* After an error nobody will read it. */
	m->queue_len -= n < 0 ? m->queue_len : (size_t)n;
	memmove(m->queue, m->queue + MAX(n, 0), m->queue_len);
	if (!m->queue_len)
		epoll_ctl(m->run->epoll, EPOLL_CTL_DEL, m->child.in, NULL);
}

static int queue_line(struct member *m, const char *line, size_t len)
{
	if (m->child.in < 0)
		return -EPIPE;
	if (len > sizeof(m->queue) - m->queue_len)
		return -EAGAIN;
	if (!m->queue_len)
		watch(m);
	memcpy(m->queue + m->queue_len, line, len);
	m->queue_len += len;
	member_flush(m);
	return 0;
}

bool cluster_run_input_room(const struct cluster_run *run)
{
	return run->member[0].child.in >= 0 && !run->member[0].queue_len;
}

int cluster_run_input(struct cluster_run *run, const char *data, size_t len)
{
	char line[6 * CLUSTER_INPUT_MAX + 64], *at = line;

	if (len > CLUSTER_INPUT_MAX || run->member[0].queue_len)
		return len > CLUSTER_INPUT_MAX ? -EINVAL : -EAGAIN;
	if (!len)
		return 0;
	at = stpcpy(at, "{\"input\":\"");
	for (size_t i = 0; i < len; i++)
		at += sprintf(at, "\\u%04x", (unsigned char)data[i]);
	at = stpcpy(at, "\"}\n");
	return queue_line(&run->member[0], line, (size_t)(at - line));
}

int cluster_run_command(struct cluster_run *run, unsigned node, const char *command,
			uint32_t *ret_id)
{
	const uint32_t id = run->last_id + 1;
	char line[128];
	int n = snprintf(line, sizeof(line), "{\"command\":\"%s\",\"id\":%u}\n", command, id);

	if (node >= run->count || n >= (int)sizeof(line))
		return -EINVAL;
	int r = queue_line(&run->member[node], line, (size_t)n);
	if (r < 0)
		return r;
	run->last_id = id;
	*ret_id = id;
	return 0;
}
