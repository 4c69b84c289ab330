/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lab's agent: runs commands on an emulated host for whoever is at the other end of a
 * virtio-serial port.
 *
 * Goal: `lab.py exec` feels like ssh without a network. A host has several ports ("slots") and
 * runs one command a slot at a time, with standard input, output and error kept apart and
 * binary-clean, and back-pressure both ways.
 *
 * Processes: the first process of the host forks one server a slot and then only reaps orphans.
 * A server has one thread and no lock: a poll loop over its port, three pipes and a pidfd.
 *
 * Invariants:
 *  - a frame that was begun is finished before the next begins; at most one frame waits in each
 *    direction, and nothing more is read from where it comes from until it is gone;
 *  - every frame carries the session number that its client made up; those of another session
 *    are ignored, so what a dead client left in the port never reaches the next one's command;
 *  - a client that was cut off may leave half a frame behind. The next one first sends more
 *    zeros than a frame is long: they fill up that half, whose end mark is then wrong, and the
 *    rest is skipped between frames;
 *  - when the client goes away (POLLHUP on the port) its command's process group is killed.
 *
 * A command has ended when its process has: what is still in the pipes then is sent, but a
 * background process that keeps them open is not waited for, and lives on.
 */
#include <assert.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRAME_MAGIC   0x4842414cU /* "LABH" */
#define FRAME_END     0xa5
#define FRAME_PAYLOAD 8192
#define PREPARE_MAX   (128 * 1024)
#define STRINGS_MAX   4096
#define SLOTS_MAX     30

/* The same list is in slot.py. */
enum frame_type {
	FRAME_HELLO = 1, /* client: a new session begins; answered with FRAME_ACK */
	FRAME_ACK,
	FRAME_PREPARE, /* client: a piece of "CWD\0 NENV\0 ENV...\0 ARG...\0" */
	FRAME_START,   /* client: run what was prepared */
	FRAME_STDIN,   /* client: data; empty means end of file */
	FRAME_SIGNAL,  /* client: one byte, the signal for the process group */
	FRAME_STDOUT,
	FRAME_STDERR,
	FRAME_EXIT,    /* agent: one byte, the exit status, 128 + signal if it was killed */
	FRAME_REFUSED, /* agent: text, why the command was not run */
};

struct frame_head {
	uint32_t magic;
	uint8_t type;
	uint8_t reserved;
	uint16_t length;
	uint64_t session;
};
static_assert(sizeof(struct frame_head) == 16, "the header crosses the port");

struct frame {
	struct frame_head head;
	uint8_t payload[FRAME_PAYLOAD + 1]; /* the end mark follows the payload */
};
static_assert(offsetof(struct frame, payload) == sizeof(struct frame_head), "no gap on the wire");

