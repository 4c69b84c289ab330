/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a shard ended. Whoever meets the error first knows best what it was about and whom to blame,
 * so the first reason stands; the loop alone tells it, once everything has returned (shard_main()).
 */
#include "dsm/shard_impl.h"

#include <stdarg.h>
#include <stdio.h>

int shard_fail(struct shard *s, int code, int culprit, const char *fmt, ...)
{
	va_list ap;

	if (s->reason.code)
		return code;
	s->reason.code = code;
	s->reason.culprit = culprit;
	va_start(ap, fmt);
	vsnprintf(s->reason.text, sizeof(s->reason.text), fmt, ap);
	va_end(ap);
	return code;
}

int shard_fail_peer(struct shard *s, int code, unsigned peer)
{
	return shard_fail(s, code, (int)peer, "page connection to node %u: %s", peer,
			  code == -EPROTO || code == -EBADMSG ? "it broke the protocol"
							      : strerror(-code));
}

int shard_fail_here(struct shard *s, int code, const char *what, uint64_t gpa)
{
	return shard_fail(s, code, -1, "pager: %s of page %#llx failed: %s", what,
			  (unsigned long long)gpa, strerror(-code));
}

int shard_fail_host(struct shard *s, int code, const char *what)
{
	return shard_fail(s, code, -1, "pager: %s failed: %s", what, strerror(-code));
}
