#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tests/run --repeat runs how often, and when it ends. Prints TAP.

Usage: test_repeat.py TESTS, the folder of repeat.py
"""
import contextlib
import io
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, sys.argv[1])
from repeat import repeat  # noqa: E402
from tap import Program  # noqa: E402


class World:
    """Programs that note their runs in a file."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.noted = self.path / "runs"

    def program(self, name, line="ok 1 - a", **kwargs):
        script = f"echo 1..1; echo {name} >>{self.noted}; echo '{line}'"
        return Program(name=name, command=["sh", "-c", script], env={}, timeout=60,
                       parallel=kwargs.pop("parallel", True), kind="plain", directory="/", **kwargs)

    def failing(self, name, turn):
        """Fails in its @turn-th run."""
        script = (f"echo 1..1; echo {name} >>{self.noted}\n"
                  f"[ $(grep -cx {name} {self.noted}) = {turn} ] && echo '# KeyError: 7' && "
                  "echo 'not ok 1 - a' || echo 'ok 1 - a'")
        return Program(name=name, command=["sh", "-c", script], env={}, timeout=60, parallel=True,
                       kind="plain", directory="/")

    def repeat(self, programs, times, at_a_time=1):
        """Exit status, names in the order of their runs, what was printed."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = repeat(programs, times, self.path, at_a_time)
        return status, self.noted.read_text(encoding="ascii").split(), printed.getvalue()


def pure_ones_run_twice_all_others_every_time(world):
    status, runs, _ = world.repeat([world.program("p", pure=True), world.program("q"),
                                    world.program("r", parallel=False)], 5, at_a_time=2)
    assert status == 0
    assert sorted(runs) == ["p"] * 2 + ["q"] * 5 + ["r"] * 5, runs


def once_is_once(world):
    status, runs, _ = world.repeat([world.program("p", pure=True), world.program("q")], 1)
    assert status == 0 and sorted(runs) == ["p", "q"], runs


def what_is_likely_to_fail_comes_first(world):
    _, runs, _ = world.repeat([world.program("p", pure=True), world.program("q"),
                               world.program("r", shares_memory=True)], 3)
    assert runs == ["r", "q", "p"] * 2 + ["r", "q"], runs


def it_ends_with_the_first_failure(world):
    status, runs, text = world.repeat([world.failing("p", 3), world.program("q")], 100)
    assert status == 1
    assert runs.count("p") == 3 and runs.count("q") <= 3, runs
    assert "FAIL  p: a" in text and "p: failed in run 3 of 100" in text, text
    assert "# KeyError: 7" in text, text


def each_round_tells_how_it_gets_on(world):
    _, _, text = world.repeat([world.program("p", pure=True), world.program("q")], 3)
    assert text.startswith("2 programs, 1 of them pure: these 2 times, all others 3 times\n"), text
    rounds = re.findall(r"^round (\d) of 3 \(\d+ s\): all passed, (\d) runs, \d+ a minute, about "
                        r"\d+ min to go$", text, re.MULTILINE)
    assert rounds == [("1", "2"), ("2", "4"), ("3", "5")], text
    assert "longest: q 0 s\n" in text, text


TESTS = (pure_ones_run_twice_all_others_every_time, once_is_once,
         what_is_likely_to_fail_comes_first, it_ends_with_the_first_failure,
         each_round_tells_how_it_gets_on)


def main():
    print(f"1..{len(TESTS)}", flush=True)
    bad = 0
    for number, test in enumerate(TESTS, 1):
        try:
            with tempfile.TemporaryDirectory() as path:
                test(World(path))
            word = "ok"
        except AssertionError as error:
            print(f"# AssertionError: {error}")
            word, bad = "not ok", bad + 1
        print(f"{word} {number} - {test.__name__}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
