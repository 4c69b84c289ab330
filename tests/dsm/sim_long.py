#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A million schedules of the simulator, on all CPUs: make sim-long.

Usage: sim_long.py SIM [--schedules N] [--seed S]. Takes minutes; Ctrl-C ends it and tells how far it
came. The first schedule that fails ends it, too, and is told as the command that repeats it. Where
a run begins is chance unless --seed says so, so that each looks where none has looked.
"""
import argparse
import concurrent.futures
import os
import random
import re
import subprocess
import sys
import time

CHUNK = 1000
# Options of the simulator, and of a hundred schedules how many have them.
KINDS = ((("--limit",), 40), ((), 30), (("--storm",), 10), (("--fail",), 10),
         (("--limit", "--nodes", "3"), 10))


def chunks(schedules, seed):
    """Commands' options, all kinds alike far at any time."""
    for start in range(0, schedules, 100 * CHUNK):
        for options, share in KINDS:
            left = min(schedules - start, 100 * CHUNK) * share // 100
            for at in range(0, left, CHUNK):
                yield [*options, "--seed", str(seed + start + at),
                       "--count", str(min(CHUNK, left - at))]


class Run:
    def __init__(self, sim):
        self.sim, self.schedules, self.events, self.accesses = sim, 0, 0, 0
        self.failure = None

    def one(self, options):
        """Return: the simulator's words; None when another one has failed."""
        if self.failure:
            return None
        done = subprocess.run([self.sim, *options], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            kind = " ".join(options[:options.index("--seed")])
            self.failure = f"{done.stdout.strip() or done.returncode}\nrepeat: sim {kind} --seed N"
        return done.stdout

    def count(self, text):
        found = re.search(r"(\d+) schedules, (\d+) events, (\d+) accesses", text or "")
        if found:
            self.schedules += int(found[1])
            self.events += int(found[2])
            self.accesses += int(found[3])

    def tell(self, end="\n"):
        print(f"{self.schedules} schedules, {self.events} events, {self.accesses} accesses",
              end=end, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sim")
    parser.add_argument("--schedules", type=int, default=1000000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 48))
    args = parser.parse_args()
    if args.schedules < 100:
        parser.error("--schedules: at least 100, some of each kind")
    run, told = Run(args.sim), time.monotonic()
    print(f"from seed {args.seed}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            for text in pool.map(run.one, chunks(args.schedules, args.seed)):
                run.count(text)
                if time.monotonic() - told > 10 and not run.failure:
                    told = time.monotonic()
                    run.tell("\r" if sys.stdout.isatty() else "\n")
        except KeyboardInterrupt:
            run.failure = "interrupted"
    run.tell()
    if run.failure:
        print(run.failure)
    return 1 if run.failure else 0


if __name__ == "__main__":
    sys.exit(main())
