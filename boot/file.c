/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/file.h"

#include <fcntl.h>
#include <sys/stat.h>

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

int file_read(const char *what, const char *path, struct file *ret, struct err *err)
{
	/* O_NONBLOCK: opening a FIFO that nobody writes must not hang. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ uint8_t *data = NULL;
	struct stat st;
	size_t len;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		return err_set(err, r, "cannot open %s %s: %s: check the path", what, path,
			       strerror(-r));
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s %s is not a regular file", what, path);
	if (st.st_size == 0)
		return err_set(err, -EINVAL, "%s %s is empty: give a complete file", what, path);
	len = (size_t)st.st_size;
	data = malloc(len);
	if (!data)
		return err_set(err, -ENOMEM, "no memory to read %s %s (%zu bytes)", what, path,
			       len);
	r = read_exactly(fd, data, len);
	if (r < 0)
		return err_set(err, r, "cannot read %s %s: %s", what, path, strerror(-r));
	*ret = (struct file){.data = TAKE_PTR(data), .len = len};
	return 0;
}

void file_free(struct file *file)
{
	free(file->data);
	*file = (struct file){0};
}
