/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/size.h"

static int open_regular(const char *what, const char *path, struct stat *st, struct err *err)
{
	/* O_NONBLOCK: opening a FIFO that nobody writes must not hang. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r;

	if (fd < 0 || fstat(fd, st) < 0) {
		r = -errno;
		return err_set(err, r, "%s %s: %s; give the path of a readable file", what, path,
			       strerror(-r));
	}
	if (!S_ISREG(st->st_mode))
		return err_set(err, -EINVAL, "%s %s: %s; give the path of a file", what, path,
			       S_ISDIR(st->st_mode) ? "is a directory" : "is no regular file");
	if (st->st_size == 0)
		return err_set(err, -EINVAL, "%s %s: is empty; give another file", what, path);
	return TAKE_FD(fd);
}

/* Reads exactly @len bytes; -EIO when the file ends before. */
static int read_exactly(int fd, uint8_t *to, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, to + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int file_read(const char *what, const char *path, size_t max, struct file *ret, struct err *err)
{
	_cleanup_free_ uint8_t *data = NULL;
	char size[32];
	struct stat st;
	_cleanup_close_ int fd = open_regular(what, path, &st, err);
	size_t len;
	int r;

	if (fd < 0)
		return fd;
	if ((uint64_t)st.st_size > max)
		return err_set(err, -E2BIG, "%s %s: has more than %s; give another file", what,
			       path, size_format(max, size, sizeof(size)));
	len = (size_t)st.st_size;
	data = malloc(len + 1);
	if (!data)
		return err_set(err, -ENOMEM, "%s %s: no memory for %zu bytes", what, path, len);
	r = read_exactly(fd, data, len);
	if (r < 0)
		return err_set(err, r, "%s %s: cannot be read: %s", what, path, strerror(-r));
	data[len] = '\0';
	*ret = (struct file){.data = TAKE_PTR(data), .len = len};
	return 0;
}

int file_size(const char *what, const char *path, uint64_t *ret, struct err *err)
{
	struct stat st;
	_cleanup_close_ int fd = open_regular(what, path, &st, err);

	if (fd < 0)
		return fd;
	*ret = (uint64_t)st.st_size;
	return 0;
}

void file_free(struct file *file)
{
	free(file->data);
	*file = (struct file){0};
}
