#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cases that look at one boot of a host: it is booted once, also when it hangs. Prints TAP.

Usage: test_intel_host.py TESTS, the path of tests/.
"""
import contextlib
import io
import sys

sys.path.insert(0, sys.argv[1])
import intel_host  # noqa: E402


class Boot:
    """@error: how it fails, None: it does not."""

    def __init__(self, error=None):
        self.error, self.times = error, 0

    def __call__(self):
        self.times += 1
        if self.error:
            raise self.error
        return "one", "two"


def sees_both(*sections):
    assert sections == ("one", "two"), sections


def sees_three(one, *_):
    assert one == "three", one


def ends_as_told(boot, status, *lines):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        got = intel_host.cases((sees_both, sees_three, sees_both), boot)
    assert (got, boot.times) == (status, 1), (got, boot.times)
    assert output.getvalue().splitlines() == ["1..3", *lines], output.getvalue()


def one_boot_serves_all_and_a_case_may_fail():
    ends_as_told(Boot(), 1, "ok 1 - sees_both", "# AssertionError: 'one'", "not ok 2 - sees_three",
                 "ok 3 - sees_both")


def a_host_that_hangs_costs_its_time_once():
    for error in (AssertionError("not done after 600 s"), intel_host.LabError("no bochs")):
        reason = f"# {type(error).__name__}: {str(error)!r}"
        ends_as_told(Boot(error), 1, reason, "not ok 1 - sees_both", reason,
                     "not ok 2 - sees_three", reason, "not ok 3 - sees_both")


def main():
    tests, failed = (one_boot_serves_all_and_a_case_may_fail,
                     a_host_that_hangs_costs_its_time_once), 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        title = f"{number} - {test.__name__.replace('_', ' ')}"
        try:
            test()
            print("ok", title)
        except AssertionError as error:
            failed += 1
            print(f"not ok {title}\n# {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
