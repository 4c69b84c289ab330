# SPDX-License-Identifier: Apache-2.0
"""Runs each program many times beside a load, for tests/run --repeat: what fails now and then."""
import contextlib
import os
import subprocess
import sys
import time

from tap import Results, Running, run

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


def repeat(programs, times, logs):
    """Stops at the first failure, whose log stays. Return: exit status."""
    results, running = Quiet(), Running()
    with load():
        for program in programs:
            began = time.monotonic()
            for turn in range(1, times + 1):
                try:
                    run(program, logs, results, running)
                except BaseException:
                    running.stop()
                    raise
                if results.failed:
                    print(f"{program.name}: failed in run {turn} of {times}", flush=True)
                    return 1
            print(f"ok    {program.name}: {times} times ({time.monotonic() - began:.0f} s)",
                  flush=True)
    return 0
