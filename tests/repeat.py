# SPDX-License-Identifier: Apache-2.0
"""Runs each program many times beside a load, for tests/run --repeat: what fails now and then.

It goes in rounds, so that whoever ends it early has tried all programs alike, and the first round
tells what all of it will take. A pure program (docs/testing.md) shows nothing new when it is
repeated: it takes part in the first PURE_ROUNDS rounds, and otherwise all do in all. In a round
those whose threads share memory come first, then others with threads, processes, sockets or KVM,
each group from the shortest on: so what is likely to fail fails early.
"""
import concurrent.futures
import contextlib
import os
import subprocess
import sys
import time

from tap import Results, Running, longest, run

PURE_ROUNDS = 2

# Ends with its parent, however that ends.
HOG = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(100000))"


@contextlib.contextmanager
def load():
    """As many busy processes as there are CPUs."""
    hogs = [subprocess.Popen([sys.executable, "-c", HOG])
            for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


class Quiet(Results):
    """Tells only what fails."""

    def case(self, status, title, seconds, reason="", why=()):
        if status == "FAIL":
            super().case(status, title, seconds, reason, why)

    def has_failed(self, program):
        return any(title.startswith(f"{program.name}: ") for title, _ in self.failed)


class Repeat:
    def __init__(self, programs, times, logs, at_a_time):
        self.programs, self.times, self.logs, self.at_a_time = programs, times, logs, at_a_time
        self.results, self.running = Quiet(), Running()
        self.runs = 0

    def members(self, number):
        """Of a round, in their order."""
        chosen = [program for program in self.programs
                  if not program.pure or number <= PURE_ROUNDS]
        return sorted(chosen, key=lambda program: (program.pure, not program.shares_memory,
                                                   self.results.took.get(program.name, 0)))

    def one(self, program, number):
        if self.running.stopping:
            return
        run(program, self.logs, self.results, self.running)
        self.runs += 1
        if self.results.has_failed(program):
            print(f"{program.name}: failed in run {number} of {self.times}", flush=True)
            self.running.stop()

    def round(self, number):
        members = self.members(number)
        for alone in (False, True):
            with concurrent.futures.ThreadPoolExecutor(1 if alone else self.at_a_time) as pool:
                waiting = [pool.submit(self.one, program, number) for program in members
                           if program.parallel != alone]
                try:
                    for one in waiting:
                        one.result()
                except BaseException:
                    self.running.stop()
                    raise

    def left(self, number, seconds):
        """How long the rounds behind this one will take, if they take as long as it did."""
        took = self.results.took
        impure = sum(took[program.name] for program in self.programs if not program.pure)
        share = impure / (sum(took[program.name] for program in self.members(number)) or 1)
        full = max(0, min(PURE_ROUNDS, self.times) - number)
        return seconds * (full + share * (self.times - number - full))

    def longest(self):
        return longest({program.name: self.results.took[program.name]
                        for program in self.programs if not program.pure})

    def all_rounds(self):
        """Return: exit status."""
        began = time.monotonic()
        pure = sum(program.pure for program in self.programs)
        print(f"{len(self.programs)} programs, {pure} of them pure: these {PURE_ROUNDS} times, "
              f"all others {self.times} times", flush=True)
        for number in range(1, self.times + 1):
            round_began = time.monotonic()
            self.round(number)
            if self.results.failed:
                return 1
            now = time.monotonic()
            print(f"round {number} of {self.times} ({now - round_began:.0f} s): all passed, "
                  f"{self.runs} runs, {self.runs / (now - began) * 60:.0f} a minute, about "
                  f"{self.left(number, now - round_began) / 60:.0f} min to go", flush=True)
            if number == 1:
                print(f"longest: {self.longest()}", flush=True)
        return 0


def repeat(programs, times, logs, at_a_time):
    """Stops at the first failure, whose log stays. Return: exit status."""
    with load():
        return Repeat(programs, times, logs, at_a_time).all_rounds()
