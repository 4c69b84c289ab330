/* SPDX-License-Identifier: Apache-2.0 */
/* Surveys of a memory that was made up, with a kernel's symbols in it; one that nobody serves. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "survey/symbols.h"
#include "tests/check.h"
#include "tests/survey/tables.h"
#include "vmm/surveyor.h"

#define TOP	UINT64_C(0x10000)
#define TEXT	UINT64_C(0xffffffff81000000)
#define IMAGE	UINT64_C(0x200000) /* in memory */
#define SYMBOLS 1200u
#define GS	UINT64_C(0xffff888000300000)

struct world {
	char dir[32];
	struct surveyor s;
	struct ram *ram;
	struct events events;
	struct node_port port;
	_Atomic unsigned warnings;
};

static void on_event(void *ctx, const json_t *event)
{
	struct world *w = ctx;

	w->warnings++;
}

static struct world *make_world(void)
{
	const uint64_t size = 64 * MIB;
	struct world *w = calloc(1, sizeof(*w));
	struct mem_layout layout;
	struct err err;

	assert_non_null(w);
	strcpy(w->dir, "/tmp/survey.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(mem_layout_init(&size, 1, &layout, &err), 0);
	assert_int_equal(ram_new(&layout, &w->ram, &err), 0);
	w->port = (struct node_port){.event = on_event, .ctx = w};
	events_init(&w->events, "a", &w->port);
	w->s.ram = w->ram;
	w->s.events = &w->events;
	w->s.dir = w->dir;
	w->s.name = "a";
	w->s.epoch = 77;
	w->s.symbols = true;
	return w;
}

static void destroy_world(struct world *w)
{
	DIR *dir = opendir(w->dir);
	const struct dirent *e;

	surveyor_join(&w->s);
	ram_free(w->ram);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
}

static void put(struct world *w, uint64_t gpa, uint64_t value)
{
	assert_int_equal(ram_write(w->ram, gpa, &value, sizeof(value)), 0);
}

/* A top table of which the last entry leads to the image, in a page of 2 MiB. */
static void make_tables_of_pages(struct world *w)
{
	put(w, TOP + 511 * 8, 0x11067);
	put(w, 0x11000 + 510 * 8, 0x12067);
	put(w, 0x12000 + 8 * 8, IMAGE | 0xe7);
}

static void make_kernel(struct world *w)
{
	static const char *const names[] = {"Tkernel_text", "T_text", "D_end"};
	struct made_tables tables = {.va = TEXT, .base = TEXT, .with_seqs = true};
	struct made_symbol *symbol = calloc(SYMBOLS, sizeof(*symbol));

	assert_non_null(symbol);
	for (uint32_t i = 0; i < SYMBOLS; i++)
		symbol[i] = (struct made_symbol){TEXT + i * 64, names[i == 0		 ? 1
								      : i == SYMBOLS - 1 ? 2
											 : 0]};
	make_tables(ram_ptr(w->ram, IMAGE, 2 * MIB), 0x1000, symbol, SYMBOLS, &tables);
	free(symbol);
}

static struct wire_vcpu *make_vcpu(uint32_t index)
{
	struct wire_vcpu *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	v->index = index;
	v->cr0 = 0x80000001;
	v->efer = 0x500;
	v->cr3 = TOP;
	v->gs.base = GS;
	return v;
}

static void survey(struct world *w, const struct wire_vcpu *v)
{
	assert_true(surveyor_may(&w->s));
	surveyor_add(&w->s, v);
	surveyor_begin(&w->s);
	surveyor_join(&w->s);
	assert_false(surveyor_busy(&w->s));
}

static bool exists(struct world *w, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	return access(path, F_OK) == 0;
}

static char *read_text(struct world *w, const char *name)
{
	char path[64];
	struct file f;
	struct err err;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	assert_int_equal(file_read("file", path, MIB, &f, &err), 0);
	return (char *)f.data;
}

static struct survey *read_survey(struct world *w, const char *name)
{
	char *text = read_text(w, name);
	struct survey *s;
	struct err err;

