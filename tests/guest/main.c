/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process 1 of the guest: mounts what the checks read, runs them one after the other, reports,
 * powers off.
 *
 *   proof: NAME ok|FAIL|skipped DETAILS (N.NN s)     one line a check
 *   proof-progress: NAME N %                         every 10 s of a long one
 *   PROOF {...}                                      the same for machines
 *   PROOF-RESULT ok  or  PROOF-RESULT FAIL NAMES     last line
 *
 * This process has one thread, allocates nothing while a check runs, and is exempt from the OOM
 * killer. A check runs in a child that leads its own process group; when it outlives
 * proof.timeout the group is killed and the check has failed. Whatever happens, the guest
 * powers off, so that the host's runner always sees an end.
 *
 * With --native the program is an ordinary process: parameters are arguments, nothing is mounted
 * or switched off, and the exit status tells the result.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include "tests/guest/proof.h"

#define PROGRESS_SECONDS 10
#define NATIVE_SWEEP_MIB 64
#define WARM_UP_NS	 (100 * NSEC_PER_MSEC)

struct entry {
	const char *group, *name;
	void (*run)(struct check *c);
};

static const struct entry entries[] = {
	{"numa", "numa", check_numa},
	{"sweep", "sweep", check_sweep},
	{"atomics", "xadd", check_xadd},
	{"atomics", "cmpxchg16b", check_cmpxchg16b},
	{"atomics", "mutex", check_mutex},
	{"litmus", "litmus-sb", check_litmus},
	{"litmus", "litmus-sb-mfence", check_litmus},
	{"litmus", "litmus-mp", check_litmus},
	{"litmus", "litmus-lb", check_litmus},
	{"litmus", "litmus-corr", check_litmus},
	{"litmus", "litmus-2+2w", check_litmus},
	{"litmus", "litmus-iriw", check_litmus},
	{"procs", "storm", check_storm},
	{"procs", "pipe", check_pipe},
	{"procs", "futex", check_futex},
	{"shootdown", "mprotect", check_shootdown},
	{"shootdown", "munmap", check_shootdown},
	{"signals", "signals", check_signals},
	{"signals", "timers", check_timers},
	{"clock", "clock", check_clock},
	{"log", "kernel-log", check_kernel_log},
};

#define N_CHECKS ARRAY_SIZE(entries)

struct proof {
	struct config config;
	struct topology topo;
	struct check *check; /* N_CHECKS, shared with the children */
	bool ran[N_CHECKS];
	double uptime, start;
	unsigned n[CHECK_SKIPPED + 1];
};

static double seconds_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / (double)NSEC_PER_SEC;
}

static void write_setting(const char *path, const char *value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, value, strlen(value)) < 0)
		fprintf(stderr, "proof: cannot write %s: %s\n", path, strerror(errno));
}

static void mount_all(void)
{
	static const struct {
		const char *where, *type;
	} mounts[] = {{"/proc", "proc"}, {"/sys", "sysfs"}, {"/dev", "devtmpfs"}};
	int console;

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		mkdir(mounts[i].where, 0755);
		if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, NULL) &&
		    errno != EBUSY)
			printf("proof: cannot mount %s: %s\n", mounts[i].where, strerror(errno));
	}
	console = open("/dev/console", O_RDWR | O_CLOEXEC);
	for (int fd = 0; console >= 0 && fd < 3; fd++)
		dup2(console, fd);
	write_setting("/proc/self/oom_score_adj", "-1000");
}

static void configure(struct proof *p, int argc, char **argv)
{
	struct config *config = &p->config;
	char cmdline[4096] = "";

	config->scale = 1;
	config->seconds = 3;
	config->timeout = 600;
	config->sweep_percent = 90;
	config->sweep_passes = 2;
	config->native = argc > 1 && !strcmp(argv[1], "--native");
	if (!config->native) {
		mount_all();
		read_file("/proc/cmdline", cmdline, sizeof(cmdline));
		config_parse(config, cmdline);
		return;
	}
	config->sweep_mib = NATIVE_SWEEP_MIB;
	for (int i = 2; i < argc; i++)
		config_parse(config, argv[i]);
}

