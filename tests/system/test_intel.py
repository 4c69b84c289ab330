#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Intel: vCPUs and a guest under kvm_intel, on an emulated host. Usage: test_intel.py SSIHV

Prints TAP. All cases look at one boot of the host, which takes most of the time: about a minute and
a half of one core. Two nodes are in tests/long/test_intel.py.
"""
import json
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import intel_host  # noqa: E402
from guest_runs import exact  # noqa: E402

SSIHV = pathlib.Path(sys.argv[1]).resolve()
# Each with the cases that may be skipped there, and no others. KVM keeps the TSC's deadline to
# itself, so no guest is offered it; what Bochs cannot do is said where a case skips itself.
KVM_TESTS = {
    "answers": set(),
    "tiny": {"the_deadline_timer_ends_a_halt", "the_deadline_timer_interrupts_a_running_vcpu",
             "the_deadline_is_read_as_it_was_written"},
    "pause": {"one_with_interrupts_off_executes_nothing_either", "an_nmi_during_the_pause_is_kept",
              "a_deadline_that_is_due_fires_after_the_pause"},
    "save": {"a_deadline_wakes_a_sleeping_vcpu_elsewhere"},
    "move": {"a_deadline_goes_on"},
    "clock": {"a_vcpu_starts_with_a_tsc_that_is_scaled"},
    "slice": set(),
}
FOLDER = SSIHV.parent.parent / "tests" / "kvm"
TAP = "CMOCKA_MESSAGE_OUTPUT=tap SSIHV_TEST_BOCHS=1"


def the_host_is_usable_and_takes_timer_interrupts(check, *_):
    found = json.loads(check)
    assert found["usable"] and "timer interrupts come by a count" in found["reason"], found


def tests_of_vcpus_pass(_, __, *outputs):
    """cmocka tells a case that was skipped as "not ok N # SKIP"."""
    print("".join(f"# {line}\n" for output in outputs for line in output.splitlines()), end="")
    for (name, may_skip), output in zip(KVM_TESTS.items(), outputs, strict=True):
        plan = re.search(r"^1\.\.(\d+)$", output, re.MULTILINE)
        assert plan, f"{name}: {output}"
        passed = re.findall(r"^ok \d+ - ", output, re.MULTILINE)
        skipped = re.findall(r"^not ok \d+ # SKIP (\w+)", output, re.MULTILINE)
        assert passed and len(passed) + len(skipped) == int(plan[1]), f"{name}: {output}"
        unexpected = set(skipped) - may_skip
        assert not unexpected, f"{name} skipped {unexpected}: {output}"


def a_guest_boots_and_proves_itself(_, guest, *__):
    report = intel_host.report_of(guest)
    assert report["cpus"] == 1 and report["numa_nodes"] == 1, report
    exact(report, "xadd", "cmpxchg16b", "mutex")
    assert report["timers_fired"] > 0 and report["timers_early"] == 0, report
    node = report["nodes"][0]
    assert node["faults_local"] == 0 and node["faults_remote"] == 0, node


TESTS = (the_host_is_usable_and_takes_timer_interrupts, a_guest_boots_and_proves_itself,
         tests_of_vcpus_pass)


def run_host():
    with tempfile.TemporaryDirectory(prefix="ssihv-system.") as path:
        host = intel_host.Host(SSIHV, path)
        programs = [FOLDER / f"test_{name}" for name in KVM_TESTS]
        return host.run([f"{SSIHV} check-kvm -o json",
                         host.guest(1, f"{intel_host.QUICK} proof.scale=0.05 proof.expect_cpus=1 "
                                       "proof.only=numa,atomics,timers", 120),
                         *(f"{TAP} timeout 120 {program} 2>&1" for program in programs)],
                        programs=programs)


if __name__ == "__main__":
    sys.exit(0 if intel_host.skipped() else intel_host.cases(TESTS, run_host))
