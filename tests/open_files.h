/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SSIHV_TESTS_OPEN_FILES_H
#define SSIHV_TESTS_OPEN_FILES_H

#include "tests/check.h"

#include <dirent.h>

/* How many descriptors this process has, give or take the same few each time. */
static inline unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

#endif