static bool selected(const struct config *config, const struct entry *entry)
{
	return (!*config->only || list_has(config->only, entry->group, entry->name)) &&
	       !list_has(config->skip, entry->group, entry->name);
}

/* Waits for the check's process; false when it had to be killed for its time. */
static bool await_check(struct check *c, pid_t pid, int *status)
{
	uint64_t start = clock_now_ns(), next = start + PROGRESS_SECONDS * NSEC_PER_SEC;
	const struct timespec tick = {.tv_sec = 1};
	bool in_time = true;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(pid, status, WNOHANG) != pid) {
		uint64_t now = clock_now_ns();

		if (now > start + c->config->timeout * NSEC_PER_SEC) {
			in_time = false;
			kill(-pid, SIGKILL);
		} else if (now > next) {
			next = now + PROGRESS_SECONDS * NSEC_PER_SEC;
			printf("proof-progress: %s %u %%\n", c->name, c->progress / 10);
			fflush(stdout);
		}
		sigtimedwait(&set, NULL, &tick);
	}
	return in_time;
}

static void run_check(struct check *c, void (*run)(struct check *))
{
	double start = seconds_of(CLOCK_MONOTONIC);
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		sigset_t none;

		setpgid(0, 0);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		run(c);
		_exit(0);
	}
	if (pid < 0)
		check_fail(c, "fork: %s", strerror(errno));
	else if (!await_check(c, pid, &status))
		check_fail(c, "not done after %u s, killed at %u %%", c->config->timeout,
			   c->progress / 10);
	else if (WIFSIGNALED(status))
		check_fail(c, "killed by signal %d (%s)%s", WTERMSIG(status),
			   strsignal(WTERMSIG(status)),
			   WTERMSIG(status) == SIGKILL ? ", out of memory?" : "");
	else if (status)
		check_fail(c, "exit status %d", WEXITSTATUS(status));
	c->seconds = seconds_of(CLOCK_MONOTONIC) - start;
	while (waitpid(-1, &status, WNOHANG) > 0)
		;
}

static void spin(struct worker *w)
{
	uint64_t end = clock_now_ns() + WARM_UP_NS;

	while (clock_now_ns() < end)
		cpu_pause();
}

static void spin_everywhere(struct check *c)
{
	run_everywhere(c, spin, NULL);
}

/*
 * All CPUs of the guest may start on one host and move to their own as soon as they run programs.
 * Here is one for each, so that what follows happens between hosts; the host's side tells whether
 * they have moved.
 */
static void warm_up(const struct proof *p)
{
	struct check c = {.name = "warm-up", .config = &p->config, .topo = &p->topo};

	run_check(&c, spin_everywhere);
	if (c.status == CHECK_FAILED)
		printf("proof: warm-up FAIL %s\n", c.details);
}

static void run_all(struct proof *p)
{
	static const char *const word[] = {"ok", "FAIL", "skipped"};

	for (size_t i = 0; i < N_CHECKS; i++) {
		struct check *c = &p->check[i];

		*c = (struct check){.group = entries[i].group,
				    .name = entries[i].name,
				    .config = &p->config,
				    .topo = &p->topo};
		if (!selected(&p->config, &entries[i]))
			continue;
		p->ran[i] = true;
		run_check(c, entries[i].run);
		p->n[c->status]++;
		printf("proof: %s %s %s (%.2f s)\n", c->name, word[c->status], c->details,
		       c->seconds);
		fflush(stdout);
	}
}

