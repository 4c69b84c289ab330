/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command that starts a node. A launcher is a command prefix; only over ssh the command is a
 * text for the other host's shell, and the cluster file travels inside of it: that host has no
 * other way to it. A node there hears of our end by its standard input, which the other host's sshd
 * closes when the connection breaks.
 */
#include <stdio.h>

#include "base/file.h"
#include "base/text.h"
#include "cluster/member.h"

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
static int remote_command(const char *yaml, const char *program, const char *const *args,
			  char **ret, struct err *err)
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

/* What every node is told, and the first one of the guest. */
static size_t node_arguments(const struct member *m, char *const epoch, const char *args[12])
{
	const struct cluster_config *cfg = m->run->setup.cfg;
	const struct {
		const char *option, *value;
	} all[] = {{"--name", m->cfg->name},
		   {"--epoch", epoch},
		   {"--kernel", m->index ? NULL : cfg->kernel},
		   {"--initrd", m->index ? NULL : cfg->initrd},
		   {"--append", m->index ? NULL : cfg->append}};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].value) {
			args[n++] = all[i].option;
			args[n++] = all[i].value;
		}
	args[n] = NULL;
	return n;
}

static int start_over_ssh(struct member *m, const char *yaml, const char *const *args,
			  struct err *err)
{
	_cleanup_free_ char *remote = NULL;
	int r = remote_command(yaml, m->run->setup.remote_program, args, &remote, err);

	if (r < 0)
		return r;
	char *const argv[] = {"ssh",  "-o", "BatchMode=yes", "--", (char *)m->cfg->ssh,
			      remote, NULL};
	return child_start(argv, true, &m->child, err);
}

int member_start(struct member *m, struct err *err)
{
	const struct cluster_run_setup *setup = &m->run->setup;
	_cleanup_free_ char *yaml = text_printf("%s/cluster.yaml", setup->dir);
	_cleanup_free_ char *lab = text_printf("%s/lab", setup->dir);
	const char *args[12], *argv[32];
	char host[16], epoch[16];
	size_t a, n = 0;

	if (!yaml || !lab)
		return err_set(err, -ENOMEM, "out of memory");
	snprintf(host, sizeof(host), "%u", m->index);
	snprintf(epoch, sizeof(epoch), "%u", setup->epoch);
	a = node_arguments(m, epoch, args);
	if (m->cfg->ssh[0])
		return start_over_ssh(m, yaml, args, err);

	const char *const prefix[] = {
		"python3", setup->lab_tool, "exec", "--dir", lab, "--cwd", "/", host, "--"};
	const char *const node[] = {setup->program, "node", "--cluster", yaml};
	for (size_t i = 0; setup->lab_tool && i < ARRAY_SIZE(prefix); i++)
		argv[n++] = prefix[i];
	for (size_t i = 0; i < ARRAY_SIZE(node); i++)
		argv[n++] = node[i];
	for (size_t i = 0; i < a; i++)
		argv[n++] = args[i];
	argv[n] = NULL;
	return child_start((char *const *)argv, true, &m->child, err);
}
