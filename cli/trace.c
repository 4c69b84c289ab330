/* SPDX-License-Identifier: Apache-2.0 */
/* ssihv trace: what the traces of a run tell (`ssihv run --trace DIR`). */
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/trace_timeline.h"
#include "cli/trace_top.h"
#include "trace/check.h"

#define PAGES 20  /* that top and timeline show */
#define TOLD  100 /* findings that check tells; the first say most, and all are counted */

enum { OPT_OUTPUT, OPT_PAGES, OPT_SYMBOLS };

static const struct option_spec options[] = {
	[OPT_OUTPUT] = {"output", 'o', "json", "print a JSON object"},
	[OPT_PAGES] = {"pages", 0, "N", "top, timeline: how many pages (default 20)"},
	[OPT_SYMBOLS] = {"symbols", 0, "FILE", "top, timeline: the guest's System.map"},
	{NULL},
};

/* ---- what is wrong ---- */

struct findings {
	const struct trace_set *set;
	unsigned count;
	json_t *all; /* NULL: they are printed */
};

/* Where a record is, when it was made, and what it says. */
struct told {
	const char *node;
	uint64_t index;
	double time_us;
	char text[160];
};

static struct told tell(const struct trace_set *set, unsigned shard, struct trace_place at)
{
	struct told t = {.node = trace_set_name(set, at.node), .index = at.index};
	struct trace_record r;

	if (trace_set_record(set, at.node, shard, at.index, &r)) {
		t.time_us = (double)r.time * 1000 / (double)set->node[at.node]->head.ticks_khz;
		trace_record_text(&r, t.text, sizeof(t.text));
	}
	return t;
}

static json_t *place_json(const struct told *t)
{
	return json_pack("{s:s, s:I, s:f, s:s}", "node", t->node, "record", (json_int_t)t->index,
			 "time_us", t->time_us, "what", t->text);
}

static void on_finding(void *ctx, const struct trace_finding *f)
{
	struct findings *all = ctx;
	struct told at, other = {.node = NULL};
	json_t *o;

	if (++all->count > TOLD)
		return;
	at = tell(all->set, f->shard, f->at);
	if (f->has_other)
		other = tell(all->set, f->shard, f->other);
	if (!all->all) {
		printf("page %#llx: %s: node %s %s\n", (unsigned long long)f->page,
		       trace_rule_name(f->rule), at.node, f->text);
		printf("  %s, shard %u, record %llu, at %.1f us: %s\n", at.node, f->shard,
		       (unsigned long long)at.index, at.time_us, at.text);
		if (f->has_other)
			printf("  %s, shard %u, record %llu, at %.1f us: %s\n", other.node,
			       f->shard, (unsigned long long)other.index, other.time_us,
			       other.text);
		return;
	}
	o = json_pack("{s:s, s:I, s:i, s:s, s:o}", "rule", trace_rule_name(f->rule), "page",
		      (json_int_t)f->page, "shard", (int)f->shard, "text", f->text, "at",
		      place_json(&at));
	if (f->has_other)
		json_object_set_new(o, "other", place_json(&other));
	json_array_append_new(all->all, o);
}

/* ---- what was read ---- */

static json_t *nodes_json(const struct trace_set *set)
{
	json_t *nodes = json_array();

	for (unsigned i = 0; i < set->nodes; i++) {
		const struct trace_file *f = set->node[i];
		json_int_t records = 0, lost = 0;
		bool ended = true;

		for (unsigned shard = 0; shard < set->shards; shard++) {
			records += (json_int_t)f->shard[shard].records;
			lost += (json_int_t)f->shard[shard].lost;
			ended &= f->shard[shard].ended;
		}
		json_array_append_new(nodes, json_pack("{s:s, s:I, s:I, s:b}", "name",
						       trace_set_name(set, i), "records", records,
						       "lost", lost, "ended", ended));
	}
	return nodes;
}

/* Who reads a table wants to know what it does not hold. */
static void print_losses(const json_t *nodes)
{
	const json_t *node;
	size_t i;

	json_array_foreach(nodes, i, node)
	{
		long long lost = json_integer_value(json_object_get(node, "lost"));
		const char *name = json_string_value(json_object_get(node, "name"));

		if (lost)
			printf("the trace of %s lacks %lld records\n", name, lost);
		if (!json_is_true(json_object_get(node, "ended")))
			printf("the trace of %s has no end\n", name);
	}
}

static int print_json(json_t *value)
{
	if (!value)
		return failure(&(struct err){"out of memory"});
	json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(value);
	return STATUS_OK;
}

/* ---- the verbs ---- */

