/* SPDX-License-Identifier: Apache-2.0 */
/* Text of another process, host or guest, before it is shown to a person. */
#ifndef SSIHV_BASE_TEXT_H
#define SSIHV_BASE_TEXT_H

#include "base/base.h"

/**
 * text_clean() - one printable line of well-formed UTF-8
 * @from: @len bytes of anything; a NUL ends it before
 * @ret:  @room bytes, at least 1; what does not fit is left out
 *
 * Control characters, those of 8 bits too, and what is no UTF-8 become '?', so that nothing of it
 * commands a terminal, breaks a line or spoils a JSON text.
 */
void text_clean(const char *from, size_t len, char *ret, size_t room);

/** text_printf() - asprintf(3) without a pointer that is undefined. Return: to free(), or NULL. */
char *text_printf(const char *fmt, ...) _printf_(1, 2);

#endif
