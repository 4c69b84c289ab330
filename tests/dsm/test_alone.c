/* SPDX-License-Identifier: Apache-2.0 */
/* A pager without peers: it shares nothing, so it needs none of the rights that sharing needs. */
#include "tests/check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "dsm/pager.h"
#include "dsm/uffd.h"

/* From now on no userfaultfd can be had in this process: not by the call, not by the device. */
static void forbid_userfaultfd(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, USERFAULTFD_IOC_NEW, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	const struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void on_fatal(void *ctx, int culprit, const char *text)
{
	fail_msg("fatal: %s", text);
}

static void one_node_needs_no_userfaultfd(void **state)
{
	const uint64_t size[] = {4 * REGION_BYTES, 4 * REGION_BYTES};
	struct pager_config cfg = {.nodes = 1, .shards = 2, .hold_ns = 1000, .fatal = on_fatal};
	struct mem_layout layout;
	struct pager_stats stats;
	struct pager *pager;
	struct err err;
	int fd;

	forbid_userfaultfd();
	assert_int_equal(uffd_open(&fd, NULL, &err), -EPERM);
	assert_int_equal(mem_layout_init(size, 1, &layout, &err), 0);
	assert_int_equal(ram_new(&layout, &cfg.ram, &err), 0);
	assert_int_equal(pager_new(&cfg, &pager, &err), 0);
	assert_int_equal(pager_start(pager), 0);
	pager_set_idle(pager, true);
	pager_yield(pager);
	*(volatile char *)cfg.ram->base = 1;
	pager_stats(pager, &stats);
	assert_int_equal(stats.dsm.faults_local + stats.dsm.faults_remote, 0);
	pager_free(pager);
	ram_free(cfg.ram);

	/* With a peer there is no way without. */
	cfg.nodes = 2;
	assert_int_equal(mem_layout_init(size, 2, &layout, &err), 0);
	assert_int_equal(ram_new(&layout, &cfg.ram, &err), 0);
	assert_int_equal(pager_new(&cfg, &pager, &err), -EPERM);
	assert_non_null(strstr(err.text, "userfaultfd"));
	ram_free(cfg.ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(one_node_needs_no_userfaultfd)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
