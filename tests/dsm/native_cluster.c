/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/dsm/native_cluster.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "dsm/uffd.h"
#include "transport/tcp.h"

#define EPOCH	    5
#define CONNECT_MS  10000
#define THREADS_MAX 8

_Noreturn void native_die(const struct native_node *n, const char *fmt, ...)
{
	va_list ap;
	char text[512];

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "# node %u of %u: %s\n", n->self, n->cfg->nodes, text);
	_exit(1);
}

int native_usable(struct err *err)
{
	int fd, r = uffd_open(&fd, NULL, err);

	if (r == 0)
		close(fd);
	return r;
}

void native_barrier(struct native_node *n)
{
	pthread_barrier_wait(&n->shared->barrier);
}

static void on_fatal(void *ctx, int culprit, const char *text)
{
	struct native_node *n = ctx;

	if (n->fatal_calls++)
		return;
	snprintf(n->fatal_text, sizeof(n->fatal_text), "%s", text);
	n->culprit = culprit;
	n->told = true;
	if (n->cfg->lost < 0)
		native_die(n, "fatal (node %d): %s", culprit, text);
}

uint64_t native_clock(const struct native_node *n)
{
	return clock_now_ns() + (n->self == 0 ? n->cfg->skew_ns : 0);
}

static uint64_t on_clock(void *ctx)
{
	return native_clock(ctx);
}

static int on_stamp(void *ctx, unsigned peer, uint64_t stamp)
{
	struct native_node *n = ctx;

	if (native_clock(n) < stamp)
		atomic_fetch_add(&n->waits, 1);
	while (native_clock(n) < stamp)
		;
	return 0;
}

static bool is_pinned(void *ctx, uint64_t gpa)
{
	const struct native_node *n = ctx;

	return gpa < n->cfg->pinned;
}

static void connect_all(struct native_node *n)
{
	static const char *const name[NATIVE_NODES_MAX] = {"node 0", "node 1", "node 2", "node 3",
							   "node 4", "node 5", "node 6", "node 7"};
	const char *address[NATIVE_NODES_MAX];
	struct err err;

	for (unsigned i = 0; i < n->cfg->nodes; i++)
		address[i] = n->shared->address[i];
	const struct mesh_config mesh = {.nodes = n->cfg->nodes,
					 .self = n->self,
					 .shards = n->cfg->shards,
					 .address = address,
					 .name = name,
					 .listener = n->listener,
					 .epoch = EPOCH,
					 .timeout_ms = CONNECT_MS,
					 .cancel_fd = -1};
	if (mesh_connect(&mesh, &n->mesh, &err) < 0)
		native_die(n, "%s", err.text);
}

static void start_trace(struct native_node *n)
{
	char name[16];
	const struct trace_writer_config trace = {
		.dir = n->cfg->trace,
		.name = name,
		.self = n->self,
		.nodes = n->cfg->nodes,
		.shards = n->cfg->shards,
		.epoch = EPOCH,
		.size = 128 * MIB,
		.ticks_khz = NSEC_PER_MSEC,
		.clock = on_clock,
		.ctx = n,
		.ring = n->cfg->trace_ring,
	};
	struct err err;

	if (!n->cfg->trace)
		return;
	snprintf(name, sizeof(name), "node%u", n->self);
	if (trace_writer_new(&trace, &n->trace, &err) < 0)
		native_die(n, "%s", err.text);
}

void native_trace_end(struct native_node *n)
{
	struct trace_outcome outcome = {0};

	trace_writer_close(TAKE_PTR(n->trace), &outcome);
	NATIVE_CHECK(n, !outcome.lost && !outcome.error, "%llu records lost, %s",
		     (unsigned long long)outcome.lost, strerror(-outcome.error));
}

static void start_pager(struct native_node *n)
{
	struct err err;
	const struct pager_config pager = {
		.self = n->self,
		.nodes = n->cfg->nodes,
		.shards = n->cfg->shards,
		.epoch = EPOCH,
		.hold_ns = n->cfg->hold_ns,
		.quiet_ns = n->cfg->quiet_ns,
		.spin_ns = n->cfg->spin_ns,
		.homes = n->cfg->homes,
		.homes_rest_ns = n->cfg->homes_rest_ns,
		.pinned = is_pinned,
		.exact = n->cfg->exact,
		.copies = n->cfg->keepers >> n->self & 1 ? 0 : n->cfg->copies,
		.ram = n->ram,
		.conn = n->mesh.page,
		.clock = n->cfg->skew_ns ? on_clock : NULL,
		.reach = on_stamp,
		.fatal = on_fatal,
		.trace = n->trace,
		.ctx = n,
	};

	if (pager_new(&pager, &n->pager, &err) < 0)
		native_die(n, "%s", err.text);
	NATIVE_CHECK(n, pager_start(n->pager) == 0, "threads");
}

static void map_ram(struct native_node *n)
{
	uint64_t size[NATIVE_NODES_MAX];
	struct mem_layout layout;
	struct err err;

	for (unsigned i = 0; i < n->cfg->nodes; i++)
		size[i] = n->cfg->memory;
	if (mem_layout_init(size, n->cfg->nodes, &layout, &err) < 0 ||
	    ram_new(&layout, &n->ram, &err) < 0)
		native_die(n, "%s", err.text);
}

