/* SPDX-License-Identifier: Apache-2.0 */
/* Where this program and its companions are. */
#include <stdio.h>

#include "cli/cli.h"

int own_path(char *ret, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", ret, len - 1);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

int lab_tool_path(char *ret, size_t len)
{
	/* From the program's folder: in a build directory of the source tree, or installed. */
	static const char *const places[] = {"../../lab/lab.py", "../libexec/ssihv/lab/lab.py"};
	char own[4096], candidate[sizeof(own) + 64];
	char *slash;
	int r = own_path(own, sizeof(own));

	if (r < 0)
		return r;
	slash = strrchr(own, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *real = NULL;

		snprintf(candidate, sizeof(candidate), "%s/%s", own, places[i]);
		real = realpath(candidate, NULL);
		if (real && strlen(real) < len) {
			strcpy(ret, real);
			return 0;
		}
	}
	return -ENOENT;
}
