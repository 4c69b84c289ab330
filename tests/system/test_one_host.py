#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A guest on one emulated host, which shares nothing. Usage: test_one_host.py SSIHV

Prints TAP. Takes one CPU of this machine, so it runs beside the Intel host, which takes one, too.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from guest_runs import SMALL, cases, exact, no_forbidden_outcome  # noqa: E402


def one_host_boots_and_proves_itself(world):
    """Two vCPUs take turns on the host's CPU, so what needs both takes all of its time."""
    status, report = world.run("--lab", 1, "--vcpus-per-node", 2, "--memory-per-node", "512M",
                               "--append", f"{SMALL} proof.seconds=10 proof.expect_cpus=2 "
                                           "proof.expect_nodes=1 proof.node_mib=512", limit=600)
    assert status == 0 and report["failed"] == [], (status, report.get("failed"))
    assert report["cpus"] == 2 and report["numa_nodes"] == 1
    assert report["swept_fraction"] > 0.9 and report["bad_pages"] == 0
    exact(report, "xadd", "cmpxchg16b", "mutex")
    no_forbidden_outcome(report)
    # Memory that no other node asks for is not tracked: no fault, no table.
    node = report["nodes"][0]
    assert node["faults_local"] == 0 and node["faults_remote"] == 0, node


if __name__ == "__main__":
    sys.exit(cases(sys.argv[1], (one_host_boots_and_proves_itself,)))
