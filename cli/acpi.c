/* SPDX-License-Identifier: Apache-2.0 */
/* ssihv acpi: the tables that the guest of a cluster file would see, one file a table. */
#include <errno.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "config/cluster.h"
#include "vmm/vmm_acpi.h"

static const struct option_spec options[] = {
	{"output", 'o', "DIR", "where to write the tables; made if it is not there"},
	{NULL},
};

static int run(int argc, char **argv)
{
	_cleanup_(cluster_freep) struct cluster_config *cfg = NULL;
	struct options o = {argc, argv, 1};
	const char *value, *file = NULL, *dir = NULL;
	struct err err;
	int which;

	while ((which = options_next(&o, &verb_acpi, &value)) != OPTIONS_END) {
		if (which == OPTIONS_STOP)
			return o.status;
		if (which == 0)
			dir = value;
		else if (file)
			return usage_error("acpi: one cluster file, not also '%s'", value);
		else
			file = value;
	}
	if (!file || !dir)
		return usage_error("acpi wants FILE.yaml -o DIR");
	if (cluster_load(file, &cfg, &err) < 0)
		return failure(&err);
	if (mkdir(dir, 0777) < 0 && errno != EEXIST) {
		err_set(&err, -errno, "%s: %s", dir, strerror(errno));
		return failure(&err);
	}
	return vmm_acpi_write(cfg, dir, &err) < 0 ? failure(&err) : STATUS_OK;
}

const struct verb verb_acpi = {
	.name = "acpi",
	.arguments = "FILE.yaml -o DIR",
	.help = "write the ACPI tables of a cluster",
	.options = options,
	.run = run,
};
