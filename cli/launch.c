/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting children. A launcher is a command prefix; only over ssh the command is a text for the
 * other host's shell, and the cluster file travels inside of it: that host has no other way to it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "base/file.h"
#include "cli/run.h"

static void child_exec(char *const *argv, int in, int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(127);
	execvp(argv[0], argv);
	dprintf(2, "%s: cannot be started: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void close_pair(int fd[2])
{
	closep(&fd[0]);
	closep(&fd[1]);
}

int child_start(char *const *argv, bool with_in, struct child *ret, struct err *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, errs[2] = {-1, -1}, pidfd = -1;
	pid_t pid = -1;

	if (with_in ? pipe2(in, O_CLOEXEC) == 0
		    : (in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		if (pipe2(out, O_CLOEXEC) == 0 && pipe2(errs, O_CLOEXEC) == 0)
			pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		child_exec(argv, in[0], out[1], errs[1]);
	}
	if (pid > 0) {
		/* Here too: whoever comes first, the group exists before it is signalled. */
		setpgid(pid, pid);
		pidfd = pidfd_open(pid, 0);
	}
	if (pidfd < 0) {
		int r = err_set(err, -errno, "%s: cannot be started: %s", argv[0], strerror(errno));

		if (pid > 0)
			kill(-pid, SIGKILL);
		close_pair(in);
		close_pair(out);
		close_pair(errs);
		return r;
	}
	closep(&in[0]);
	closep(&out[1]);
	closep(&errs[1]);
	for (size_t i = 0; i < 3; i++) {
		int fd = i == 0 ? in[1] : i == 1 ? out[0] : errs[0];

		if (fd >= 0)
			fcntl(fd, F_SETFL, O_NONBLOCK);
	}
	*ret = (struct child){
		.pid = pid, .pidfd = pidfd, .in = in[1], .out = out[0], .err = errs[0]};
	return 0;
}

void child_close(struct child *c)
{
	closep(&c->pidfd);
	closep(&c->in);
	closep(&c->out);
	closep(&c->err);
	*c = (struct child){.pidfd = -1, .in = -1, .out = -1, .err = -1};
}

/* One word of a POSIX shell's command: in single quotes, each of its own as '\''. */
static void put_word(FILE *f, const char *word)
{
	fputc('\'', f);
	for (; *word; word++)
		if (*word == '\'')
			fputs("'\\''", f);
		else
			fputc(*word, f);
	fputs("' ", f);
}

/*
 * What the other host's shell runs: the cluster file from the command into a file of its own,
 * removed when the node ends, and the node. @args follow "--cluster FILE".
 */
static int remote_command(const char *yaml, const char *program, char *const *args, char **ret,
			  struct err *err)
{
	_cleanup_(file_free) struct file text = {0};
	_cleanup_free_ char *script = NULL;
	size_t len;
	FILE *f;
	/* Linux: 128 KiB for one argument. */
	int r = file_read("cluster file", yaml, 120 * KIB, &text, err);

	if (r < 0)
		return r;
	f = open_memstream(&script, &len);
	if (!f)
		return err_set(err, -ENOMEM, "out of memory");
	fputs("f=$(mktemp) || exit 1; trap 'rm -f \"$f\"' EXIT; printf %s ", f);
	put_word(f, (const char *)text.data);
	fputs(">\"$f\"; ", f);
	put_word(f, program);
	fputs("node --cluster \"$f\" ", f);
	for (; *args; args++)
		put_word(f, *args);
	if (fclose(f))
		return err_set(err, -ENOMEM, "out of memory");

	/* Whatever the login shell there is, sh reads the script. */
	f = open_memstream(ret, &len);
	if (!f)
		return err_set(err, -ENOMEM, "out of memory");
	fputs("exec sh -c ", f);
	put_word(f, script);
	return fclose(f) ? err_set(err, -ENOMEM, "out of memory") : 0;
}

/* Appends words to a NULL-terminated vector that is large enough. */
static void push(char **argv, size_t *n, const char *word)
{
	argv[(*n)++] = (char *)word;
	argv[*n] = NULL;
}

int node_start(struct run *run, unsigned index, struct err *err)
{
	struct node_run *node = &run->nodes[index];
	const struct cluster_config *cfg = run->cfg;
	const char *own = run->program;
	char yaml[sizeof(run->dir) + 16], lab[sizeof(run->dir) + 8], host[16], epoch[16];
	_cleanup_free_ char *remote = NULL;
	char *args[12], *argv[32];
	size_t a = 0, n = 0;

	snprintf(yaml, sizeof(yaml), "%s/cluster.yaml", run->dir);
	snprintf(lab, sizeof(lab), "%s/lab", run->dir);
	snprintf(host, sizeof(host), "%u", index);
	snprintf(epoch, sizeof(epoch), "%u", run->epoch);

	push(args, &a, "--name");
	push(args, &a, node->cfg->name);
	push(args, &a, "--epoch");
	push(args, &a, epoch);
	const struct {
		const char *option, *value;
	} guest[] = {
		{"--kernel", cfg->kernel}, {"--initrd", cfg->initrd}, {"--append", cfg->append}};
	for (size_t i = 0; index == 0 && i < ARRAY_SIZE(guest); i++)
		if (guest[i].value) {
			push(args, &a, guest[i].option);
			push(args, &a, guest[i].value);
		}

	if (node->cfg->ssh[0]) {
		int r = remote_command(yaml, run->opts->node_program ?: "ssihv", args, &remote,
				       err);

		if (r < 0)
			return r;
		char *const ssh[] = {"ssh",  "-o", "BatchMode=yes", "--", (char *)node->cfg->ssh,
				     remote, NULL};
		return child_start(ssh, true, &node->child, err);
	}
	if (cfg->placement == CLUSTER_LAB) {
		const char *const prefix[] = {"python3", run->lab_tool, "exec", "--dir", lab,
					      "--cwd",	 "/",		host,	"--"};
		for (size_t i = 0; i < ARRAY_SIZE(prefix); i++)
			push(argv, &n, prefix[i]);
	}
	push(argv, &n, own);
	push(argv, &n, "node");
	push(argv, &n, "--cluster");
	push(argv, &n, yaml);
	for (size_t i = 0; i < a; i++)
		push(argv, &n, args[i]);
	return child_start(argv, true, &node->child, err);
}