static int check(const char *dir, const struct trace_set *set, bool json)
{
	struct findings findings = {.set = set, .all = json ? json_array() : NULL};
	json_t *nodes = nodes_json(set);
	struct trace_verdict v;
	int r = trace_check(set, on_finding, &findings, &v);

	if (r < 0) {
		json_decref(findings.all);
		json_decref(nodes);
		return failure(&(struct err){"out of memory"});
	}
	if (json) {
		r = print_json(json_pack("{s:o, s:I, s:I, s:I, s:I, s:o}", "nodes", nodes,
					 "checked", (json_int_t)v.records, "unchecked",
					 (json_int_t)v.left, "regions", (json_int_t)v.regions,
					 "pages_broken", (json_int_t)v.findings, "findings",
					 findings.all));
		return v.findings ? STATUS_FAILED : r;
	}
	print_losses(nodes);
	json_decref(nodes);
	printf("%s: %u nodes, %llu records checked, %llu left out, %llu regions: ", dir, set->nodes,
	       (unsigned long long)v.records, (unsigned long long)v.left,
	       (unsigned long long)v.regions);
	if (v.findings > TOLD)
		printf("of those that break a rule %d are told above: ", TOLD);
	if (v.findings)
		printf("%llu pages break a rule\n", (unsigned long long)v.findings);
	else
		puts("no rule is broken");
	return v.findings ? STATUS_FAILED : STATUS_OK;
}

struct wish {
	const char *word, *dir, *symbols;
	size_t pages;
	bool json;
};

static int top(const struct trace_set *set, const struct wish *w)
{
	struct trace_top sum;
	struct trace_what what;
	struct err err;
	int status = STATUS_OK;

	if (trace_top(set, &sum) < 0)
		return failure(&(struct err){"out of memory"});
	if (trace_what_read(w->dir, w->symbols, set, &sum, w->pages, &what, &err) < 0) {
		trace_top_free(&sum);
		return failure(&err);
	}
	if (w->json) {
		status = print_json(trace_top_json(set, &sum, &what, w->pages));
	} else {
		json_t *nodes = nodes_json(set);

		print_losses(nodes);
		json_decref(nodes);
		trace_top_table(set, &sum, &what, w->pages);
	}
	trace_what_free(&what);
	trace_top_free(&sum);
	return status;
}

static int draw(const struct trace_set *set, const struct trace_top *sum, const struct wish *w)
{
	struct trace_what what;
	struct timeline line;
	struct err err;

	if (trace_timeline(set, sum, w->pages, &line) < 0)
		return failure(&(struct err){"out of memory"});
	if (trace_what_read(w->dir, w->symbols, set, sum, w->pages, &what, &err) < 0) {
		trace_timeline_free(&line);
		return failure(&err);
	}
	trace_timeline_svg(stdout, set, &line, &what);
	trace_what_free(&what);
	trace_timeline_free(&line);
	if (fflush(stdout) || ferror(stdout))
		return failure(&(struct err){"the picture could not be written"});
	return STATUS_OK;
}

static int timeline(const struct trace_set *set, const struct wish *w)
{
	struct trace_top sum;
	int status;

	if (trace_top(set, &sum) < 0)
		return failure(&(struct err){"out of memory"});
	status = draw(set, &sum, w);
	trace_top_free(&sum);
	return status;
}

static int grant(const struct wish *w)
{
	struct trace_set set;
	struct err err;
	int status;

	if (trace_set_read(w->dir, &set, &err) < 0)
		return failure(&err);
	if (strcmp(w->word, "check") == 0)
		status = check(w->dir, &set, w->json);
	else
		status = strcmp(w->word, "top") == 0 ? top(&set, w) : timeline(&set, w);
	trace_set_free(&set);
	return status;
}

static bool take_pages(const char *text, size_t *ret)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (text[0] < '1' || text[0] > '9' || *end || n > UINT32_MAX) {
		usage_error("trace: --pages %s: give a number from 1 on", text);
		return false;
	}
	*ret = n;
	return true;
}

static int run(int argc, char **argv)
{
	struct options o = {argc, argv, 1};
	struct wish w = {.pages = PAGES};
	const char *value, *words[2];
	int which, count = 0;

	while ((which = options_next(&o, &verb_trace, &value)) != OPTIONS_END) {
		if (which == OPTIONS_STOP)
			return o.status;
		if ((which == OPT_OUTPUT && !option_is_json(&verb_trace, value)) ||
		    (which == OPT_PAGES && !take_pages(value, &w.pages)))
			return STATUS_USAGE;
		w.json |= which == OPT_OUTPUT;
		if (which == OPT_SYMBOLS)
			w.symbols = value;
		if (which == OPTIONS_POSITIONAL && count < 2)
			words[count] = value;
		count += which == OPTIONS_POSITIONAL;
	}
	if (count != 2 ||
	    (strcmp(words[0], "check") && strcmp(words[0], "top") && strcmp(words[0], "timeline")))
		return usage_error("trace wants `check DIR`, `top DIR` or `timeline DIR`");
	if (w.json && strcmp(words[0], "timeline") == 0)
		return usage_error("trace: a time line is SVG, and -o json is for check and top");
	w.word = words[0];
	w.dir = words[1];
	return grant(&w);
}

const struct verb verb_trace = {
	.name = "trace",
	.arguments = "(check DIR | top DIR | timeline DIR) [-o json]",
	.help = "check, count or draw what the pagers of a run did, from the traces of all nodes",
	.options = options,
	.run = run,
};
