#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Intel with eptad=0: walks of page tables read. Usage: test_intel_walks.py SSIHV

Prints TAP. That the default is found as what it is, is seen by tests/system/test_intel.py. One node
only: two are no proof on this emulator (lab/README.md, "The Intel host").
"""
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import intel_host  # noqa: E402

SSIHV = pathlib.Path(sys.argv[1]).resolve()
ANSWERS = SSIHV.parent.parent / "tests" / "kvm" / "test_answers"


def the_host_says_that_tables_can_be_shared(check, *_):
    found = json.loads(check)
    assert found["usable"] and found["walks_read"], found
    assert "can be shared" in found["page_tables"], found


def a_guest_boots_and_its_report_says_so(_, guest, *__):
    report = intel_host.report_of(guest)
    assert report["cpus"] == 1, report
    assert report["nodes"][0]["walks_read"] is True, report["nodes"][0]


def the_tests_of_kvms_answers_pass(_, __, answers):
    print("".join(f"# {line}\n" for line in answers.splitlines()), end="")
    assert "\nok 1 - " in answers and "walks read" in answers, answers
    assert all("# SKIP" in line for line in answers.splitlines() if line.startswith("not ok")), answers


TESTS = (the_host_says_that_tables_can_be_shared, a_guest_boots_and_its_report_says_so,
         the_tests_of_kvms_answers_pass)


def run_host():
    with tempfile.TemporaryDirectory(prefix="ssihv-long.") as path:
        host = intel_host.Host(SSIHV, path)
        return host.run([f"{SSIHV} check-kvm -o json",
                         host.guest(1, f"{intel_host.QUICK} proof.scale=0.05 proof.expect_cpus=1 "
                                       "proof.only=numa,atomics,timers", 120),
                         f"CMOCKA_MESSAGE_OUTPUT=tap SSIHV_TEST_BOCHS=1 timeout 120 {ANSWERS} 2>&1"],
                        programs=[ANSWERS], options=["eptad=0"])


if __name__ == "__main__":
    sys.exit(0 if intel_host.skipped() else intel_host.cases(TESTS, run_host))
