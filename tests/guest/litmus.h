/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The litmus tests as data: who does what, which values make an outcome, which are forbidden.
 *
 * An outcome is a short string of digits: the values that the registers (or, at the end, the
 * variables) hold, in the order of litmus_test.value. The litmus variables start at 0 and only
 * take the values 0, 1 and 2.
 */
#ifndef SSIHV_TESTS_GUEST_LITMUS_H
#define SSIHV_TESTS_GUEST_LITMUS_H

#include "tests/guest/proof.h"

#define LITMUS_THREADS 4
#define LITMUS_VALUES  4

struct litmus_registers {
	uint64_t r[2];
};

/* One role of one instance; exactly the test's accesses and nothing between them. */
typedef void (*litmus_role)(uint64_t *x, uint64_t *y, struct litmus_registers *out);

/* Where a digit of the outcome comes from: a register of a thread, or a variable at the end. */
struct litmus_value {
	enum { LITMUS_NONE, LITMUS_REGISTER, LITMUS_FINAL_X, LITMUS_FINAL_Y } from;
	uint8_t thread, index;
};

struct litmus_test {
	const char *name;
	unsigned n_threads;
	litmus_role role[LITMUS_THREADS];
	struct litmus_value value[LITMUS_VALUES];
	const char *forbidden;	   /* outcomes separated by blanks */
	uint64_t final_x, final_y; /* smallest value either may end with: nothing is lost */
};

extern const struct litmus_test litmus_tests[];
extern const size_t litmus_n_tests;

#endif
