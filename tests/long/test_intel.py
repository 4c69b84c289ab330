#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Intel: two nodes under kvm_intel, in one emulated host. Usage: test_intel.py SSIHV

Prints TAP: a case for each check of the proof, as soon as its line comes out of the guest, which is
minutes after the one before. Both vCPUs are busy in most checks. EPT's accessed and dirty flags are
on: without them this emulator is no proof of coherence (lab/README.md, "The Intel host").
"""
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import intel_host  # noqa: E402
from guest_runs import exact  # noqa: E402

SSIHV = pathlib.Path(sys.argv[1]).resolve()
CHECKS = ("numa", "xadd", "cmpxchg16b", "mutex", "litmus-sb", "litmus-sb-mfence", "litmus-mp",
          "litmus-lb", "litmus-corr", "litmus-2+2w", "clock")
CASES = ("boot", *CHECKS, "report")
# Few rounds: a second of this guest costs 15 of a core here, and a crossing takes milliseconds.
PROOF = (f"{intel_host.QUICK} proof.scale=0.02 proof.seconds=100 proof.expect_cpus=2 "
         "proof.only=numa,atomics,clock,litmus proof.expect_nodes=2 proof.distance=100")


class Cases:
    """Those that the guest tells, in the order of the proof."""

    def __init__(self):
        self.told = {}

    def tell(self, name, good, details=""):
        if name not in CASES or name in self.told:
            return
        self.told[name] = good
        if details:
            print(f"# {details[:300]}")
        print(f"{'ok' if good else 'not ok'} {CASES.index(name) + 1} - {name}", flush=True)

    def line(self, text):
        if text == "PROOF-START":
            self.tell("boot", True)
        found = re.match(r"proof: (\S+) (ok|FAIL) ", text)
        if found:
            self.tell(found[1], found[2] == "ok", text)

    def end(self, error):
        """Whatever has not been told has failed."""
        for name in CASES:
            self.tell(name, False, error)
        return 0 if all(self.told.values()) else 1


def two_nodes(cases):
    with tempfile.TemporaryDirectory(prefix="ssihv-long.") as path:
        host = intel_host.Host(SSIHV, path)
        guest, = host.run([host.guest(2, PROOF, 600)], options=["eptad=1"], seconds=5400,
                          tell=cases.line)
    return intel_host.report_of(guest)


def check_report(report):
    assert report["cpus"] == report["numa_nodes"] == 2, report
    exact(report, "xadd", "cmpxchg16b", "mutex")
    assert report["clock_violations"] == 0, report
    assert report["litmus"], "no litmus test ran"
    for name, test in report["litmus"].items():
        assert test["runs"] > 0 and test["forbidden"] == 0, (name, test)
    assert sum(test["mixed"] for test in report["litmus"].values()) > 0, "nothing overlapped"
    for node in report["nodes"]:
        assert node["faults_remote"] > 0, node


def main():
    if intel_host.skipped():
        return 0
    print(f"1..{len(CASES)}", flush=True)
    cases, error = Cases(), ""
    try:
        check_report(two_nodes(cases))
        cases.tell("report", True)
    except (AssertionError, KeyError, OSError, ValueError, intel_host.LabError,
            subprocess.SubprocessError) as problem:
        error = f"{type(problem).__name__}: {str(problem)[-4000:]!r}"
    return cases.end(error)


if __name__ == "__main__":
    sys.exit(main())
