/* SPDX-License-Identifier: Apache-2.0 */
/* ssihv run: from a command line to a cluster that can be started. */
#include <ctype.h>
#include <libgen.h>
#include <math.h>
#include <sys/stat.h>

#include "base/size.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "cli/session.h"
#include "vmm/check_boot.h"

#define TIMEOUT_MAX_S 1e9 /* decades; in nanoseconds it fits 64 bits */

enum {
	OPT_LAB,
	OPT_LOCAL,
	OPT_CLUSTER,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_MEMORY,
	OPT_VCPUS,
	OPT_LIMIT,
	OPT_REPORT,
	OPT_TRACE,
	OPT_TRACE_SIZE,
	OPT_TIMEOUT,
	OPT_SLOW,
	OPT_KEEP_LOGS,
	OPT_OUTPUT,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_NODE_PROGRAM,
	OPT_COUNT,
};

static const struct option_spec options[] = {
	[OPT_LAB] = {"lab", 0, "N", "N emulated hosts on this machine"},
	[OPT_LOCAL] = {"local", 0, "N", "N nodes on this machine, over its /dev/kvm"},
	[OPT_CLUSTER] = {"cluster", 0, "FILE.yaml", "the nodes of a cluster file"},
	[OPT_KERNEL] = {"kernel", 0, "BZIMAGE", "Linux kernel to boot"},
	[OPT_INITRD] = {"initrd", 0, "CPIO", "its initramfs"},
	[OPT_APPEND] = {"append", 0, "STRING", "its command line"},
	[OPT_MEMORY] = {"memory-per-node", 0, "SIZE", "such as 512M (the default)"},
	[OPT_VCPUS] = {"vcpus-per-node", 0, "K", "1 to 64 (default 1)"},
	[OPT_LIMIT] = {"limit-per-node", 0, "SIZE", "guest memory that may be on a host"},
	[OPT_REPORT] = {"report", 0, "FILE.json", "write the report of the run"},
	[OPT_TRACE] = {"trace", 0, "DIR", "each node writes a trace of its pager there"},
	[OPT_TRACE_SIZE] = {"trace-size", 0, "SIZE", "bytes of one (default 128M)"},
	[OPT_TIMEOUT] = {"timeout", 0, "S", "end the run after S seconds, with status 124"},
	[OPT_SLOW] = {"slow", 0, "F", "the lab's hosts run F times slower (1 to 12)"},
	[OPT_KEEP_LOGS] = {"keep-logs", 0, "DIR", "keep the logs, also after success"},
	[OPT_OUTPUT] = {"output", 'o', "json", "the report on standard output, no table"},
	[OPT_QUIET] = {"quiet", 'q', NULL, "no warnings and no table"},
	[OPT_VERBOSE] = {"verbose", 'v', NULL, "a line for every step of every node"},
	/* For tests: a program that behaves like a node. */
	[OPT_NODE_PROGRAM] = {"node-program", 0, "PATH", NULL},
	[OPT_COUNT] = {NULL},
};

/* Return: whether to go on; else the verb ends with @status. */
static bool parse(int argc, char **argv, const char *given[OPT_COUNT], int *status)
{
	struct options o = {argc, argv, 1};
	const char *value = "";
	int which;

	while ((which = options_next(&o, &verb_run, &value)) >= 0 && !given[which]) {
		given[which] = value;
		value = "";
	}
	if (which == OPTIONS_STOP)
		*status = o.status;
	else if (which == OPTIONS_POSITIONAL)
		*status = usage_error("run: '%s' is no option", value);
	else if (which != OPTIONS_END)
		*status = usage_error("run: --%s is given twice", options[which].name);
	return which == OPTIONS_END;
}

static int number(const char *text, unsigned max, unsigned *ret)
{
	char *end;
	unsigned long n = isdigit((unsigned char)text[0]) ? strtoul(text, &end, 10) : 0;

	if (n < 1 || n > max || *end)
		return -EINVAL;
	*ret = (unsigned)n;
	return 0;
}

