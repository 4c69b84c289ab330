/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/trace_top.h"

#include <stdio.h>

#define PAIRS_SHOWN 4
#define WHAT_WIDTH  32

static double seconds(const struct trace_set *set, const struct trace_top *top, unsigned node)
{
	return (double)top->node[node].ticks / (double)set->node[node]->head.ticks_khz / 1000;
}

static double in_ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void print_node(const struct trace_set *set, const struct trace_top *top, unsigned node)
{
	const struct trace_node_sum *n = &top->node[node];

	printf("%-12s %8.3f %9llu %9llu %9llu %10.1f %9llu %9llu\n", trace_set_name(set, node),
	       seconds(set, top, node), (unsigned long long)n->reads, (unsigned long long)n->writes,
	       (unsigned long long)n->waits, in_ms(n->waited_ns), (unsigned long long)n->got,
	       (unsigned long long)n->gave);
}

static void print_guesses(const struct trace_set *set, const struct trace_top *top, unsigned node)
{
	const struct trace_node_sum *n = &top->node[node];

	printf("%-12s %9llu %9llu %9llu %9llu %9llu %9llu\n", trace_set_name(set, node),
	       (unsigned long long)n->recalls, (unsigned long long)n->aheads,
	       (unsigned long long)n->joined, (unsigned long long)n->unseen,
	       (unsigned long long)n->right, (unsigned long long)n->wrong);
}

static void print_turns(const struct trace_set *set, const struct trace_top *top, unsigned node)
{
	const struct trace_node_sum *n = &top->node[node];

	printf("%-12s %10.1f", trace_set_name(set, node), in_ms(n->turns_ns));
	for (unsigned why = 0; why < TRACE_TURNS; why++)
		printf(" %9llu", (unsigned long long)n->turns[why]);
	putchar('\n');
}

static void print_page(const struct trace_set *set, const struct trace_what *what,
		       const struct trace_hot_page *p)
{
	char buf[SURVEY_TEXT];
	const char *text = trace_what_text(what, p->page, buf, sizeof(buf));

	printf("%#14llx %10.1f %8llu %8llu %8llu", (unsigned long long)p->page, in_ms(p->waited_ns),
	       (unsigned long long)p->reads, (unsigned long long)p->writes,
	       (unsigned long long)p->guesses);
	if (text)
		printf("  %-*s", WHAT_WIDTH, text);
	for (unsigned i = 0; i < MIN(p->pairs, (unsigned)PAIRS_SHOWN); i++)
		printf("  %s%s%s %llu", trace_set_name(set, p->pair[i].from),
		       p->pair[i].taken ? "=>" : "->", trace_set_name(set, p->pair[i].to),
		       (unsigned long long)p->pair[i].times);
	putchar('\n');
}

/* Why a page has no name. */
static void print_losses(const struct trace_what *what)
{
	if (!what->surveys)
		puts("the guest's memory was not surveyed: it is while the guest is paused, and "
		     "when it "
		     "powers itself off");
	if (what->cut)
		puts("a survey of the guest's memory met its limits and is not whole");
	if (what->unfit)
		puts("the symbols are those of another kernel");
}

void trace_top_table(const struct trace_set *set, const struct trace_top *top,
		     const struct trace_what *what, size_t pages)
{
	printf("%-12s %8s %9s %9s %9s %10s %9s %9s\n", "node", "seconds", "reads", "writes",
	       "waits", "waited ms", "got", "gave");
	for (unsigned i = 0; i < top->nodes; i++)
		print_node(set, top, i);
	printf("\n%-12s %9s %9s %9s %9s %9s %9s\n", "guesses", "recalled", "ahead", "joined",
	       "unseen", "right", "wrong");
	for (unsigned i = 0; i < top->nodes; i++)
		print_guesses(set, top, i);
	printf("\n%-12s %10s", "turns", "in all ms");
	for (unsigned why = 0; why < TRACE_TURNS; why++)
		printf(" %9s", trace_turn_name((enum trace_turn)why));
	putchar('\n');
	for (unsigned i = 0; i < top->nodes; i++)
		print_turns(set, top, i);
	putchar('\n');
	print_losses(what);
	printf("%14s %10s %8s %8s %8s  ", "page", "waited ms", "reads", "writes", "guesses");
	if (what->surveys)
		printf("%-*s  ", WHAT_WIDTH, "what");
	puts("who took it (=>), or a copy (->)");
	for (size_t i = 0; i < MIN(top->pages, pages); i++)
		print_page(set, what, top->page[i]);
}

