/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vmm/cluster.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "tests/boot/image.h"
#include "tests/transport/loopback.h"

#define ENTRY 0x200 /* of the 64-bit code, from the image's start */

bool cluster_usable(void)
{
	struct kvm kvm;
	struct err err;

	if (geteuid() != 0 && access("/dev/userfaultfd", R_OK | W_OK) < 0)
		printf("1..0 # SKIP no right to userfaultfd\n");
	else if (kvm_open(&kvm, &err) < 0)
		printf("1..0 # SKIP %s\n", err.text);
	else {
		kvm_close(&kvm);
		return true;
	}
	return false;
}

/* ---- making ---- */

static void write_image(struct cluster *c, const uint8_t *code, size_t len)
{
	static uint8_t image[IMAGE_BYTES];

	image_make(image);
	assert_true(len <= IMAGE_CODE - ENTRY);
	memcpy(image + IMAGE_START + ENTRY, code, len);
	strcpy(c->kernel, "/tmp/ssihv-vmm-XXXXXX");
	int fd = mkstemp(c->kernel);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, image, sizeof(image)), sizeof(image));
	close(fd);
}

/* Ports that are free now; all are held until each has its own. */
static void pick_addresses(struct cluster_config *cfg)
{
	int fd[CLUSTER_NODES_MAX];

	for (unsigned i = 0; i < cfg->nodes_count; i++) {
		struct sockaddr_in name = {.sin_family = AF_INET,
					   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof(name);

		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fd[i], (struct sockaddr *)&name, len), 0);
		assert_int_equal(getsockname(fd[i], (struct sockaddr *)&name, &len), 0);
		snprintf(cfg->nodes[i].address, sizeof(cfg->nodes[i].address), "127.0.0.1:%u",
			 ntohs(name.sin_port));
	}
	for (unsigned i = 0; i < cfg->nodes_count; i++)
		close(fd[i]);
}

static void on_event(void *ctx, const json_t *event)
{
	struct cluster *c = ctx;

	pthread_mutex_lock(&c->lock);
	json_array_append_new(c->events, json_deep_copy(event));
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static void make_member(struct cluster *c, unsigned index, int console)
{
	struct member *m = &c->member[index];
	int commands[2];

	assert_int_equal(pipe2(commands, O_CLOEXEC), 0);
	m->c = c;
	m->commands = commands[1];
	m->options = (struct node_options){
		.cfg = c->cfg,
		.self = index,
		.epoch = 7,
		.kernel = c->kernel,
	};
	m->port = (struct node_port){
		.commands = commands[0],
		.console = index == 0 ? console : -1,
		.event = on_event,
		.ctx = c,
	};
	assert_int_equal(node_new(&m->options, &m->port, &m->node), 0);
}

struct cluster *cluster_make(unsigned nodes, const uint8_t *code, const uint8_t *end)
{
	struct cluster *c = calloc(1, sizeof(*c));
	struct err err;
	int console[2];

	assert_non_null(c);
	c->nodes = nodes;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	c->events = json_array();
	write_image(c, code, (size_t)(end - code));
	assert_int_equal(cluster_default(CLUSTER_LOCAL, nodes, 64 * MIB, 1, &c->cfg, &err), 0);
	c->cfg->boot.together = 0;
	pick_addresses(c->cfg);
	assert_int_equal(pipe2(console, O_CLOEXEC | O_NONBLOCK), 0);
	c->console = console[0];
	for (unsigned i = 0; i < nodes; i++)
		make_member(c, i, console[1]);
	return c;
}

/* ---- running ---- */

static void *member_main(void *arg)
{
	struct member *m = arg;

	m->result = node_run(m->node);
	return NULL;
}

void cluster_start(struct cluster *c, unsigned set)
{
	for (unsigned i = 0; i < c->nodes; i++)
		if (set >> i & 1) {
			struct member *m = &c->member[i];
			assert_int_equal(pthread_create(&m->thread, NULL, member_main, m), 0);
			m->runs = true;
		}
}

void cluster_join(struct cluster *c)
{
	for (unsigned i = 0; i < c->nodes; i++) {
		if (c->member[i].runs)
			pthread_join(c->member[i].thread, NULL);
		c->member[i].runs = false;
	}
}

void cluster_destroy(struct cluster *c)
{
	for (unsigned i = 0; i < c->nodes; i++)
		node_quit(c->member[i].node, "the test is over");
	cluster_join(c);
	for (unsigned i = 0; i < c->nodes; i++) {
		node_free(c->member[i].node);
		close(c->member[i].port.commands);
		closep(&c->member[i].commands);
	}
	close(c->console);
	close(c->member[0].port.console);
	unlink(c->kernel);
	cluster_free(c->cfg);
	json_decref(c->events);
	json_decref(c->reply);
	free(c);
}

/* ---- seeing ---- */

/* For a failure. cmocka cuts long messages, so each has its own. */
static void show(struct cluster *c)
{
	const json_t *e;
	size_t i;

	print_message("printed: '%.*s'\n", (int)MIN(c->printed_len, 200u), c->printed);
	json_array_foreach(c->events, i, e)
	{
		char *text = json_dumps(e, JSON_COMPACT | JSON_PRESERVE_ORDER);
		print_message("%.300s\n", text);
		free(text);
	}
}

void cluster_await_bytes(struct cluster *c, const char *text, size_t len)
{
	uint64_t end = clock_now_ns() + CLUSTER_PATIENCE_S * NSEC_PER_SEC;
	const char *found;

	while (!(found = memmem(c->printed, c->printed_len, text, len))) {
		struct pollfd p = {.fd = c->console, .events = POLLIN};

		if (clock_now_ns() > end) {
			show(c);
			fail_msg("the guest did not print '%s'", text);
		}
		/* Old output makes room; a part of @text may be in its second half. */
		if (c->printed_len == sizeof(c->printed)) {
			c->printed_len /= 2;
			memmove(c->printed, c->printed + c->printed_len, c->printed_len);
		}
		if (poll(&p, 1, 100) <= 0)
			continue;
		ssize_t n = read(c->console, c->printed + c->printed_len,
				 sizeof(c->printed) - c->printed_len);
		if (n > 0)
			c->printed_len += (size_t)n;
	}
	size_t used = (size_t)(found - c->printed) + len;
	c->printed_len -= used;
	memmove(c->printed, c->printed + used, c->printed_len);
}

void cluster_await_text(struct cluster *c, const char *text)
{
	cluster_await_bytes(c, text, strlen(text));
}

/* @text is part of its text; NULL: whatever it says. */
static const json_t *find_event(struct cluster *c, unsigned node, const char *event,
				const char *text)
{
	const json_t *e;
	size_t i;

	json_array_foreach(c->events, i, e)
	{
		const char *told = json_string_value(json_object_get(e, "text"));

		if (strcmp(json_string_value(json_object_get(e, "event")), event) == 0 &&
		    strcmp(json_string_value(json_object_get(e, "node")),
			   c->cfg->nodes[node].name) == 0 &&
		    (!text || (told && strstr(told, text))))
			return e;
	}
	return NULL;
}

/* Under the lock. Return: false when nothing has changed for too long. */
static bool wait_for_change(struct cluster *c)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += CLUSTER_PATIENCE_S;
	return pthread_cond_timedwait(&c->changed, &c->lock, &end) == 0;
}

