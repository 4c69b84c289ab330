/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/base.h"

int output_open(int standard, int *restore)
{
	int flags = fcntl(standard, F_GETFL), fd = -1;
	char path[32];
	struct stat st;

	*restore = -1;
	if (flags < 0 || fstat(standard, &st) < 0 || S_ISREG(st.st_mode))
		return fcntl(standard, F_DUPFD_CLOEXEC, 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", standard);
	if (!S_ISSOCK(st.st_mode))
		fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0)
		return fd;
	if (!(flags & O_NONBLOCK) && fcntl(standard, F_SETFL, flags | O_NONBLOCK) == 0)
		*restore = flags;
	return fcntl(standard, F_DUPFD_CLOEXEC, 3);
}

void output_close(int standard, int fd, int restore)
{
	if (restore >= 0)
		fcntl(standard, F_SETFL, restore);
	closep(&fd);
}
