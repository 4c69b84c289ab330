/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run's directory: cluster.yaml as every node reads it, one log a node, the guest's console,
 * and in the lab what the emulated hosts say and the copies of program, kernel and initrd that they
 * see.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "cli/run.h"

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
static int copy_in(struct run *run, char **path, const char *name, struct err *err)
{
	char *copy;
	int r;

	if (!*path)
		return 0;
	if (asprintf(&copy, "%s/%s", run->dir, name) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	r = copy_file(*path, copy);
	if (r < 0)
		err_set(err, r, "%s: cannot be copied to %s: %s", *path, copy, strerror(-r));
	free(*path);
	*path = copy;
	return r;
}

static int copy_in_program(struct run *run, struct err *err)
{
	char *path = strdup(run->program);
	int r = path ? copy_in(run, &path, "node", err) : err_set(err, -ENOMEM, "out of memory");

	if (r == 0)
		snprintf(run->program, sizeof(run->program), "%s", path);
	free(path);
	return r;
}

int rundir_make(struct run *run, struct err *err)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	char path[sizeof(run->dir) + 32], dir[sizeof(run->dir)];
	int r = 0;

	/* Sockets of the lab are below it: it must stay short. */
	if (!base || base[0] != '/' || strlen(base) > 60 || access(base, W_OK) < 0)
		base = "/tmp";
	snprintf(dir, sizeof(dir), "%s/ssihv.XXXXXX", base);
	if (!mkdtemp(dir))
		return err_set(err, -errno, "%s: no directory can be made there: %s", base,
			       strerror(errno));
	strcpy(run->dir, dir);
	if (run->cfg->placement == CLUSTER_LAB) {
		r = copy_in_program(run, err);
		if (r == 0)
			r = copy_in(run, &run->cfg->kernel, "kernel", err);
		if (r == 0)
			r = copy_in(run, &run->cfg->initrd, "initrd", err);
	}
	snprintf(path, sizeof(path), "%s/cluster.yaml", run->dir);
	return r ?: cluster_save(run->cfg, path, err);
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
		_cleanup_free_ char *source = NULL, *target = NULL;

		if (!is_log(e->d_name))
			continue;
		if (asprintf(&source, "%s/%s", from, e->d_name) < 0 ||
		    asprintf(&target, "%s/%s", to, e->d_name) < 0)
			r = -ENOMEM;
		else
			r = copy_file(source, target);
	}
	closedir(d);
	return r;
}

static int copy_all_logs(const struct run *run, const char *to)
{
	char lab[sizeof(run->dir) + 8];
	_cleanup_free_ char *lab_to = NULL;
	int r = copy_logs(run->dir, to);

	snprintf(lab, sizeof(lab), "%s/lab", run->dir);
	if (asprintf(&lab_to, "%s/lab", to) < 0)
		return -ENOMEM;
	return r ?: copy_logs(lab, lab_to);
}

void rundir_end(struct run *run)
{
	const char *keep = run->opts->keep_logs;
	bool stays = false;

	if (!run->dir[0])
		return;
	if (keep) {
		int r = copy_all_logs(run, keep);

		if (r < 0)
			fprintf(stderr, "ssihv: logs could not be copied to %s: %s\n", keep,
				strerror(-r));
		stays = r < 0;
	} else {
		stays = run->logs_matter && run->result != RUN_POWEROFF &&
			run->result != RUN_INTERRUPTED;
	}
	nftw(run->dir, stays ? remove_unless_log : remove_one, 8, FTW_DEPTH | FTW_PHYS);
	if (stays)
		fprintf(stderr, "ssihv: the logs are in %s\n", run->dir);
	else if (keep)
		fprintf(stderr, "ssihv: the logs are in %s\n", keep);
}