/* The command line by itself: what contradicts or is no number is a usage error. */
static int check_usage(const char *const given[OPT_COUNT], struct run_options *opts)
{
	const int sources = !!given[OPT_LAB] + !!given[OPT_LOCAL] + !!given[OPT_CLUSTER];
	char *end = "";

	if (sources != 1)
		return usage_error("run wants exactly one of --lab N, --local N, --cluster FILE");
	for (int i = OPT_MEMORY; i <= OPT_LIMIT; i++)
		if (given[OPT_CLUSTER] && given[i])
			return usage_error("run: with --cluster the file tells memory and vCPUs; "
					   "remove --%s",
					   options[i].name);
	if (given[OPT_LOCAL] && given[OPT_SLOW])
		return usage_error("run: --slow is for the lab, not for --local");
	if (given[OPT_OUTPUT] && strcmp(given[OPT_OUTPUT], "json"))
		return usage_error("run: -o takes json, not '%s'", given[OPT_OUTPUT]);
	if (given[OPT_QUIET] && given[OPT_VERBOSE])
		return usage_error("run: -q and -v contradict; remove one");
	if (given[OPT_TIMEOUT]) {
		opts->timeout_s = strtod(given[OPT_TIMEOUT], &end);
		if (!isfinite(opts->timeout_s) || opts->timeout_s <= 0 ||
		    opts->timeout_s > TIMEOUT_MAX_S || *end)
			return usage_error("run: --timeout %s: give seconds above 0, at most %g",
					   given[OPT_TIMEOUT], TIMEOUT_MAX_S);
	}
	opts->report = given[OPT_REPORT];
	opts->keep_logs = given[OPT_KEEP_LOGS];
	opts->node_program = given[OPT_NODE_PROGRAM];
	opts->json = given[OPT_OUTPUT];
	opts->quiet = given[OPT_QUIET];
	opts->verbose = given[OPT_VERBOSE];
	return STATUS_OK;
}

/* --lab N and --local N. */
static int make_config(const char *const given[OPT_COUNT], struct cluster_config **ret,
		       struct err *err)
{
	const bool lab = given[OPT_LAB];
	const char *count = lab ? given[OPT_LAB] : given[OPT_LOCAL];
	_cleanup_(cluster_freep) struct cluster_config *cfg = NULL;
	uint64_t memory = 512 * MIB, limit = 0;
	unsigned nodes, vcpus = 1;
	int r;

	if (number(count, MAX_NODES, &nodes) < 0)
		return err_set(err, -EINVAL, "--%s %s: give 1 to %d nodes", lab ? "lab" : "local",
			       count, MAX_NODES);
	if (given[OPT_MEMORY] && size_parse(given[OPT_MEMORY], &memory) < 0)
		return err_set(err, -EINVAL, "--memory-per-node %s: give a size like 512M or 4G",
			       given[OPT_MEMORY]);
	if (given[OPT_VCPUS] && number(given[OPT_VCPUS], MAX_NODE_VCPUS, &vcpus) < 0)
		return err_set(err, -EINVAL, "--vcpus-per-node %s: give 1 to %d", given[OPT_VCPUS],
			       MAX_NODE_VCPUS);
	if (given[OPT_LIMIT] && size_parse(given[OPT_LIMIT], &limit) < 0)
		return err_set(err, -EINVAL, "--limit-per-node %s: give a size like 512M or 4G",
			       given[OPT_LIMIT]);
	r = cluster_default(lab ? CLUSTER_LAB : CLUSTER_LOCAL, nodes, memory, vcpus, &cfg, err);
	for (unsigned i = 0; r == 0 && i < nodes; i++)
		cfg->nodes[i].limit = limit;
	if (r == 0)
		r = cluster_check(cfg, "command line", err);
	if (r == 0)
		*ret = TAKE_PTR(cfg);
	return r;
}

static int override(char **where, const char *value, bool is_path)
{
	char *copy;

	if (!value)
		return 0;
	/* Absolute: a node may run in another directory. One that is not there is told later. */
	copy = is_path ? realpath(value, NULL) ?: strdup(value) : strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*where);
	*where = copy;
	return 0;
}

static int check_report(const char *report, struct err *err)
{
	_cleanup_free_ char *path = strdup(report);
	struct stat st;

	if (!path)
		return err_set(err, -ENOMEM, "out of memory");
	if (stat(report, &st) == 0 && S_ISDIR(st.st_mode))
		errno = EISDIR;
	else if (access(report_in_place(report) ? report : dirname(path), W_OK) == 0)
		return 0;
	return err_set(err, -errno, "--report %s: cannot be written: %s", report, strerror(errno));
}