static const json_t *await_event(struct cluster *c, unsigned node, const char *event,
				 const char *text)
{
	const json_t *found;
	bool goes_on = true;

	pthread_mutex_lock(&c->lock);
	while (!(found = find_event(c, node, event, text)) && goes_on)
		goes_on = wait_for_change(c);
	pthread_mutex_unlock(&c->lock);
	if (!found) {
		show(c);
		fail_msg("node %u did not tell '%s' '%s'", node, event, text ?: "");
	}
	return found;
}

const json_t *cluster_await_event(struct cluster *c, unsigned node, const char *event)
{
	return await_event(c, node, event, NULL);
}

void cluster_await_warning(struct cluster *c, unsigned node, const char *text)
{
	const json_t *e = await_event(c, node, "log", text);

	assert_string_equal(json_string_value(json_object_get(e, "level")), "warning");
}

static void on_reply(void *ctx, const json_t *reply)
{
	struct cluster *c = ctx;

	pthread_mutex_lock(&c->lock);
	json_decref(c->reply);
	c->reply = json_deep_copy(reply);
	c->replies++;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

const json_t *cluster_ask(struct cluster *c, unsigned node, const char *name)
{
	unsigned before = c->replies; /* only we ask */
	bool goes_on = true;

	assert_int_equal(node_command(c->member[node].node, json_pack("{s:s}", "command", name),
				      on_reply, c),
			 0);
	pthread_mutex_lock(&c->lock);
	while (c->replies == before && goes_on)
		goes_on = wait_for_change(c);
	pthread_mutex_unlock(&c->lock);
	if (!goes_on) {
		show(c);
		fail_msg("node %u does not answer '%s'", node, name);
	}
	return c->reply;
}

void cluster_expect_ok(struct cluster *c, unsigned node, const char *name)
{
	const json_t *reply = cluster_ask(c, node, name);

	if (json_is_true(json_object_get(reply, "ok")))
		return;
	show(c);
	fail_msg("node %u: '%s': %s", node, name,
		 json_string_value(json_object_get(reply, "text")) ?: "?");
}

void cluster_send_line(struct cluster *c, unsigned node, const char *line)
{
	size_t len = strlen(line);

	assert_int_equal(write(c->member[node].commands, line, len), len);
}

void cluster_expect_end(struct cluster *c, unsigned node, const char *reason, const char *text)
{
	const json_t *e = cluster_await_event(c, node, "stopped");
	const char *got = json_string_value(json_object_get(e, "reason"));
	const char *why = json_string_value(json_object_get(e, "text"));

	assert_non_null(got);
	assert_non_null(why);
	if (strcmp(got, reason) != 0 || !strstr(why, text)) {
		show(c);
		fail_msg("node %u ended with '%s: %s', not '%s: %s'", node, got, why, reason, text);
	}
}
