/* SPDX-License-Identifier: Apache-2.0 */
/* ssihv check-kvm: does /dev/kvm run real 64-bit code? Status 0 when it does. */
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "vmm/probe.h"

static const struct option_spec options[] = {
	{"output", 'o', "json", "print a JSON object instead of lines"},
	{NULL},
};

static int run(int argc, char **argv)
{
	struct options o = {argc, argv, 1};
	struct probe_result found;
	bool json = false;
	const char *value;
	int which, r;

	while ((which = options_next(&o, &verb_check_kvm, &value)) != OPTIONS_END) {
		if (which == OPTIONS_STOP)
			return o.status;
		if (which == OPTIONS_POSITIONAL)
			return usage_error("check-kvm takes no argument '%s'", value);
		if (!option_is_json(&verb_check_kvm, value))
			return STATUS_USAGE;
		json = true;
	}
	r = vmm_probe_kvm(&found);
	if (json) {
		json_t *object =
			json_pack("{s:b, s:s, s:b, s:s}", "usable", r == 0, "reason", found.why,
				  "walks_read", found.walks_read, "page_tables", found.tables);

		json_dumpf(object, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(object);
	} else {
		printf("/dev/kvm is %s: %s\n", r == 0 ? "usable" : "not usable", found.why);
		if (r == 0)
			printf("%s\n", found.tables);
	}
	return r == 0 ? STATUS_OK : STATUS_FAILED;
}

const struct verb verb_check_kvm = {
	.name = "check-kvm",
	.arguments = "[-o json]",
	.help = "tell whether this machine's /dev/kvm can run a guest",
	.options = options,
	.run = run,
};
