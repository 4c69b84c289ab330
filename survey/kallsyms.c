/* SPDX-License-Identifier: Apache-2.0 */
#include "survey/kallsyms.h"

#define TOKENS	    256u
#define ALIGNMENT   8u
#define NAMES_MIN   1000u
#define TOKEN_BYTES 1024u      /* of one token at most */
#define BLOCK	    256u       /* names from one marker to the next */
#define REACH	    (64 * MIB) /* of the count from the token table */

struct tables {
	const uint8_t *image;
	size_t len;
	uint64_t va;
	uint64_t steps; /* that are left */

	size_t token;	      /* where the token table begins */
	size_t index, behind; /* its offsets, and what comes after them */
	uint16_t offset[TOKENS];
	size_t count_at, names;
	uint32_t count;
	size_t offsets;
	uint64_t base;
};

static uint32_t u32(const struct tables *t, size_t at)
{
	uint32_t value;

	memcpy(&value, t->image + at, sizeof(value));
	return value;
}

static uint64_t u64(const struct tables *t, size_t at)
{
	return u32(t, at) | (uint64_t)u32(t, at + 4) << 32;
}

static bool step(struct tables *t)
{
	if (t->steps)
		t->steps--;
	return t->steps > 0;
}

/* ---- tokens ---- */

/* The digits' strings are at @digits. */
static bool check_tokens(struct tables *t, size_t digits)
{
	size_t at = digits;

	for (unsigned i = '0'; i < TOKENS; i++) {
		const uint8_t *end = at < t->len ? memchr(t->image + at, '\0',
							  MIN(t->len - at, (size_t)TOKEN_BYTES))
						 : NULL;
		if (!end)
			return false;
		at = (size_t)(end - t->image) + 1;
	}
	t->index = ALIGN_UP(at, ALIGNMENT);
	t->behind = t->index + sizeof(t->offset);
	if (t->behind > t->len)
		return false;
	memcpy(t->offset, t->image + t->index, sizeof(t->offset));
	if (t->offset[0] || t->offset['0'] > digits)
		return false;
	t->token = digits - t->offset['0'];
	for (unsigned i = 0; i + 1 < TOKENS; i++) {
		size_t from = t->token + t->offset[i], next = t->token + t->offset[i + 1];
		/* Whole strings: a NUL at the end, and none before it. */
		if (next <= from || next >= at || t->image[next - 1] ||
		    memchr(t->image + from, '\0', next - 1 - from))
			return false;
	}
	return true;
}

static bool find_tokens(struct tables *t)
{
	static const uint8_t digits[20] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";
	size_t at = 0;

	while (step(t)) {
		const uint8_t *found = memmem(t->image + at, t->len - at, digits, sizeof(digits));
		if (!found)
			return false;
		at = (size_t)(found - t->image);
		if (check_tokens(t, at))
			return true;
		at++;
	}
	return false;
}

/* ---- names ---- */

/* The tokens of the name at @*at. Return: how many; 0: it is no name. @*at goes to the first. */
static size_t name_length(const struct tables *t, size_t *at)
{
	size_t len;

	if (*at + 2 > t->token)
		return 0;
	len = t->image[(*at)++];
	if (len & 0x80) /* since 6.1 */
		len = (len & 0x7f) | (size_t)t->image[(*at)++] << 7;
	return len <= t->token - *at ? len : 0;
}

/* Are there @count names from @names on, and the markers behind them? */
static bool check_names(struct tables *t, size_t names, uint32_t count)
{
	size_t at = names, markers;

	for (uint32_t i = 0; i < count; i++) {
		size_t len = step(t) ? name_length(t, &at) : 0;
		if (!len)
			return false;
		at += len;
	}
	markers = ALIGN_UP(at, ALIGNMENT);
	if (markers + 4 * (size_t)((count - 1) / BLOCK + 1) > t->token)
		return false;
	at = names;
	for (uint32_t i = 0; i < count; i++) {
		if (i % BLOCK == 0 && u32(t, markers + 4 * (i / BLOCK)) != at - names)
			return false;
		size_t len = name_length(t, &at);
		at += len;
	}
	return true;
}

