/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console, in any pieces: what is found of the proof is JSON, and gathering is bounded.
 * Input: pieces: a length, and as many bytes.
 */
#include "cli/proof.h"
#include "tests/fuzz/fuzz.h"

static void on_mark(void *ctx, const char *name)
{
	for (const char *c = name; *c; c++)
		fuzz_check((unsigned char)*c >= ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_input in = fuzz_input(data, len);
	struct proof p;

	proof_open(&p, "/dev/null");
	p.mark = on_mark;
	while (fuzz_left(&in)) {
		size_t piece = fuzz_take(&in, 1);

		piece = MIN(piece, fuzz_left(&in));
		proof_add(&p, (const char *)in.at, piece);
		in.at += piece;
		fuzz_check(p.lines.len <= p.lines.max);
	}
	proof_end(&p);
	fuzz_check(!p.found || json_is_object(p.found));
	proof_free(&p);
	return 0;
}

size_t fuzz_seed(uint64_t *random, uint8_t *data, size_t room)
{
	static const char *const lines[] = {
		"PROOF-START\r\n",
		"PROOF {\"result\": \"ok\", \"cpus\": 2, \"failed\": []}\r\n",
		"PROOF {\"cpus\":\r\n",
		"PROOF-MARK a \xff load\r\n",
		"[    0.000000] Linux version 6.1\r\n",
	};

	return fuzz_lines(random, data, lines, ARRAY_SIZE(lines), 6, 0);
}
