/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/host_memory.h"

#include <stdio.h>

#include "base/text.h"

/* Where a control group says how much it may have, and how much of it is taken. */
struct hierarchy {
	const char *mount, *limit, *used;
};
static const struct hierarchy unified = {"/sys/fs/cgroup", "memory.max", "memory.current"};
static const struct hierarchy first = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
				       "memory.usage_in_bytes"};

static void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}
#define _cleanup_fclose_ _cleanup_(fclosep)

static FILE *open_below(const char *root, const char *path)
{
	_cleanup_free_ char *whole = text_printf("%s%s", root, path);

	return whole ? fopen(whole, "re") : NULL;
}

static int available(const char *root, uint64_t *ret)
{
	_cleanup_fclose_ FILE *f = open_below(root, "/proc/meminfo");
	unsigned long long kib;
	char line[128];

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
			*ret = kib * KIB;
			return 0;
		}
	}
	return -ENODATA;
}

/* Return: whether the file is there and holds a number. */
static bool number_in(const char *root, const struct hierarchy *h, const char *group,
		      const char *name, uint64_t *ret)
{
	_cleanup_free_ char *path = text_printf("%s%s/%s", h->mount, group, name);
	_cleanup_fclose_ FILE *f = path ? open_below(root, path) : NULL;
	unsigned long long n;

	if (!f || fscanf(f, "%llu", &n) != 1)
		return false;
	*ret = n;
	return true;
}

/* What the group, and each above it, leaves. @group is cut short on the way. */
static void bound(const char *root, const struct hierarchy *h, char *group, uint64_t *free_bytes)
{
	for (;;) {
		char *slash = strrchr(group, '/');
		uint64_t limit, used;

		if (number_in(root, h, group, h->limit, &limit) &&
		    number_in(root, h, group, h->used, &used))
			*free_bytes = MIN(*free_bytes, limit > used ? limit - used : 0);
		if (!slash)
			return;
		*slash = '\0';
	}
}

/* A line of /proc/self/cgroup: "0::/PATH", or "N:CONTROLLER,CONTROLLER:/PATH". */
static void bound_by_line(const char *root, char *line, uint64_t *free_bytes)
{
	char *controllers = strchr(line, ':');
	char *group = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!group)
		return;
	*controllers++ = *group++ = '\0';
	group[strcspn(group, "\n")] = '\0';
	if (strcmp(line, "0") == 0 && !*controllers) {
		bound(root, &unified, group, free_bytes);
		return;
	}
	for (char *rest = controllers, *one; (one = strsep(&rest, ","));)
		if (strcmp(one, "memory") == 0)
			bound(root, &first, group, free_bytes);
}

int host_memory_free(const char *root, uint64_t *ret)
{
	_cleanup_fclose_ FILE *groups = open_below(root, "/proc/self/cgroup");
	char line[4096 + 256]; /* a path, and what stands before it */
	uint64_t bytes;
	int r = available(root, &bytes);

	if (r < 0)
		return r;
	while (groups && fgets(line, sizeof(line), groups))
		bound_by_line(root, line, &bytes);
	*ret = bytes;
	return 0;
}
