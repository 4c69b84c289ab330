/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own opinion, at the end: its log holds no oops, no bad page, no corruption.
 *
 * Lockup and stall warnings, and clock sources called unstable, are counted and not judged: on
 * emulated hosts they tell of slowness. Reads /dev/kmsg without blocking, one record a read.
 */
#include <fcntl.h>

#include "tests/guest/proof.h"

static const char *const fatal[] = {
	"BUG: ",     "Oops",	"general protection", "Bad page", "double fault",
	"corrupted", "bad pmd", "Bad rss-counter",
};
static const char *const slow[] = {"lockup", "stall", "unstable"};

static bool has_any(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

void check_kernel_log(struct check *c)
{
	_cleanup_close_ int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	unsigned records = 0, bad = 0, slowness = 0, warnings = 0;
	char record[8192];
	ssize_t n;

	if (fd < 0 || c->config->native) {
		check_skip(c, fd < 0 ? "/dev/kmsg cannot be read" : "not this program's kernel");
		return;
	}
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		char *text;

		if (n < 0)
			continue;
		record[n] = 0;
		text = strchr(record, ';') ? strchr(record, ';') + 1 : record;
		text[strcspn(text, "\n")] = 0;
		records++;
		warnings += strstr(text, "WARNING: ") != NULL;
		if (has_any(text, slow, ARRAY_SIZE(slow)))
			slowness++;
		else if (has_any(text, fatal, ARRAY_SIZE(fatal)) && bad++ < 4)
			check_note(c, "'%.120s'", text);
	}
	if (check_sabotaged(c))
		bad++;
	check_note(c, "%u records, %u bad, %u warnings, %u of slowness", records, bad, warnings,
		   slowness);
	if (bad || !records)
		check_fail(c, "the kernel complained");
	check_json(c, "\"kernel_bad\": %u, \"kernel_warnings\": %u, \"kernel_slow\": %u", bad,
		   warnings, slowness);
}
