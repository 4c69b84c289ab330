/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A time line as SVG: no script, nothing from elsewhere.
 *
 * A column of the time line is a pixel wide. What is drawn of a row is one path a colour, columns
 * that are alike drawn as one; lengths are whole pixels, so that neighbours are often alike. What
 * a row shows in figures is told where the pointer is, for SLICE columns at a time. All this does
 * not grow with the trace.
 */
#include "cli/trace_timeline.h"

#include <math.h>

#define LEFT	170 /* of it the names */
#define RIGHT	20
#define TOP	84 /* of it the title and what the colours mean */
#define COLUMNS TIMELINE_COLUMNS
#define SLICE	10
#define HEATS	8
#define BAND	16 /* pixels high: turns, waiting */
#define BARS	24 /* what is counted */
#define LANE	12 /* a page on one node */
#define GAP	6

/* How high each column is, in pixels from the row's base. */
struct heights {
	int from[COLUMNS], to[COLUMNS];
};

struct sheet {
	FILE *out;
	const struct trace_set *set;
	const struct timeline *t;
	int y; /* of the row that comes */
	uint64_t most[TIMELINE_COUNTS];
	float waiting_most;
	struct heights h;
};

static const char *const style =
	"svg{background:#fff;font:11px sans-serif}"
	".bg{fill:#fff}text{fill:#222}.dim{fill:#666}.row{fill:#888;fill-opacity:.1}"
	".grid{stroke:#888;stroke-opacity:.35}.s{fill:#888;fill-opacity:0}.s:hover{fill-opacity:."
	"25}"
	".idle{fill:#8a94a0}.ran{fill:#2f9e5b}.yielded{fill:#3b8fd4}.ran_out{fill:#e8930c}"
	".never_ran{fill:#d6336c}.open{fill:#b197fc}"
	".heat{fill:#e8590c}.faults{fill:#e8590c}.write{fill:#e8590c}.read{fill:#339af0}"
	".right,.got{fill:#2f9e5b}.wrong{fill:#d6336c}.gave{fill:#8a63d2}"
	"@media(prefers-color-scheme:dark){svg{background:#15181d}.bg{fill:#15181d}"
	"text{fill:#e4e6ea}.dim{fill:#a0a6b0}}";

/* ---- pieces ---- */

/* What a survey says may hold anything. */
static void put_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'')
			fprintf(out, "&#%d;", c);
		else
			fputc(c < 0x20 || c > 0x7e ? '?' : c, out);
	}
}

static void label(struct sheet *s, const char *class, int x, int y, const char *text)
{
	fprintf(s->out, "<text class=\"%s\" x=\"%d\" y=\"%d\">", class, x, y);
	put_text(s->out, text);
	fputs("</text>\n", s->out);
}

static void row(struct sheet *s, int high)
{
	fprintf(s->out, "<rect class=\"row\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
		LEFT, s->y, COLUMNS, high);
}

/* s->h, upwards from @base. */
static void draw(struct sheet *s, const char *class, const char *attributes, int base)
{
	const struct heights *h = &s->h;
	bool any = false;

	for (int i = 0, next; i < COLUMNS; i = next) {
		for (next = i + 1;
		     next < COLUMNS && h->from[next] == h->from[i] && h->to[next] == h->to[i];
		     next++)
			;
		if (h->from[i] == h->to[i])
			continue;
		if (!any)
			fprintf(s->out, "<path class=\"%s\"%s d=\"", class, attributes);
		any = true;
		fprintf(s->out, "M%d %dh%dv%dh%dz", LEFT + i, base - h->from[i], next - i,
			h->from[i] - h->to[i], i - next);
	}
	if (any)
		fputs("\"/>\n", s->out);
}

/* Something is not nothing, however little it is. */
static int high(double share, int most)
{
	int pixels = (int)lround(MIN(share, 1.0) * most);

	return share > 0 ? MAX(pixels, 1) : 0;
}