static int check_dir(const char *what, const char *dir, struct err *err)
{
	_cleanup_free_ char *inside = text_printf("%s/.", dir);

	if (!inside)
		return err_set(err, -ENOMEM, "out of memory");
	if ((mkdir(dir, 0777) == 0 || errno == EEXIST) && access(inside, W_OK) == 0)
		return 0;
	return err_set(err, -errno, "%s %s: cannot be written: %s", what, dir, strerror(errno));
}

/* Where report and logs will go: a long run must not end with what could be told now. */
static int check_outputs(const struct run_options *opts, struct err *err)
{
	int r = opts->report ? check_report(opts->report, err) : 0;

	return r == 0 && opts->keep_logs ? check_dir("--keep-logs", opts->keep_logs, err) : r;
}

/*
 * The directory is made here, so that it is the caller's and is known to be writable; also what the
 * file says where emulated hosts share it. On other hosts a node makes it.
 */
static int take_trace(const char *const given[OPT_COUNT], struct cluster_config *cfg,
		      struct err *err)
{
	int r = 0;

	if (given[OPT_TRACE])
		r = check_dir("--trace", given[OPT_TRACE], err);
	else if (cfg->trace.dir && cfg->placement == CLUSTER_LAB)
		r = check_dir("pager.trace", cfg->trace.dir, err);
	if (r < 0)
		return r;
	if (override(&cfg->trace.dir, given[OPT_TRACE], true) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (!given[OPT_TRACE_SIZE])
		return 0;
	if (!cfg->trace.dir)
		return err_set(err, -EINVAL, "--trace-size: there is no trace; give --trace DIR");
	if (size_parse(given[OPT_TRACE_SIZE], &cfg->trace.size) < 0 ||
	    cfg->trace.size < MIN_TRACE_BYTES)
		return err_set(err, -EINVAL, "--trace-size %s: give a size like 512M, at least 1M",
			       given[OPT_TRACE_SIZE]);
	return 0;
}

static int make_cluster(const char *const given[OPT_COUNT], struct cluster_config **ret,
			struct err *err)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = NULL;
	int r;

	r = given[OPT_CLUSTER] ? cluster_load(given[OPT_CLUSTER], &cfg, err)
			       : make_config(given, &cfg, err);
	if (r < 0)
		return r;
	if (override(&cfg->kernel, given[OPT_KERNEL], true) < 0 ||
	    override(&cfg->initrd, given[OPT_INITRD], true) < 0 ||
	    override(&cfg->append, given[OPT_APPEND], false) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (given[OPT_SLOW]) {
		if (cfg->placement != CLUSTER_LAB)
			return err_set(err, -EINVAL, "--slow is only for nodes in the lab");
		if (number(given[OPT_SLOW], 12, &cfg->lab.slow_motion) < 0)
			return err_set(err, -EINVAL, "--slow %s: give 1 to 12", given[OPT_SLOW]);
	}
	r = take_trace(given, cfg, err);
	if (r < 0)
		return r;
	if (!cfg->kernel)
		return err_set(err, -EINVAL, "no kernel to boot; give --kernel BZIMAGE");
	/* On another host its own files count, and its node tells what is wrong with them. */
	if (!cfg->nodes[0].ssh[0])
		r = vmm_check_boot(cfg, err);
	if (r == 0)
		*ret = TAKE_PTR(cfg);
	return r;
}

static int verb(int argc, char **argv)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = NULL;
	const char *given[OPT_COUNT] = {NULL};
	struct run_options opts = {NULL};
	struct err err;
	int status;

	if (!parse(argc, argv, given, &status))
		return status;
	status = check_usage(given, &opts);
	if (status != STATUS_OK)
		return status;
	if (make_cluster(given, &cfg, &err) < 0 || check_outputs(&opts, &err) < 0)
		return failure(&err);
	return session_run(cfg, &opts);
}

const struct verb verb_run = {
	.name = "run",
	.arguments = "(--lab N | --local N | --cluster FILE.yaml) --kernel BZIMAGE ...",
	.help = "boot a guest on all nodes of a cluster; status 0 when it powered itself off",
	.options = options,
	.run = verb,
};