	assert_int_equal(survey_parse(name, text, &s, &err), 0);
	free(text);
	return s;
}

static void a_kernel_and_its_symbols(void **state)
{
	struct world *w = make_world();
	struct wire_vcpu *v = make_vcpu(0);
	struct symbols symbols;
	struct err err;
	uint64_t addr;

	make_tables_of_pages(w);
	survey(w, v);
	/* There are none yet: the next survey looks again. */
	assert_true(exists(w, "a-1.survey"));
	assert_false(exists(w, "a.symbols"));
	make_kernel(w);
	survey(w, v);
	assert_true(exists(w, "a-2.survey"));
	char *text = read_text(w, "a.symbols");
	assert_int_equal(symbols_parse("a", text, &symbols, &err), 0);
	assert_int_equal(symbols.count, SYMBOLS);
	assert_true(symbols_find(&symbols, "_end", &addr));
	assert_int_equal(addr, TEXT + (SYMBOLS - 1) * 64);
	symbols_free(&symbols);
	free(text);
	struct survey *s = read_survey(w, "a-2.survey");
	assert_int_equal(s->epoch, 77);
	assert_int_equal(s->tables, 3);
	assert_int_equal(s->ranges, 1);
	assert_int_equal(s->range[0].va, TEXT);
	survey_free(s);
	assert_int_equal(w->warnings, 0);
	/* Another run, of another kernel, does not find them. */
	surveyor_init(&w->s);
	assert_false(exists(w, "a.symbols"));
	free(v);
	destroy_world(w);
}

/* In user mode the kernel's base is the other one, and it is no user's address in any case. */
static void where_the_percpu_area_is(void **state)
{
	static const struct {
		uint8_t dpl;
		uint64_t base, other, expect;
	} cases[] = {
		{0, GS, 0x7f0000000000, GS}, {3, 0x7f0000000000, GS, GS}, {0, GS, GS + 8, GS},
		{3, GS, GS + 8, GS + 8},     {0, 0x7f0000000000, GS, GS}, {3, GS, 0, GS},
		{0, 0x7f0000000000, 5, 0},
	};
	struct world *w = make_world();
	struct wire_vcpu *v = make_vcpu(5);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		v->ss.dpl = cases[i].dpl;
		v->gs.base = cases[i].base;
		v->msr[0] = (struct wire_msr){.index = 0xc0000102, .value = cases[i].other};
		v->nmsrs = cases[i].other ? 1 : 0;
		assert_true(surveyor_may(&w->s));
		surveyor_add(&w->s, v);
		assert_int_equal(w->s.cpu[0].gs, cases[i].expect);
	}
	free(v);
	destroy_world(w);
}

static void vcpus_that_went_and_that_do_not_walk(void **state)
{
	struct world *w = make_world();
	struct wire_vcpu *gone = make_vcpu(9), *v = make_vcpu(3);

	make_tables_of_pages(w);
	surveyor_left(&w->s, gone);
	surveyor_left(&w->s, v); /* and has come back */
	v->efer = 0;
	survey(w, v);
	struct survey *s = read_survey(w, "a-1.survey");
	assert_int_equal(s->cpus, 2);
	assert_int_equal(s->cpu[0].index, 3);
	assert_int_equal(s->cpu[0].cr3, 0);
	assert_int_equal(s->cpu[1].index, 9);
	assert_int_equal(s->cpu[1].gs, GS);
	assert_int_equal(s->tables, 0);
	survey_free(s);
	free(gone);
	free(v);
	destroy_world(w);
}

static void nowhere_to_write(void **state)
{
	struct world *w = make_world();
	struct wire_vcpu *v = make_vcpu(0);
	const char *dir = w->s.dir;

	w->s.dir = "/none/there";
	survey(w, v);
	assert_int_equal(w->warnings, 1);
	w->s.dir = NULL;
	assert_false(surveyor_may(&w->s));
	w->s.dir = dir;
	free(v);
	destroy_world(w);
}

/* Whose other host has gone: until the pager ends nobody is waited for, and then it is over. */
static void memory_that_never_comes(void **state)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct world *w = make_world();
	struct wire_vcpu *v = make_vcpu(0);
	struct uffdio_register area = {.range = {(uint64_t)w->ram->base, 64 * MIB},
				       .mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffd_msg m;
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0) {
		free(v);
		destroy_world(w);
		skip();
	}
	assert_int_equal(ioctl(fd, UFFDIO_API, &api), 0);
	assert_int_equal(ioctl(fd, UFFDIO_REGISTER, &area), 0);
	assert_true(surveyor_may(&w->s));
	surveyor_add(&w->s, v);
	surveyor_begin(&w->s);
	assert_int_equal(read(fd, &m, sizeof(m)), sizeof(m)); /* it waits for its page */
	assert_true(surveyor_busy(&w->s));
	assert_false(surveyor_may(&w->s));
	surveyor_cancel(&w->s);
	close(fd);
	surveyor_join(&w->s);
	assert_false(exists(w, "a-1.survey"));
	assert_int_equal(w->warnings, 0);
	free(v);
	destroy_world(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_and_its_symbols),
		cmocka_unit_test(where_the_percpu_area_is),
		cmocka_unit_test(vcpus_that_went_and_that_do_not_walk),
		cmocka_unit_test(nowhere_to_write),
		cmocka_unit_test(memory_that_never_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