static void slice_begin(struct sheet *s, int at, int y, int tall, const char *name)
{
	double ms = s->t->ms / COLUMNS;

	fprintf(s->out,
		"<rect class=\"s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"><title>%s, %.3f to "
		"%.3f ms",
		LEFT + at, y, SLICE, tall, name, at * ms, (at + SLICE) * ms);
}

static void slice_end(struct sheet *s)
{
	fputs("</title></rect>\n", s->out);
}

static double sum_band(const struct timeline_band *b, int at)
{
	double sum = 0;

	for (int i = at; i < at + SLICE; i++)
		sum += (double)b->share[i];
	return sum / SLICE;
}

static uint64_t sum_count(const uint64_t *count, int at)
{
	uint64_t sum = 0;

	for (int i = at; i < at + SLICE; i++)
		sum += count[i];
	return sum;
}

/* ---- a node ---- */

static const char *turn_name(unsigned why)
{
	return why == TIMELINE_TURN_OPEN ? "open" : trace_turn_name((enum trace_turn)why);
}

/* Shares of a column, one on top of the other. */
static void draw_turns(struct sheet *s, const struct timeline_node *n)
{
	label(s, "dim", 20, s->y + 12, "turns");
	row(s, BAND);
	memset(&s->h, 0, sizeof(s->h));
	for (unsigned why = 0; why < TIMELINE_TURN_KINDS; why++) {
		for (int i = 0; i < COLUMNS; i++) {
			double share = (double)n->turn[why].share[i] / s->set->shards;

			s->h.from[i] = s->h.to[i];
			s->h.to[i] = MIN(BAND, s->h.to[i] + high(share, BAND));
		}
		draw(s, turn_name(why), "", s->y + BAND);
	}
	s->y += BAND + 2;
}

static void draw_waiting(struct sheet *s, const struct timeline_node *n)
{
	char text[64];

	snprintf(text, sizeof(text), "waiting, up to %.2g", (double)s->waiting_most);
	label(s, "dim", 20, s->y + 12, text);
	row(s, BAND);
	memset(&s->h, 0, sizeof(s->h));
	for (int heat = 1; heat <= HEATS; heat++) {
		for (int i = 0; i < COLUMNS; i++) {
			float share =
				s->waiting_most > 0 ? n->waiting.share[i] / s->waiting_most : 0;

			s->h.to[i] = high((double)share, HEATS) == heat ? BAND : 0;
		}
		snprintf(text, sizeof(text), " fill-opacity=\"%.2f\"", 0.15 + 0.85 * heat / HEATS);
		draw(s, "heat", text, s->y + BAND);
	}
	s->y += BAND + 2;
}

static void set_bars(struct sheet *s, const struct timeline_node *n, enum timeline_count what,
		     uint64_t most, int tall)
{
	memset(&s->h, 0, sizeof(s->h));
	for (int i = 0; most && i < COLUMNS; i++)
		s->h.to[i] = high((double)n->count[what][i] / (double)most, tall);
}

static void draw_faults(struct sheet *s, const struct timeline_node *n)
{
	char text[64];

	snprintf(text, sizeof(text), "faults, up to %llu",
		 (unsigned long long)s->most[TIMELINE_FAULTS]);
	label(s, "dim", 20, s->y + 16, text);
	row(s, BARS);
	set_bars(s, n, TIMELINE_FAULTS, s->most[TIMELINE_FAULTS], BARS);
	draw(s, "faults", "", s->y + BARS);
	s->y += BARS + 2;
}

/* One upwards and one downwards, of the same scale. */
static void draw_pair(struct sheet *s, const struct timeline_node *n, const char *name,
		      enum timeline_count up, enum timeline_count down, const char *up_class,
		      const char *down_class)
{
	uint64_t most = MAX(s->most[up], s->most[down]);
	char text[64];

	snprintf(text, sizeof(text), "%s, up to %llu", name, (unsigned long long)most);
	label(s, "dim", 20, s->y + 16, text);
	row(s, BARS);
	set_bars(s, n, up, most, BARS / 2);
	draw(s, up_class, "", s->y + BARS / 2);
	set_bars(s, n, down, most, BARS / 2);
	for (int i = 0; i < COLUMNS; i++)
		s->h.to[i] = -s->h.to[i];
	draw(s, down_class, "", s->y + BARS / 2);
	s->y += BARS + 2;
}

