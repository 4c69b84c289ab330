/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/rundir.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "base/text.h"

static int copy_file(const char *from, const char *to)
{
	_cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct stat st;
	ssize_t n;

	if (in < 0 || out < 0 || fstat(in, &st) < 0 || fchmod(out, st.st_mode & 0777) < 0)
		return -errno;
	while ((n = sendfile(out, in, NULL, MIB)) > 0)
		;
	return n < 0 ? -errno : 0;
}

/* An emulated host has a /tmp and a /run of its own; it sees this directory for certain. */
static int copy_in(const struct rundir *dir, char **path, const char *name, struct err *err)
{
	char *copy;
	int r;

	if (!*path)
		return 0;
	copy = text_printf("%s/%s", dir->path, name);
	if (!copy)
		return err_set(err, -ENOMEM, "out of memory");
	r = copy_file(*path, copy);
	if (r < 0)
		err_set(err, r, "%s: cannot be copied to %s: %s", *path, copy, strerror(-r));
	free(*path);
	*path = copy;
	return r;
}

int rundir_make(struct rundir *dir, struct cluster_config *cfg, char **program, struct err *err)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	char path[sizeof(dir->path) + 32], made[sizeof(dir->path)];
	int r = 0;

	/* Sockets of the lab are below it: it must stay short. */
	if (!base || base[0] != '/' || strlen(base) > 60 || access(base, W_OK) < 0)
		base = "/tmp";
	snprintf(made, sizeof(made), "%s/ssihv.XXXXXX", base);
	if (!mkdtemp(made))
		return err_set(err, -errno, "%s: no directory can be made there: %s", base,
			       strerror(errno));
	strcpy(dir->path, made);
	if (cfg->placement == CLUSTER_LAB)
		r = copy_in(dir, program, "node", err) ?: copy_in(dir, &cfg->kernel, "kernel", err)
			    ?: copy_in(dir, &cfg->initrd, "initrd", err);
	snprintf(path, sizeof(path), "%s/cluster.yaml", dir->path);
	return r ?: cluster_save(cfg, path, err);
}

static bool is_log(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (strcmp(dot, ".log") == 0 || strcmp(dot, ".yaml") == 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	remove(path);
	return 0;
}

/* A directory with logs in it is not empty and stays. */
static int remove_unless_log(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type == FTW_DP || !is_log(path + ftw->base))
		remove(path);
	return 0;
}

/* Copies the logs in @from, not below it, to @to. */
static int copy_logs(const char *from, const char *to)
{
	DIR *d = opendir(from);
	struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	if (mkdir(to, 0777) < 0 && errno != EEXIST)
		r = -errno;
	while (r == 0 && (e = readdir(d))) {
		_cleanup_free_ char *source = text_printf("%s/%s", from, e->d_name);
		_cleanup_free_ char *target = text_printf("%s/%s", to, e->d_name);

		if (is_log(e->d_name))
			r = source && target ? copy_file(source, target) : -ENOMEM;
	}
	closedir(d);
	return r;
}

static int copy_all_logs(const struct rundir *dir, const char *to)
{
	_cleanup_free_ char *lab = text_printf("%s/lab", dir->path);
	_cleanup_free_ char *lab_to = text_printf("%s/lab", to);
	int r = copy_logs(dir->path, to);

	if (!lab || !lab_to)
		return -ENOMEM;
	return r ?: copy_logs(lab, lab_to);
}

void rundir_end(struct rundir *dir, const char *keep, bool stays, FILE *say)
{
	if (!dir->path[0])
		return;
	if (keep) {
		int r = copy_all_logs(dir, keep);

		if (r < 0)
			fprintf(say, "ssihv: logs could not be copied to %s: %s\n", keep,
				strerror(-r));
		stays = r < 0;
	}
	nftw(dir->path, stays ? remove_unless_log : remove_one, 8, FTW_DEPTH | FTW_PHYS);
	if (stays)
		fprintf(say, "ssihv: the logs are in %s\n", dir->path);
	else if (keep)
		fprintf(say, "ssihv: the logs are in %s\n", keep);
}
