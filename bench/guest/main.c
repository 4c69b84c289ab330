/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the loads of a plan and tells what each took, a line each on standard output:
 *
 *   PROOF-START                         before the first
 *   PROOF-MARK NAME.begin, NAME.end     around each; what all nodes counted (cli/marks.h)
 *   LOAD {"name": ..., "ok": true, "seconds": ..., "each": [...]}   or "ok": false, "reason": ...
 *   LOADS-DONE                          after the last
 *
 * After a mark the program waits for a line on standard input, by which whoever reads tells that
 * the mark is whole. Without it (MARK_SECONDS) it goes on. What loads print is kept, and its last
 * line is the reason when one fails.
 *
 * In a guest it is process 1, reads /plan, and powers off at the end. As an ordinary process it
 * runs the plan that its argument names, with --check before that it only reads it, and with
 * anything else it is one of the programs that are built in: /init NAME ARGUMENTS.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include "bench/guest/guest.h"

#define MARK_SECONDS   60
#define SERVER_SECONDS 20
#define SETTLE_NS      (20 * NSEC_PER_MSEC)
#define WARM_UP	       "300000000"
#define OUTPUT	       "/tmp/load.out"

static void nap(uint64_t ns)
{
	const struct timespec ts = {.tv_sec = (time_t)(ns / NSEC_PER_SEC),
				    .tv_nsec = (long)(ns % NSEC_PER_SEC)};

	nanosleep(&ts, NULL);
}

/* ---- the guest ---- */

static void write_setting(const char *path, const char *value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, value, strlen(value)) < 0)
		perror(path);
}

static void bring_up_loopback(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		perror("lo");
}

static void set_up_guest(void)
{
	static const struct {
		const char *where, *type;
	} mounts[] = {{"/proc", "proc"},
		      {"/sys", "sysfs"},
		      {"/dev", "devtmpfs"},
		      {"/dev/shm", "tmpfs"},
		      {"/tmp", "tmpfs"}};

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		mkdir(mounts[i].where, 0777);
		if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, NULL) &&
		    errno != EBUSY)
			printf("load: cannot mount %s: %s\n", mounts[i].where, strerror(errno));
	}

	int console = open("/dev/console", O_RDWR | O_CLOEXEC);
	for (int fd = 0; console >= 0 && fd < 3; fd++)
		dup2(console, fd);
	bring_up_loopback();
	/* Kernel messages may not cut into a line that a machine reads. */
	write_setting("/proc/sys/kernel/printk", "1");
	write_setting("/proc/self/oom_score_adj", "-1000");
	setenv("PATH", "/usr/bin:/bin", 1);
	setenv("HOME", "/tmp", 1);
}

static _Noreturn void power_off(void)
{
	fsync(STDOUT_FILENO);
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

/* ---- marks ---- */

static void mark(const struct load *load, const char *when)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	char line[256];

	printf("PROOF-MARK %s.%s\n", load->name, when);
	fflush(stdout);
	if (poll(&p, 1, MARK_SECONDS * 1000) == 1 && read(p.fd, line, sizeof(line)) < 0)
		perror("mark");
}

/* ---- one load ---- */

static void exec_run(const struct run *run)
{
	int null = open("/dev/null", O_RDONLY), out;
	sigset_t none;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (run->cpu != PLAN_CPU_ANY)
		pin(run->cpu);
	out = open(OUTPUT, O_WRONLY | O_CREAT | O_APPEND, 0644);
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	if (chdir("/tmp") == 0)
		execv(run->argv[0], run->argv);
	fprintf(stderr, "%s: %s\n", run->argv[0], strerror(errno));
	_exit(127);
}

static void start(struct run *run)
{
	/* What it prints goes elsewhere; nothing of ours may go with it. */
	fflush(stdout);
	run->status = -1;
	run->ended_ns = 0;
	run->pid = fork();
	if (!run->pid)
		exec_run(run);
}

static struct run *run_of(struct load *load, pid_t pid)
{
	for (unsigned i = 0; i < load->n_runs; i++)
		if (load->run[i].pid == pid)
			return &load->run[i];
	return NULL;
}

static void reap(struct load *load, pid_t pid, int status)
{
	struct run *run = run_of(load, pid);

	if (!run)
		return;
	run->ended_ns = clock_now_ns();
	run->status = status;
	run->pid = 0;
}

static bool some_run(const struct load *load, enum run_kind kind)
{
	for (unsigned i = 0; i < load->n_runs; i++)
		if (load->run[i].kind == kind && load->run[i].pid > 0)
			return true;
	return false;
}

static void kill_all(struct load *load)
{
	for (unsigned i = 0; i < load->n_runs; i++)
		if (load->run[i].pid > 0)
			kill(-load->run[i].pid, SIGKILL);
}

/* Until none of this kind runs. Return: false when they had to be killed for their time. */
static bool await_runs(struct load *load, enum run_kind kind)
{
	const struct timespec limit = {.tv_sec = load->seconds};
	sigset_t child;
	int status;
	pid_t pid;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (some_run(load, kind)) {
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			reap(load, pid, status);
		if (some_run(load, kind) && sigtimedwait(&child, NULL, &limit) < 0 &&
		    errno == EAGAIN)
			return false;
	}
	return true;
}

static bool connects(unsigned port)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
}

