/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the TSC. */
#include <stdio.h>
#include <x86intrin.h>

int main(void)
{
	printf("%llu\n", __rdtsc());
	return 0;
}
