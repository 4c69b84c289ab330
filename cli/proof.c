/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/proof.h"

#include "base/clock.h"
#include "base/text.h"

#define LINE_MAX_BYTES (64 * KIB)
#define MARK	       "PROOF-MARK "
#define MARK_LEN       (sizeof(MARK) - 1)

static void on_mark(struct proof *p, const char *name, size_t len)
{
	char text[64];

	while (len && (name[len - 1] == '\r' || name[len - 1] == ' '))
		len--;
	text_clean(name, len, text, sizeof(text));
	if (p->mark)
		p->mark(p->ctx, text);
}

static void on_line(void *ctx, char *line, size_t len)
{
	struct proof *p = ctx;
	json_t *found;

	if (strncmp(line, "PROOF-START", 11) == 0 && !p->start_ns)
		p->start_ns = clock_now_ns();
	if (strncmp(line, MARK, MARK_LEN) == 0)
		on_mark(p, line + MARK_LEN, len - MARK_LEN);
	if (strncmp(line, "PROOF {", 7))
		return;
	found = json_loadb(line + 6, len - 6, 0, NULL);
	if (!found)
		return;
	json_decref(p->found);
	p->found = found;
}

void proof_open(struct proof *p, const char *log)
{
	*p = (struct proof){.log = fopen(log, "we"), .lines.max = LINE_MAX_BYTES};
}

void proof_add(struct proof *p, const char *data, size_t len)
{
	if (p->log)
		fwrite(data, 1, len, p->log);
	lines_add(&p->lines, data, len, on_line, p);
}

void proof_end(struct proof *p)
{
	lines_end(&p->lines, on_line, p);
	if (p->log)
		fclose(p->log);
	p->log = NULL;
}

void proof_free(struct proof *p)
{
	proof_end(p);
	json_decref(p->found);
	p->found = NULL;
}
