/* SPDX-License-Identifier: Apache-2.0 */
/* ssihv check-kvm: does /dev/kvm run real 64-bit code? Status 0 when it does. */
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "vmm/probe.h"

static const struct option_spec options[] = {
	{"output", 'o', "json", "print a JSON object instead of a line"},
	{NULL},
};

static int run(int argc, char **argv)
{
	struct options o = {argc, argv, 1};
	char why[256] = "";
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
	r = vmm_probe_kvm(why, sizeof(why));
	if (json) {
		json_t *object = json_pack("{s:b, s:s}", "usable", r == 0, "reason", why);

		json_dumpf(object, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(object);
	} else {
		printf("/dev/kvm is %s: %s\n", r == 0 ? "usable" : "not usable", why);
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
