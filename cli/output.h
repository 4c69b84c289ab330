/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard output as a descriptor that does not block: whoever does not read what a guest prints
 * must not stop a node or a run. A terminal needs this even after POLLOUT, which promises room for
 * one byte.
 *
 * O_NONBLOCK belongs to the open file, which a terminal or a pipe shares with the user's shell: so
 * it is opened once more. Where that cannot be, a socket or somebody else's terminal, it is changed
 * and put back.
 */
#ifndef SSIHV_CLI_OUTPUT_H
#define SSIHV_CLI_OUTPUT_H

/**
 * output_open() - such a descriptor; of a regular file a plain copy
 * @restore: for output_close()
 *
 * Return: it; negative when there is no standard output.
 */
int output_open(int *restore);

/** output_close() - close it; standard output is as before. */
void output_close(int fd, int restore);

#endif
