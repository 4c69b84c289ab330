#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tests/run says about a program that speaks TAP, above all why it failed. Prints TAP.

Usage: test_tap.py TESTS, the folder of tap.py
"""
import contextlib
import io
import pathlib
import signal
import sys
import tempfile

sys.path.insert(0, sys.argv[1])
from tap import Program, Results, Running, ignore_here_only, run  # noqa: E402


def told(script, timeout=60):
    """The status, the list under "failed:" and all that is printed, of a program in shell."""
    printed, results = io.StringIO(), Results()
    program = Program(name="p", command=["sh", "-c", script], env={}, timeout=timeout,
                      parallel=True, kind="plain", directory="/")
    with tempfile.TemporaryDirectory() as logs, contextlib.redirect_stdout(printed):
        run(program, pathlib.Path(logs), results, Running())
        status = results.end(pathlib.Path(logs) / "summary", "")
    text = printed.getvalue()
    return status, text.partition("\nfailed:\n")[2].partition("\n\ntime")[0].splitlines(), text


def lines(*words):
    return "".join(f"echo '{word}'\n" for word in words)


def the_error_before_a_failed_case_is_told():
    status, failed, _ = told(lines("1..3", "# a note", "ok 1 - a", "# of another kind", "# b: 1",
                                   "# ValueError: two", "# more", "not ok 2 - b", "ok 3 - c")
                             + "exit 1")
    assert status == 1
    assert failed == ["  p: b", "      # ValueError: two", "      # more"], failed


def without_an_error_its_last_words_are():
    _, failed, _ = told(lines("1..1", "# 1", "# 2", "# 3", "# 4", "not ok 1 - a"))
    assert failed == ["  p: a", "      # 2", "      # 3", "      # 4"], failed


def what_cmocka_tells_after_it_is():
    _, failed, _ = told(lines("1..3", "not ok 1 - a", "# 0x1 != 0x2", "# a.c:6: error: Failure!",
                              "not ok 2 - b", "# b.c:7: error: Failure!", "# and", "# more",
                              "# than that", "ok 3 - c"))
    assert failed == ["  p: a", "      # 0x1 != 0x2", "      # a.c:6: error: Failure!",
                      "  p: b", "      # b.c:7: error: Failure!", "      # and",
                      "      # more"], failed


def a_long_line_is_cut():
    _, failed, _ = told(lines("1..1", "# KeyError: " + "x" * 1000, "not ok 1 - a"))
    assert len(failed) == 2 and len(failed[1].strip()) == 300, failed


def a_crash_is_told_with_what_it_left():
    _, failed, _ = told(lines("1..2", "ok 1 - a") + "echo one >&2\n"
                        "echo '==7==ERROR: AddressSanitizer: heap-use-after-free' >&2\n"
                        "echo two >&2\nkill -ABRT $$")
    assert failed == ["  p: ended by SIGABRT after 1 cases",
                      "      ==7==ERROR: AddressSanitizer: heap-use-after-free"], failed


def cases_that_are_missing_are_a_failure():
    status, failed, _ = told(lines("1..2", "ok 1 - a") + "echo last words >&2")
    assert status == 1
    assert failed == ["  p: planned 2 cases, told 1", "      last words"], failed


def one_that_takes_too_long_is_ended():
    _, failed, _ = told(lines("1..1", "# still at it") + "exec sleep 1000", timeout=0.2)
    assert failed == ["  p: took more than 0 s", "      # still at it"], failed


def a_good_end_names_no_failure():
    status, failed, text = told(lines("1..2", "# KeyError: a word", "ok 1 - a",
                                      "ok 2 - b # SKIP why"))
    assert status == 0 and not failed
    assert "p: b: why" in text and text.endswith("1 passed, 0 failed, 1 skipped\n"), text


def where_the_time_went_is_told_before_the_sum():
    _, _, text = told(lines("1..1", "ok 1 - a"))
    assert text.endswith("\nprograms, by class: plain 0 s\nthe longest: p 0 s\n"
                         "1 passed, 0 failed\n"), text


def programs_do_not_inherit_what_is_ignored():
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ignore_here_only()
        _, failed, _ = told(lines("1..1") + "kill -HUP $$\necho ok 1 - it is still here")
    finally:
        signal.signal(signal.SIGHUP, old)
    assert failed == ["  p: ended by SIGHUP after 0 cases"], failed


TESTS = (the_error_before_a_failed_case_is_told, without_an_error_its_last_words_are,
         what_cmocka_tells_after_it_is, a_long_line_is_cut, a_crash_is_told_with_what_it_left,
         cases_that_are_missing_are_a_failure, one_that_takes_too_long_is_ended,
         a_good_end_names_no_failure, where_the_time_went_is_told_before_the_sum,
         programs_do_not_inherit_what_is_ignored)


def main():
    print(f"1..{len(TESTS)}", flush=True)
    bad = 0
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            word = "ok"
        except AssertionError as error:
            print(f"# AssertionError: {error}")
            word, bad = "not ok", bad + 1
        print(f"{word} {number} - {test.__name__}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
