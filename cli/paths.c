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
	char own[4096], candidate[sizeof(own) + 64];
	_cleanup_free_ char *real = NULL;
	char *slash;
	int r = own_path(own, sizeof(own));

	if (r < 0)
		return r;
	slash = strrchr(own, '/');
	if (slash)
		*slash = '\0';
	snprintf(candidate, sizeof(candidate), "%s/../../lab/lab.py", own);
	real = realpath(candidate, NULL);
	if (!real || strlen(real) >= len)
		return -ENOENT;
	strcpy(ret, real);
	return 0;
}