/* The fields of all checks; those of the litmus tests together in an object. */
static void print_fields(const struct proof *p)
{
	const char *separator = "";
	bool litmus = false;

	for (size_t i = 0; i < N_CHECKS; i++) {
		bool is_litmus = !strcmp(p->check[i].group, "litmus");

		if (!*p->check[i].json)
			continue;
		if (litmus && !is_litmus)
			printf("}");
		printf("%s%s%s", separator, is_litmus && !litmus ? "\"litmus\": {" : "",
		       p->check[i].json);
		litmus = is_litmus;
		separator = ", ";
	}
	printf("%s%s", litmus ? "}" : "", separator);
}

static void print_list(const struct proof *p, const char *key, enum status status)
{
	const char *separator = "";

	printf("\"%s\": [", key);
	for (size_t i = 0; i < N_CHECKS; i++)
		if (p->ran[i] && p->check[i].status == status) {
			printf("%s\"%s\"", separator, p->check[i].name);
			separator = ", ";
		}
	printf("], ");
}

static bool report(const struct proof *p)
{
	bool ok = p->n[CHECK_OK] && !p->n[CHECK_FAILED] && !*p->config.error;
	const char *separator = "";
	struct sysinfo info = {0};

	sysinfo(&info);
	printf("PROOF {\"result\": \"%s\", \"cpus\": %u, \"numa_nodes\": %u, \"memory_bytes\": "
	       "%lu, ",
	       ok ? "ok" : "fail", p->topo.n_cpus, p->topo.n_nodes,
	       (uint64_t)info.totalram * info.mem_unit);
	print_fields(p);
	printf("\"checks\": {\"ok\": %u, \"failed\": %u, \"skipped\": %u}, ", p->n[CHECK_OK],
	       p->n[CHECK_FAILED], p->n[CHECK_SKIPPED]);
	print_list(p, "failed", CHECK_FAILED);
	print_list(p, "skipped", CHECK_SKIPPED);
	printf("\"seconds\": {");
	for (size_t i = 0; i < N_CHECKS; i++)
		if (p->ran[i]) {
			printf("%s\"%s\": %.2f", separator, p->check[i].name, p->check[i].seconds);
			separator = ", ";
		}
	printf("}, \"uptime_at_start\": %.3f, \"total_seconds\": %.2f}\n", p->uptime,
	       seconds_of(CLOCK_MONOTONIC) - p->start);
	printf("PROOF-RESULT %s", ok ? "ok" : "FAIL");
	for (size_t i = 0; i < N_CHECKS; i++)
		if (p->ran[i] && p->check[i].status == CHECK_FAILED)
			printf(" %s", p->check[i].name);
	printf("%s%s\n", *p->config.error ? " parameter " : "", p->config.error);
	fflush(stdout);
	return ok;
}

static _Noreturn void power_off(void)
{
	fsync(STDOUT_FILENO);
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static int prove(struct proof *p)
{
	sigset_t set;

	/* SIGCHLD only ends the wait for a check; see await_check(). */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (topology_read(&p->topo))
		snprintf(p->config.error, sizeof(p->config.error), "no CPU found in /sys");
	p->check = map_pages(ALIGN_UP(N_CHECKS * sizeof(*p->check), PAGE_BYTES) / PAGE_BYTES);
	/* By this mark the host measures how long the boot took. */
	puts("PROOF-START");
	printf("proof: %u CPUs, %u nodes, started %.2f s after boot\n", p->topo.n_cpus,
	       p->topo.n_nodes, p->uptime);
	if (*p->config.error) {
		printf("proof: FAIL: not understood: %s\n", p->config.error);
	} else {
		warm_up(p);
		run_all(p);
	}
	/* Kernel messages may no longer cut into a line that a machine reads. */
	if (!p->config.native)
		write_setting("/proc/sys/kernel/printk", "1");
	return report(p) ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct proof p = {.uptime = seconds_of(CLOCK_BOOTTIME),
			  .start = seconds_of(CLOCK_MONOTONIC)};
	int status;

	if (argc > 1 && !strcmp(argv[1], "--storm-child"))
		return storm_child(argc, argv);
	configure(&p, argc, argv);
	status = prove(&p);
	if (!p.config.native)
		power_off();
	return status;
}