/* ---- JSON ---- */

static json_t *turns_json(const struct trace_node_sum *n)
{
	json_t *o = json_object();

	for (unsigned why = 0; why < TRACE_TURNS; why++)
		json_object_set_new(o, trace_turn_name((enum trace_turn)why),
				    json_integer((json_int_t)n->turns[why]));
	return o;
}

static json_t *node_json(const struct trace_set *set, const struct trace_top *top, unsigned node)
{
	const struct trace_node_sum *n = &top->node[node];

	return json_pack("{s:s, s:f, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:o, "
			 "s:{s:I, s:I, s:I, s:I, s:I, s:I}}",
			 "name", trace_set_name(set, node), "seconds", seconds(set, top, node),
			 "records", (json_int_t)n->records, "reads", (json_int_t)n->reads, "writes",
			 (json_int_t)n->writes, "waits", (json_int_t)n->waits, "waited_ms",
			 in_ms(n->waited_ns), "pages_got", (json_int_t)n->got, "pages_gave",
			 (json_int_t)n->gave, "regions_came", (json_int_t)n->came, "regions_left",
			 (json_int_t)n->left, "turns_ms", in_ms(n->turns_ns), "turns",
			 turns_json(n), "guesses", "recalled", (json_int_t)n->recalls, "ahead",
			 (json_int_t)n->aheads, "joined", (json_int_t)n->joined, "unseen",
			 (json_int_t)n->unseen, "right", (json_int_t)n->right, "wrong",
			 (json_int_t)n->wrong);
}

static json_t *page_json(const struct trace_set *set, const struct trace_what *what,
			 const struct trace_hot_page *p)
{
	char buf[SURVEY_TEXT];
	json_t *pairs = json_array();

	for (unsigned i = 0; i < p->pairs; i++)
		json_array_append_new(pairs, json_pack("{s:s, s:s, s:b, s:I}", "from",
						       trace_set_name(set, p->pair[i].from), "to",
						       trace_set_name(set, p->pair[i].to), "taken",
						       p->pair[i].taken, "times",
						       (json_int_t)p->pair[i].times));
	return json_pack(
		"{s:I, s:s?, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "page", (json_int_t)p->page,
		"what", trace_what_text(what, p->page, buf, sizeof(buf)), "waited_ms",
		in_ms(p->waited_ns), "waits", (json_int_t)p->waits, "reads", (json_int_t)p->reads,
		"writes", (json_int_t)p->writes, "guesses", (json_int_t)p->guesses, "joined",
		(json_int_t)p->joined, "unseen", (json_int_t)p->unseen, "moves", pairs);
}

json_t *trace_top_json(const struct trace_set *set, const struct trace_top *top,
		       const struct trace_what *what, size_t pages)
{
	json_t *nodes = json_array(), *hot = json_array();

	for (unsigned i = 0; i < top->nodes; i++)
		json_array_append_new(nodes, node_json(set, top, i));
	for (size_t i = 0; i < MIN(top->pages, pages); i++)
		json_array_append_new(hot, page_json(set, what, top->page[i]));
	return json_pack("{s:o, s:I, s:o}", "nodes", nodes, "pages_seen", (json_int_t)top->pages,
			 "pages", hot);
}
