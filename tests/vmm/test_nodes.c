/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes from start to end: see tests/vmm/cluster.h. */
#include <fcntl.h>

#include "tests/vmm/guests.h"

/* ---- guests ---- */

GUEST_CODE(hello, GUEST_PUT("h") GUEST_PUT("i") GUEST_PUT("\\n") GUEST_OFF);

GUEST_CODE(reset, "mov $0xcf9, %dx\n mov $0x0e, %al\n out %al, %dx\n 1: hlt\n jmp 1b\n");

/* Without an IDT an invalid instruction is a triple fault. */
GUEST_CODE(broken, "ud2\n");

/*
 * The other, in protected mode by a GDT of two entries, reads over the edge of the I/O APIC's page:
 * what is before it is nobody's, what is in it the selected register's number, 0x000001. Then it
 * selects another one in the same way.
 */
#define EDGE(address, value)                                                                       \
	"mov $" #address ", %esi\n mov (%esi), %eax\n cmp $" #value ", %eax\n jne 3f\n"
GUEST_CODE(edges,
	   "mov $0x41000, %edi\n movq $0, (%rdi)\n movl $0xffff, 8(%rdi)\n"
	   "movl $0xcf9300, 12(%rdi)\n movw $15, 0x100(%rdi)\n movl $0x41000, "
	   "0x102(%rdi)\n" GUEST_START_OTHER "1: hlt\n jmp 1b\n"
	   ".code16\n 20: mov $0x4100, %ax\n mov %ax, %ds\n lgdtl 0x100\n"
	   "mov %cr0, %eax\n or $1, %al\n mov %eax, %cr0\n"
	   "mov $8, %ax\n mov %ax, %ds\n"
	   "mov $0xfec00000, %ebx\n movl $1, (%ebx)\n" EDGE(0xfebffffd, 0x01ffffff)
		   EDGE(0xfebffffe, 0x0001ffff)
			   EDGE(0xfebfffff, 0x000001ff) "movl $0x00000aff, (%esi)\n cmpl $0x0a, "
							"(%ebx)\n jne 3f\n" GUEST_PUT("k") GUEST_OFF
	   "3: " GUEST_PUT("!") GUEST_OFF "21: .code64\n");

/* The other prints and sends a vector to the first, which sleeps. */
GUEST_CODE(two, GUEST_GATE GUEST_START_OTHER "sti\n 1: hlt\n jmp 1b\n"
					     "50: " GUEST_PUT("I") GUEST_OFF
	   ".code16\n 20: " GUEST_PUT(
		   "b") "mov $0x80f, %ecx\n xor %edx, %edx\n mov $0x1ff, %eax\n wrmsr\n"
			"mov $0x830, %ecx\n xor %edx, %edx\n mov $0x40, %eax\n wrmsr\n"
			"2: hlt\n jmp 2b\n 21: .code64\n");

/* Powers off from the second node. */
GUEST_CODE(off_from_afar, GUEST_START_OTHER "1: hlt\n jmp 1b\n"
					    ".code16\n 20: " GUEST_OFF "21: .code64\n");

/* Writes to each page of the second node's 64 MiB, looks at all of them twice, tells of it. */
GUEST_CODE(sweep, "mov $0x4000000, %edi\n 1: mov %rdi, (%rdi)\n add $4096, %rdi\n"
		  "cmp $0x8000000, %edi\n jb 1b\n mov $2, %ecx\n"
		  "2: mov $0x4000000, %edi\n 3: cmp %rdi, (%rdi)\n jne 4f\n add $4096, %rdi\n"
		  "cmp $0x8000000, %edi\n jb 3b\n dec %ecx\n jnz 2b\n" GUEST_PUT("k") GUEST_OFF
	   "4: " GUEST_PUT("!") GUEST_OFF);

