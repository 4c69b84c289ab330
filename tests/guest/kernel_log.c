/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own opinion, at the end: its log holds no oops, no bad page, no corruption.
 *
 * Lockup and stall warnings, clock sources called unstable, and WARN_ONs are counted, the first of
 * each is quoted, and they are not judged: on emulated hosts they tell of slowness. Reads /dev/kmsg
 * without blocking, one record a read.
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

struct tally {
	unsigned records, bad, slowness, warnings;
};

/* Counts a record, and quotes it where it is the first of its kind. */
static void judge(struct check *c, struct tally *tally, const char *text)
{
	bool quote = false;

	tally->records++;
	if (has_any(text, slow, ARRAY_SIZE(slow)))
		quote = !tally->slowness++;
	else if (has_any(text, fatal, ARRAY_SIZE(fatal)))
		quote = !tally->bad++;
	else if (strstr(text, "WARNING: CPU"))
		quote = !tally->warnings++;
	if (quote)
		check_note(c, "'%.120s'", text);
}

void check_kernel_log(struct check *c)
{
	_cleanup_close_ int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct tally tally = {0};
	char record[8192];
	ssize_t n;

	if (fd < 0 || c->config->native) {
		check_skip(c, fd < 0 ? "/dev/kmsg cannot be read" : "not this program's kernel");
		return;
	}
	/* EPIPE: the record was overwritten before it was read; the next read goes on. */
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		char *text;

		if (n < 0)
			continue;
		record[n] = 0;
		text = strchr(record, ';') ? strchr(record, ';') + 1 : record;
		text[strcspn(text, "\n")] = 0;
		judge(c, &tally, text);
	}
	if (check_sabotaged(c))
		judge(c, &tally, "BUG: sabotage");
	check_note(c, "%u records, %u bad, %u warnings, %u of slowness", tally.records, tally.bad,
		   tally.warnings, tally.slowness);
	if (tally.bad || !tally.records)
		check_fail(c, "the kernel complained");
	check_json(c, "\"kernel_bad\": %u, \"kernel_warnings\": %u, \"kernel_slow\": %u", tally.bad,
		   tally.warnings, tally.slowness);
}
