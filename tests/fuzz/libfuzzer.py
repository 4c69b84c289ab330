#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a libFuzzer program for some seconds: libfuzzer.py CORPUS PROGRAM. Prints TAP.

It begins with the corpus of the tree and with what earlier runs have found, which is kept beside the
program, as is an input that fails: give that to the program as its argument to see it again.

SSIHV_FUZZ_SECONDS says how long (default 30). With SSIHV_FUZZ_KEEP=1 the corpus of the tree is
replaced by a small set of inputs.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

EXECUTED = re.compile(r"^stat::number_of_executed_units: *(\d+)", re.M)
LONGEST = 2048      # bytes of an input that is kept in the tree,
FILES = 40          # and how many of a target, of all lengths


def fuzz(program, found, corpus, seconds):
    """Executions, or None when an input failed."""
    done = subprocess.run(
        [program, f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=60",
         f"-artifact_prefix={program}-", found, *([corpus] if corpus.is_dir() else [])],
        stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    sys.stderr.write(done.stderr)
    executed = EXECUTED.search(done.stderr)
    return int(executed[1]) if executed and not done.returncode else None


def keep(program, found, corpus):
    fresh = corpus.with_name(corpus.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    subprocess.run([program, "-set_cover_merge=1", f"-max_len={LONGEST}", fresh, found,
                    *([corpus] if corpus.is_dir() else [])], check=True, stderr=subprocess.DEVNULL)
    reached = sorted(fresh.iterdir(), key=lambda path: path.stat().st_size)
    for path in set(reached) - set(reached[::len(reached) // FILES + 1]):
        path.unlink()
    shutil.rmtree(corpus, ignore_errors=True)
    fresh.rename(corpus)


def main():
    corpus, program = (pathlib.Path(word) for word in sys.argv[1:3])
    found = program.with_name(program.name + ".found")
    found.mkdir(exist_ok=True)
    print("1..1", flush=True)
    executed = fuzz(program, found, corpus, int(os.environ.get("SSIHV_FUZZ_SECONDS", "30")))
    print(f"not ok 1 - an input fails, see {program}-*" if executed is None else
          f"ok 1 - {executed} executions")
    if executed is not None and os.environ.get("SSIHV_FUZZ_KEEP") == "1":
        keep(program, found, corpus)
    return executed is None


if __name__ == "__main__":
    sys.exit(main())