/* Runs by tables that are in the second node's memory: the lowest GiB, where it is. */
GUEST_CODE(far_tables, "mov $0x4000000, %edi\n movq $0x4001003, (%rdi)\n"
		       "add $4096, %rdi\n movq $0x4002003, (%rdi)\n add $4096, %rdi\n"
		       "mov $0x83, %eax\n 1: mov %rax, (%rdi)\n add $8, %rdi\n"
		       "add $0x200000, %rax\n cmp $0x40000000, %eax\n jb 1b\n"
		       "mov $0x4000000, %eax\n mov %rax, %cr3\n" GUEST_OFF);

/* ---- a guest's life ---- */

static void a_guest_boots_prints_and_powers_off(void **state)
{
	struct cluster *c = CLUSTER_MAKE(1, hello);

	cluster_start(c, 1);
	cluster_await_text(c, "hi\n");
	cluster_expect_end(c, 0, "poweroff", "the guest powered off");
	cluster_join(c);
	assert_int_equal(c->member[0].result, 0);
	assert_non_null(json_object_get(cluster_await_event(c, 0, "report"), "report"));
	cluster_destroy(c);
}

static void three_nodes_end_with_one_reason(void **state)
{
	struct cluster *c = CLUSTER_MAKE(3, hello);

	cluster_start(c, 7);
	cluster_await_text(c, "hi\n");
	for (unsigned i = 0; i < 3; i++)
		cluster_expect_end(c, i, "poweroff", "the guest powered off");
	cluster_join(c);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(c->member[i].result, 0);
	cluster_destroy(c);
}

static double number(const json_t *o, const char *name)
{
	const json_t *value = json_object_get(o, name);

	assert_true(json_is_number(value));
	return json_number_value(value);
}

static double sum_ms(const json_t *report, const char *hist)
{
	const json_t *h = json_object_get(report, hist);

	return number(h, "count") * number(h, "mean_us") / 1000;
}

/* Its only vCPU has waited for as long as the pager says that all waits lasted. */
static void check_waited(const json_t *report)
{
	const json_t *all = json_object_get(report, "vcpu_times"), *v = json_array_get(all, 0);
	double waits = sum_ms(report, "local") + sum_ms(report, "remote");

	assert_int_equal(json_array_size(all), 1);
	assert_true(waits > 0 && number(v, "waited_ms") > 0.999 * waits);
	assert_true(number(v, "waited_ms") < 1.001 * waits);
	assert_true(number(v, "waited_ms") + number(v, "asleep_ms") < number(v, "alive_ms"));
	assert_true(number(v, "ran_ms") > 0 && number(v, "away_ms") + number(v, "device_ms") == 0);
}

/* The host of the only vCPU may have a quarter of what the other node gives. */
static void a_node_gives_memory_only_and_the_other_has_a_limit(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, sweep);
	const json_t *report, *copies, *ahead;

	c->cfg->nodes[0].limit = c->cfg->nodes[0].memory + MIN_NODE_COPIES;
	c->cfg->nodes[1].vcpus = 0;
	c->cfg->pager.homes = 0; /* what comes to live here takes room */
	cluster_start(c, 3);
	cluster_await_text(c, "k");
	cluster_expect_end(c, 1, "poweroff", "the guest powered off");
	cluster_join(c);
	report = json_object_get(cluster_await_event(c, 0, "report"), "report");
	copies = json_object_get(report, "copies");
	assert_int_equal(json_integer_value(json_object_get(copies, "limit")), MIN_NODE_COPIES);
	assert_true(json_integer_value(json_object_get(copies, "bytes")) <=
		    (json_int_t)MIN_NODE_COPIES);
	/* 16384 pages three times, and no more than 4096 at once. */
	assert_true(json_integer_value(json_object_get(copies, "evicted")) > 3 * 12000);
	/* It walks from page to page. */
	ahead = json_object_get(report, "ahead");
	assert_true(json_integer_value(json_object_get(ahead, "right")) > 12000);
	assert_true(json_real_value(json_object_get(ahead, "accuracy")) > 0.9);
	assert_true(json_real_value(json_object_get(ahead, "coverage")) > 0.5);
	check_waited(report);
	cluster_destroy(c);
}

static const json_t *report_of(struct cluster *c, unsigned member)
{
	return json_object_get(cluster_await_event(c, member, "report"), "report");
}