struct slot {
	int port;
	uint64_t session; /* 0: none */
	struct frame in;
	size_t in_length;
	bool in_waits; /* a complete frame that the command's stdin has no room for yet */
	size_t in_done;
	struct frame out;
	size_t out_length, out_done;
	char prepared[PREPARE_MAX];
	size_t prepared_length;
	pid_t pid; /* 0: no command */
	int pidfd, in_pipe, out_pipe, err_pipe;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void command_abort(struct slot *slot)
{
	if (slot->pid > 0) {
		kill(-slot->pid, SIGKILL);
		waitpid(slot->pid, NULL, 0);
	}
	slot->pid = 0;
	close_fd(&slot->pidfd);
	close_fd(&slot->in_pipe);
	close_fd(&slot->out_pipe);
	close_fd(&slot->err_pipe);
	slot->in_waits = false;
	slot->out_length = slot->out_done = 0;
	slot->prepared_length = 0;
}

static void out_frame(struct slot *slot, enum frame_type type, size_t length)
{
	slot->out.head = (struct frame_head){.magic = FRAME_MAGIC,
					     .type = (uint8_t)type,
					     .length = (uint16_t)length,
					     .session = slot->session};
	slot->out.payload[length] = FRAME_END;
	slot->out_length = sizeof(slot->out.head) + length + 1;
	slot->out_done = 0;
}

/* In the child, between fork and exec: nothing here returns. */
static void command_exec(const int stdio[3], const char *cwd, char **env, char **argv)
{
	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	for (int fd = 0; fd < 3; fd++)
		if (dup2(stdio[fd], fd) < 0)
			_exit(126);
	/* The directory may not exist in the chroot, such as one below /tmp. */
	if (chdir(cwd) < 0 && chdir("/") < 0)
		_exit(126);
	for (; *env; env++)
		putenv(*env);
	execvp(argv[0], argv);
	int status = errno == ENOENT ? 127 : 126;
	warn("%s", argv[0]);
	_exit(status);
}

/* Splits what was prepared; false if it is not what the comment at FRAME_PREPARE says. */
static bool prepared_split(struct slot *slot, char **strings, char ***env, char ***argv)
{
	size_t count = 0;
	char *end = slot->prepared + slot->prepared_length;

	if (!slot->prepared_length || end[-1])
		return false;
	for (char *s = slot->prepared; s < end; s += strlen(s) + 1) {
		if (count == STRINGS_MAX)
			return false;
		strings[count++] = s;
	}
	if (count < 3)
		return false;
	unsigned long envs = strtoul(strings[1], NULL, 10);
	if (envs > count - 3)
		return false;
	/* Both lists end with NULL: the environment moves one down, over its own count. */
	memmove(&strings[1], &strings[2], envs * sizeof(*strings));
	strings[1 + envs] = NULL;
	strings[count] = NULL;
	*env = &strings[1];
	*argv = &strings[2 + envs];
	return true;
}

static void pipes_close(int ours[3], int theirs[3])
{
	for (int i = 0; i < 3; i++) {
		close_fd(&ours[i]);
		close_fd(&theirs[i]);
	}
}

static int pipes_open(int ours[3], int theirs[3])
{
	for (int i = 0; i < 3; i++) {
		int ends[2];
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -errno;
		theirs[i] = ends[i == 0 ? 0 : 1];
		ours[i] = ends[i == 0 ? 1 : 0];
		if (fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	}
	return 0;
}

static int command_start(struct slot *slot)
{
	char *strings[STRINGS_MAX + 1], **env, **argv;
	int ours[3] = {-1, -1, -1}, theirs[3] = {-1, -1, -1};

	if (slot->pid || !prepared_split(slot, strings, &env, &argv))
		return -EPROTO;
	int r = pipes_open(ours, theirs);
	pid_t pid = r < 0 ? -1 : fork();
	if (pid == 0)
		command_exec(theirs, strings[0], env, argv);
	if (pid < 0) {
		r = r < 0 ? r : -errno;
		pipes_close(ours, theirs);
		return r;
	}
	setpgid(pid, pid);
	for (int i = 0; i < 3; i++)
		close(theirs[i]);
	slot->pid = pid;
	slot->in_pipe = ours[0];
	slot->out_pipe = ours[1];
	slot->err_pipe = ours[2];
	slot->pidfd = pidfd_open(pid, 0);
	return slot->pidfd < 0 ? -errno : 0;
}

/* The command has ended and its pipes are empty: its status is the session's last frame. */
static void command_reap(struct slot *slot)
{
	int status;

	if (waitpid(slot->pid, &status, 0) < 0)
		err(1, "waitpid");
	slot->pid = 0;
	command_abort(slot);
	slot->out.payload[0] =
		(uint8_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	out_frame(slot, FRAME_EXIT, 1);
}

/* True while the frame has to wait for room in the pipe. */
static bool stdin_write(struct slot *slot)
{
	size_t length = slot->in.head.length;

	if (slot->in_pipe < 0)
		return false;
	if (!length) {
		close_fd(&slot->in_pipe);
		return false;
	}
	ssize_t n = write(slot->in_pipe, slot->in.payload + slot->in_done, length - slot->in_done);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n < 0) {
		close_fd(&slot->in_pipe); /* the command closed it */
		return false;
	}
	slot->in_done += (size_t)n;
	return slot->in_done < length;
}

/* The command cannot be run: the session's last frame says why. */
static void refuse(struct slot *slot, int error)
{
	command_abort(slot);
	int n = snprintf((char *)slot->out.payload, FRAME_PAYLOAD, "lab agent: %s\n",
			 strerror(-error));
	out_frame(slot, FRAME_REFUSED, (size_t)n);
}

static void prepare(struct slot *slot)
{
	size_t length = slot->in.head.length;

	if (length > sizeof(slot->prepared) - slot->prepared_length) {
		refuse(slot, -E2BIG);
		return;
	}
	memcpy(slot->prepared + slot->prepared_length, slot->in.payload, length);
	slot->prepared_length += length;
}

static void start(struct slot *slot)
{
	int r = command_start(slot);

	if (r < 0)
		refuse(slot, r);
}

static void frame_received(struct slot *slot)
{
	const struct frame_head *head = &slot->in.head;

	if (head->type == FRAME_HELLO) {
		command_abort(slot);
		slot->session = head->session;
		out_frame(slot, FRAME_ACK, 0);
		return;
	}
	if (!slot->session || head->session != slot->session)
		return;
	if (head->type == FRAME_PREPARE) {
		prepare(slot);
	} else if (head->type == FRAME_START) {
		start(slot);
	} else if (head->type == FRAME_STDIN) {
		slot->in_done = 0;
		slot->in_waits = stdin_write(slot);
	} else if (head->type == FRAME_SIGNAL && head->length == 1 && slot->pid) {
		kill(-slot->pid, slot->in.payload[0]);
	}
}

/* How many bytes the frame that is being received wants next; 0: it is complete. */
static size_t in_wanted(const struct slot *slot)
{
	if (slot->in_length < sizeof(slot->in.head))
		return sizeof(slot->in.head) - slot->in_length;
	return sizeof(slot->in.head) + slot->in.head.length + 1 - slot->in_length;
}

/* Drops bytes from the front of a header until it can be one: zeros between frames, or debris. */
static void in_resync(struct slot *slot)
{
	uint8_t *bytes = (uint8_t *)&slot->in.head;
	const uint32_t magic = FRAME_MAGIC;

	while (slot->in_length &&
	       (memcmp(bytes, &magic,
		       slot->in_length < sizeof(magic) ? slot->in_length : sizeof(magic)) ||
		(slot->in_length == sizeof(slot->in.head) &&
		 slot->in.head.length > FRAME_PAYLOAD))) {
		slot->in_length--;
		memmove(bytes, bytes + 1, slot->in_length);
	}
}

static void port_read(struct slot *slot)
{
	ssize_t n = read(slot->port, (uint8_t *)&slot->in + slot->in_length, in_wanted(slot));

	if (n <= 0)
		return;
	slot->in_length += (size_t)n;
	if (slot->in_length <= sizeof(slot->in.head))
		in_resync(slot);
	if (slot->in_length < sizeof(slot->in.head) || in_wanted(slot))
		return;
	slot->in_length = 0;
	if (slot->in.payload[slot->in.head.length] == FRAME_END)
		frame_received(slot);
}

static void port_write(struct slot *slot)
{
	ssize_t n = write(slot->port, (uint8_t *)&slot->out + slot->out_done,
			  slot->out_length - slot->out_done);

	if (n > 0)
		slot->out_done += (size_t)n;
	if (slot->out_done == slot->out_length)
		slot->out_length = slot->out_done = 0;
}

/* True if a frame was made of what the pipe held. */
static bool pipe_read(struct slot *slot, int *fd, enum frame_type type)
{
	if (*fd < 0)
		return false;
	ssize_t n = read(*fd, slot->out.payload, FRAME_PAYLOAD);
	if (n < 0)
		return false;
	if (n == 0) {
		close_fd(fd);
		return false;
	}
	out_frame(slot, type, (size_t)n);
	return true;
}

/*
 * Until a client connects. A write to a port without one blocks, while poll and read return at
 * once; so a filler byte, which clients skip, is what waits without turning in circles.
 */
static void wait_for_client(struct slot *slot)
{
	command_abort(slot);
	slot->session = 0;
	fcntl(slot->port, F_SETFL, 0);
	while (write(slot->port, "", 1) < 0 && errno == EINTR)
		;
	fcntl(slot->port, F_SETFL, O_NONBLOCK);
}

static void serve_once(struct slot *slot)
{
	bool out_free = !slot->out_length;
	/* PID before OUT and ERR: poll looks in this order, so what a command wrote before its
	 * end was seen is seen as well. */
	enum { PORT, IN, PID, OUT, ERR, COUNT };
	struct pollfd fds[COUNT] = {
		[PORT] = {slot->port, (short)((slot->in_waits || !out_free ? 0 : POLLIN) |
					      (out_free ? 0 : POLLOUT))},
		[IN] = {slot->in_waits ? slot->in_pipe : -1, POLLOUT},
		[OUT] = {out_free ? slot->out_pipe : -1, POLLIN},
		[ERR] = {out_free ? slot->err_pipe : -1, POLLIN},
		[PID] = {out_free ? slot->pidfd : -1, POLLIN},
	};

	if (poll(fds, COUNT, -1) < 0)
		return;
	if (fds[PORT].revents & (POLLHUP | POLLERR)) {
		wait_for_client(slot);
		return;
	}
	if (fds[IN].revents)
		slot->in_waits = stdin_write(slot);
	if (!out_free) {
		if (fds[PORT].revents & POLLOUT)
			port_write(slot);
		return;
	}
	if (fds[PORT].revents & POLLIN)
		port_read(slot);
	/* From here at most one frame is made, and only if reading the port made none. */
	if (slot->out_length)
		return;
	if (fds[ERR].revents && pipe_read(slot, &slot->err_pipe, FRAME_STDERR))
		return;
	if (fds[OUT].revents && pipe_read(slot, &slot->out_pipe, FRAME_STDOUT))
		return;
	if (fds[PID].revents && slot->pid && !fds[OUT].revents && !fds[ERR].revents)
		command_reap(slot);
}

static void serve(const char *device)
{
	struct slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		err(1, "slot");
	slot->pidfd = slot->in_pipe = slot->out_pipe = slot->err_pipe = -1;
	slot->port = open(device, O_RDWR | O_CLOEXEC);
	if (slot->port < 0)
		err(1, "%s", device);
	signal(SIGPIPE, SIG_IGN);
	wait_for_client(slot);
	for (;;)
		serve_once(slot);
}

/* The port that QEMU calls `name`: the numbers in device names depend on the order of probing. */
static int find_port(const char *name, char *ret, size_t size)
{
	const char *class = "/sys/class/virtio-ports";
	DIR *dir = opendir(class);
	struct dirent *entry;
	int r = -ENOENT;

	if (!dir)
		return -errno;
	while (r < 0 && (entry = readdir(dir))) {
		char path[PATH_MAX], found[64];
		snprintf(path, sizeof(path), "%s/%s/name", class, entry->d_name);
		FILE *file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%63s", found) == 1 && !strcmp(found, name)) {
			snprintf(ret, size, "/dev/%s", entry->d_name);
			r = 0;
		}
		fclose(file);
	}
	closedir(dir);
	return r;
}

static pid_t fork_server(int slot)
{
	char name[16], device[PATH_MAX];

	snprintf(name, sizeof(name), "slot%d", slot);
	/* Ports appear one by one while the device and QEMU talk. */
	while (find_port(name, device, sizeof(device)) < 0)
		usleep(20000);
	pid_t pid = fork();
	if (pid == 0)
		serve(device);
	if (pid < 0)
		err(1, "fork");
	return pid;
}

/*
 * Holds a VM and a vCPU open for as long as the host lives, and never runs them. KVM patches the
 * kernel's code (static keys) when the first VM comes and when the last one goes, and TCG can miss
 * a patch that another CPU makes while it translates that very code: the host then executes a
 * stale breakpoint for ever. With one VM always there, nothing is patched.
 */
static void hold_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

