/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that more than one test runs, and their parts. */
#ifndef SSIHV_TESTS_VMM_GUESTS_H
#define SSIHV_TESTS_VMM_GUESTS_H

#include "tests/vmm/cluster.h"

/*
 * The first vCPU starts that of the second node, INIT and SIPI to 0x20000, and goes on. The
 * other runs what is between labels 20 and 21, in real mode.
 */
#define GUEST_START_OTHER                                                                          \
	"lea 20f(%rip), %rsi\n mov $0x20000, %edi\n mov $(21f - 20f), %ecx\n"                      \
	"30: mov (%rsi), %al\n mov %al, (%rdi)\n inc %rsi\n inc %rdi\n dec %ecx\n jnz 30b\n"       \
	"mov $0x830, %ecx\n mov $1, %edx\n mov $0x4500, %eax\n wrmsr\n mov $0x4620, %eax\n "       \
	"wrmsr\n"
/* At 0x30400 the gate of vector 0x40, to label 50; IDT at 0x30000; the APIC on. */
#define GUEST_GATE                                                                                 \
	"lea 50f(%rip), %rax\n mov $0x30400, %edi\n mov %ax, (%rdi)\n movw $0x10, 2(%rdi)\n"       \
	"movw $0x8e00, 4(%rdi)\n shr $16, %rax\n mov %ax, 6(%rdi)\n movq $0, 8(%rdi)\n"            \
	"mov $0x31000, %edi\n movw $0x40f, (%rdi)\n movq $0x30000, 2(%rdi)\n lidt (%rdi)\n"        \
	"mov $0x80f, %ecx\n xor %edx, %edx\n mov $0x1ff, %eax\n wrmsr\n"

/* Says that it is there, then prints what is typed. */
GUEST_CODE(echo, GUEST_PUT("?") "1: mov $0x3fd, %dx\n in %dx, %al\n test $1, %al\n jz 1b\n"
				"mov $0x3f8, %dx\n in %dx, %al\n out %al, %dx\n jmp 1b\n");

/* Both print for ever. */
GUEST_CODE(chatter, GUEST_START_OTHER
	   "1: " GUEST_PUT("a") "jmp 1b\n"
				".code16\n 20: " GUEST_PUT("b") "jmp 20b\n 21: .code64\n");

#endif
