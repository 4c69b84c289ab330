/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/pair.h"

#include "tests/check.h"

int pair_new(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->first = tiny_new();
	p->other = tiny_other(p->first);
	*state = p;
	return 0;
}

int pair_free(void **state)
{
	struct pair *p = *state;

	tiny_free(p->other);
	tiny_free(p->first);
	free(p);
	return 0;
}

void pair_set_flag(struct pair *p, uint32_t value)
{
	assert_int_equal(ram_write(p->first->ram, PAIR_FLAG, &value, sizeof(value)), 0);
}