static void tell_node(struct sheet *s, const struct timeline_node *n, const char *name, int y)
{
	static const char *const counts[TIMELINE_COUNTS] = {"faults", "guesses",   "guesses right",
							    "wrong",  "pages got", "gave"};

	for (int at = 0; at < COLUMNS; at += SLICE) {
		double waiting = sum_band(&n->waiting, at);

		slice_begin(s, at, y, s->y - y, name);
		if (waiting > 0)
			fprintf(s->out, "\nwaiting: %.2g threads", waiting);
		for (unsigned why = 0; why < TIMELINE_TURN_KINDS; why++) {
			double share = sum_band(&n->turn[why], at) / s->set->shards;

			if (share > 0)
				fprintf(s->out, "\nturns %s: %.0f %%", turn_name(why), share * 100);
		}
		for (unsigned what = 0; what < TIMELINE_COUNTS; what++) {
			uint64_t sum = sum_count(n->count[what], at);

			if (sum)
				fprintf(s->out, "\n%s: %llu", counts[what],
					(unsigned long long)sum);
		}
		slice_end(s);
	}
}

static void draw_node(struct sheet *s, unsigned node)
{
	const struct timeline_node *n = &s->t->node[node];
	const char *name = trace_set_name(s->set, node);
	int y;

	fprintf(s->out, "<g id=\"node-%s\">\n", name);
	label(s, "name", 8, s->y + 12, name);
	y = s->y += BAND + 2;
	draw_turns(s, n);
	draw_waiting(s, n);
	draw_faults(s, n);
	draw_pair(s, n, "right, wrong", TIMELINE_RIGHT, TIMELINE_WRONG, "right", "wrong");
	draw_pair(s, n, "got, gave", TIMELINE_GOT, TIMELINE_GAVE, "got", "gave");
	tell_node(s, n, name, y);
	fputs("</g>\n", s->out);
	s->y += GAP;
}

/* ---- a page ---- */

static void tell_lane(struct sheet *s, const struct timeline_lane *lane, const char *name)
{
	for (int at = 0; at < COLUMNS; at += SLICE) {
		double write = sum_band(&lane->write, at), read = sum_band(&lane->read, at);
		uint64_t came = 0;

		for (int i = at; i < at + SLICE; i++)
			came += lane->came[i];
		if (write <= 0 && read <= 0 && !came)
			continue;
		slice_begin(s, at, s->y, LANE, name);
		fprintf(s->out, "\ncould write: %.0f %%, only read: %.0f %%\ncame: %llu times",
			write * 100, read * 100, (unsigned long long)came);
		slice_end(s);
	}
}

static void draw_lane(struct sheet *s, const struct timeline_lane *lane, const char *name)
{
	label(s, "dim", 20, s->y + 10, name);
	row(s, LANE - 1);
	memset(&s->h, 0, sizeof(s->h));
	for (int i = 0; i < COLUMNS; i++)
		s->h.to[i] = high((double)lane->write.share[i], LANE - 1);
	draw(s, "write", "", s->y + LANE - 1);
	for (int i = 0; i < COLUMNS; i++) {
		s->h.from[i] = s->h.to[i];
		s->h.to[i] =
			MIN(LANE - 1, s->h.to[i] + high((double)lane->read.share[i], LANE - 1));
	}
	draw(s, "read", "", s->y + LANE - 1);
	tell_lane(s, lane, name);
	s->y += LANE;
}

static void draw_page(struct sheet *s, size_t page, const struct trace_what *what)
{
	const struct trace_hot_page *p = s->t->top->page[page];
	char buf[SURVEY_TEXT], head[SURVEY_TEXT + 128];
	const char *text = trace_what_text(what, p->page, buf, sizeof(buf));

	snprintf(head, sizeof(head), "%#llx  %s  (waited %.1f ms, faults %llu)",
		 (unsigned long long)p->page, text ?: "", (double)p->waited_ns / 1e6,
		 (unsigned long long)(p->reads + p->writes));
	fprintf(s->out, "<g id=\"page-%llx\">\n", (unsigned long long)p->page);
	label(s, "name", 8, s->y + 12, head);
	s->y += BAND + 2;
	for (unsigned node = 0; node < s->t->nodes; node++)
		draw_lane(s, &s->t->lane[page * s->t->nodes + node], trace_set_name(s->set, node));
	fputs("</g>\n", s->out);
	s->y += GAP;
}

