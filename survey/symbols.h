/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel's symbols by address: those of a System.map that the user has, or those that the guest's
 * kernel carries (survey/kallsyms.h). Those of modules are in neither.
 *
 * Of symbols at one address one is shown, a global one if there is one. A symbol ends where the
 * next begins: that is all that a table of addresses tells.
 */
#ifndef SSIHV_SURVEY_SYMBOLS_H
#define SSIHV_SURVEY_SYMBOLS_H

#include <stdio.h>

#include "base/err.h"

#define SYMBOLS_SUFFIX ".symbols"
#define SYMBOLS_MOST   (4u << 20)
#define SYMBOLS_BYTES  (256 * MIB) /* of a System.map */
#define SYMBOL_NAME    511	   /* bytes that a name has at most */

struct symbol {
	uint64_t addr;
	uint32_t name; /* where in `names` */
	char type;     /* as nm(1) */
};

struct symbols {
	struct symbol *symbol; /* by address, once symbols_sort() was called */
	size_t count, room;
	char *names; /* NUL behind each */
	size_t len, names_room;
};

/** symbols_add() - one more; not looked for before symbols_sort(). Return: 0; -ENOMEM; -E2BIG. */
int symbols_add(struct symbols *s, uint64_t addr, char type, const char *name, size_t len);

/** symbols_sort() - by address. */
void symbols_sort(struct symbols *s);

/**
 * symbols_parse() - a System.map
 * @name: for errors
 *
 * Return: 0, then symbols_free(); -EBADMSG with the line; -ENODATA: hardly any symbols, as in the
 * stub that Debian ships; -ENOMEM; -E2BIG.
 */
int symbols_parse(const char *name, const char *text, struct symbols *ret, struct err *err);

/** symbols_print() - as a System.map. */
void symbols_print(const struct symbols *s, FILE *to);

/** symbols_find() - the address of the symbol @name. Return: is there one? */
bool symbols_find(const struct symbols *s, const char *name, uint64_t *ret);

/**
 * symbols_within() - name what lies in a part of memory
 * @addr, @end: from and up to; @end > @addr
 * @buf: gets the names of those that have most of it, in the order of their addresses, and how many
 * there are besides; empty for none
 */
void symbols_within(const struct symbols *s, uint64_t addr, uint64_t end, char *buf, size_t len);

/** symbols_free() - harmless on a zeroed struct. */
void symbols_free(struct symbols *s);

#endif
