/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/figures.h"

static const struct {
	const char *name, *better;
} units[] = {
	[UNIT_US] = {"us", "less"},	  [UNIT_MS] = {"ms", "less"},
	[UNIT_RATIO] = {"ratio", "less"}, [UNIT_SHARE] = {"share", "more"},
	[UNIT_PER_S] = {"1/s", "more"},	  [UNIT_PACKETS] = {"packets", "less"},
	[UNIT_BYTES] = {"bytes", "less"}, [UNIT_COUNT] = {"count", "neither"},
};

static struct figure *find(struct figures *f, const char *name, enum unit unit)
{
	struct figure *new;

	for (unsigned i = 0; i < f->count; i++)
		if (strcmp(f->figure[i].name, name) == 0)
			return &f->figure[i];
	assert(f->count < FIGURES_MAX);
	new = &f->figure[f->count++];
	snprintf(new->name, sizeof(new->name), "%s", name);
	new->unit = unit;
	return new;
}

void figures_add(struct figures *f, enum unit unit, double value, const char *name)
{
	struct figure *figure = find(f, name, unit);

	assert(figure->rounds < ROUNDS_MAX);
	figure->value[figure->rounds++] = value;
}

void figures_add2(struct figures *f, enum unit unit, double value, const char *side,
		  const char *name)
{
	char both[32];

	snprintf(both, sizeof(both), "%s.%s", side, name);
	figures_add(f, unit, value, both);
}

void figures_print(const struct figures *f, FILE *out)
{
	fprintf(out, "{");
	for (unsigned i = 0; i < f->count; i++) {
		const struct figure *figure = &f->figure[i];

		fprintf(out, "%s\n  \"%s\": {\"unit\": \"%s\", \"better\": \"%s\", \"rounds\": [",
			i ? "," : "", figure->name, units[figure->unit].name,
			units[figure->unit].better);
		for (unsigned j = 0; j < figure->rounds; j++)
			fprintf(out, "%s%.6g", j ? ", " : "", figure->value[j]);
		fprintf(out, "]}");
	}
	fprintf(out, "\n}\n");
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void samples_sort(struct samples *s)
{
	qsort(s->ns, s->count, sizeof(s->ns[0]), compare);
}

double samples_us(const struct samples *s, unsigned per_mille)
{
	uint64_t at = (uint64_t)s->count * per_mille / 1000;

	return s->ns[MIN(at, (uint64_t)s->count - 1)] / 1e3;
}
