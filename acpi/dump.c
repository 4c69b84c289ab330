/* SPDX-License-Identifier: Apache-2.0 */
#include "acpi/acpi.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static int write_exactly(int fd, const uint8_t *from, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, from + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

static int write_table(int dirfd, const char *dir, const char *name, const uint8_t *table,
		       size_t len, struct err *err)
{
	_cleanup_close_ int fd = -1;
	char file[16];
	int r;

	snprintf(file, sizeof(file), "%s.aml", name);
	fd = openat(dirfd, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	r = fd < 0 ? -errno : write_exactly(fd, table, len);
	if (r < 0)
		return err_set(err, r, "cannot write %s/%s: %s", dir, file, strerror(-r));
	return 0;
}

int acpi_dump(const struct acpi_machine *machine, uint64_t gpa_base, const char *dir,
	      struct err *err)
{
	_cleanup_free_ uint8_t *buf = malloc(ACPI_MAX_BYTES);
	_cleanup_close_ int dirfd = -1;
	struct acpi_placed placed;
	int r;

	if (!buf)
		return err_set(err, -ENOMEM, "no memory for the ACPI tables");
	r = acpi_place(machine, gpa_base, buf, ACPI_MAX_BYTES, &placed, err);
	if (r < 0)
		return r;
	if (mkdir(dir, 0777) == 0 || errno == EEXIST)
		dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0) {
		r = -errno;
		return err_set(err, r, "cannot use directory %s: %s", dir, strerror(-r));
	}
	for (unsigned id = 0; id < ACPI_TABLES; id++) {
		r = write_table(dirfd, dir, acpi_table_name(id), buf + placed.table[id].offset,
				placed.table[id].len, err);
		if (r < 0)
			return r;
	}
	return 0;
}