static const json_t *copies_of(struct cluster *c, unsigned member)
{
	return json_object_get(report_of(c, member), "copies");
}

static json_int_t dsm_count(struct cluster *c, unsigned member, const char *name)
{
	const json_t *count = json_object_get(json_object_get(report_of(c, member), "dsm"), name);

	assert_non_null(count);
	return json_integer_value(count);
}

/* In a run that is traced, while the other node is still there. */
static void a_guest_that_powers_off_is_looked_at(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, far_tables);
	char dir[] = "/tmp/nodes.XXXXXX", path[64];
	struct survey *s;
	struct file file;
	struct err err;

	assert_non_null(mkdtemp(dir));
	c->cfg->trace.dir = strdup(dir);
	c->cfg->trace.size = MIB;
	cluster_start(c, 3);
	cluster_expect_end(c, 1, "poweroff", "the guest powered off");
	cluster_join(c);
	snprintf(path, sizeof(path), "%s/%s-1" SURVEY_SUFFIX, dir, c->cfg->nodes[0].name);
	assert_int_equal(file_read("survey", path, MIB, &file, &err), 0);
	assert_int_equal(survey_parse(path, (const char *)file.data, &s, &err), 0);
	assert_int_equal(s->tables, 3);
	assert_int_equal(s->table[0].gpa, 0x4000000);
	assert_int_equal(s->ranges, 1);
	assert_int_equal(s->range[0].pages, GIB / PAGE_BYTES);
	survey_free(s);
	file_free(&file);
	unlink(path);
	for (unsigned i = 0; i < 2; i++) {
		/* Only the node that holds the devices looks. */
		snprintf(path, sizeof(path), "%s/%s-1" SURVEY_SUFFIX, dir, c->cfg->nodes[i].name);
		assert_int_equal(access(path, F_OK), -1);
		snprintf(path, sizeof(path), "%s/%s.trace", dir, c->cfg->nodes[i].name);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
	cluster_destroy(c);
}

/* As far as there is room: half of what it has for copies. */
static void memory_goes_to_live_where_it_is_used(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, sweep);
	json_int_t came, limit;

	c->cfg->nodes[0].limit = c->cfg->nodes[0].memory + MIN_NODE_COPIES;
	c->cfg->nodes[1].vcpus = 0;
	c->cfg->pager.homes = 16;
	cluster_start(c, 3);
	cluster_await_text(c, "k");
	cluster_expect_end(c, 1, "poweroff", "the guest powered off");
	cluster_join(c);
	came = dsm_count(c, 0, "regions_came");
	assert_in_range(came, 1, MIN_NODE_COPIES / 2 / REGION_BYTES);
	assert_in_range(dsm_count(c, 1, "regions_left"), came, came + 1);
	/* It is told what room they have left; one more may be about to come. */
	limit = json_integer_value(json_object_get(copies_of(c, 0), "limit"));
	assert_in_range(limit, MIN_NODE_COPIES - (came + 1) * REGION_BYTES,
			MIN_NODE_COPIES - came * REGION_BYTES);
	assert_true(dsm_count(c, 1, "regions_refused") > 0);
	cluster_destroy(c);
}

static void a_reset_ends_all(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, reset);

	cluster_start(c, 3);
	cluster_expect_end(c, 0, "reset", "the guest asked for a reset");
	cluster_expect_end(c, 1, "reset", "the guest asked for a reset");
	cluster_join(c);
	assert_int_equal(c->member[1].result, -ECANCELED);
	cluster_destroy(c);
}

static void a_triple_fault_is_a_reset(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, broken);

	cluster_start(c, 3);
	for (unsigned i = 0; i < 2; i++)
		cluster_expect_end(c, i, "reset",
				   "the guest reset itself: vCPU 0: the guest triple-faulted");
	cluster_join(c);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(c->member[i].result, -ECANCELED);
	cluster_destroy(c);
}

/* Parts of 1, 2 and 3 bytes travel to the node of the devices and back. */
static void an_access_is_split_at_a_pages_edge(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, edges);

	cluster_start(c, 3);
	cluster_await_text(c, "k");
	cluster_expect_end(c, 1, "poweroff", "the guest powered off");
	cluster_join(c);
	cluster_destroy(c);
}

