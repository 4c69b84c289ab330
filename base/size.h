/* SPDX-License-Identifier: Apache-2.0 */
/* Byte sizes as people write them: "512M", "4G", "64 KiB", "4096". */
#ifndef SSIHV_BASE_SIZE_H
#define SSIHV_BASE_SIZE_H

#include "base/base.h"

/**
 * size_parse() - bytes from a number with an optional K, M, G or T (powers of 1024; "iB", "B"
 * allowed)
 *
 * Return: 0; -EINVAL when @text is not of that form; -ERANGE when it does not fit 64 bits.
 */
int size_parse(const char *text, uint64_t *ret);

/** size_format() - the shortest exact form of @bytes, such as "512 MiB", into @buf. Return: @buf.
 */
const char *size_format(uint64_t bytes, char *buf, size_t len);

#endif