/* ---- the sheet ---- */

static void measure(struct sheet *s)
{
	for (unsigned node = 0; node < s->t->nodes; node++)
		for (int i = 0; i < COLUMNS; i++) {
			const struct timeline_node *n = &s->t->node[node];

			s->waiting_most = MAX(s->waiting_most, n->waiting.share[i]);
			for (unsigned what = 0; what < TIMELINE_COUNTS; what++)
				s->most[what] = MAX(s->most[what], n->count[what][i]);
		}
}

static int tall(const struct sheet *s)
{
	int node = BAND + 2 + 2 * (BAND + 2) + 3 * (BARS + 2) + GAP;
	int page = BAND + 2 + (int)s->t->nodes * LANE + GAP;

	return TOP + (int)s->t->nodes * node + (int)s->t->pages * page + 24;
}

/* Lines at round times, ten or so. */
static void draw_axis(struct sheet *s, int height)
{
	double step = pow(10, floor(log10(s->t->ms / 5)));
	char text[32];

	if (s->t->ms / step > 25)
		step *= 5;
	else if (s->t->ms / step > 10)
		step *= 2;
	for (int i = 0; i * step <= s->t->ms; i++) {
		int x = LEFT + (int)(i * step / s->t->ms * COLUMNS);

		fprintf(s->out, "<path class=\"grid\" d=\"M%d.5 %dV%d\"/>\n", x, TOP - 8,
			height - 20);
		snprintf(text, sizeof(text), "%.12g", i * step);
		label(s, "dim", x + 2, TOP - 10, text);
		label(s, "dim", x + 2, height - 8, text);
	}
	label(s, "dim", 20, TOP - 10, "ms");
}

static void draw_key(struct sheet *s)
{
	static const char *const keys[][2] = {
		{"idle", "turn: idle"},
		{"ran", "ran"},
		{"yielded", "yielded"},
		{"ran_out", "ran out"},
		{"never_ran", "never ran"},
		{"open", "not told"},
		{"heat", "waiting, faults; page: could write"},
		{"read", "page: could read"},
		{"right", "guesses right; pages got"},
		{"wrong", "guesses wrong"},
		{"gave", "pages gave"},
	};
	int x = LEFT;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		fprintf(s->out,
			"<rect class=\"%s\" x=\"%d\" y=\"38\" width=\"10\" height=\"10\"/>\n",
			keys[i][0], x);
		label(s, "key", x + 14, 47, keys[i][1]);
		x += 34 + (int)strlen(keys[i][1]) * 6;
	}
}

static void draw_head(struct sheet *s, int height)
{
	int width = LEFT + COLUMNS + RIGHT;
	char text[128];

	fprintf(s->out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\">\n<style>%s</style>\n"
		"<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n",
		width, height, width, height, style, width, height);
	snprintf(text, sizeof(text),
		 "%u nodes, %.3f ms, of which a column is %.4g ms; the %zu hottest of %zu pages",
		 s->t->nodes, s->t->ms, s->t->ms / COLUMNS, s->t->pages, s->t->top->pages);
	label(s, "name", 8, 22, text);
	draw_key(s);
	draw_axis(s, height);
}

void trace_timeline_svg(FILE *out, const struct trace_set *set, const struct timeline *t,
			const struct trace_what *what)
{
	struct sheet s = {.out = out, .set = set, .t = t, .y = TOP};

	measure(&s);
	draw_head(&s, tall(&s));
	for (unsigned node = 0; node < t->nodes; node++)
		draw_node(&s, node);
	for (size_t page = 0; page < t->pages; page++)
		draw_page(&s, page, what);
	fputs("</svg>\n", out);
}