/* INIT, SIPI one way, a port access and a vector the other. */
static void nodes_interrupt_each_other(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, two);

	cluster_start(c, 3);
	cluster_await_text(c, "bI");
	cluster_expect_end(c, 1, "poweroff", "the guest powered off");
	cluster_join(c);
	cluster_destroy(c);
}

static void a_power_off_is_taken_from_any_node(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, off_from_afar);

	cluster_start(c, 3);
	cluster_expect_end(c, 0, "poweroff", "the guest powered off");
	cluster_expect_end(c, 1, "poweroff", "the guest powered off");
	cluster_destroy(c);
}

/* ---- commands ---- */

static void what_is_typed_reaches_the_guest(void **state)
{
	struct cluster *c = CLUSTER_MAKE(1, echo);

	cluster_start(c, 1);
	cluster_await_text(c, "?");
	cluster_send_line(c, 0, "{\"input\":\"a\\u0000\\u00ff\"}\n{\"input\":");
	cluster_send_line(c, 0, "\"z\"}\n");
	cluster_await_bytes(c, "a\0\xffz", 4);
	cluster_destroy(c);
}

static void a_stop_is_answered_and_ends_all(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, chatter);

	cluster_start(c, 3);
	cluster_await_text(c, "b");
	cluster_expect_ok(c, 1, "stop");
	cluster_expect_end(c, 0, "asked", "asked to stop");
	cluster_expect_end(c, 1, "asked", "asked to stop");
	cluster_join(c);
	/* Who asks too late hears of it. */
	assert_true(json_is_false(json_object_get(cluster_ask(c, 0, "stats"), "ok")));
	cluster_destroy(c);
}

static void stats_are_told_while_the_guest_runs(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, chatter);

	cluster_start(c, 3);
	cluster_await_text(c, "b");
	const json_t *report = json_object_get(cluster_ask(c, 1, "stats"), "report");
	assert_string_equal(json_string_value(json_object_get(report, "name")), "node1");
	assert_true(json_integer_value(json_object_get(json_object_get(report, "exits"), "io")) >
		    0);
	/* It does nothing but wait for node 0's console, and is still there. */
	const json_t *v = json_array_get(json_object_get(report, "vcpu_times"), 0);
	assert_int_equal(number(v, "vcpu"), 1);
	assert_true(number(v, "device_ms") > 0);
	assert_true(number(v, "device_ms") + number(v, "asleep_ms") + number(v, "away_ms") <
		    number(v, "alive_ms"));
	cluster_destroy(c);
}

static void a_line_is_answered_by_an_event_with_its_id(void **state)
{
	struct cluster *c = CLUSTER_MAKE(1, echo);

	cluster_start(c, 1);
	cluster_await_text(c, "?");
	cluster_send_line(c, 0, "{\"command\":\"stats\",\"id\":77}\n");
	const json_t *reply = cluster_await_event(c, 0, "reply");
	assert_int_equal(json_integer_value(json_object_get(reply, "id")), 77);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	cluster_destroy(c);
}

static void wrong_lines_are_refused_and_harm_nothing(void **state)
{
	static const char *const wrong[] = {
		"\n",
		"no json\n",
		"[]\n",
		"{}\n",
		"{\"command\":\"dance\"}\n",
		"{\"command\":7}\n",
		"{\"input\":7}\n",
		"{\"input\":\"\\u0100\"}\n",
		"{\"input\":\"\\u20ac\"}\n",
		"\xff\xfe\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct cluster *c = CLUSTER_MAKE(1, echo);

		cluster_start(c, 1);
		cluster_send_line(c, 0, wrong[i]);
		const json_t *reply = cluster_await_event(c, 0, "reply");
		assert_true(json_is_false(json_object_get(reply, "ok")));
		assert_non_null(json_string_value(json_object_get(reply, "text")));
		cluster_send_line(c, 0, "{\"input\":\"q\"}\n");
		cluster_await_text(c, "q");
		cluster_destroy(c);
	}
}

