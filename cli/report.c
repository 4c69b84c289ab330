/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/report.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/size.h"
#include "base/text.h"

#define VCPU_ROWS 64 /* that the table shows */

static const char *result_name(enum cluster_result result)
{
	static const char *const names[] = {
		[CLUSTER_GOES_ON] = "running",
		[CLUSTER_POWEROFF] = "poweroff",
		[CLUSTER_RESET] = "reset",
		[CLUSTER_FAILED] = "failed",
		[CLUSTER_LOST] = "lost",
		[CLUSTER_TIMEOUT] = "timeout",
		[CLUSTER_INTERRUPTED] = "interrupted",
	};

	return names[result];
}

static json_t *seconds(uint64_t from, uint64_t to)
{
	return from && to > from ? json_real((double)((to - from) / NSEC_PER_MSEC) / 1e3)
				 : json_null();
}

/* The two service times that most readers want, beside the histograms that they are from. */
static void lift_latency(json_t *node)
{
	const json_t *remote = json_object_get(node, "remote");

	json_object_set(node, "fault_p50_us", json_object_get(remote, "p50_us"));
	json_object_set(node, "fault_p99_us", json_object_get(remote, "p99_us"));
}

static json_t *node_report(const struct cluster_node *n, const json_t *counted)
{
	json_t *o = json_object();

	if (json_is_object(counted))
		json_object_update(o, (json_t *)counted);
	lift_latency(o);
	json_object_del(o, "t");
	json_object_del(o, "node");
	json_object_del(o, "event");
	json_object_set_new(o, "name", json_string(n->name));
	json_object_set_new(o, "address", json_string(n->address));
	json_object_set_new(o, "vcpus", json_integer(n->vcpus));
	json_object_set_new(o, "memory", json_integer((json_int_t)n->memory));
	return o;
}

json_t *report_make(const struct report_source *from)
{
	static const char *const placement[] = {"hosts", "local", "lab"};
	const struct cluster_config *cfg = from->cfg;
	const struct proof *proof = from->proof;
	json_t *o = json_object(), *nodes = json_array();
	json_int_t memory = 0, cpus = 0;

	for (unsigned i = 0; i < cfg->nodes_count; i++) {
		cpus += cfg->nodes[i].vcpus;
		memory += (json_int_t)cfg->nodes[i].memory;
		json_array_append_new(
			nodes, node_report(&cfg->nodes[i], cluster_run_report(from->run, i)));
	}
	/* What the guest may correct: it counts what it got. */
	json_object_set_new(o, "cpus", json_integer(cpus));
	json_object_set_new(o, "numa_nodes", json_integer(cfg->nodes_count));
	json_object_set_new(o, "memory", json_integer(memory));
	if (json_is_object(proof->found))
		json_object_update(o, proof->found);
	/* What it may not. */
	json_object_set_new(o, "cluster", json_string(cfg->name));
	json_object_set_new(o, "placement", json_string(placement[cfg->placement]));
	json_object_set_new(o, "slow_motion", json_integer(cfg->lab.slow_motion));
	json_object_set_new(o, "hosts", json_integer(cfg->nodes_count));
	json_object_set_new(o, "nodes", nodes);
	json_object_set_new(o, "marks", from->marks ? json_deep_copy(from->marks) : json_array());
	json_object_set_new(o, "boot_seconds",
			    seconds(cluster_run_running_ns(from->run), proof->start_ns));
	json_object_set_new(o, "total_seconds", seconds(from->started_ns, clock_now_ns()));
	json_object_set_new(o, "proof", json_boolean(json_is_object(proof->found)));
	json_object_set_new(o, "result", json_string(result_name(cluster_run_result(from->run))));
	json_object_set_new(o, "reason", json_string(cluster_run_reason(from->run)));
	return o;
}

bool report_in_place(const char *path)
{
	struct stat st;

	/* Also a link, such as /dev/stdout, whatever it leads to; not one that leads nowhere. */
	return lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && stat(path, &st) == 0;
}

static int write_failed(const char *path, struct err *err)
{
	return err_set(err, -EIO, "%s: cannot be written: %s", path, strerror(errno));
}

static int write_to(int fd, const json_t *report)
{
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool failed;

	if (!f) {
		closep(&fd);
		return -1;
	}
	failed = json_dumpf(report, f, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) < 0 ||
		 fputc('\n', f) == EOF;
	return fclose(f) || failed ? -1 : 0;
}