static bool find_names(struct tables *t)
{
	size_t last = t->token > REACH ? t->token - REACH : 0;

	for (size_t at = ALIGN_DOWN(t->token, ALIGNMENT); at >= last + ALIGNMENT;) {
		at -= ALIGNMENT;
		uint64_t count = u64(t, at);
		if (count < NAMES_MIN || count > SYMBOLS_MOST || !step(t))
			continue;
		if (check_names(t, at + ALIGNMENT, (uint32_t)count)) {
			t->count_at = at;
			t->names = at + ALIGNMENT;
			t->count = (uint32_t)count;
			return true;
		}
	}
	return false;
}

/* ---- addresses ---- */

static uint64_t address(const struct tables *t, uint32_t symbol, bool has_absolute)
{
	uint32_t offset = u32(t, t->offsets + 4 * (size_t)symbol);

	if (!has_absolute)
		return t->base + offset;
	return offset < 0x80000000u ? offset : t->base - 1 - (uint64_t)(int64_t)(int32_t)offset;
}

/* The first that is negative tells: in the other format all are small. */
static bool has_absolute(const struct tables *t)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (u32(t, t->offsets + 4 * (size_t)i) >= 0x80000000u)
			return true;
	return false;
}

static bool check_addresses(struct tables *t, size_t offsets, size_t base)
{
	uint64_t last = 0;

	t->offsets = offsets;
	t->base = u64(t, base);
	if (t->base < t->va || t->base - t->va >= t->len)
		return false;
	bool absolute = has_absolute(t);
	for (uint32_t i = 0; i < t->count; i++) {
		uint64_t next = address(t, i, absolute);
		if (next < last)
			return false;
		last = next;
	}
	return last > t->base;
}

static bool find_addresses(struct tables *t)
{
	size_t bytes = ALIGN_UP(4 * (size_t)t->count, ALIGNMENT);
	size_t after = ALIGN_UP(t->behind, ALIGNMENT);

	if (t->count_at >= bytes + 8 &&
	    check_addresses(t, t->count_at - 8 - bytes, t->count_at - 8))
		return true;
	return after <= t->len && t->len - after >= bytes + 8 &&
	       check_addresses(t, after, after + bytes);
}

/* ---- all of it ---- */

/* Return: its length; 0: it is no name. The first character is the type. */
static size_t expand(const struct tables *t, size_t *at, char *name, size_t room)
{
	size_t tokens = name_length(t, at), len = 0;

	for (size_t i = 0; i < tokens; i++) {
		const char *from = (const char *)t->image + t->token + t->offset[t->image[*at + i]];
		for (; *from; from++) {
			if (*from <= ' ' || *from > '~' || len == room)
				len = room + 1;
			else
				name[len++] = *from;
			if (len > room)
				break;
		}
		if (len > room)
			break;
	}
	*at += tokens;
	return len > 1 && len <= room ? len : 0;
}

static int collect(const struct tables *t, struct symbols *s)
{
	bool absolute = has_absolute(t);
	size_t at = t->names;
	char name[SYMBOL_NAME + 1];

	for (uint32_t i = 0; i < t->count; i++) {
		size_t len = expand(t, &at, name, sizeof(name));
		int r = len ? symbols_add(s, address(t, i, absolute), name[0], name + 1, len - 1)
			    : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int kallsyms_read(const uint8_t *image, size_t len, uint64_t va, struct symbols *ret)
{
	struct tables t = {.image = image, .len = len, .va = va, .steps = KALLSYMS_STEPS};
	struct symbols s = {0};

	if (!find_tokens(&t) || !find_names(&t) || !find_addresses(&t))
		return -ENOENT;
	int r = collect(&t, &s);
	if (r < 0) {
		symbols_free(&s);
		return r == -E2BIG ? -ENOENT : r;
	}
	symbols_sort(&s);
	*ret = s;
	return 0;
}
