/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard output or error as a descriptor that does not block: whoever does not read what a guest
 * prints, or what a run says, must not stop a node or a run. A terminal needs this even after
 * POLLOUT, which promises room for one byte.
 *
 * O_NONBLOCK belongs to the open file, which a terminal or a pipe shares with the user's shell: so
 * it is opened once more. Where that cannot be, a socket or somebody else's terminal, it is changed
 * and put back.
 */
#ifndef SSIHV_CLI_OUTPUT_H
#define SSIHV_CLI_OUTPUT_H

/**
 * output_open() - such a descriptor of @standard (1 or 2); of a regular file a plain copy
 * @restore: for output_close()
 *
 * Return: it; negative when there is no such stream.
 */
int output_open(int standard, int *restore);

/** output_close() - close @fd; @standard is as before. */
void output_close(int standard, int fd, int restore);

#endif
