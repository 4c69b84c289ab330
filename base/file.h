/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole file in memory. It is read and not mapped: a file that shrinks while it is looked at
 * would end a process that maps it with SIGBUS.
 */
#ifndef SSIHV_BASE_FILE_H
#define SSIHV_BASE_FILE_H

#include "base/base.h"
#include "base/err.h"

/* @data is freed by file_free(); @len is at least 1; a NUL follows, so that a text is a string. */
struct file {
	uint8_t *data;
	size_t len;
};

/**
 * file_read() - read all of a regular file
 * @what: what the user knows the file as, such as "kernel"; used in errors only
 * @path: absolute or relative to the working directory
 * @max:  bytes that such a file has at most
 *
 * Return: 0; the errno of open or read; -EINVAL for an empty file or one that is not regular;
 * -E2BIG for one above @max; -EIO when it shrank meanwhile; -ENOMEM.
 */
int file_read(const char *what, const char *path, size_t max, struct file *ret, struct err *err);

/** file_size() - the bytes of a file that file_read() could read now. Return: as file_read(). */
int file_size(const char *what, const char *path, uint64_t *ret, struct err *err);

/** file_free() - give the memory back; harmless on a zeroed struct and when called twice. */
void file_free(struct file *file);

#endif
