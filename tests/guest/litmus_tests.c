/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SB, SB+mfence, MP, LB, CoRR, 2+2W and IRIW for x86-TSO, as in the literature on it (Sewell et
 * al., "x86-TSO: a rigorous and usable programmer's model", 2010, and AMD's and Intel's manuals on
 * memory ordering: stores are not reordered with stores nor loads with loads, a load may pass an
 * older store to another location, stores become visible to all other processors in one order).
 *
 * Only SB without fences may show its relaxed outcome (00). Pure data and leaf functions.
 */
#include "tests/guest/litmus.h"

#define STORE(var, value) "movq $" #value ", %[" #var "]\n\t"
#define LOAD(reg, var)	  "movq %[" #var "], %[" #reg "]\n\t"

/* Both variables are memory operands of every role, so that one shape fits all. */
#define ROLE(name, code)                                                                           \
	static void name(uint64_t *x, uint64_t *y, struct litmus_registers *out)                   \
	{                                                                                          \
		uint64_t a = 0, b = 0;                                                             \
                                                                                                   \
		__asm__ volatile(code                                                              \
				 : [x] "+m"(*x), [y] "+m"(*y), [a] "+&r"(a), [b] "+&r"(b)          \
				 :                                                                 \
				 : "memory");                                                      \
		out->r[0] = a;                                                                     \
		out->r[1] = b;                                                                     \
	}

ROLE(store_x_load_y, STORE(x, 1) LOAD(a, y))
ROLE(store_y_load_x, STORE(y, 1) LOAD(a, x))
ROLE(store_x_fence_load_y, STORE(x, 1) "mfence\n\t" LOAD(a, y))
ROLE(store_y_fence_load_x, STORE(y, 1) "mfence\n\t" LOAD(a, x))
ROLE(store_x_store_y, STORE(x, 1) STORE(y, 1))
ROLE(load_y_load_x, LOAD(a, y) LOAD(b, x))
ROLE(load_x_load_y, LOAD(a, x) LOAD(b, y))
ROLE(load_x_store_y, LOAD(a, x) STORE(y, 1))
ROLE(load_y_store_x, LOAD(a, y) STORE(x, 1))
ROLE(store_x_twice, STORE(x, 1) STORE(x, 2))
ROLE(load_x_twice, LOAD(a, x) LOAD(b, x))
ROLE(store_x1_store_y2, STORE(x, 1) STORE(y, 2))
ROLE(store_y1_store_x2, STORE(y, 1) STORE(x, 2))
ROLE(store_x, STORE(x, 1))
ROLE(store_y, STORE(y, 1))

#define REG(thread, index)                                                                         \
	{                                                                                          \
		LITMUS_REGISTER, thread, index                                                     \
	}

const struct litmus_test litmus_tests[] = {
	{"sb", 2, {store_x_load_y, store_y_load_x}, {REG(0, 0), REG(1, 0)}, "", 1, 1},
	{"sb-mfence",
	 2,
	 {store_x_fence_load_y, store_y_fence_load_x},
	 {REG(0, 0), REG(1, 0)},
	 "00",
	 1,
	 1},
	{"mp", 2, {store_x_store_y, load_y_load_x}, {REG(1, 0), REG(1, 1)}, "10", 1, 1},
	{"lb", 2, {load_x_store_y, load_y_store_x}, {REG(0, 0), REG(1, 0)}, "11", 1, 1},
	{"corr", 2, {store_x_twice, load_x_twice}, {REG(1, 0), REG(1, 1)}, "10 20 21", 2, 0},
	{"2+2w",
	 2,
	 {store_x1_store_y2, store_y1_store_x2},
	 {{LITMUS_FINAL_X}, {LITMUS_FINAL_Y}},
	 "11",
	 1,
	 1},
	{"iriw",
	 4,
	 {store_x, store_y, load_x_load_y, load_y_load_x},
	 {REG(2, 0), REG(2, 1), REG(3, 0), REG(3, 1)},
	 "1010",
	 1,
	 1},
};
const size_t litmus_n_tests = ARRAY_SIZE(litmus_tests);