static int save_in_place(const json_t *report, const char *path, struct err *err)
{
	/* A FIFO that nobody reads is an error, not a reason to wait. */
	int fd = open(path, O_WRONLY | O_TRUNC | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd >= 0)
		fcntl(fd, F_SETFL, 0);
	return write_to(fd, report) < 0 ? write_failed(path, err) : 0;
}

int report_save(const json_t *report, const char *path, struct err *err)
{
	_cleanup_free_ char *temporary = text_printf("%s.XXXXXX", path);
	int fd, r;

	if (!temporary)
		return err_set(err, -ENOMEM, "out of memory");
	if (report_in_place(path))
		return save_in_place(report, path, err);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return write_failed(path, err);
	fchmod(fd, 0644);
	if (write_to(fd, report) == 0 && rename(temporary, path) == 0)
		return 0;
	r = write_failed(path, err);
	unlink(temporary);
	return r;
}

static void cell(FILE *f, const json_t *o, const char *key, int width)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_integer(v))
		fprintf(f, "%*lld", width, (long long)json_integer_value(v));
	else if (json_is_real(v))
		fprintf(f, "%*.1f", width, json_real_value(v));
	else
		fprintf(f, "%*s", width, "-");
}

/* Where the time of the vCPUs went; one that moved has a row for each node that it was on. */
static void vcpus_table(const json_t *report, FILE *f)
{
	static const char *const columns[] = {"ran_ms",	   "waited_ms", "descheduled_ms",
					      "asleep_ms", "device_ms", "away_ms"};
	unsigned rows = 0;
	json_t *node, *v;
	size_t i, k;

	json_array_foreach(json_object_get(report, "nodes"), i, node)
	{
		json_array_foreach(json_object_get(node, "vcpu_times"), k, v)
		{
			if (rows++ >= VCPU_ROWS)
				continue;
			if (rows == 1)
				fprintf(f, "\n%-12s %12s %14s %14s %14s %14s %14s %14s\n", "vcpu",
					"on node", "ran_ms", "waited_ms", "descheduled_ms",
					"asleep_ms", "device_ms", "away_ms");
			cell(f, v, "vcpu", -12);
			fprintf(f, " %12s", json_string_value(json_object_get(node, "name")));
			for (size_t c = 0; c < ARRAY_SIZE(columns); c++) {
				fputc(' ', f);
				cell(f, v, columns[c], 14);
			}
			fputc('\n', f);
		}
	}
	if (rows > VCPU_ROWS)
		fprintf(f, "(%u more: --report has all of them)\n", rows - VCPU_ROWS);
	if (rows)
		fputc('\n', f);
}

static void fact(FILE *f, const json_t *report, const char *key, const char *text)
{
	const json_t *v = json_object_get(report, key);

	if (!json_is_number(v))
		return;
	fprintf(f, "%-26s ", text);
	cell(f, report, key, 1);
	fputc('\n', f);
}

void report_table(const json_t *report, FILE *f)
{
	static const char *const columns[] = {"vcpus", "faults_local", "faults_remote",
					      "fault_p50_us", "fault_p99_us"};
	char size[32];
	size_t i;
	json_t *node;

	fprintf(f, "\n%-12s %12s", "node", "memory");
	for (size_t c = 0; c < ARRAY_SIZE(columns); c++)
		fprintf(f, " %14s", columns[c]);
	fputc('\n', f);
	json_array_foreach(json_object_get(report, "nodes"), i, node)
	{
		uint64_t bytes = (uint64_t)json_integer_value(json_object_get(node, "memory"));

		fprintf(f, "%-12s %12s", json_string_value(json_object_get(node, "name")),
			size_format(bytes, size, sizeof(size)));
		for (size_t c = 0; c < ARRAY_SIZE(columns); c++) {
			fputc(' ', f);
			cell(f, node, columns[c], 14);
		}
		fputc('\n', f);
	}
	vcpus_table(report, f);
	fact(f, report, "cpus", "CPUs");
	fact(f, report, "numa_nodes", "NUMA nodes");
	fact(f, report, "bad_pages", "bad pages");
	fact(f, report, "boot_seconds", "seconds to the proof");
	fact(f, report, "total_seconds", "seconds in all");
	fprintf(f, "%-26s %s: %s\n", "result",
		json_string_value(json_object_get(report, "result")) ?: "?",
		json_string_value(json_object_get(report, "reason")) ?: "");
}
