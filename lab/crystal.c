/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crystal of its own for an emulated host: preloaded into QEMU, it changes the rate of the TSC
 * that QEMU's processors show.
 *
 * GOAL. All emulated hosts read this machine's one TSC, so their clocks could never drift apart, as
 * those of real hosts always do.
 *
 * HOW. The process asks the kernel to let RDTSC fault (prctl(2), PR_SET_TSC; threads inherit it).
 * The handler answers with CLOCK_MONOTONIC_RAW, which runs at the TSC's own rate, in ticks of
 * LAB_TSC_HZ, and steps over the instruction. The vDSO reads the TSC, too, for clock_gettime() and
 * the like: its functions are overwritten, in this process's own copy of the page, by the system
 * calls that they spare others.
 *
 * LIMITS. A read of the TSC costs some microseconds. What the process executes in its place would
 * fault: QEMU executes nothing.
 */
#include <dlfcn.h>
#include <elf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static double ticks_per_ns; /* constant once the process runs */

static uint64_t read_tsc(void)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)(((double)ts.tv_sec * 1e9 + (double)ts.tv_nsec) * ticks_per_ns);
}

/* Length of the RDTSC or RDTSCP at @code, 0 for another instruction. */
static int length_of(const uint8_t *code)
{
	if (code[0] != 0x0f)
		return 0;
	return code[1] == 0x31 ? 2 : code[1] == 0x01 && code[2] == 0xf9 ? 3 : 0;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	/* Only a general protection fault, which has no address, can be ours. */
	int length = info->si_code == SI_KERNEL ? length_of((const uint8_t *)regs[REG_RIP]) : 0;
	uint64_t tsc = read_tsc();

	if (!length) {
		signal(number, SIG_DFL);
		return; /* and fault again */
	}
	regs[REG_RAX] = (uint32_t)tsc;
	regs[REG_RDX] = (greg_t)(tsc >> 32);
	if (length == 3)
		regs[REG_RCX] = 0;
	regs[REG_RIP] += length;
}

/* Makes the function @name of the writable vDSO the system call @number. */
static bool replace(void *vdso, const char *name, uint32_t number)
{
	/* mov eax, number; syscall; ret */
	const uint8_t code[] = {0xb8, (uint8_t)number, (uint8_t)(number >> 8), 0, 0, 0x0f, 0x05,
				0xc3};
	uint8_t *at = dlsym(vdso, name);

	if (at)
		memcpy(at, code, sizeof(code));
	return at;
}

/* The kernel lets its protection be changed as a whole only. The section headers are its end. */
static bool unlock_vdso(void)
{
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!elf)
		return false;
	size_t len = elf->e_shoff + (size_t)elf->e_shnum * elf->e_shentsize;
	return mprotect((void *)elf, (len + page - 1) & ~(page - 1),
			PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
}

static bool replace_vdso(void)
{
	void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);

	return vdso && unlock_vdso() && replace(vdso, "__vdso_clock_gettime", SYS_clock_gettime) &&
	       replace(vdso, "__vdso_gettimeofday", SYS_gettimeofday) &&
	       replace(vdso, "__vdso_time", SYS_time);
}

__attribute__((constructor)) static void start(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	const char *hz = getenv("LAB_TSC_HZ");

	if (!hz)
		return;
	ticks_per_ns = strtod(hz, NULL) / 1e9;
	if (!replace_vdso() || sigaction(SIGSEGV, &action, NULL) < 0 ||
	    prctl(PR_SET_TSC, PR_TSC_SIGSEGV) < 0) {
		fputs("crystal: the TSC of this machine cannot be taken over\n", stderr);
		_exit(1);
	}
}