static void a_line_that_is_too_long_is_refused_alone(void **state)
{
	static char line[COMMAND_LINE_MAX];
	struct cluster *c = CLUSTER_MAKE(1, echo);

	cluster_start(c, 1);
	memset(line, 'x', sizeof(line) - 1);
	cluster_send_line(c, 0, line);
	cluster_send_line(c, 0, line);
	cluster_send_line(c, 0, "\n{\"input\":\"q\"}\n");
	cluster_await_text(c, "q");
	assert_true(json_is_false(json_object_get(cluster_await_event(c, 0, "reply"), "ok")));
	cluster_destroy(c);
}

static void the_end_of_the_stream_ends_the_node(void **state)
{
	struct cluster *c = CLUSTER_MAKE(1, echo);

	cluster_start(c, 1);
	cluster_await_text(c, "?");
	close(TAKE_FD(c->member[0].commands));
	cluster_expect_end(c, 0, "asked", "whoever started this node has gone");
	cluster_destroy(c);
}

/* Ready for reading, and an error each time: as a terminal that has hung up. */
static void a_stream_that_cannot_be_read_has_ended(void **state)
{
	struct cluster *c = CLUSTER_MAKE(1, echo);
	_cleanup_close_ int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dup3(folder, c->member[0].port.commands, O_CLOEXEC) >= 0);
	cluster_start(c, 1);
	cluster_expect_end(c, 0, "asked", "whoever started this node has gone");
	cluster_destroy(c);
}

/* ---- starts that come to nothing ---- */

static void a_node_that_connects_hears_that_its_starter_has_gone(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, hello);

	cluster_start(c, 1); /* the other never comes */
	close(TAKE_FD(c->member[0].commands));
	cluster_expect_end(c, 0, "asked", "whoever started this node has gone");
	cluster_destroy(c);
}

static void files_are_read_before_anybody_is_waited_for(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, hello);

	c->member[0].options.kernel = "/nonexistent/vmlinuz";
	cluster_start(c, 1); /* the other never comes, and need not */
	cluster_expect_end(c, 0, "failed", "/nonexistent/vmlinuz");
	cluster_destroy(c);
}

static void a_node_may_be_freed_without_having_run(void **state)
{
	struct cluster *c = CLUSTER_MAKE(2, hello);

	assert_int_equal(
		node_command(c->member[0].node, json_pack("{s:s}", "command", "stop"), NULL, NULL),
		0);
	cluster_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_boots_prints_and_powers_off),
		cmocka_unit_test(three_nodes_end_with_one_reason),
		cmocka_unit_test(a_node_gives_memory_only_and_the_other_has_a_limit),
		cmocka_unit_test(a_guest_that_powers_off_is_looked_at),
		cmocka_unit_test(memory_goes_to_live_where_it_is_used),
		cmocka_unit_test(a_reset_ends_all),
		cmocka_unit_test(a_triple_fault_is_a_reset),
		cmocka_unit_test(an_access_is_split_at_a_pages_edge),
		cmocka_unit_test(nodes_interrupt_each_other),
		cmocka_unit_test(a_power_off_is_taken_from_any_node),
		cmocka_unit_test(what_is_typed_reaches_the_guest),
		cmocka_unit_test(a_stop_is_answered_and_ends_all),
		cmocka_unit_test(stats_are_told_while_the_guest_runs),
		cmocka_unit_test(a_line_is_answered_by_an_event_with_its_id),
		cmocka_unit_test(wrong_lines_are_refused_and_harm_nothing),
		cmocka_unit_test(a_line_that_is_too_long_is_refused_alone),
		cmocka_unit_test(the_end_of_the_stream_ends_the_node),
		cmocka_unit_test(a_stream_that_cannot_be_read_has_ended),
		cmocka_unit_test(a_node_that_connects_hears_that_its_starter_has_gone),
		cmocka_unit_test(files_are_read_before_anybody_is_waited_for),
		cmocka_unit_test(a_node_may_be_freed_without_having_run),
	};

	return cluster_usable() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
