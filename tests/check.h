/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with the headers that it wants first. Every unit test includes this one. */
#ifndef SSIHV_TESTS_CHECK_H
#define SSIHV_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif
