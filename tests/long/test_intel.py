#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Intel: two nodes under kvm_intel, in one emulated host. Usage: test_intel.py SSIHV

Prints TAP. Both vCPUs are busy in most of the proof's checks. EPT's accessed and dirty flags are on:
without them this emulator is no proof of coherence (lab/README.md, "The Intel host").
"""
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import intel_host  # noqa: E402

SSIHV = pathlib.Path(sys.argv[1]).resolve()
# Few rounds, and time enough for them: starting a check's threads alone takes seconds here.
PROOF = ("quiet proof.scale=0.05 proof.seconds=400 proof.only=numa,atomics,clock,litmus "
         "proof.expect_cpus=2 proof.expect_nodes=2 proof.distance=100")


def two_nodes_are_one_machine():
    with tempfile.TemporaryDirectory(prefix="ssihv-long.") as path:
        host = intel_host.Host(SSIHV, path)
        guest, = host.run([host.guest(2, PROOF, 600)], options=["eptad=1"], seconds=3000)
    report = intel_host.report_of(guest)
    assert report["cpus"] == report["numa_nodes"] == 2, report
    intel_host.exact(report, "xadd", "cmpxchg16b", "mutex")
    assert report["clock_violations"] == 0, report
    assert report["litmus"], "no litmus test ran"
    for name, test in report["litmus"].items():
        assert test["forbidden"] == 0, (name, test)
    assert sum(test["mixed"] for test in report["litmus"].values()) > 0, "nothing overlapped"
    for node in report["nodes"]:
        assert node["faults_remote"] > 0, node


def main():
    intel_host.clean_up_when_told_to_end()
    reason = intel_host.why_not()
    if reason:
        print(f"1..0 # SKIP {reason}")
        return 0
    print("1..1", flush=True)
    try:
        two_nodes_are_one_machine()
    except (AssertionError, KeyError, OSError, ValueError, intel_host.LabError,
            subprocess.SubprocessError) as error:
        print(f"# {type(error).__name__}: {str(error)[-4000:]!r}")
        print("not ok 1 - two_nodes_are_one_machine")
        return 1
    print("ok 1 - two_nodes_are_one_machine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
