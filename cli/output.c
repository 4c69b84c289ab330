/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/base.h"

int output_open(int *restore)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL), fd = -1;
	struct stat st;

	*restore = -1;
	if (flags < 0 || fstat(STDOUT_FILENO, &st) < 0 || S_ISREG(st.st_mode))
		return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (!S_ISSOCK(st.st_mode))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0)
		return fd;
	if (!(flags & O_NONBLOCK) && fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK) == 0)
		*restore = flags;
	return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

void output_close(int fd, int restore)
{
	if (restore >= 0)
		fcntl(STDOUT_FILENO, F_SETFL, restore);
	closep(&fd);
}
