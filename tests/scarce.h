/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that runs out at a given allocation of the code under test. The linker puts the functions
 * of scarce.c before those of the C library, for what is linked statically (meson: scarce).
 */
#ifndef SSIHV_TESTS_SCARCE_H
#define SSIHV_TESTS_SCARCE_H

/** scarce_begin() - the @fails-th allocation from now on fails, counted from 1 */
void scarce_begin(unsigned fails);

/** scarce_end() - no more. Return: how many were asked for. */
unsigned scarce_end(void);

#endif