/* With a lost node the rest cannot wait for all. */
static void part(struct native_node *n)
{
	if (n->cfg->lost < 0)
		native_barrier(n);
}

static void node_main(struct native_node *n)
{
	map_ram(n);
	connect_all(n);
	listener_close(n->listener);
	if (n->cfg->before)
		n->cfg->before(n);
	start_trace(n);
	start_pager(n);
	native_barrier(n);
	n->cfg->body(n);
	part(n);
	pager_stop(n->pager);
	part(n);
	native_trace_end(n);
	pager_free(n->pager);
	mesh_close(&n->mesh);
	ram_free(n->ram);
}

static void node_process(const struct native_config *cfg, struct native_shared *shared,
			 struct listener *const *listener, unsigned self, pid_t parent)
{
	struct native_node n = {.cfg = cfg, .shared = shared, .self = self, .culprit = -2};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	for (unsigned i = 0; i < cfg->nodes; i++)
		if (i != self)
			listener_close(listener[i]);
	n.listener = listener[self];
	node_main(&n);
	exit(0);
}

static struct native_shared *shared_new(unsigned nodes)
{
	struct native_shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_barrierattr_t shared;

	if (s == MAP_FAILED)
		return NULL;
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&s->barrier, &shared, nodes);
	return s;
}

static void kill_all(const struct native_shared *s, unsigned nodes, unsigned running)
{
	for (unsigned i = 0; i < nodes; i++)
		if (running >> i & 1)
			kill(s->pid[i], SIGKILL);
}

/* Reaps all nodes; kills the others when one fails, and all at the deadline. */
static int reap(const struct native_config *cfg, const struct native_shared *s, unsigned started)
{
	uint64_t deadline = clock_now_ns() + cfg->timeout_s * NSEC_PER_SEC;
	unsigned running = (1u << started) - 1;
	const struct timespec pause = {.tv_nsec = (long)(2 * NSEC_PER_MSEC)};
	int result = started == cfg->nodes ? 0 : -1;

	while (running) {
		bool late = clock_now_ns() > deadline;

		if (late && result == 0)
			fprintf(stderr, "# not done after %u s: killed\n", cfg->timeout_s);
		if (late || result < 0) {
			kill_all(s, started, running);
			result = -1;
		}
		for (unsigned i = 0; i < started; i++) {
			int status;

			if (!(running >> i & 1) ||
			    waitpid(s->pid[i], &status, WNOHANG) != s->pid[i])
				continue;
			running &= ~(1u << i);
			if ((int)i == cfg->lost ? !WIFSIGNALED(status) : status != 0) {
				if (result == 0)
					fprintf(stderr, "# node %u ended with status %#x\n", i,
						(unsigned)status);
				result = -1;
			}
		}
		nanosleep(&pause, NULL);
	}
	return result;
}

/* Before the fork, so that every node knows where the others listen. */
static int listen_all(const struct native_config *cfg, const struct transport *transport,
		      struct native_shared *s, struct listener **listener)
{
	struct err err;

	for (unsigned i = 0; i < cfg->nodes; i++) {
		uint16_t port;

		if (transport_listen(transport, "127.0.0.1:0", &port, &listener[i], &err) < 0) {
			fprintf(stderr, "# %s\n", err.text);
			return -1;
		}
		snprintf(s->address[i], sizeof(s->address[i]), "127.0.0.1:%u", port);
	}
	return 0;
}

int native_run(const struct native_config *cfg)
{
	struct native_shared *s = shared_new(cfg->nodes);
	struct listener *listener[NATIVE_NODES_MAX] = {0};
	struct transport *faulty = NULL;
	int result = -1;
	unsigned started = 0;
	pid_t parent = getpid();

	if (!s || (cfg->faults && faulty_new(tcp_transport(), cfg->faults, &faulty) < 0))
		return -1;
	if (listen_all(cfg, faulty ?: tcp_transport(), s, listener) == 0) {
		fflush(NULL); /* else every child would print it again */
		for (; started < cfg->nodes; started++) {
			pid_t pid = fork();
			if (pid == 0)
				node_process(cfg, s, listener, started, parent);
			if (pid < 0)
				break;
			s->pid[started] = pid; /* by the parent alone: a child would write 0 */
		}
		result = reap(cfg, s, started);
	}
	for (unsigned i = 0; i < cfg->nodes; i++)
		listener_close(listener[i]);
	faulty_free(faulty);
	munmap(s, sizeof(*s));
	return result;
}

void native_thread_start(struct native_thread *t, void *(*fn)(void *))
{
	NATIVE_CHECK(t->node, pthread_create(&t->id, NULL, fn, t) == 0, "thread");
}

void native_threads(struct native_node *n, unsigned count, void *(*fn)(void *))
{
	struct native_thread t[THREADS_MAX];

	NATIVE_CHECK(n, count <= THREADS_MAX, "%u", count);
	for (unsigned i = 0; i < count; i++) {
		t[i] = (struct native_thread){.node = n, .index = n->self * count + i, .local = i};
		native_thread_start(&t[i], fn);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(t[i].id, NULL);
}