	if (vm < 0 || ioctl(vm, KVM_CREATE_VCPU, 0) < 0)
		err(1, "/dev/kvm");
}

/* Frequency of this CPU's TSC, over a tenth of a second of the machine's true clock. */
static unsigned long tsc_khz(void)
{
	const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC_RAW, &start);
	unsigned long long first = __rdtsc();
	nanosleep(&pause, NULL);
	clock_gettime(CLOCK_MONOTONIC_RAW, &end);
	unsigned long long ticks = __rdtsc() - first;
	unsigned long long ns = (unsigned long long)(end.tv_sec - start.tv_sec) * 1000000000 +
				(unsigned long long)end.tv_nsec - (unsigned long long)start.tv_nsec;

	return (unsigned long)((double)ticks * 1e6 / (double)ns);
}

int main(int argc, char **argv)
{
	pid_t servers[SLOTS_MAX];
	int slots = argc == 2 ? atoi(argv[1]) : 0;

	if (argc == 2 && strcmp(argv[1], "--tsc-khz") == 0) {
		printf("%lu\n", tsc_khz());
		return 0;
	}
	if (slots < 1 || slots > SLOTS_MAX)
		errx(2, "usage: agent SLOTS | --tsc-khz");
	hold_kvm();
	for (int i = 0; i < slots; i++)
		servers[i] = fork_server(i);
	for (;;) {
		pid_t pid = wait(NULL);
		for (int i = 0; i < slots; i++)
			if (servers[i] == pid)
				servers[i] = fork_server(i);
	}
}