static bool await_server(struct load *load, const struct run *run)
{
	uint64_t end = clock_now_ns() + SERVER_SECONDS * NSEC_PER_SEC;

	while (!connects(run->port)) {
		int status;
		pid_t pid = waitpid(run->pid, &status, WNOHANG);

		if (pid > 0)
			reap(load, pid, status);
		if (pid > 0 || clock_now_ns() > end)
			return false;
		nap(10 * NSEC_PER_MSEC);
	}
	return true;
}

static const char *prepare(struct load *load)
{
	for (unsigned i = 0; i < load->n_runs; i++) {
		struct run *run = &load->run[i];

		if (run->kind == RUN_TIMED)
			continue;
		start(run);
		if (run->pid < 0)
			return "fork";
		if (run->kind == RUN_SERVER && !await_server(load, run))
			return "the server takes no connection";
		if (run->kind == RUN_PREPARE && (!await_runs(load, RUN_PREPARE) || run->status))
			return "its preparation failed";
	}
	return NULL;
}

static const char *run_timed(struct load *load, uint64_t *ret_began)
{
	*ret_began = clock_now_ns();
	for (unsigned i = 0; i < load->n_runs; i++)
		if (load->run[i].kind == RUN_TIMED)
			start(&load->run[i]);
	if (!await_runs(load, RUN_TIMED))
		return "it took too long";
	for (unsigned i = 0; i < load->n_runs; i++)
		if (load->run[i].kind == RUN_TIMED && load->run[i].status)
			return "a program failed";
	return NULL;
}

/* ---- what is told ---- */

/* Quotes and what is not printable would spoil the line. */
static void print_last_words(void)
{
	_cleanup_close_ int fd = open(OUTPUT, O_RDONLY | O_CLOEXEC);
	char text[200];
	ssize_t n = 0;

	if (fd >= 0) {
		off_t size = lseek(fd, 0, SEEK_END);
		n = pread(fd, text, sizeof(text), MAX(size - (off_t)sizeof(text), (off_t)0));
	}
	for (ssize_t i = 0; i < n; i++)
		putchar(text[i] < ' ' || text[i] > '~' || strchr("\"\\", text[i]) ? ' ' : text[i]);
}

static void tell(const struct load *load, uint64_t began, const char *failure)
{
	uint64_t last = began;
	const char *separator = "";

	printf("LOAD {\"name\": \"%s\", \"ok\": %s, ", load->name, failure ? "false" : "true");
	if (failure) {
		printf("\"reason\": \"%s: ", failure);
		print_last_words();
		printf("\"}\n");
		return;
	}
	printf("\"each\": [");
	for (unsigned i = 0; i < load->n_runs; i++) {
		const struct run *run = &load->run[i];

		if (run->kind != RUN_TIMED)
			continue;
		printf("%s%.6f", separator, (double)(run->ended_ns - began) / 1e9);
		last = MAX(last, run->ended_ns);
		separator = ", ";
	}
	printf("], \"seconds\": %.6f}\n", (double)(last - began) / 1e9);
}

static void run_load(struct load *load)
{
	uint64_t began = 0;
	const char *failure;

	unlink(OUTPUT);
	failure = prepare(load);
	nap(SETTLE_NS);
	mark(load, "begin");
	failure = failure ?: run_timed(load, &began);
	mark(load, "end");
	tell(load, began, failure);
	kill_all(load);
	while (some_run(load, RUN_SERVER) || some_run(load, RUN_TIMED) ||
	       some_run(load, RUN_PREPARE))
		reap(load, waitpid(-1, &(int){0}, 0), -1);
	fflush(stdout);
}

/* CPUs may be on their own hosts only once they have work. */
static void warm_up(const char *self)
{
	struct load load = {.name = "warm-up", .seconds = 120};
	uint64_t began;

	for (unsigned i = 0; i < (unsigned)get_nprocs() && i < PLAN_MAX_RUNS; i++)
		load.run[load.n_runs++] =
			(struct run){.kind = RUN_TIMED,
				     .cpu = i,
				     .argv = {(char *)self, (char *)"spin", (char *)WARM_UP}};
	if (run_timed(&load, &began))
		puts("load: warming up failed");
	kill_all(&load);
}

static int run_plan(const char *path, const char *self, bool warm, bool check)
{
	struct plan *plan;
	unsigned line;
	sigset_t child;
	int r = plan_read(path, &plan, &line);

	if (r < 0) {
		printf("load: %s, line %u: %s\n", path, line, strerror(-r));
		return 1;
	}
	if (check) {
		plan_free(plan);
		return 0;
	}
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	puts("PROOF-START");
	if (warm)
		warm_up(self);
	for (unsigned i = 0; i < plan->n_loads; i++)
		run_load(&plan->load[i]);
	plan_free(plan);
	puts("LOADS-DONE");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && access(argv[1], R_OK) == 0)
		return run_plan(argv[1], argv[0], false, false);
	if (argc == 3 && !strcmp(argv[1], "--check"))
		return run_plan(argv[2], argv[0], false, true);
	if (argc > 1 && getpid() != 1)
		return program_main(argc, argv);
	if (getpid() != 1) {
		fprintf(stderr, "usage: %s PLAN, or %s PROGRAM ARGUMENTS\n", argv[0], argv[0]);
		return 2;
	}
	set_up_guest();
	run_plan("/plan", "/init", true, false);
	power_off();
}
