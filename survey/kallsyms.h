/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The symbols that a Linux kernel carries with it (CONFIG_KALLSYMS), found in its memory.
 *
 * THEORY. Nothing tells where the tables are, but each can be told by what it must be.
 *
 *  token table  256 strings, to which the bytes of a compressed name are short for; those for the
 *               digits stand for themselves, one behind the other. Behind it, aligned, are the 256
 *               offsets of the strings, which must be just that.
 *  names        before the token table: a count, and as many names, each a length and so many
 *               tokens. Behind them, aligned, is the offset of each 256th name, which must be
 *               just that.
 *  offsets      a 32-bit number a symbol, and a base. In older kernels both are before the count,
 *               since 6.4 behind the token table's offsets, the base last. Negative numbers count
 *               back from the base and others are addresses (of per-CPU variables), or all are
 *               counted from the base (6.15 and later). Addresses do not go back, and the base is
 *               in the image.
 *
 * So what is found is right, or not found. Addresses are those of this boot: a kernel that moved
 * itself has moved the base. Known are the formats of 4.20 and later, made with
 * CONFIG_KALLSYMS_BASE_RELATIVE, the default; Linux 6.1 and its tables were looked at in Debian's
 * kernel. Data is in the tables with CONFIG_KALLSYMS_ALL only, which distributions set.
 *
 * HOSTILE. Each step is bounded by the image, all steps together by KALLSYMS_STEPS. Names are
 * printable ASCII when they get out of here.
 *
 * Threads: pure.
 */
#ifndef SSIHV_SURVEY_KALLSYMS_H
#define SSIHV_SURVEY_KALLSYMS_H

#include "survey/symbols.h"

#define KALLSYMS_STEPS UINT64_C(100000000)

/**
 * kallsyms_read() - find the tables in an image of the kernel and read them
 * @image: from a page boundary on; what was not mapped is zero
 * @va:    where @image is mapped
 *
 * Return: 0, then symbols_free(); -ENOENT: there are none that are known; -ENOMEM.
 */
int kallsyms_read(const uint8_t *image, size_t len, uint64_t va, struct symbols *ret);

#endif
